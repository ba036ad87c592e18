from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.errors import InputError
from esr1call.haplotype import describe
from esr1call.panel import FLANK, Panel
from esr1call.panel_file import COLUMNS, parse, resolve
from tests.builders import (
    GRCH37_SHIFT,
    PANEL_TSV,
    esr1_panel,
    fetcher,
    moved_slices,
    slices,
    window_of,
)
from tests.genes import made_up_gene

LINES = PANEL_TSV.read_text().splitlines()
HEADER = next(i for i, line in enumerate(LINES) if not line.startswith("#"))
ROWS = range(HEADER + 1, len(LINES))


def _resolve(lines: list[str], build: str = "GRCh38", sequences: dict[str, str] | None = None) -> Panel:
    if sequences is None:
        sequences = slices() if build == "GRCh38" else moved_slices()
    return resolve(parse(lines, "panel.tsv"), build, fetcher(sequences))


def _with(line: int, change: Callable[[dict[str, str]], None]) -> list[str]:
    """The shipped panel with the row at index `line` changed."""
    values = dict(zip(LINES[HEADER].split("\t"), LINES[line].split("\t"), strict=True))
    change(values)
    return [*LINES[:line], "\t".join(values.values()), *LINES[line + 1 :]]


# ---------------------------------------------------------------- the shipped panel


def test_every_row_resolves_and_is_what_it_says(panel: Panel) -> None:
    assert len(panel.variants) == len(ROWS) == 26
    assert len(panel.variants_by_haplotype) == 26
    for line, v in zip(ROWS, panel.variants, strict=True):
        row = dict(zip(LINES[HEADER].split("\t"), LINES[line].split("\t"), strict=True))
        assert (v.protein, v.cdna, v.window) == (row["protein"], row["cdna"], row["window"])
        assert (str(v.pos), v.ref, v.alt) == (row["pos_GRCh38"], row["ref"], row["alt"])
        d = describe(panel, window_of(panel, v.window), v.haplotype)
        assert (d.protein, d.cdna, d.pos, d.ref, d.alt) == (v.protein, v.cdna, v.pos, v.ref, v.alt)
        assert d.panel_variants == (v.protein,)


@pytest.mark.parametrize("contig", ["6", "chr6", "NC_000006.11"])
def test_grch37_is_the_same_panel_elsewhere(panel: Panel, contig: str) -> None:
    other = _resolve(LINES, "GRCh37", moved_slices(contig=contig))
    assert (other.build, other.contig, other.coding) == ("GRCh37", "chr6", panel.coding)
    for here, there in zip(panel.variants, other.variants, strict=True):
        assert there.pos == here.pos + GRCH37_SHIFT
        assert (there.protein, there.cdna, there.haplotype) == (here.protein, here.cdna, here.haplotype)
    for a, b in zip(panel.windows, other.windows, strict=True):
        assert (b.name, b.start, b.end, b.reference) == (
            a.name, a.start + GRCH37_SHIFT, a.end + GRCH37_SHIFT, a.reference
        )  # fmt: skip


@pytest.mark.parametrize(("build", "shift"), [("GRCh38", GRCH37_SHIFT), ("GRCh37", 0), ("GRCh38", 1), ("GRCh38", -3)])
def test_a_reference_of_another_build_is_refused(build: str, shift: int) -> None:
    with pytest.raises(InputError) as error:
        _resolve(LINES, build, moved_slices(shift))
    assert error.value.file == "panel.tsv"
    assert "is the reference" in str(error.value) or "the build are wrong" in str(error.value)


def _with_base(position: int, base: str) -> dict[str, str]:
    """The committed slices with another base at a 1-based GRCh38 position."""
    changed = {}
    for name, bases in slices().items():
        start, end = (int(x) for x in name.split(":")[1].split("-"))
        at = position - start
        changed[name] = bases[:at] + base + bases[at + 1 :] if start <= position <= end else bases
    return changed


