from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import pysam
import pytest

from esr1call.errors import InputError
from esr1call.io.bam_index import BamIndex, merge_ranges
from tests import bam_bytes
from tests.bam_bytes import Record

REFERENCES = [("chr1", 1 << 20), ("chrEmpty", 500), ("chr6", 170805979)]


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reads spread over a chromosome, some long, in blocks of a few, and one crowded place."""
    rng = Random(3)
    records = []
    for ref, count in ((0, 300), (2, 1500)):
        for i in range(count):
            pos = rng.choice([rng.randrange(REFERENCES[ref][1] - 300000), 152_098_700 if ref else 16384])
            skip = rng.choice([0, 0, 0, 0, 20000, 200000])
            records.append(Record(f"r{ref}.{i}", 0, ref, pos, 60, f"5M{skip}N5M" if skip else "10M", "A" * 10))
    ordered = sorted(records, key=lambda r: (r.ref, r.pos))
    path = tmp_path_factory.mktemp("index") / "sparse.bam"
    path.write_bytes(bam_bytes.bam(bam_bytes.header(REFERENCES), [r.encode() for r in ordered], per_block=3))
    return path


def reads_with_offsets(path: Path) -> list[tuple[int, int, int, int]]:
    """(virtual offset, reference, start, end) of each read."""
    with pysam.AlignmentFile(str(path)) as bam:
        found, at = [], bam.tell()
        for read in bam.fetch(until_eof=True):
            found.append((at, read.reference_id, read.reference_start, read.reference_end))
            at = bam.tell()
        return found


@pytest.mark.parametrize(
    ("options", "most"), [(["-b"], 0.1), (["-c"], 0.1), (["-c", "-m", "10"], 0.1), (["-c", "-m", "18"], 0.2)], ids=str
)
def test_no_read_over_a_region_lies_outside_its_chunks(sparse: Path, options: list[str], most: float) -> None:
    made = sparse.with_suffix(".idx")
    pysam.index(*options, str(sparse), str(made))
    index = BamIndex(made)
    reads, rng = reads_with_offsets(sparse), Random(4)
    regions = [(2, 152_098_783, 152_098_792), (2, 0, 1), (0, 0, 1 << 20), (1, 0, 500), (0, 16383, 16385)]
    regions += [(2, (p := rng.randrange(170_000_000)), p + rng.choice([1, 9, 40000])) for _ in range(200)]
    fraction = []
    for ref, start, end in regions:
        chunks = index.chunks(ref, start, end)
        assert chunks == sorted(chunks)
        inside = [r for r in reads if any(a <= r[0] < b for a, b in chunks)]
        over = [r for r in reads if r[1] == ref and r[2] < end and start < r[3]]
        assert set(over) <= set(inside)
        fraction.append(len(inside) / len(reads))
    assert sum(fraction) / len(fraction) < most
    assert index.references == 3
    assert index.chunks(1, 0, 500) == index.chunks(3, 0, 9) == index.chunks(-1, 0, 9) == []


def test_the_end_is_where_the_last_placed_read_ends(sparse: Path) -> None:
    for option, suffix in (("-b", ".bai"), ("-c", ".csi")):
        made = sparse.with_suffix(suffix)
        pysam.index(option, str(sparse), str(made))
        assert BamIndex(made).end >> 16 == sparse.stat().st_size - len(bam_bytes.EOF_BLOCK)


@pytest.mark.parametrize("option", ["-b", "-c"])
def test_an_index_cut_short_or_with_more_behind_is_refused(sparse: Path, tmp_path: Path, option: str) -> None:
    pysam.index(option, str(sparse), str(tmp_path / "good"))
    raw = (tmp_path / "good").read_bytes()
    bad = tmp_path / "bad"
    pieces = [raw[:size] for size in (0, 3, 4, 7, 8, 20, 100, len(raw) // 2, len(raw) - 9, len(raw) - 1)]
    for piece in [*pieces, raw + b"x", raw + raw]:
        bad.write_bytes(piece)
        with pytest.raises(InputError, match=r"corrupt BAM index|cannot read"):
            BamIndex(bad)


@pytest.mark.parametrize(
    "raw",
    [
        b"BAI\1" + struct.pack("<i", -1),
        b"BAI\1" + struct.pack("<i", 1 << 30),
        b"BAI\1" + struct.pack("<ii", 1, -1),
        b"BAI\1" + struct.pack("<iiIi", 1, 1, 4681, -1),
        b"BAI\1" + struct.pack("<iii", 1, 0, -1),
        b"CSI\1" + struct.pack("<iiii", 0, 5, 0, 0),
        b"CSI\1" + struct.pack("<iiii", 14, 99, 0, 0),
        b"CSI\1" + struct.pack("<iiii", 14, 5, -9, 0),
        b"TBI\1" + struct.pack("<i", 0),
        b"\x1f\x8b and no more",
    ],
)
def test_insane_indices_are_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.bai").write_bytes(raw)
    with pytest.raises(InputError, match=r"corrupt BAM index|cannot read"):
        BamIndex(tmp_path / "x.bai")


def test_a_missing_index_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read: No such file"):
        BamIndex(tmp_path / "x.bai")


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        ([], []),
        ([(1 << 16, 2 << 16), (2 << 16, 3 << 16)], [(1 << 16, 3 << 16)]),
        ([(1 << 16, 1 << 16 | 9), (1 << 16 | 20, 2 << 16)], [(1 << 16, 2 << 16)]),
        ([(1 << 16, 9 << 16), (2 << 16, 3 << 16)], [(1 << 16, 9 << 16)]),
        ([(1 << 16, 2 << 16), (3 << 16, 4 << 16)], [(1 << 16, 2 << 16), (3 << 16, 4 << 16)]),
    ],
)
def test_ranges_that_share_a_block_are_one(given: list[tuple[int, int]], merged: list[tuple[int, int]]) -> None:
    assert merge_ranges(given) == merged
