"""Panel files: a panel is data, a TSV file, checked row by row against the reference it will be used with.

``#key<TAB>value`` lines describe the transcript (``#exon`` lines its coding exons, ``#scan`` the codons searched for
other variants, ``#coding_sha256``, which may be left out, the bases of the exons as ``esr1call panel`` prints it), then
one row per DNA form of a variant. Nothing here opens a file; `parse` takes lines and `resolve` takes a function that
fetches reference bases.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from esr1call.cells import spreadsheet_safe
from esr1call.contigs import BUILDS, canonical
from esr1call.errors import InputError
from esr1call.haplotype import describe, shift_span, translate
from esr1call.panel import FLANK, Exon, Fetch, Panel, Variant, Window, reverse_complement

SCAN_CODONS = 3
MAX_WINDOW_BASES = 15
COLUMNS = (
    "protein", "cdna", "window", "pos_GRCh38", "pos_GRCh37",
    "ref", "alt", "codon_ref", "codon_alt", "aa_ref", "aa_alt",
)  # fmt: skip
MAX_CDS = 1_000_000
"""Longest coding sequence believed (titin's is 107,976), so that a slip of the hand is an error, not a full memory."""
_NUMBER = re.compile(r"[0-9]{1,10}")
_KEYS = ("name", "version", "gene", "transcript", "protein_accession", "contig", "strand")


@dataclass(frozen=True)
class _Row:
    line: int
    values: dict[str, str]

    def fail(self, file: str, field: str, expected: str, problem: str = "disagrees with the reference") -> InputError:
        return InputError(
            f"{self.values['protein']} {self.values['cdna']}: {problem}",
            file=file, line=self.line, field=field, found=self.values[field], expected=expected,
            hint="correct the row or use the reference and build the panel was written for",
        )  # fmt: skip


@dataclass(frozen=True)
class PanelFile:
    """A parsed but not yet checked panel file."""

    file: str
    meta: dict[str, str]
    exons: tuple[dict[str, str], ...]
    scan: tuple[int, int] | None
    rows: tuple[_Row, ...]
    sha256: str


def parse(lines: Sequence[str], file: str) -> PanelFile:
    """Parse a panel file's lines; raises InputError for a missing key, column or value."""
    meta: dict[str, str] = {}
    exons: list[dict[str, str]] = []
    scan: tuple[int, int] | None = None
    header: list[str] | None = None
    rows: list[_Row] = []
    for number, line in enumerate(lines, 1):
        cells = line.rstrip("\r\n").split("\t")
        if not line.strip():
            continue
        if line.startswith("#"):
            key, values = cells[0][1:].strip(), [c.strip() for c in cells[1:]]
            if key == "exon":
                exons.append(_exon_fields(values, file, number))
            elif key == "scan":
                scan = _scan_fields(values, file, number)
            elif values:
                meta[key] = values[0]
        elif header is None:
            header = cells
            missing = [c for c in COLUMNS if c not in header]
            if missing:
                raise InputError("missing column", file=file, line=number, expected=", ".join(missing))
        elif len(cells) != len(header):
            raise InputError(
                "wrong number of columns", file=file, line=number, found=len(cells), expected=str(len(header))
            )
        else:
            rows.append(_Row(number, dict(zip(header, (c.strip() for c in cells), strict=True))))
    if meta.get("esr1call-panel", "1") != "1":
        raise InputError(
            "unknown format", file=file, field="esr1call-panel", found=meta["esr1call-panel"], expected="1"
        )
    for key in _KEYS:
        if not meta.get(key):
            raise InputError("missing header line", file=file, expected=f"'#{key}<TAB>value'")
        if key != "strand" and spreadsheet_safe(meta[key]) != meta[key]:  # they are written into tables
            raise InputError("bad value", file=file, field=key, found=meta[key], expected="a plain name")
    if meta["strand"] not in ("+", "-"):
        raise InputError("unknown strand", file=file, field="strand", found=meta["strand"], expected="+ or -")
    if not exons:
        raise InputError("no exon", file=file, expected="at least one '#exon' line")
    if not rows:
        raise InputError("no variant", file=file, expected="at least one row below the header")
    digest = hashlib.sha256("".join(line.rstrip("\r\n") + "\n" for line in lines).encode()).hexdigest()
    return PanelFile(file, meta, tuple(exons), scan, tuple(rows), digest)


def _exon_fields(values: list[str], file: str, line: int) -> dict[str, str]:
    names = ("number", "cds_start", "cds_end", *BUILDS)
    plain = len(values) == len(names) and all(_is_number(v) for v in values[1:3])
    if (
        not plain
        or not all(_is_number(v) or v == "." for v in values[3:])
        or not 1 <= int(values[1]) <= int(values[2]) <= MAX_CDS
    ):
        raise InputError(
            "bad #exon line", file=file, line=line, found=" ".join(values),
            expected=f"number, first and last c. position (at most {MAX_CDS}), leftmost {BUILDS[0]} and leftmost "
            f"{BUILDS[1]} position or '.'",
        )  # fmt: skip
    return dict(zip(names, values, strict=True))


def _is_number(text: str) -> bool:
    """A positive whole number in plain digits."""
    return _NUMBER.fullmatch(text) is not None and int(text) > 0


def _scan_fields(values: list[str], file: str, line: int) -> tuple[int, int]:
    if len(values) != 2 or not all(_is_number(v) for v in values) or int(values[0]) > int(values[1]):
        raise InputError(
            "bad #scan line", file=file, line=line, found=" ".join(values), expected="first and last codon number"
        )
    return int(values[0]), int(values[1])


def resolve(source: PanelFile, build: str, fetch: Fetch) -> Panel:
    """Place a parsed panel on `build` and check every row against the reference bases.

    Raises InputError, naming the row, where the reference base, the codon, the translated amino acids, the cDNA or
    the protein name disagrees, or where an indel can shift out of its window; or, naming `coding_sha256`, where any
    other base of the exons differs.
    """
    if build not in BUILDS:
        raise InputError("unknown genome build", field="build", found=build, expected=" or ".join(BUILDS))
    meta = source.meta
    contig, strand = canonical(meta["contig"]), meta["strand"]
    exons = tuple(_place_exon(e, build, contig, fetch, source.file) for e in source.exons)
    panel = Panel(
        meta["name"], meta["version"], meta["gene"], meta["transcript"], meta["protein_accession"],
        contig, strand, build, exons, (), (), source.scan, source.sha256,
    )  # fmt: skip
    _check_exons(panel, source.file)
    hotspots = {row.values["window"]: _hotspot(panel, row, source.file) for row in source.rows}
    windows = sorted([*hotspots.values(), *_scan_windows(panel, list(hotspots.values()))], key=lambda w: w.start)
    for left, right in pairwise(windows):
        if right.start < left.end:
            # The window that fewer rows share is more likely the slip.
            row = min(([r for r in source.rows if r.values["window"] == w.name] for w in (right, left)), key=len)[0]
            raise row.fail(
                source.file, "window", "disjoint codon ranges", f"windows {left.name} and {right.name} overlap"
            )
    panel = replace(panel, windows=tuple(windows))
    variants: dict[tuple[str, str], Variant] = {}
    for row in source.rows:
        _check_other_build(panel, row, source)
        variant = _check_row(panel, row, source.file)
        if variants.setdefault((variant.window, variant.haplotype), variant) is not variant:
            raise row.fail(source.file, "cdna", "each DNA form once", "is listed twice")
    _check_coding(panel, source)
    return replace(panel, variants=tuple(variants.values()))


def _check_coding(panel: Panel, source: PanelFile) -> None:
    """Rows rest on a few codons; a reference that differs in another one would show the difference in every sample."""
    expected = source.meta.get("coding_sha256")
    if expected not in (None, panel.coding_sha256):
        raise InputError(
            "the reference's exons differ from those the panel was written for", file=source.file,
            field="coding_sha256", found=panel.coding_sha256, expected=expected,
            hint="use the genome build itself, without a population's or a patient's variants",
        )  # fmt: skip


def _check_exons(panel: Panel, file: str) -> None:
    """Exons follow each other on transcript and genome, and read through without a stop before the last codon."""
    ordered = sorted(panel.exons, key=lambda e: e.cds_start)
    for left, right in pairwise(ordered):
        before, after = (left, right) if panel.strand == "+" else (right, left)
        if right.cds_start <= left.cds_end or after.start < before.end:
            raise InputError(
                "exons overlap or are out of order", file=file, field="exon",
                found=f"exons {left.number} and {right.number}",
                expected=f"exons in transcript order on the {panel.strand} strand",
            )  # fmt: skip
    residues = translate(panel.coding)
    if "*" in residues[:-1]:
        c = 3 * residues.index("*") + 1
        number = next(e.number for e in ordered if c <= e.cds_end)
        raise InputError(
            f"exon {number} reads into a stop codon", file=file, field="exon", found=f"stop at c.{c}",
            expected="an open reading frame", hint="its positions, the strand or the build are wrong",
        )  # fmt: skip


def _check_other_build(panel: Panel, row: _Row, source: PanelFile) -> None:
    """The build that is not used cannot be checked against bases, but both must agree on the place in the exon."""
    v = row.values
    for build in BUILDS:
        if v[f"pos_{build}"] != "." and not _is_number(v[f"pos_{build}"]):
            raise row.fail(source.file, f"pos_{build}", "a 1-based position, or '.' where unknown", "bad position")
    window = panel.windows[panel.window_index[v["window"]]]
    exon = source.exons[window.exon]
    if all(_is_number(x) for build in BUILDS for x in (exon[build], v[f"pos_{build}"])):
        here, other = panel.build, next(b for b in BUILDS if b != panel.build)
        expected = int(v[f"pos_{here}"]) - int(exon[here]) + int(exon[other])
        if int(v[f"pos_{other}"]) != expected:
            raise row.fail(source.file, f"pos_{other}", str(expected), f"disagrees with pos_{here}")


def _place_exon(fields: dict[str, str], build: str, contig: str, fetch: Fetch, file: str) -> Exon:
    leftmost = fields[build]
    if leftmost == ".":
        raise InputError(
            f"exon {fields['number']} has no {build} position", file=file, field=build, found=leftmost,
            expected="a 1-based position", hint="fill it in or use the other build",
        )  # fmt: skip
    start, length = int(leftmost) - 1, int(fields["cds_end"]) - int(fields["cds_start"]) + 1
    end = start + length
    sequence = fetch(contig, start - FLANK, end + FLANK)
    if "N" in sequence[FLANK : FLANK + length]:
        raise InputError(
            f"exon {fields['number']} is not in the reference", file=file, found=f"{contig}:{start + 1}-{end}",
            expected="a reference that covers every exon of the panel", hint=f"is the reference {build}?",
        )  # fmt: skip
    return Exon(fields["number"], int(fields["cds_start"]), int(fields["cds_end"]), start, end, sequence)


def _window(panel: Panel, name: str, kind: str, first_c: int, last_c: int) -> Window | None:
    """The window for c. positions first_c..last_c, or None where no one exon holds them all."""
    for i, e in enumerate(panel.exons):
        if e.cds_start <= first_c and last_c <= e.cds_end:
            start = e.start + (first_c - e.cds_start) if panel.strand == "+" else e.end - (last_c - e.cds_start + 1)
            end = start + last_c - first_c + 1
            reference = e.sequence[start - e.start + FLANK : end - e.start + FLANK]
            return Window(name, kind, panel.contig, start, end, i, reference)
    return None


def _hotspot(panel: Panel, row: _Row, file: str) -> Window:
    ends = row.values["window"].split("-")
    if not (1 <= len(ends) <= 2 and all(_is_number(e) for e in ends)):
        raise row.fail(file, "window", "a codon or codon range such as 536-538", "bad window")
    first, last = int(ends[0]), int(ends[-1])
    window = _window(panel, row.values["window"], "hotspot", 3 * first - 2, 3 * last)
    if window is None or not 0 < window.end - window.start <= MAX_WINDOW_BASES:
        limit = f"codons inside one exon, at most {MAX_WINDOW_BASES} bases"
        raise row.fail(file, "window", limit, "bad window")
    return window


def _scan_windows(panel: Panel, hotspots: list[Window]) -> list[Window]:
    """Tile the scanned codons that no hotspot window covers, SCAN_CODONS codons a window, split at exon ends."""
    if panel.scan is None:
        return []
    taken = {c for w in hotspots for p in (range(w.start, w.end)) for c in (panel.cds_of(w.exon, p),)}
    windows: list[Window] = []
    for e in panel.exons:
        first = max(e.cds_start, 3 * panel.scan[0] - 2)
        last = min(e.cds_end, 3 * panel.scan[1])
        run: list[int] = []
        for c in range(first, last + 2):
            free = c <= last and c not in taken
            full = bool(run) and c % 3 == 1 and (c - 1) // 3 - (run[0] - 1) // 3 >= SCAN_CODONS
            if run and (full or not free):
                codons = f"{(run[0] + 2) // 3}-{(run[-1] + 2) // 3}"
                made = _window(panel, f"scan:{codons}", "scan", run[0], run[-1])
                assert made is not None
                # A codon split by an intron appears in two exons: tell the two windows apart.
                clash = any(w.name == made.name for w in windows)
                windows.append(replace(made, name=f"{made.name}/{e.number}") if clash else made)
                run = []
            if free:
                run.append(c)
    return windows


def _check_row(panel: Panel, row: _Row, file: str) -> Variant:
    v = row.values
    window = panel.windows[panel.window_index[v["window"]]]
    column = f"pos_{panel.build}"
    if v[column] == ".":
        raise row.fail(file, column, "a 1-based position", "has no position on this build")
    for field in ("ref", "alt"):
        if not v[field] or set(v[field]) - set("ACGT"):
            raise row.fail(file, field, "bases A, C, G and T", "bad allele")
    start = int(v[column]) - 1
    exon = panel.exons[window.exon]
    at = start - exon.start + FLANK
    if not 0 <= at <= len(exon.sequence) - len(v["ref"]):
        raise row.fail(file, column, f"a position in exon {exon.number}", "lies outside its window's exon")
    seen = exon.sequence[at : at + len(v["ref"])]
    if seen != v["ref"]:
        raise row.fail(file, "ref", f"{seen} at {panel.contig}:{start + 1} ({panel.build})")
    if v["alt"] == seen:
        raise row.fail(file, "alt", "another allele than ref", "bad allele")
    low, high = shift_span(panel, window, start, v["ref"], v["alt"])
    if low < window.start or high > window.end:
        reach = f"a window that holds {panel.contig}:{low + 1}-{high}"
        raise row.fail(file, "window", reach, "the change does not fit in its window, or could be aligned outside it")
    cut = start - window.start, start + len(v["ref"]) - window.start
    haplotype = window.reference[: cut[0]] + v["alt"] + window.reference[cut[1] :]
    name = describe(panel, window, haplotype)
    normal = ((column, str(name.pos)), ("ref", name.ref), ("alt", name.alt))
    for field, computed in (("cdna", name.cdna), ("protein", name.protein), *normal):
        if v[field] != computed:
            raise row.fail(file, field, computed)
    _check_codon(panel, window, row, file, haplotype)
    return Variant(v["protein"], v["cdna"], window.name, start + 1, v["ref"], v["alt"], haplotype)


def _check_codon(panel: Panel, window: Window, row: _Row, file: str, haplotype: str) -> None:
    """codon_ref and aa_ref are those of the codon the protein name starts with; codon_alt and aa_alt what an exchange
    of this one residue makes of it, '-' for every other change."""
    v = row.values
    number = re.search("[0-9]+", v["protein"])
    assert number is not None
    at = 3 * int(number[0]) - 3
    codon, changed = panel.coding[at : at + 3], "-"
    if re.fullmatch(r"p\.[A-Z*][0-9]+[A-Z*=]", v["protein"]):
        first = min(panel.cds_of(window.exon, p) for p in (window.start, window.end - 1))
        shown = haplotype if panel.strand == "+" else reverse_complement(haplotype)
        changed = shown[at + 1 - first : at + 4 - first]
    expected = {
        "codon_ref": codon, "codon_alt": changed, "aa_ref": translate(codon),
        "aa_alt": "-" if changed == "-" else translate(changed),
    }  # fmt: skip
    for field, computed in expected.items():
        if v[field] != computed:
            raise row.fail(file, field, computed)