def test_another_base_anywhere_in_the_exons_is_refused(panel: Panel) -> None:
    """Where no row rests on it too: a population's variant in the reference would be a call in every other sample."""
    fields = set()
    for exon in panel.exons:
        for position in range(exon.start + 1, exon.end + 1, 17):
            base = _other_base(exon.sequence[position - exon.start - 1 + FLANK])
            with pytest.raises(InputError) as error:
                _resolve(LINES, sequences=_with_base(position, base))
            fields.add(error.value.field)
    assert "coding_sha256" in fields


def test_bases_beside_the_exons_may_differ_and_a_panel_need_not_have_a_hash(panel: Panel) -> None:
    before = panel.exons[1].start
    assert _resolve(LINES, sequences=_with_base(before, "A")).coding == panel.coding
    without = [line for line in LINES if not line.startswith("#coding_sha256")]
    silent = panel.exons[4].start + 40  # codon 532
    with pytest.raises(InputError, match="field 'coding_sha256': the reference's exons differ"):
        _resolve(LINES, sequences=_with_base(silent, "A"))
    assert _resolve(without, sequences=_with_base(silent, "A")).coding != panel.coding


def test_an_unknown_build_is_refused() -> None:
    with pytest.raises(InputError, match=r"field 'build'.*found 'hg18', expected GRCh38 or GRCh37"):
        _resolve(LINES, "hg18", slices())


# ---------------------------------------------------------------- every field of every row, one at a time


def _other_base(bases: str) -> str:
    return ("C" if bases[0] != "C" else "G") + bases[1:]


MUTATIONS: dict[str, tuple[Callable[[str], str], set[str]]] = {
    # field: a wrong value, and the fields that may be blamed (a wrong place cannot be told from a wrong base)
    "protein": (lambda v: v[:-1] + ("W" if v[-1] != "W" else "F"), {"protein"}),
    "cdna": (lambda v: v.replace("c.1", "c.2", 1) if "c.1" in v else v.replace("c.9", "c.8", 1), {"cdna"}),
    "window": (lambda v: str(int(v.split("-")[0]) + 5), {"window"}),
    "pos_GRCh38": (lambda v: str(int(v) + 1), {"pos_GRCh37"}),
    "pos_GRCh37": (lambda v: str(int(v) - 1), {"pos_GRCh37"}),
    "ref": (_other_base, {"ref"}),
    "alt": (lambda v: "T" + v if v[0] != "T" else "A" + v, {"cdna", "window"}),
    "codon_ref": (lambda v: _other_base(v[::-1])[::-1], {"codon_ref"}),
    "codon_alt": (lambda v: _other_base(v[::-1])[::-1] if v != "-" else "GGG", {"codon_alt"}),
    "aa_ref": (lambda v: "W" if v != "W" else "F", {"aa_ref"}),
    "aa_alt": (lambda v: "W" if v != "W" else "F", {"aa_alt"}),
}


def test_every_column_is_mutated() -> None:
    assert set(MUTATIONS) == set(COLUMNS)


@pytest.mark.parametrize("field", COLUMNS)
@pytest.mark.parametrize("line", ROWS)
def test_a_wrong_field_is_refused_by_row_and_field(line: int, field: str) -> None:
    mutate, blamed = MUTATIONS[field]

    def change(values: dict[str, str]) -> None:
        old, values[field] = values[field], mutate(values[field])
        assert old != values[field]

    lines = _with(line, change)
    with pytest.raises(InputError) as error:
        _resolve(lines)
    protein, cdna = lines[line].split("\t")[:2]
    assert f"panel.tsv, line {line + 1}, field '" in str(error.value)
    assert error.value.field in blamed
    assert f"{protein} {cdna}" in str(error.value)


@pytest.mark.parametrize("build", ["GRCh38", "GRCh37"])
@pytest.mark.parametrize("line", ROWS)
def test_a_wrong_place_on_both_builds_is_refused(line: int, build: str) -> None:
    def change(values: dict[str, str]) -> None:
        for column in ("pos_GRCh38", "pos_GRCh37"):
            values[column] = str(int(values[column]) - 1)

    with pytest.raises(InputError) as error:
        _resolve(_with(line, change), build)
    assert f"panel.tsv, line {line + 1}, field '" in str(error.value)
    assert error.value.field in {"ref", "cdna", "window"}


