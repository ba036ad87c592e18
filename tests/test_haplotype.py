from __future__ import annotations

from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esr1call.haplotype import describe, shift_span, translate
from esr1call.panel import FLANK, Panel, Window
from tests import hgvs_oracle
from tests.builders import Change, esr1_panel, haplotype_of, window_of
from tests.genes import CODONS, Gene, made_up_gene

# ---------------------------------------------------------------- against the slow oracle


@cache
def _gene(strand: str) -> Gene:
    return made_up_gene(strand)


@cache
def _gene_panel(strand: str) -> Panel:
    gene = _gene(strand)
    rows = [gene.row(c, "A" if gene.cds[c - 1] != "A" else "C", window) for c, window in _HOTSPOTS]
    return gene.panel(rows, scan=(1, len(gene.cds) // 3))


_HOTSPOTS = ((32, "10-12"), (110, "37"), (170, "56-58"), (239, "80"))


def _panel(name: str) -> Panel:
    return esr1_panel() if name == "ESR1" else _gene_panel(name)


def _oracle_window(panel: Panel, window: Window, cds: str) -> hgvs_oracle.Window:
    e = panel.exons[window.exon]
    return hgvs_oracle.Window(
        panel.strand, cds, e.cds_start, e.cds_end, e.start - FLANK, e.sequence, window.start, window.end
    )


@st.composite
def _edited(draw: st.DrawFn) -> tuple[str, int, str]:
    """(panel, window number, haplotype): some substitutions, and insertions and deletions of every kind."""
    name = draw(st.sampled_from(["ESR1", "+", "-"]))
    panel = _panel(name)
    number = draw(st.integers(0, len(panel.windows) - 1))
    shown = panel.windows[number].reference
    for kind in draw(st.lists(st.sampled_from("SSSIDC"), min_size=1, max_size=4)):
        at = draw(st.integers(0, len(shown)))
        length = draw(st.sampled_from([1, 2, 3, 3, 6]))
        if kind == "S":
            shown = shown[:at] + draw(st.sampled_from("ACGT")) + shown[at + 1 :]
        elif kind == "D":
            shown = shown[:at] + shown[at + length :]
        elif kind == "I":
            shown = shown[:at] + draw(st.text("ACGT", min_size=1, max_size=6)) + shown[at:]
        else:
            shown = shown[:at] + shown[max(0, at - length) : at] + shown[at:]  # a copy: a duplication
    return name, number, shown


@given(_edited())
@example(("-", 0, "AAAAAATTA"))  # the stop codon, and two codons more
@example(("-", 0, "TTATTA"))  # the stop codon twice
def test_names_agree_with_the_slow_oracle(case: tuple[str, int, str]) -> None:
    name, number, haplotype = case
    panel = _panel(name)
    window = panel.windows[number]
    described = describe(panel, window, haplotype)
    if haplotype == window.reference:
        assert (described.cdna, described.protein, described.consequence) == ("c.=", "p.=", "reference")
        return
    # ESR1's exons 1 to 3 are not in the panel and come as N.
    slow = _oracle_window(panel, window, panel.coding if name == "ESR1" else _gene(name).cds)
    assert (described.pos, described.ref, described.alt) == hgvs_oracle.vcf(slow, haplotype)
    assert described.cdna == hgvs_oracle.cdna(slow, haplotype)
    assert described.protein == hgvs_oracle.protein(slow, haplotype)


@given(_edited())
def test_the_allele_makes_the_haplotype(case: tuple[str, int, str]) -> None:
    name, number, haplotype = case
    panel = _panel(name)
    window = panel.windows[number]
    d = describe(panel, window, haplotype)
    e = panel.exons[window.exon]
    origin = e.start - FLANK
    left, right = window.start - origin, window.end - origin
    at = d.pos - 1 - origin
    assert e.sequence[at : at + len(d.ref)] == d.ref
    assert e.sequence[:at] + d.alt + e.sequence[at + len(d.ref) :] == (
        e.sequence[:left] + haplotype + e.sequence[right:]
    )


@given(_edited())
def test_the_span_of_an_indel_holds_every_placement_of_it(case: tuple[str, int, str]) -> None:
    name, number, haplotype = case
    panel = _panel(name)
    window = panel.windows[number]
    d = describe(panel, window, haplotype)
    slow = _oracle_window(panel, window, panel.coding)
    places = hgvs_oracle.placements(slow.forward, slow.mutated(haplotype))
    if len(d.ref) == len(d.alt) or not places:
        return
    k = max(0, len(d.ref) - len(d.alt))
    expected = slow.origin + min(places) - 1, slow.origin + max(places) + k + 1
    assert shift_span(panel, window, d.pos - 1, d.ref, d.alt) == expected


@given(_edited())
def test_what_a_name_says_and_its_consequence_agree(case: tuple[str, int, str]) -> None:
    name, number, haplotype = case
    panel = _panel(name)
    d = describe(panel, panel.windows[number], haplotype)
    kinds = {"p.=": "reference", "p.?": "unknown"}
    expected = kinds.get(d.protein)
    if expected is None:
        last = d.protein.rstrip("]").split(";")[-1]
        expected = (
            "synonymous" if last.endswith("=")
            else "stop_gained" if last.endswith("*")
            else "stop_lost" if "ext" in d.protein
            else "frameshift" if "fs" in last
            else "inframe_indel" if "delins" in last
            else "inframe_deletion" if "del" in last
            else "inframe_insertion" if "ins" in last or "dup" in last
            else "missense"
        )  # fmt: skip
    assert d.consequence == expected
    assert d.nonsynonymous == (expected not in ("reference", "synonymous"))
    joined = d.protein.removeprefix("p.").strip("[]").split(";")
    assert d.changes == (tuple(f"p.{n}" for n in joined) if d.nonsynonymous else ())


def test_translation_is_the_standard_code() -> None:
    assert {codon: translate(codon) for codon in CODONS} == CODONS
    assert translate("NAAATG") == "XM"
    assert translate("ATGA") == "M"


# ---------------------------------------------------------------- known names


D538G: Change = (152098791, "A", "G")
Y537S: Change = (152098788, "A", "C")

KNOWN = {
    # changes, window: cDNA, protein, (pos, ref, alt), consequence
    "one base": ([D538G], "536-538", "c.1613A>G", "p.D538G", D538G, "missense"),
    "two bases of a codon": (
        [(152098785, "TC", "AG")], "536-538", "c.1607_1608delinsAG", "p.L536Q", (152098785, "TC", "AG"), "missense",
    ),
    "first and last base of a codon": (
        [(152098784, "C", "A"), (152098786, "C", "G")], "536-538", "c.1606_1608delinsATG", "p.L536M",
        (152098784, "CTC", "ATG"), "missense",
    ),
    "two codons in cis": (
        [Y537S, D538G], "536-538", "c.[1610A>C;1613A>G]", "p.[Y537S;D538G]", (152098788, "ATGA", "CTGG"), "missense",
    ),
    "three codons in cis": (
        [(152098785, "T", "G"), Y537S, D538G], "536-538", "c.[1607T>G;1610A>C;1613A>G]", "p.[L536R;Y537S;D538G]",
        (152098785, "TCTATGA", "GCTCTGG"), "missense",
    ),
    "neighbouring bases of two codons": (
        [(152098789, "TG", "CC")], "536-538", "c.1611_1612delinsCC", "p.D538H", (152098789, "TG", "CC"), "missense",
    ),
    "an inversion": (
        [(152098789, "TG", "CA")], "536-538", "c.1611_1612inv", "p.D538N", (152098789, "TG", "CA"), "missense",
    ),
    "silent": ([(152098789, "T", "C")], "536-538", "c.1611T>C", "p.Y537=", (152098789, "T", "C"), "synonymous"),
    "silent beside missense": (
        [(152098789, "T", "C"), D538G], "536-538", "c.[1611T>C;1613A>G]", "p.D538G", (152098789, "TGA", "CGG"),
        "missense",
    ),
    "stop": ([(152098789, "T", "A")], "536-538", "c.1611T>A", "p.Y537*", (152098789, "T", "A"), "stop_gained"),
    "nothing is translated after a stop": (
        [(152098789, "T", "A"), D538G], "536-538", "c.[1611T>A;1613A>G]", "p.Y537*", (152098789, "TGA", "AGG"),
        "stop_gained",
    ),
    "deletion of a codon in a repeat": (
        [(152061016, "ATGG", "A")], "421-423", "c.1265_1267del", "p.V422del", (152061016, "ATGG", "A"),
        "inframe_deletion",
    ),
    "deletion over two codons": (
        [(152098787, "TATG", "T")], "536-538", "c.1611_1613del", "p.D538del", (152098787, "TATG", "T"),
        "inframe_deletion",
    ),
    "deletion that leaves another residue": (
        [(152098788, "ATGA", "A")], "536-538", "c.1611_1613del", "p.D538del", (152098787, "TATG", "T"),
        "inframe_deletion",
    ),
    "deletion and change": (
        [(152098787, "TATG", "C")], "536-538", "c.1609_1612delinsC", "p.Y537_D538delinsH", (152098787, "TATG", "C"),
        "inframe_indel",
    ),
    "frameshift": (
        [(152098789, "TG", "T")], "536-538", "c.1612del", "p.D538fs", (152098789, "TG", "T"), "frameshift",
    ),
    "frameshift that first shows codons later": (
        [(152098790, "GA", "G")], "536-538", "c.1613del", "p.D538fs", (152098790, "GA", "G"), "frameshift",
    ),
    "frameshift with an immediate stop": (
        [(152098788, "AT", "A")], "536-538", "c.1611del", "p.Y537*", (152098788, "AT", "A"), "stop_gained",
    ),
    "insertion of a residue": (
        [(152098789, "T", "TTGC")], "536-538", "c.1611_1612insTGC", "p.Y537_D538insC", (152098789, "T", "TTGC"),
        "inframe_insertion",
    ),
    "insertion that can move right": (
        [(152098789, "T", "TGGC")], "536-538", "c.1612_1613insGCG", "p.Y537_D538insG", (152098789, "T", "TGGC"),
        "inframe_insertion",
    ),
    "insertion with a stop": (
        [(152098789, "T", "TTGCTAG")], "536-538", "c.1611_1612insTGCTAG", "p.Y537_D538insC*",
        (152098789, "T", "TTGCTAG"), "stop_gained",
    ),
    "insertion that is a stop": (
        [(152098789, "T", "TTAG")], "536-538", "c.1611_1612insTAG", "p.D538*", (152098789, "T", "TTAG"), "stop_gained",
    ),
    "duplication of a codon": (
        [(152098789, "T", "TTAT")], "536-538", "c.1609_1611dup", "p.Y537dup", (152098786, "C", "CTAT"),
        "inframe_insertion",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KNOWN)
def test_known_names(panel: Panel, case: str) -> None:
    changes, window, cdna, protein, allele, consequence = KNOWN[case]
    d = describe(panel, window_of(panel, window), haplotype_of(panel, window, changes))
    assert (d.cdna, d.protein) == (cdna, protein)
    assert (d.pos, d.ref, d.alt) == allele
    assert d.consequence == consequence


def test_the_reference_has_no_change(panel: Panel) -> None:
    for window in panel.windows:
        d = describe(panel, window, window.reference)
        assert (d.protein, d.cdna, d.changes, d.nonsynonymous) == ("p.=", "c.=", (), False)


@pytest.mark.parametrize("codon", [c for c, residue in CODONS.items() if residue == "S"])
def test_every_dna_form_of_a_protein_change_is_the_panel_variant(panel: Panel, codon: str) -> None:
    d = describe(panel, window_of(panel, "536-538"), f"CTC{codon}GAC")
    assert d.protein == "p.Y537S"
    assert d.panel_variants == ("p.Y537S",)


def test_panel_variants_are_found_in_cis(panel: Panel) -> None:
    window = window_of(panel, "536-538")
    assert describe(panel, window, "CTCTCTGGC").panel_variants == ("p.Y537S", "p.D538G")
    assert describe(panel, window, "CTCTCTGCC").panel_variants == ("p.Y537S",)
    assert describe(panel, window, "CTCTAAGGC").panel_variants == ()


def test_an_indel_that_can_leave_its_exon_is_named_from_the_exon(panel: Panel) -> None:
    """Exon 4 ends in CAG, the intron starts with GTAAG: one G less is, 3'-most, the intron's first base."""
    window = next(w for w in panel.windows if w.end == panel.exons[0].end)
    assert window.reference.endswith("G")
    d = describe(panel, window, window.reference[:-1])
    assert d.cdna == "c.1096+1del"


def test_changes_at_bases_the_panel_does_not_hold_are_unknown_not_silent() -> None:
    """A codon cut by an intron whose other half is not in the panel can't be translated."""
    gene = made_up_gene("+")
    lines = [
        line for line in gene.panel_lines([gene.row(170, "A" if gene.cds[169] != "A" else "C", "56-58")], (30, 60))
        if not line.startswith("#exon\t1")
    ]  # fmt: skip
    from esr1call.panel_file import parse, resolve
    from tests.builders import fetcher

    panel = resolve(parse(lines, "gene.tsv"), "GRCh38", fetcher(gene.sequences))
    window = panel.windows[0]
    assert panel.codons_of(window)[0] == 34  # c.101 is the second base of codon 34
    other = "A" if window.reference[0] != "A" else "C"
    d = describe(panel, window, other + window.reference[1:])
    assert (d.protein, d.consequence, d.nonsynonymous) == ("p.?", "unknown", True)
    assert d.cdna == f"c.101{window.reference[0]}>{other}"
