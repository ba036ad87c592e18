"""The fast counter equals the slow one, count by count."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest

from esr1call.counts import CountTable
from esr1call.io.bam import count_bam, count_bases
from esr1call.panel import Panel
from esr1call.pileup.bases import SYMBOLS
from esr1call.settings import CountSettings
from tests.awkward_reads import awkward_bam
from tests.molecule_oracle import count, count_columns


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