@pytest.mark.parametrize("field", COLUMNS)
@pytest.mark.parametrize("value", ["", "²", "-1", "0", "1e3", "9" * 5000, "ACGTX", "acg", "p.", "\x00", "α"])
def test_nonsense_in_a_field_is_refused(field: str, value: str) -> None:
    line = next(i for i in ROWS if LINES[i].startswith("p.D538G"))
    with pytest.raises(InputError, match=rf"panel\.tsv, line {line + 1}, field "):
        _resolve(_with(line, lambda values: values.update({field: value})))


@pytest.mark.parametrize(
    ("row", "given", "field"),
    [
        # the same change, not in its shortest or leftmost form
        ("p.D538G", {"ref": "AC", "alt": "GC"}, "ref"),
        ("p.V422del", {"pos_GRCh38": "152061017", "pos_GRCh37": "152382152", "ref": "TGGT", "alt": "T"}, "pos_GRCh38"),
        # right residue, another codon than the bases make
        ("p.D538G", {"codon_alt": "GGG"}, "codon_alt"),
        ("p.D538G", {"window": "538-536"}, "window"),
        ("p.D538G", {"window": "530-538"}, "window"),
        ("p.D538G", {"window": "999"}, "window"),
        ("p.V422del", {"window": "422"}, "window"),
        ("p.D538G", {"pos_GRCh38": "."}, "pos_GRCh38"),
        ("p.D538G", {"pos_GRCh38": "152094402", "pos_GRCh37": "152415537"}, "pos_GRCh38"),
    ],
)
def test_rows_that_are_nearly_right(row: str, given: dict[str, str], field: str) -> None:
    line = next(i for i in ROWS if LINES[i].startswith(row))
    with pytest.raises(InputError) as error:
        _resolve(_with(line, lambda values: values.update(given)))
    assert (f"line {line + 1}" in str(error.value), error.value.field) == (True, field)


def test_a_variant_listed_twice_is_refused() -> None:
    line = next(i for i in ROWS if LINES[i].startswith("p.D538G"))
    with pytest.raises(InputError, match=rf"line {len(LINES) + 1}, field 'cdna': p.D538G c.1613A>G: is listed twice"):
        _resolve([*LINES, LINES[line]])


def test_overlapping_windows_are_refused_by_row() -> None:
    line = next(i for i in ROWS if LINES[i].startswith("p.D538G"))
    with pytest.raises(InputError, match=rf"line {line + 1}, field 'window'.*536-538 and 538 overlap"):
        _resolve(_with(line, lambda values: values.update(window="538")))


def test_the_other_build_may_be_unknown() -> None:
    lines = [line.rsplit("\t", 1)[0] + "\t." if line.startswith("#exon") else line for line in LINES]
    assert len(_resolve(lines).variants) == 26
    with pytest.raises(InputError, match=r"exon 4 has no GRCh37 position"):
        _resolve(lines, "GRCh37")
    for line in ROWS:
        _resolve(_with(line, lambda values: values.update(pos_GRCh37=".")))


# ---------------------------------------------------------------- the header


