"""The fast counter equals the slow one, count by count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from unittest import mock

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from esr1call.counts import STRATA, CountTable
from esr1call.errors import InputError
from esr1call.io import bgzf
from esr1call.io.bam import count_bam, count_bases
from esr1call.molecules import families
from esr1call.panel import Panel
from esr1call.pileup import tags
from esr1call.pileup.bases import SYMBOLS
from esr1call.settings import CountSettings
from tests import bam_bytes
from tests.awkward_reads import awkward_bam
from tests.bam_bytes import Record
from tests.molecule_oracle import count, count_columns
from tests.tiny_world import HERE, REFERENCES, reads, tiny_panel

TINY = tiny_panel()
# A read over the last window, with a UMI, so that a file of reads without is no error.
WITH_UMI = Record("umi", 0, HERE, 48, 60, "12M", "A" * 12, [37] * 12, tags=[bam_bytes.tag("RX", "Z", "TTTTT-TTTTT")])
WITH_UMI_ROW = ("51-60", "A" * 9)
UNCORRECTED = CountSettings(umi_correction="none")


def as_dict(table: CountTable) -> dict[tuple[str, str], list[int]]:
    return {
        (table.windows[w], h): m.tolist()
        for w, h, m in zip(table.window, table.haplotype, table.molecules, strict=True)
    }


@pytest.mark.parametrize("umi", ["duplex", "simplex", "long"])
@pytest.mark.parametrize("seed", range(6))
def test_counts_equal_the_per_read_oracle(tmp_path: Path, panel: Panel, umi: str, seed: int) -> None:
    bam = awkward_bam(tmp_path / "x.bam", seed, umi=umi)
    settings = CountSettings()
    table, counter = count_bam(bam, panel, settings)
    counts, filters = count(bam, panel, settings)
    assert as_dict(table) == counts
    assert {k: v for k, v in counter.reads.counts.items() if v} == dict(filters)


@pytest.mark.parametrize(
    "settings",
    [
        CountSettings(umi="none"),
        CountSettings(umi="simplex"),
        CountSettings(umi_correction="none"),
        CountSettings(min_mapq=0, min_base_quality=0),
        CountSettings(min_consensus_quality=5, max_base_quality=30, max_template_quality=30),
        CountSettings(min_consensus_quality=60),
    ],
    ids=str,
)
def test_counts_equal_the_oracle_under_other_settings(tmp_path: Path, panel: Panel, settings: CountSettings) -> None:
    bam = awkward_bam(tmp_path / "x.bam", 99)
    table, _ = count_bam(bam, panel, settings)
    assert as_dict(table) == count(bam, panel, settings)[0]


def test_without_mate_tags_the_mates_are_found_in_the_file(tmp_path: Path, panel: Panel) -> None:
    with_tags = awkward_bam(tmp_path / "tags.bam", 5, sloppy=False)
    without = awkward_bam(tmp_path / "none.bam", 5, sloppy=False, mate_tags=False)
    assert count(without, panel, CountSettings())[0] == count(with_tags, panel, CountSettings())[0]
    assert as_dict(count_bam(without, panel, CountSettings())[0]) == as_dict(
        count_bam(with_tags, panel, CountSettings())[0]
    )


def test_names_that_come_again_in_a_merged_file_lead_to_no_others_mate(tmp_path: Path, panel: Panel) -> None:
    found = []
    for mate_tags in (True, False):
        both = tmp_path / f"{mate_tags}.bam"
        parts = [awkward_bam(tmp_path / f"{i}.bam", i, 20, sloppy=False, mate_tags=mate_tags) for i in (5, 6)]
        pysam.merge("-c", "-p", str(both), *map(str, parts))
        found += [as_dict(count_bam(both, panel, CountSettings())[0]), count(both, panel, CountSettings())[0]]
    assert found == [found[0]] * 4


@pytest.mark.parametrize("cigars", [("56M", "4S52M"), ("4S52M", "56M"), ("4S52M", "3S53M")])
def test_two_reads_of_one_name_and_place_that_differ_in_clips_are_refused(
    tmp_path: Path, cigars: tuple[str, str]
) -> None:
    """Without MC tags: whose mate is the other read?"""
    umi = bam_bytes.tag("RX", "Z", "TTTTT-TTTTT")
    pair = {"mate_ref": HERE, "mate_pos": 1}
    one, other, mate = (
        Record("twins", flag, HERE, 1, 60, cigar, "A" * 56, [37] * 56, tags=[umi], **pair)
        for flag, cigar in ((99, cigars[0]), (99, cigars[1]), (147, "56M"))
    )
    usual = [replace(mate, name=f"usual{i}") for i in range(3)]
    path = tmp_path / "x.bam"
    path.write_bytes(bam_bytes.bam(bam_bytes.header(REFERENCES), [r.encode() for r in (*usual, one, other, mate)]))
    with pytest.raises(InputError, match=r"x.bam, field 'QNAME': several reads of one name at one place"):
        count_bam(path, TINY, CountSettings())


def test_a_file_merged_with_itself_is_refused(tmp_path: Path, panel: Panel) -> None:
    """Every molecule would have twice the reads it has: a singleton would pass for a family of two."""
    once, twice = awkward_bam(tmp_path / "once.bam", 3), tmp_path / "twice.bam"
    pysam.merge("-c", "-p", str(twice), str(once), str(once))
    with pytest.raises(InputError, match=r"twice.bam, field 'QNAME': several reads of one name at one place"):
        count_bam(twice, panel, CountSettings())


def test_reads_without_a_place_at_the_end_of_the_file_are_no_disorder(tmp_path: Path, panel: Panel) -> None:
    placed = awkward_bam(tmp_path / "placed.bam", 3)
    with (
        pysam.AlignmentFile(str(placed)) as source,
        pysam.AlignmentFile(str(tmp_path / "more.bam"), "wb", template=source) as out,
    ):
        for read in source.fetch(until_eof=True):
            out.write(read)
        for flag in (77, 141):
            lost = pysam.AlignedSegment(out.header)
            lost.query_name, lost.flag, lost.query_sequence = "lost", flag, "ACGT"
            out.write(lost)
    assert as_dict(count_bam(tmp_path / "more.bam", panel, CountSettings())[0]) == as_dict(
        count_bam(placed, panel, CountSettings())[0]
    )


@pytest.mark.parametrize("seed", range(3))
def test_bases_equal_a_column_by_column_count(tmp_path: Path, panel: Panel, seed: int) -> None:
    bam = awkward_bam(tmp_path / "x.bam", seed)
    settings = CountSettings()
    counter = count_bases(bam, panel, settings)
    expected = count_columns(bam, panel, settings)
    found = {
        (position, strand, symbol): n
        for (_, position), strands in zip(counter.columns(), counter.counts.tolist(), strict=True)
        for strand, row in zip("+-", strands, strict=True)
        for symbol, n in zip(SYMBOLS, row, strict=True) if n
    }  # fmt: skip
    assert found == expected
    assert any(symbol == "del" for _, _, symbol in found)


# ---------------------------------------------------------------- any reads at all


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("counting")


def tiny_counts(
    folder: Path, records: list[Record], settings: CountSettings | None = None
) -> dict[tuple[str, str], list[int]]:
    bam = bam_bytes.write(folder / "tiny.bam", REFERENCES, [*records, WITH_UMI])
    counts = as_dict(count_bam(bam, TINY, settings or CountSettings())[0])
    assert counts.pop(WITH_UMI_ROW) == [1, 0, 0, 0, 0]
    return counts


def without_umis(filters: dict[str, int]) -> bool:
    return filters["no_umi"] > 0 and not filters["counted"] and not filters["umi_with_n"]


@tries(max_examples=120)
@given(reads(), st.sampled_from(["duplex", "duplex", "simplex", "none"]), st.booleans())
def test_counts_of_any_reads_equal_the_oracle(folder: Path, records: list[Record], umi: str, layouts: bool) -> None:
    bam = bam_bytes.write(folder / "any.bam", REFERENCES, records)
    settings = CountSettings(umi=umi)
    counts, filters = count(bam, TINY, settings)
    if without_umis(filters):
        with pytest.raises(InputError, match="not one read over the panel's windows has a UMI"):
            count_bam(bam, TINY, settings)
        return
    with mock.patch.object(tags, "_LAYOUT_READS", 1 if layouts else 1 << 30):
        table, counter = count_bam(bam, TINY, settings)
    assert as_dict(table) == counts
    assert {k: v for k, v in counter.reads.counts.items() if v} == dict(filters)
    assert sum(filters.values()) == len(records)


@tries(max_examples=25)
@given(reads(), st.integers(0, 1 << 32))
def test_counts_do_not_depend_on_how_the_file_is_cut_and_read(folder: Path, records: list[Record], seed: int) -> None:
    expected = {**tiny_counts(folder, records), WITH_UMI_ROW: [1, 0, 0, 0, 0]}
    rng = Random(seed)
    shuffled = sorted([*rng.sample(records, len(records)), WITH_UMI], key=lambda r: r.pos)
    plain = bam_bytes.header(REFERENCES) + b"".join(r.encode() for r in shuffled)
    bam = folder / "cut.bam"
    bam.write_bytes(bam_bytes.bgzf(plain, (rng.choice([0, 17, 200, 1000, 5000]) for _ in range(len(plain)))))
    for blocks, compact, threads in ((1, 1, 1), (2, 1 << 18, 2), (128, 5, 2)):
        with mock.patch.object(bgzf, "_CHUNK_BLOCKS", blocks), mock.patch.object(families, "MIN_COMPACT", compact):
            assert as_dict(count_bam(bam, TINY, CountSettings(), threads)[0]) == expected


@tries(max_examples=25)
@given(reads(), reads(("duplex", "sloppy"), first=100))
def test_a_further_read_pair_changes_at_most_one_molecule(
    folder: Path, records: list[Record], others: list[Record]
) -> None:
    name = others[0].name
    before = tiny_counts(folder, records, UNCORRECTED)
    after = tiny_counts(folder, records + [r for r in others if r.name == name], UNCORRECTED)
    for window in TINY.windows:
        keys = {k for k in before | after if k[0] == window.name}
        change = sum(np.subtract(after.get(k, [0] * 5), before.get(k, [0] * 5)) for k in keys)
        moved = sum(np.abs(np.subtract(after.get(k, [0] * 5), before.get(k, [0] * 5))).sum() for k in keys)
        assert np.sum(change) in (0, 1)
        assert moved <= 2


@tries(max_examples=20)
@given(reads(("duplex",)), reads(("longer",), first=100))
def test_disjoint_molecules_of_two_files_add_up(folder: Path, one: list[Record], two: list[Record]) -> None:
    tables = []
    for name, records in (("1", one), ("2", two), ("both", one + two)):
        bam = bam_bytes.write(folder / f"{name}.bam", REFERENCES, records)
        tables.append(count_bam(bam, TINY, CountSettings())[0])
    assert as_dict(tables[0] + tables[1]) == as_dict(tables[2])


@tries(max_examples=25)
@given(reads())
def test_swapped_reads_swap_the_strands_of_the_molecules(folder: Path, records: list[Record]) -> None:
    # A lone read, or two that face each other: of others the strand is read 1's own.
    paired = [r for r in records if r.flag & 1 and (r.flag & 8 or bool(r.flag & 16) != bool(r.flag & 32))]
    swapped = tiny_counts(folder, [_swapped(r) for r in paired])
    other = [STRATA.index(s) for s in ("singleton_F2R1", "singleton_F1R2", "simplex_F2R1", "simplex_F1R2", "duplex")]
    assert swapped == {k: [n[i] for i in other] for k, n in tiny_counts(folder, paired).items()}


def _swapped(read: Record) -> Record:
    """The same read with read 1 called read 2, and its UMIs the other way round."""

    def umi(tag: bytes) -> bytes:
        if tag[:3] != b"RXZ":
            return tag
        first, _, second = tag[3:-1].replace(b"+", b"-").partition(b"-")
        return b"RXZ" + second + b"-" + first + b"\0"

    return read.with_(flag=read.flag ^ 192, tags=[umi(t) for t in read.tags])
