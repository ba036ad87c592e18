from __future__ import annotations

import pytest

from esr1call.panel import Panel, Window, reverse_complement
from tests.builders import esr1_panel, window_of
from tests.genes import Gene, made_up_gene


def test_reverse_complement() -> None:
    assert reverse_complement("AACGTN") == "NACGTT"
    assert reverse_complement("") == ""


# ---------------------------------------------------------------- windows of the shipped panel


def _codon_positions(panel: Panel, codon: int) -> list[int]:
    """0-based genome positions of a codon, straight from the exon table."""
    found = []
    for c in range(3 * codon - 2, 3 * codon + 1):
        e = next(e for e in panel.exons if e.cds_start <= c <= e.cds_end)
        found.append(e.start + c - e.cds_start)
    return found


def test_windows_tile_the_scanned_codons_and_nothing_else(panel: Panel) -> None:
    scanned = [p for codon in range(310, 548) for p in _codon_positions(panel, codon)]
    hotspots = [p for w in panel.windows if w.kind == "hotspot" for p in range(w.start, w.end)]
    scans = [p for w in panel.windows if w.kind == "scan" for p in range(w.start, w.end)]
    assert sorted(scans) == sorted(set(scanned) - set(hotspots))
    assert len(set(hotspots)) == len(hotspots)
    assert set(hotspots) - set(scanned) == set(_codon_positions(panel, 303))


def test_windows_are_ordered_named_once_and_lie_in_their_exon(panel: Panel) -> None:
    assert [w.start for w in panel.windows] == sorted(w.start for w in panel.windows)
    assert len({w.name for w in panel.windows}) == len(panel.windows)
    assert [panel.window_index[w.name] for w in panel.windows] == list(range(len(panel.windows)))
    for w in panel.windows:
        e = panel.exons[w.exon]
        assert e.start <= w.start < w.end <= e.end
        assert (w.contig, len(w.reference)) == ("chr6", w.end - w.start)
        assert w.end - w.start <= 9


def test_scan_windows_hold_whole_codons_but_for_those_cut_by_an_intron(panel: Panel) -> None:
    cut = set()
    for w in panel.windows:
        first, last = panel.cds_of(w.exon, w.start), panel.cds_of(w.exon, w.end - 1)
        if first % 3 != 1 or last % 3:
            cut.add((w.name, first, last))
    # Exons end inside codons 366, 412, 457 and 518; each part is seen in its own exon.
    assert cut == {
        ("scan:364-366", 1090, 1096), ("scan:366-368", 1097, 1104), ("scan:411-412", 1231, 1235),
        ("scan:412-414", 1236, 1242), ("scan:457-457", 1369, 1369), ("scan:457-459", 1370, 1377),
        ("scan:518-518", 1552, 1553), ("scan:518-520", 1554, 1560),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "codons", "reference"),
    [("303", (303, 303), "AAG"), ("380", (380, 380), "GAA"), ("421-423", (421, 423), "ATGGTGGAG"),
     ("534-535", (534, 535), "GTGCCC"), ("536-538", (536, 538), "CTCTATGAC")],
)  # fmt: skip
def test_hotspot_windows(panel: Panel, name: str, codons: tuple[int, int], reference: str) -> None:
    w = window_of(panel, name)
    assert (w.kind, w.reference, panel.codons_of(w)) == ("hotspot", reference, codons)


def test_the_coding_sequence_is_the_receptor(panel: Panel) -> None:
    assert len(panel.coding) == 3 * 596
    assert set(panel.coding[:759]) == {"N"}
    assert panel.coding[1605:1614] == "CTCTATGAC"
    assert panel.coding[-3:] == "TGA"


# ---------------------------------------------------------------- genes on either strand


@pytest.mark.parametrize("strand", ["+", "-"])
def test_windows_of_a_gene_on_either_strand(strand: str) -> None:
    gene = made_up_gene(strand)
    panel = gene.panel([_hotspot(gene)], scan=(1, 84))
    assert panel.coding == gene.cds
    seen: list[int] = []
    for w in panel.windows:
        on_gene = w.reference if strand == "+" else reverse_complement(w.reference)
        positions = sorted(panel.cds_of(w.exon, p) for p in range(w.start, w.end))
        assert on_gene == gene.cds[positions[0] - 1 : positions[-1]]
        assert {gene.position(c) for c in positions} == set(range(w.start, w.end))
        assert panel.codons_of(w) == ((positions[0] + 2) // 3, (positions[-1] + 2) // 3)
        seen += positions
    assert sorted(seen) == list(range(1, 253))
    assert len({w.name for w in panel.windows}) == len(panel.windows)


def test_a_codon_cut_by_an_intron_on_each_side_has_two_windows() -> None:
    gene = made_up_gene("-")
    panel = gene.panel([_hotspot(gene)], scan=(34, 34))  # c.100 ends exon 1
    scans = [w for w in panel.windows if w.kind == "scan"]
    assert sorted(w.name for w in scans) == ["scan:34-34", "scan:34-34/2"]
    assert sum(w.end - w.start for w in scans) == 3


def test_a_panel_without_scan_has_hotspots_only() -> None:
    gene = made_up_gene("+")
    assert [w.name for w in gene.panel([_hotspot(gene)]).windows] == ["56-58"]


def test_panels_and_windows_can_be_keys() -> None:
    assert {esr1_panel(): 1}[esr1_panel()] == 1
    assert len({*esr1_panel().windows}) == len(esr1_panel().windows)
    assert isinstance(esr1_panel().windows[0], Window)


def _hotspot(gene: Gene) -> dict[str, str]:
    return gene.row(170, "A" if gene.cds[169] != "A" else "C", "56-58")