@pytest.mark.parametrize("key", ["name", "version", "gene", "transcript", "protein_accession", "contig", "strand"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(InputError, match=f"missing header line.*#{key}<TAB>value"):
        parse([line for line in LINES if not line.startswith(f"#{key}\t")], "panel.tsv")


@pytest.mark.parametrize("key", ["name", "version", "gene", "transcript", "protein_accession", "contig"])
@pytest.mark.parametrize("value", ['=HYPERLINK("http://x";"y")', "+1", "@x", "a\x1fb"])
def test_a_key_that_a_spreadsheet_would_run_is_refused(key: str, value: str) -> None:
    lines = [f"#{key}\t{value}" if line.startswith(f"#{key}\t") else line for line in LINES]
    with pytest.raises(InputError, match=f"field '{key}': bad value"):
        _resolve(lines)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    lines = [line.replace(column, "x") if i == HEADER else line for i, line in enumerate(LINES)]
    with pytest.raises(InputError, match=rf"line {HEADER + 1}: missing column: expected {column}"):
        parse(lines, "panel.tsv")


def test_columns_may_stand_in_any_order_and_there_may_be_more() -> None:
    lines = [line if line.startswith("#") else "\t".join([*reversed(line.split("\t")), "note"]) for line in LINES]
    assert len(_resolve(lines).variants) == 26


def test_line_ends_and_blank_lines_do_not_matter() -> None:
    loose = [line + "\r\n" for line in LINES]
    loose.insert(5, "\r\n")
    panel = _resolve(loose)
    assert panel.variants == esr1_panel().variants
    assert parse([line + "\r\n" for line in LINES], "x").sha256 == parse(LINES, "x").sha256


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#esr1call-panel\t1", "#esr1call-panel\t2", "unknown format.*found '2', expected 1"),
        ("#strand\t+", "#strand\tplus", "field 'strand'.*expected \\+ or -"),
        ("#strand\t+", "#strand\t-", "exons overlap or are out of order"),
        ("#scan\t310\t547", "#scan\t547\t310", "line 14: bad #scan line"),
        ("#scan\t310\t547", "#scan\t310", "line 14: bad #scan line"),
        ("#scan\t310\t547", "#scan\t²\t547", "line 14: bad #scan line"),
        ("#exon\t4\t760\t1096", "#exon\t4\t760\t²", "line 9: bad #exon line"),
        ("#exon\t4\t760\t1096", "#exon\t4\t0\t1096", "line 9: bad #exon line"),
        ("#exon\t4\t760\t1096", "#exon\t4\t1096\t760", "line 9: bad #exon line"),
        ("#exon\t4\t760\t1096", "#exon\t4\t760\t9999999999", "line 9: bad #exon line"),
        ("#exon\t4\t760\t1096", "#exon\t4\t760", "line 9: bad #exon line"),
        ("#exon\t5\t1097\t1235", "#exon\t5\t1096\t1234", "exons overlap.*exons 4 and 5"),
        ("152011656", "152011657", "exon 5 reads into a stop codon|not in the reference|exon 5"),
        ("152011656", "1", "exon 5 is not in the reference"),
        ("#contig\tchr6", "#contig\tchr7", "exon 4 is not in the reference.*found 'chr7:151944172-151944508'"),
    ],
)
def test_a_wrong_header_is_refused(old: str, new: str, message: str) -> None:
    lines = [line.replace(old, new, 1) if line.startswith("#") else line for line in LINES]
    assert lines != LINES
    with pytest.raises(InputError, match=message):
        _resolve(lines)


def test_a_row_with_too_few_columns_is_named() -> None:
    lines = [*LINES[:-1], LINES[-1].rsplit("\t", 1)[0]]
    with pytest.raises(InputError, match=f"line {len(LINES)}: wrong number of columns: found '10', expected 11"):
        parse(lines, "panel.tsv")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "missing header line"),
        (LINES[:HEADER], "no variant"),
        (LINES[: HEADER + 1], "no variant"),
        ([line for line in LINES if not line.startswith("#exon")], "no exon"),
    ],
)
def test_a_file_without_its_parts_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(lines, "panel.tsv")


@given(st.data())
def test_a_damaged_file_is_refused_or_right_and_never_a_traceback(data: st.DataObject) -> None:
    line = data.draw(st.integers(0, len(LINES) - 1))
    text = LINES[line]
    at = data.draw(st.integers(0, len(text)))
    lines = [*LINES]
    lines[line] = text[:at] + data.draw(st.text("ACGT0123456789\t.-_>#² ", max_size=3)) + text[at + 1 :]
    try:
        panel = _resolve(lines)
    except InputError:
        return
    # What still loads differs in nothing that is counted.
    haplotypes = {h for _, h in panel.variants_by_haplotype}
    assert haplotypes <= {h for _, h in esr1_panel().variants_by_haplotype}


# ---------------------------------------------------------------- genes on the minus strand


