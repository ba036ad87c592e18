from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pysam
import pytest

from esr1call.count_summary import summarise
from esr1call.counts import STRATA
from esr1call.errors import InputError
from esr1call.io import bgzf
from esr1call.io.bam import count_bam, explain_bam
from esr1call.panel import Panel
from esr1call.settings import CountSettings
from tests.builders import ReadBuilder
from tests.test_counting import as_dict

HERE = 152098700
D538G = (152098791, "A", "G")
Pairs = list[tuple[pysam.AlignedSegment, pysam.AlignedSegment]]


def tagged(pairs: Pairs, one: dict[str, int], two: dict[str, int] | None = None) -> None:
    """Give both mates (or read 2 its own) the tags of a consensus caller, with those that do not matter."""
    for first, second in pairs:
        for read, values in ((first, one), (second, one if two is None else two)):
            for name, value in values.items():
                read.set_tag(name, value)
            read.set_tag("cE", 0.01, "f")
            read.set_tag("MI", "7")


def simplex(depth: int) -> dict[str, int]:
    return {"cD": depth, "cM": 1}


def duplex(a: int, b: int) -> dict[str, int]:
    return {"cD": a + b, "cM": 1, "aD": a, "aM": 1, "bD": b, "bM": 0}


def row(bam: Path, panel: Panel, haplotype: str, settings: CountSettings | None = None) -> dict[str, int]:
    table, _ = count_bam(bam, panel, settings or CountSettings())
    counts = table.of(panel.window_index["536-538"], haplotype).tolist()
    return {s: n for s, n in zip(STRATA, counts, strict=True) if n}


@pytest.mark.parametrize(
    ("orientation", "one", "two", "stratum"),
    [
        ("F1R2", simplex(1), None, "singleton_F1R2"),
        ("F2R1", simplex(1), None, "singleton_F2R1"),
        ("F1R2", simplex(2), None, "simplex_F1R2"),
        ("F2R1", simplex(70000), None, "simplex_F2R1"),
        ("F1R2", duplex(1, 1), None, "duplex"),
        ("F2R1", duplex(300, 40), None, "duplex"),
        ("F1R2", duplex(1, 0), None, "singleton_F1R2"),
        ("F2R1", duplex(3, 0), None, "simplex_F2R1"),
        ("F1R2", {"cD": 4, "aD": 4}, None, "simplex_F1R2"),
        # mates made of different numbers of reads are one molecule, of the larger
        ("F1R2", simplex(1), simplex(2), "simplex_F1R2"),
        ("F2R1", duplex(2, 0), duplex(2, 1), "duplex"),
    ],
)
@pytest.mark.parametrize("umi", ["AAA-CCC", None])
def test_tags_give_the_tier_and_the_record_the_orientation(
    tmp_path: Path, panel: Panel, orientation: str, one: dict[str, int], two: dict[str, int] | None, stratum: str,
    umi: str | None,
) -> None:  # fmt: skip
    builder = ReadBuilder()
    tagged(builder.pair(HERE, HERE + 160, umi=umi, orientation=orientation, changes=[D538G]), one, two)
    assert row(builder.write(tmp_path / "x.bam"), panel, "CTCTATGGC") == {stratum: 1}


def test_each_read_pair_is_a_molecule_whatever_its_ends_and_umi(tmp_path: Path, panel: Panel) -> None:
    builder = ReadBuilder()
    tagged(builder.pair(HERE, HERE + 160, changes=[D538G], copies=5), simplex(3))
    tagged(builder.pair(HERE, HERE + 160, orientation="F2R1", umi="CCC-AAA", changes=[D538G], copies=2), simplex(1))
    for single in builder.single(HERE + 20, HERE + 130, reverse=True):
        single.set_tag("cD", 2)
    bam = builder.write(tmp_path / "x.bam")
    assert row(bam, panel, "CTCTATGGC") == {"simplex_F1R2": 5, "singleton_F2R1": 2}
    assert row(bam, panel, "CTCTATGAC") == {"simplex_F2R1": 1}


