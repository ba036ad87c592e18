from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pysam
import pytest

from esr1call.contigs import Slice
from esr1call.counts import CountTable
from esr1call.errors import InputError
from esr1call.io.bam import bytes_read, count_bam, find_index
from esr1call.io.bam_header import read_header
from esr1call.io.bgzf import BgzfFile
from esr1call.panel import Panel
from esr1call.settings import CountSettings
from tests import bam_bytes
from tests.awkward_reads import awkward_bam
from tests.bam_bytes import Record, tag
from tests.builders import ReadBuilder, slices

SETTINGS = CountSettings()


def same(one: CountTable, two: CountTable) -> bool:
    return (
        one.windows == two.windows
        and one.haplotype == two.haplotype
        and np.array_equal(one.window, two.window)
        and np.array_equal(one.molecules, two.molecules)
    )


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An awkward BAM with a .bai (do not change it)."""
    return awkward_bam(tmp_path_factory.mktemp("bam") / "x.bam", 11, pairs=400)


# ---------------------------------------------------------------- one file in many dresses


def test_with_and_without_an_index_and_with_any_kind_of_index(awkward: Path, tmp_path: Path, panel: Panel) -> None:
    expected, _ = count_bam(awkward, panel, SETTINGS)
    assert expected.molecules.sum() > 100
    bam = Path(shutil.copy(awkward, tmp_path))
    assert find_index(bam) is None
    assert same(count_bam(bam, panel, SETTINGS)[0], expected)
    for options, name in ((["-b"], "x.bai"), (["-c"], "x.bam.csi"), (["-c", "-m", "10"], "x.bam.csi")):
        pysam.index(*options, str(bam), str(tmp_path / name))
        assert find_index(bam) is not None
        assert same(count_bam(bam, panel, SETTINGS)[0], expected)
        (tmp_path / name).unlink()


def rewritten(bam: Path, out: Path, names: dict[str, int], place: Callable[[str, int], tuple[str, int]]) -> Path:
    """The reads of `bam` on other reference sequences, sorted and indexed."""
    header = pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": n, "LN": k} for n, k in names.items()]}
    )
    order = list(names)
    reads = []
    with pysam.AlignmentFile(str(bam)) as source:
        for read in source.fetch(until_eof=True):
            fields = read.to_dict()
            name, pos = place(fields["ref_name"], int(fields["ref_pos"]))
            fields["ref_name"], fields["ref_pos"] = name, str(pos)
            if fields["next_ref_name"] not in ("*", "="):
                fields["next_ref_name"], _ = place(fields["next_ref_name"], 1)
            if fields["next_ref_pos"] != "0":
                fields["next_ref_pos"] = str(place(read.next_reference_name, int(fields["next_ref_pos"]))[1])
            reads.append(pysam.AlignedSegment.from_dict(fields, header))
    reads.sort(key=lambda r: (order.index(r.reference_name), r.reference_start))
    with pysam.AlignmentFile(str(out), "wb", header=header) as file:
        for read in reads:
            file.write(read)
    pysam.index(str(out))
    return out


def test_slices_in_any_order_and_whole_chromosomes(tmp_path: Path, panel: Panel) -> None:
    builder = ReadBuilder()
    rng = Random(5)
    for number in range(300):
        start = rng.choice([151944130, 152011620, 152060950, 152094345, 152098700]) + rng.randrange(40)
        umi = rng.choice(["AAA-CCC", "CCC-AAA", "GTG-TTT"])
        builder.pair(start, start + 150, umi=umi, orientation=rng.choice(["F1R2", "F2R1"]), copies=number % 4)
    bam = builder.write(tmp_path / "x.bam")
    expected, _ = count_bam(bam, panel, SETTINGS)
    assert len(set(expected.window.tolist())) > 40

    lengths = {name: len(bases) for name, bases in slices().items()}
    for seed in range(3):
        names = rng.sample(sorted(lengths), len(lengths))
        names.insert(seed, "chr1:1001-2000")
        sizes = {n: lengths.get(n, 1000) for n in names}
        assert same(
            count_bam(rewritten(bam, tmp_path / f"{seed}.bam", sizes, lambda n, p: (n, p)), panel, SETTINGS)[0],
            expected,
        )

    def whole(name: str, pos: int) -> tuple[str, int]:
        return chromosome, pos + int(name.split(":")[1].split("-")[0]) - 1

    for chromosome in ("chr6", "6", "NC_000006.12"):
        chromosomes = {"chr1": 248956422, chromosome: 170805979, "chr6_GL000250v2_alt": 4672374}
        moved = rewritten(bam, tmp_path / f"{chromosome}.bam", chromosomes, whole)
        assert same(count_bam(moved, panel, SETTINGS)[0], expected)


def test_threads_change_nothing(awkward: Path, panel: Panel) -> None:
    expected, one = count_bam(awkward, panel, SETTINGS)
    table, four = count_bam(awkward, panel, SETTINGS, threads=4)
    assert same(table, expected)
    assert four.reads.counts == one.reads.counts


def test_only_a_part_of_an_indexed_file_is_read(tmp_path: Path, panel: Panel) -> None:
    rng = Random(7)
    references = [("chr1", 248956422), ("chr6", 170805979)]
    places = [(ref, rng.randrange(10**8)) for ref in (0, 1) for _ in range(10000)]
    places += [(1, 152098700 + rng.randrange(60)) for _ in range(300)]
    rx, noise = [tag("RX", "Z", "AAA")], rng.choices(range(20, 40), k=2000)
    bases = "".join(rng.choices("ACGT", k=2000))
    records = []
    for i, (ref, pos) in enumerate(places):
        k = rng.randrange(1900)
        records.append(Record(f"r{i}", 0, ref, pos, 60, "100M", bases[k : k + 100], noise[k : k + 100], tags=rx))
    bam = bam_bytes.write(tmp_path / "x.bam", references, records)
    expected, everything = count_bam(bam, panel, SETTINGS)
    assert sum(everything.reads.counts.values()) == len(records)
    pysam.index(str(bam))
    table, counter = count_bam(bam, panel, SETTINGS)
    assert same(table, expected)
    assert counter.reads.counts["counted"] == everything.reads.counts["counted"] > 250
    assert bytes_read(bam, panel) < 0.1 * bam.stat().st_size


def test_a_read_longer_than_short_reads_counts_neither_way(tmp_path: Path, panel: Panel) -> None:
    start, rx = 152098783 - 500, [tag("RX", "Z", "AAA")]
    records = [
        Record(f"r{i}", 0, 0, start - i, 60, f"510M{skip}D50M", "A" * 560, [37] * 560, tags=rx)
        for i, skip in enumerate((10, 439, 440, 441, 900))
    ]  # 439 + 560 is just short of the most that counts
    bam = bam_bytes.write(tmp_path / "x.bam", [("chr6", 170805979)], records)
    one, counter = count_bam(bam, panel, SETTINGS)
    pysam.index(str(bam))
    assert same(one, count_bam(bam, panel, SETTINGS)[0])
    assert counter.reads.counts["spliced"] == 2
    assert counter.reads.counts["counted"] == 3


def test_the_stand_in_for_a_cigar_too_long_for_bam_counts_as_spliced(tmp_path: Path, panel: Panel) -> None:
    """Beyond 65,535 operators BAM writes `kSmN` and keeps the CIGAR in the CG tag: no read of a short fragment."""
    tags = [tag("CG", "BI", [1 << 4, 1 << 4 | 2] * 3), tag("RX", "Z", "AAA")]
    long = Record("r0", 0, 0, 152098700, 60, "90S200N", "A" * 90, [37] * 90, tags=tags)
    bam = bam_bytes.write(tmp_path / "x.bam", [("chr6", 170805979)], [long, long.with_(name="r1", cigar="90M")])
    assert count_bam(bam, panel, SETTINGS)[1].reads.counts["spliced"] == 1
    assert count_bam(bam, panel, SETTINGS)[1].reads.counts["counted"] == 1


# ---------------------------------------------------------------- headers


def test_a_header_spread_over_many_blocks(tmp_path: Path) -> None:
    references = [(f"chrUn_{i}", 1000 + i) for i in range(500)] + [("chr6:11-70", 60)]
    head = bam_bytes.header(references, text="@HD\tVN:1.6\tSO:coordinate\n" + "@CO\tx\n" * 500)
    record = Record("r", 0, 500, 3, 60, "5M", "ACGTA", [37] * 5).encode()
    for sizes in ((), (1, 2, 0, 3, 40) * 20, (len(head),)):
        (tmp_path / "x.bam").write_bytes(bam_bytes.bgzf(head + record, sizes))
        header = read_header(tmp_path / "x.bam")
        assert header.references[-1] == Slice("chr6:11-70", "chr6", 10, 60)
        assert len(header.references) == 501
        assert header.sort_order == "coordinate"
        with BgzfFile(tmp_path / "x.bam") as file:
            before = sum(b[2] for found in file.blocks(0, header.first_record >> 16) for b in found)
        assert before + (header.first_record & 0xFFFF) == len(head)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("@HD\tVN:1.6\tSO:coordinate\n", "coordinate"),
        ("@HD\tSO:queryname\tVN:1.6", "queryname"),
        ("@HD\tVN:1.6\n", "unknown"),
        ("@CO\tSO:coordinate\n", "unknown"),
        ("", "unknown"),
        ("@HD\tVN:1.6\tSO:coordinate\n\0\0\0", "coordinate"),
        ("\tnonsense\n@HD", "unknown"),
    ],
)
def test_the_sort_order_that_a_header_tells(tmp_path: Path, text: str, order: str) -> None:
    head = bam_bytes.header([("chr6", 170805979)], text=text)
    (tmp_path / "x.bam").write_bytes(bam_bytes.bam(head, []))
    assert read_header(tmp_path / "x.bam").sort_order == order
    assert read_header(tmp_path / "x.bam").build == "GRCh38"


# ---------------------------------------------------------------- indices that do not fit


def test_an_index_older_than_the_bam(awkward: Path, tmp_path: Path, panel: Panel) -> None:
    bam = Path(shutil.copy(awkward, tmp_path))
    index = Path(shutil.copy(f"{awkward}.bai", tmp_path))
    os.utime(index, (1, 1))
    with pytest.raises(InputError, match=r"x\.bam\.bai: the index is older than the BAM; index the BAM again"):
        count_bam(bam, panel, SETTINGS)


def other_files(tmp_path: Path) -> dict[str, Path]:
    unplaced = ReadBuilder()
    unplaced.pair(152098700, 152098860, copies=3)
    tail = pysam.AlignedSegment(unplaced.header)
    tail.query_name, tail.flag, tail.query_sequence = "lost", 77, "ACGT"
    unplaced.segments.append(tail)
    longer = ReadBuilder()
    longer.pair(152098700, 152098860, copies=4)
    slice_only = ReadBuilder(sequences={n: s for n, s in slices().items() if "152098682" in n})
    slice_only.pair(152098700, 152098860, copies=3)
    made = {"unplaced": unplaced, "longer": longer, "empty": ReadBuilder(), "one sequence": slice_only}
    return {name: b.write(tmp_path / f"{name}.bam") for name, b in made.items()}


@pytest.mark.parametrize("option", ["-b", "-c"])
def test_an_index_of_another_file(awkward: Path, tmp_path: Path, panel: Panel, option: str) -> None:
    files = {**other_files(tmp_path), "awkward": awkward}
    suffix = {"-b": ".bai", "-c": ".csi"}[option]
    for name, bam in files.items():
        for other, source in files.items():
            copy = Path(shutil.copy(bam, tmp_path / "copy.bam"))
            pysam.index(option, str(source), f"{copy}{suffix}")
            if name == other:
                count_bam(copy, panel, SETTINGS)
            else:
                with pytest.raises(InputError, match="the index is of another file; index the BAM again"):
                    count_bam(copy, panel, SETTINGS)


def test_mates_are_looked_for_near_the_windows_of_an_indexed_bam(tmp_path: Path, panel: Panel) -> None:
    tables = []
    for mate_tags in (True, False):
        builder = ReadBuilder()
        for i in range(20):
            builder.pair(
                152098700, 152098990, umi="AAA-CCC", clip_2=(0, i % 3), mate_tags=mate_tags, orientation="F2R1",
                copies=2,
            )  # fmt: skip
        tables.append(count_bam(builder.write(tmp_path / f"{mate_tags}.bam"), panel, SETTINGS)[0])
    assert same(*tables)
    assert tables[0].depth().max() == 1


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("seed", range(2))
def test_any_damage_with_right_checksums_is_an_error_or_an_answer(tmp_path: Path, panel: Panel, seed: int) -> None:
    rng = Random(seed)
    rx = [tag("XB", "Bs", [1, 2]), tag("RX", "Z", "AAA-CCC"), tag("XI", "i", 7)]
    records = [
        Record(f"r{i}", 0, 0, 152098700 + i, 60, "3S50M2I68M", "ACG" * 41, [37] * 123, tags=rx).encode()
        for i in range(12)
    ]
    plain, answers, errors = b"".join(records), 0, 0
    for _ in range(100):
        damaged = bytearray(plain)
        for _ in range(rng.choice([1, 1, 3])):
            damaged[rng.randrange(len(plain))] = rng.choice([0, 255, 127, 128, rng.randrange(256)])
        data = bam_bytes.bgzf(bytes(damaged), [500] * rng.randrange(3))
        (tmp_path / "x.bam").write_bytes(bam_bytes.block(bam_bytes.header([("chr6", 170805979)])) + data)
        try:
            table, _ = count_bam(tmp_path / "x.bam", panel, SETTINGS, rng.choice([1, 2]))
            assert table.molecules.sum() >= 0
            answers += 1
        except InputError:
            errors += 1
    assert answers > 20
    assert errors > 10
