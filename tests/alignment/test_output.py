from __future__ import annotations

from pathlib import Path

import pysam
import pytest

from esr1call.alignment.output import AlignedCounts, ReadGroup, header, index_path, write_sorted
from esr1call.errors import InputError
from tests.builders import ReadBuilder, slices

GROUP = ReadGroup("S1", "lib1", "run1.lane2")
SEQUENCES = [(n, len(s)) for n, s in slices().items()]
HEAD = header(SEQUENCES, GROUP, "bwa mem", "0.7.19")


def some_reads(count: int = 400) -> list[pysam.AlignedSegment]:
    reads = ReadBuilder()
    for i in range(count):
        start = 152098690 + (i * 37) % 500
        reads.pair(start, start + 160)
    reads.raw(152098700, "50M", flag=0x801)
    reads.raw(152098700, "50M", flag=0x4)
    return reads.segments


def test_sorted_indexed_and_counted(tmp_path: Path) -> None:
    out, counts = tmp_path / "new" / "x.bam", AlignedCounts()
    write_sorted(some_reads(), HEAD, out, 1, counts)
    assert counts == AlignedCounts(800, 1, 800, 1)
    with pysam.AlignmentFile(str(out)) as bam:
        starts = [(r.reference_id, r.reference_start) for r in bam]
        assert starts == sorted(starts)
        assert len(starts) == 802
        assert bam.has_index()
        assert bam.header.to_dict()["HD"]["SO"] == "coordinate"
        assert bam.header.to_dict()["RG"] == [
            {"ID": "S1.run1.lane2", "SM": "S1", "LB": "lib1", "PU": "run1.lane2", "PL": "ILLUMINA"}
        ]
        assert all("CL" not in p for p in bam.header.to_dict()["PG"])
        assert len(list(bam.fetch(SEQUENCES[-1][0], 100, 101))) > 10
    assert sorted(p.name for p in out.parent.iterdir()) == ["x.bam", "x.bam.bai"]


def test_a_passing_bam_holds_the_same_uncompressed(tmp_path: Path) -> None:
    made, size = [], []
    for passing in (False, True):
        out = tmp_path / f"{passing}.bam"
        write_sorted(some_reads(), HEAD, out, 1, AlignedCounts(), passing)
        with pysam.AlignmentFile(str(out)) as bam:
            assert bam.has_index()
            made.append([r.to_string() for r in bam])
        size.append(out.stat().st_size)
    assert made[0] == made[1]
    assert size[1] > 3 * size[0]


def test_bytes_do_not_depend_on_threads_or_place(tmp_path: Path) -> None:
    seen = set()
    for threads in (1, 2, 4):
        out = tmp_path / f"folder{threads}" / "x.bam"
        write_sorted(some_reads(3000), HEAD, out, threads, AlignedCounts())
        seen.add((out.read_bytes(), Path(f"{out}.bai").read_bytes()))
    assert len(seen) == 1


def test_many_records_go_through_files_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = some_reads()
    for changed in reads[::7]:  # without a place, as the aligner leaves pairs that fit nowhere
        changed.flag, changed.reference_id, changed.reference_start = 0x4D, -1, -1
    made = []
    for most in (len(reads), len(reads) - 1):
        monkeypatch.setattr("esr1call.alignment.output.IN_MEMORY", most)
        counts = AlignedCounts()
        write_sorted(reads, HEAD, tmp_path / "x.bam", 1, counts)
        made.append((counts, (tmp_path / "x.bam").read_bytes(), (tmp_path / "x.bam.bai").read_bytes()))
    assert made[0] == made[1]


def test_no_half_bam(tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield from some_reads(10)
        raise InputError("truncated gzip file")

    out = tmp_path / "x.bam"
    out.write_text("the one before")
    with pytest.raises(InputError, match="truncated"):
        write_sorted(broken(), HEAD, out, 1, AlignedCounts())
    assert [p.name for p in tmp_path.iterdir()] == ["x.bam"]
    assert out.read_text() == "the one before"


def test_no_reads(tmp_path: Path) -> None:
    out = tmp_path / "x.bam"
    write_sorted([], HEAD, out, 2, AlignedCounts())
    with pysam.AlignmentFile(str(out)) as bam:
        assert (list(bam), bam.mapped, bam.has_index()) == ([], 0, True)


def test_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write"):
        write_sorted([], HEAD, tmp_path / "file" / "x.bam", 1, AlignedCounts())


def test_long_sequences_need_csi() -> None:
    assert index_path(Path("x.bam"), [100, 1 << 29]).name == "x.bam.bai"
    assert index_path(Path("x.bam"), [100, (1 << 29) + 1]).name == "x.bam.csi"