def test_masked_and_weak_bases_leave_a_molecule_undecided_and_mates_help_each_other(
    tmp_path: Path, panel: Panel
) -> None:
    builder = ReadBuilder()
    masked = builder.pair(HERE, HERE + 160)
    for read in masked[0]:
        at = 152098785 - read.reference_start - int(read.reference_name.split(":")[1].split("-")[0]) + 1
        qualities = read.query_qualities
        read.query_sequence = read.query_sequence[:at] + "N" + read.query_sequence[at + 1 :]
        read.query_qualities = qualities
    weak = builder.pair(HERE, HERE + 160, quality=12)
    against = builder.pair(HERE, HERE + 160, changes_1=[D538G])
    tagged([*masked, *weak, *against], simplex(2))
    bam = builder.write(tmp_path / "x.bam")
    assert row(bam, panel, "?") == {"simplex_F1R2": 2}
    assert row(bam, panel, "CTCTATGAC") == {"simplex_F1R2": 1}


def test_consensus_reads_of_raw_families_give_their_counts(tmp_path: Path, panel: Panel) -> None:
    rng = Random(4)
    raw, called = ReadBuilder(), ReadBuilder()
    for i in range(120):
        start, end = max(HERE - rng.randrange(35), 152098682), HERE + 160
        umi = "".join(rng.choices("ACGT", k=9)), "".join(rng.choices("ACGT", k=9))
        changes = [D538G] if rng.random() < 0.2 else []
        one, two = rng.choice([(1, 0), (2, 0), (0, 1), (0, 4), (1, 1), (3, 2)])
        raw.pair(max(start, 152098682), HERE + 160, umi="-".join(umi), changes=changes, copies=one)
        raw.pair(
            max(start, 152098682), HERE + 160, umi="-".join(umi[::-1]), changes=changes, copies=two, orientation="F2R1"
        )
        orientation = "F1R2" if one else "F2R1"
        made = called.pair(start, end, changes=changes, orientation=orientation)
        tagged(made, duplex(one or two, two if one else 0) if i % 3 or (one and two) else simplex(one + two))
    expected, raw_counter = count_bam(raw.write(tmp_path / "raw.bam"), panel, CountSettings())
    bam = called.write(tmp_path / "called.bam")
    for blocks, threads in ((128, 1), (1, 1), (1, 2)):
        with mock.patch.object(bgzf, "_CHUNK_BLOCKS", blocks):
            table, counter = count_bam(bam, panel, CountSettings(), threads)
        assert as_dict(table) == as_dict(expected)
    raw_windows = windows_of(summarise(expected, raw_counter))
    for name, stats in windows_of(summarise(table, counter)).items():
        assert stats["family_sizes"] == raw_windows[name]["family_sizes"]
        assert stats["templates"] == raw_windows[name]["templates"]
        assert stats["molecules"] == raw_windows[name]["molecules"]
    assert sum(counter.reads.counts.values()) == len(called.segments)


def windows_of(summary: dict[str, Any]) -> dict[str, Any]:
    return {w["window"]: w for w in summary["windows"]}


def refused(bam: Path, panel: Panel, told: str, read: Iterable[int] = (1, 2)) -> None:
    for threads in read:
        with pytest.raises(InputError, match=told):
            count_bam(bam, panel, CountSettings(), threads)


def test_raw_and_consensus_reads_in_one_file_are_refused(tmp_path: Path, panel: Panel) -> None:
    for first in (True, False):
        builder = ReadBuilder()
        pairs = builder.pair(HERE, HERE + 160, copies=5)
        tagged(pairs[:1] if first else pairs[-1:], simplex(2))
        refused(builder.write(tmp_path / "x.bam"), panel, "field 'cD': some reads are consensus reads and some are not")


def test_a_consensus_of_no_reads_is_refused(tmp_path: Path, panel: Panel) -> None:
    builder = ReadBuilder()
    tagged(builder.pair(HERE, HERE + 160), simplex(0))
    refused(builder.write(tmp_path / "x.bam"), panel, "field 'cD': a consensus of no reads")


def test_a_text_of_that_name_is_no_depth(tmp_path: Path, panel: Panel) -> None:
    builder = ReadBuilder()
    for pair in builder.pair(HERE, HERE + 160, copies=2):
        for read in pair:
            read.set_tag("cD", "2")
    assert row(builder.write(tmp_path / "x.bam"), panel, "CTCTATGAC") == {"simplex_F1R2": 1}


def test_consensus_reads_are_not_explained(tmp_path: Path, panel: Panel) -> None:
    builder = ReadBuilder()
    tagged(builder.pair(HERE, HERE + 160), simplex(2))
    with pytest.raises(InputError, match="consensus reads have nothing to explain"):
        explain_bam(builder.write(tmp_path / "x.bam"), panel, panel.window_index["536-538"], CountSettings())
