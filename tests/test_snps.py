from __future__ import annotations

from dataclasses import replace

import pytest

from esr1call.errors import InputError
from esr1call.panel import Panel
from esr1call.snps import (
    COLUMNS,
    AlleleCounts,
    Snp,
    agreement,
    allele_counts,
    counted_panel,
    elsewhere,
    parse_snps,
    without_snps,
)
from tests.builders import ROOT, count_table, fetcher, molecules, moved_slices, slices

SNPS_TSV = ROOT / "config" / "panels" / "esr1_snps.tsv"
HEADER = "\t".join(COLUMNS)
RS1801132 = Snp("rs1801132", "chr6", 151944386, "G", "C", 0.75)
RS2228480 = Snp("rs2228480", "chr6", 152098959, "G", "A", 0.2)
FAR = Snp("far", "chr1", 1000, "A", "T", 0.5)


def parsed(*rows: str, build: str = "GRCh38") -> tuple[Snp, ...]:
    return parse_snps([HEADER, *rows], "snps.tsv", build, fetcher(slices()))


def test_the_shipped_snps_agree_with_the_reference_on_both_builds(panel: Panel) -> None:
    lines = SNPS_TSV.read_text().splitlines()
    assert parse_snps(lines, "snps.tsv", "GRCh38", fetcher(slices())) == (RS1801132, RS2228480)
    assert [s.position for s in parse_snps(lines, "snps.tsv", "GRCh37", fetcher(moved_slices()))] == [
        RS1801132.position + 321135, RS2228480.position + 321135,
    ]  # fmt: skip
    # c.975 is the third base of codon 325 (CCG), c.1782 that of codon 594 (ACG).
    exon = next(e for e in panel.exons if e.start <= RS1801132.position < e.end)
    assert panel.cds_of(panel.exons.index(exon), RS1801132.position) == 975
    last = panel.exons[-1]
    assert panel.cds_of(panel.exons.index(last), RS2228480.position) == 1782
    assert (panel.coding[972:975], panel.coding[1779:1782]) == ("CCG", "ACG")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("rs1\tchr6\t151944387\t1\tA\tC\t0.5", ["rs1", "'ref'", "expected G"]),
        ("rs1\tchr6\t1\t1\tA\tC\t0.5", ["a position in the reference"]),
        ("rs1\tchr6\t0\t1\tA\tC\t0.5", ["pos_GRCh38", "1-based"]),
        (f"rs1\tchr6\t{'1' * 5000}\t1\tA\tC\t0.5", ["pos_GRCh38", "1-based"]),
        ("rs1\tchr6\t151944387\t1\tG\tG\t0.5", ["two different bases"]),
        ("rs1\tchr6\t151944387\t1\tG\tC\t1", ["frequency"]),
        ("rs1\tchr6\t151944387\t1\tG\tC\tx", ["frequency"]),
        ("\tchr6\t151944387\t1\tG\tC\t0.5", ["name"]),
        ("rs1\tchr6\t151944387\tG\tC\t0.5", ["columns"]),
    ],
)
def test_a_bad_row_is_named(row: str, said: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parsed(row)
    assert all(s in str(caught.value) for s in ["snps.tsv", *said])


def test_bad_files() -> None:
    row = "rs1\t6\t151944387\t1\tG\tC\t0.5"
    assert parsed(row)[0].contig == "chr6"
    for rows in ([row, row], [row, row.replace("rs1", "rs2")]):
        with pytest.raises(InputError, match="twice"):
            parsed(*rows)
    with pytest.raises(InputError, match="columns"):
        parse_snps(["name\tpos"], "snps.tsv", "GRCh38", fetcher(slices()))


@pytest.mark.parametrize(
    ("ref", "alt", "genotype"),
    [
        (1000, 0, "G/G"), (950, 50, "G/G"), (850, 150, None), (700, 300, "C/G"), (500, 500, "C/G"), (260, 740, "C/G"),
        (0, 400, "C/C"), (30, 970, "C/C"), (20, 5, None), (0, 0, None),
    ],
)  # fmt: skip
def test_genotypes(ref: int, alt: int, genotype: str | None) -> None:
    assert AlleleCounts(RS1801132, ref, alt, 0).genotype == genotype


def test_snps_outside_the_windows_are_windows_of_their_own(panel: Panel) -> None:
    counted = counted_panel(panel, [RS1801132, RS2228480, FAR])
    added = [w for w in counted.windows if w.name not in panel.window_index]
    assert [(w.name, w.start, w.end, w.reference) for w in added] == [
        ("snp:rs2228480", RS2228480.position, RS2228480.position + 1, "G")
    ]
    assert [w.start for w in counted.windows] == sorted(w.start for w in counted.windows)
    assert counted_panel(panel, [RS1801132]) is panel
    assert [(p.contig, [w.name for w in p.windows]) for p in elsewhere(panel, [RS1801132, FAR])] == [
        ("chr1", ["snp:far"])
    ]


def test_alleles_are_read_off_the_haplotypes(panel: Panel) -> None:
    counted = counted_panel(panel, [RS2228480])
    window = next(w for w in panel.windows if w.start <= RS1801132.position < w.end)
    at = RS1801132.position - window.start
    both = window.reference[:at] + "C" + window.reference[at + 1 :]
    other = window.reference[:at] + "T" + window.reference[at + 1 :]
    shorter = window.reference[:-3]
    table = count_table(
        {
            (window.name, "ref"): 40, (window.name, both): 30, (window.name, other): 2, (window.name, shorter): 5,
            (window.name, "?"): 9, ("snp:rs2228480", "G"): 7, ("snp:rs2228480", "A"): 4,
        },
        counted,
    )  # fmt: skip
    found = allele_counts(table, counted, [RS1801132, RS2228480, FAR])
    assert found == [AlleleCounts(RS1801132, 40, 30, 7), AlleleCounts(RS2228480, 7, 4, 0)]
    own = without_snps(table, counted, panel)
    assert own.windows == tuple(w.name for w in panel.windows)
    assert own.of(panel.window_index[window.name], both).tolist() == molecules(30).tolist()
    assert own.molecules.sum() == table.molecules.sum() - 11
    assert without_snps(own, panel, panel) is own


def test_agreement_says_how_many_others_agree() -> None:
    snps = (RS1801132, RS2228480)
    one = {"rs1801132": "C/G", "rs2228480": "G/G"}
    assert agreement(one, one, snps) == (2, 0, pytest.approx(2 * 0.75 * 0.25 * 0.64))
    assert agreement(one, {"rs2228480": "A/G"}, snps) == (0, 1, 1.0)
    assert agreement(one, {}, snps) == (0, 0, 1.0)
    assert agreement({"rs1801132": "C/C"}, {"rs1801132": "C/C"}, [replace(RS1801132, frequency=0.5)]) == (1, 0, 0.25)