# KRAS exon 2 with 50 bp on each side, forward strand of GRCh38 chr12:25245224-25245445 (public human reference).
KRAS = (
    "ATCAAAGAATGGTCCTGCACCAGTAATATGCATATTAAAACAAGATTTACCTCTATTGTTGGATCATATTCGTCCACAAAATGATTCTGAATTAGCTGTA"
    "TCGTCAAGGCACTCTTGCCTACGCCACCAGCTCCAACTACCACAAGTTTATATTCAGTCATTTTCAGCAGGCCTTATAATAAAAATAATGAAAATGTGAC"
    "TATATTAGAACATGTCACACAT"
)
KRAS_PANEL = """\
#esr1call-panel	1
#name	kras_exon2
#version	1
#gene	KRAS
#transcript	NM_004985.5
#protein_accession	NP_004976.2
#contig	chr12
#strand	-
#exon	2	1	111	25245274	25398208
#scan	1	37
protein	cdna	window	pos_GRCh38	pos_GRCh37	ref	alt	codon_ref	codon_alt	aa_ref	aa_alt
p.G12C	c.34G>T	11-13	25245351	25398285	C	A	GGT	TGT	G	C
p.G12D	c.35G>A	11-13	25245350	25398284	C	T	GGT	GAT	G	D
p.G12F	c.34_35delinsTT	11-13	25245350	25398284	CC	AA	GGT	TTT	G	F
p.G13D	c.38G>A	11-13	25245347	25398281	C	T	GGC	GAC	G	D
"""


@pytest.mark.parametrize("build", ["GRCh38", "GRCh37"])
def test_a_panel_of_a_known_minus_strand_gene(build: str) -> None:
    shift = 0 if build == "GRCh38" else 152934
    name = f"chr12:{25245224 + shift}-{25245445 + shift}"
    panel = _resolve(KRAS_PANEL.splitlines(), build, {name: KRAS})
    window = window_of(panel, "11-13")
    assert (window.start, window.end, window.reference) == (25245345 + shift, 25245354 + shift, "GCCACCAGC")
    assert panel.coding.startswith("ATGACTGAATATAAACTTGTGGTAGTTGGAGCTGGTGGCGTAGGC")
    assert [v.haplotype for v in panel.variants] == ["GCCACAAGC", "GCCATCAGC", "GCCAAAAGC", "GTCACCAGC"]
    assert panel.variants[1].pos == 25245350 + shift
    cis = describe(panel, window, "GTCATCAGC")
    assert (cis.cdna, cis.protein, cis.panel_variants) == (
        "c.[35G>A;38G>A]", "p.[G12D;G13D]", ("p.G12D", "p.G13D"),
    )  # fmt: skip
    # GGT GGC: the 3'-most of two like residues is the one named.
    assert describe(panel, window, "GCCACCACCAGC").protein == "p.G13dup"


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("seed", range(5))
def test_rows_of_a_made_up_gene_on_either_strand(strand: str, seed: int) -> None:
    gene = made_up_gene(strand, seed)
    rows = []
    for c in range(50, 240, 7):
        codon = (c + 2) // 3
        if codon in (34, 54):  # cut by an intron
            continue
        length = 1 + (c % 3 == 1)
        old = gene.cds[c - 1 : c - 1 + length]
        row = gene.row(c, "".join({"A": "C", "C": "T", "G": "A", "T": "G"}[b] for b in old))
        if row["aa_alt"] != row["aa_ref"]:
            rows.append(row)
    panel = gene.panel(rows, scan=(1, 84))
    assert [(v.protein, v.cdna, str(v.pos), v.ref, v.alt) for v in panel.variants] == [
        (r["protein"], r["cdna"], r["pos_GRCh38"], r["ref"], r["alt"]) for r in rows
    ]
    assert len(rows) > 10


def test_a_deletion_row_of_a_minus_strand_gene() -> None:
    """GGT GGC on the gene is GCC ACC on the genome: the 3'-most place on the one is the leftmost on the other."""
    row = "p.G13del\tc.36_38del\t11-13\t25245346\t25398280\tGCCA\tG\tGGC\t-\tG\t-"
    lines = [line for line in KRAS_PANEL.splitlines() if not line.startswith("p.")]
    panel = _resolve([*lines, row], sequences={"chr12:25245224-25245445": KRAS})
    assert [(v.protein, v.pos, v.haplotype) for v in panel.variants] == [("p.G13del", 25245346, "GCCAGC")]
