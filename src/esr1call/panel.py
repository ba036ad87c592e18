"""The panel: which codon windows are counted and which variants are named, for one gene and one genome build.

A panel is data, a TSV file: ``#key<TAB>value`` lines describe the transcript, then one row per DNA form of a
variant. Nothing here opens a file; `parse` takes lines and `resolve` takes a function that fetches reference bases,
so every row is checked against the reference it will be used with.

Coordinates: files and names are 1-based inclusive; fields called `start`/`end` are 0-based half-open genome
positions; ``c.`` positions are 1-based from the A of the start codon.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from esr1call.contigs import BUILDS, canonical
from esr1call.errors import InputError

Fetch = Callable[[str, int, int], str]
"""(contig, start, end) -> forward-strand bases in upper case, 'N' where the reference has none."""

FLANK = 20
SCAN_CODONS = 3
MAX_WINDOW_BASES = 18
COLUMNS = (
    "protein", "cdna", "window", "pos_GRCh38", "pos_GRCh37",
    "ref", "alt", "codon_ref", "codon_alt", "aa_ref", "aa_alt",
)  # fmt: skip
_KEYS = ("name", "version", "gene", "transcript", "protein_accession", "contig", "strand")
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def reverse_complement(bases: str) -> str:
    """The opposite strand, read 5' to 3'."""
    return bases.translate(_COMPLEMENT)[::-1]


@dataclass(frozen=True)
class Exon:
    """One coding exon: its c. range (1-based inclusive) and its genome span (0-based half-open).

    `sequence` holds forward-strand bases of [start - FLANK, end + FLANK).
    """

    number: str
    cds_start: int
    cds_end: int
    start: int
    end: int
    sequence: str = ""


@dataclass(frozen=True)
class Window:
    """A run of bases inside one exon that is read as one haplotype; `reference` is its forward-strand sequence.

    `kind` is ``hotspot`` (holds panel variants) or ``scan`` (the rest of the scanned codons, for "other" variants).
    """

    name: str
    kind: str
    contig: str
    start: int
    end: int
    exon: int
    reference: str = ""


@dataclass(frozen=True)
class Variant:
    """One DNA form of a panel variant; `pos`, `ref` and `alt` as in VCF (1-based, forward strand, left-aligned)."""

    protein: str
    cdna: str
    window: str
    pos: int
    ref: str
    alt: str
    haplotype: str = ""


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


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel checked against one reference; windows are ordered by genome position and do not overlap.

    Compared and hashed by identity, so that names can be cached per panel.
    """

    name: str
    version: str
    gene: str
    transcript: str
    protein_accession: str
    contig: str
    strand: str
    build: str
    exons: tuple[Exon, ...]
    windows: tuple[Window, ...]
    variants: tuple[Variant, ...]
    scan: tuple[int, int] | None
    sha256: str

    @cached_property
    def window_index(self) -> dict[str, int]:
        """Window name -> its place in `windows`."""
        return {w.name: i for i, w in enumerate(self.windows)}

    @cached_property
    def variants_by_haplotype(self) -> dict[tuple[str, str], Variant]:
        """(window name, forward haplotype) -> panel variant."""
        return {(v.window, v.haplotype): v for v in self.variants}

    @cached_property
    def coding(self) -> str:
        """Coding sequence from c.1 on the gene's strand; 'N' outside the panel's exons."""
        bases = ["N"] * max(e.cds_end for e in self.exons)
        for exon in self.exons:
            inside = exon.sequence[FLANK : FLANK + exon.end - exon.start]
            bases[exon.cds_start - 1 : exon.cds_end] = inside if self.strand == "+" else reverse_complement(inside)
        return "".join(bases) + "N" * (-len(bases) % 3)

    def cds_of(self, exon: int, position: int) -> int:
        """c. position of the 0-based genome `position` in exon number `exon` (index)."""
        e = self.exons[exon]
        return e.cds_start + (position - e.start if self.strand == "+" else e.end - 1 - position)

    def codons_of(self, window: Window) -> tuple[int, int]:
        """First and last codon number that the window touches."""
        ends = sorted(self.cds_of(window.exon, p) for p in (window.start, window.end - 1))
        return (ends[0] + 2) // 3, (ends[1] + 2) // 3


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
    for key in _KEYS:
        if not meta.get(key):
            raise InputError("missing header line", file=file, expected=f"'#{key}<TAB>value'")
    if meta["strand"] not in ("+", "-"):
        raise InputError("unknown strand", file=file, field="strand", found=meta["strand"], expected="+ or -")
    if not exons:
        raise InputError("no exon", file=file, expected="at least one '#exon' line")
    if not rows:
        raise InputError("no variant", file=file, expected="at least one row below the header")
    digest = hashlib.sha256("".join(line.rstrip("\r\n") + "\n" for line in lines).encode()).hexdigest()
    return PanelFile(file, meta, tuple(exons), scan, tuple(rows), digest)


def _exon_fields(values: list[str], file: str, line: int) -> dict[str, str]:
    names = ("number", "cds_start", "cds_end", "GRCh38", "GRCh37")
    if len(values) != len(names) or not all(v.isdigit() for v in values[1:4]):
        raise InputError(
            "bad #exon line", file=file, line=line, found=" ".join(values),
            expected="number, first and last c. position, leftmost GRCh38 position, leftmost GRCh37 position or '.'",
        )  # fmt: skip
    return dict(zip(names, values, strict=True))


def _scan_fields(values: list[str], file: str, line: int) -> tuple[int, int]:
    if len(values) != 2 or not all(v.isdigit() for v in values) or int(values[0]) > int(values[1]):
        raise InputError(
            "bad #scan line", file=file, line=line, found=" ".join(values), expected="first and last codon number"
        )
    return int(values[0]), int(values[1])


def resolve(source: PanelFile, build: str, fetch: Fetch) -> Panel:
    """Place a parsed panel on `build` and check every row against the reference bases.

    Raises InputError, naming the row, where the reference base, the codon, the translated amino acids, the cDNA or
    the protein name disagrees, or where an indel can shift out of its window.
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
    hotspots = {row.values["window"]: _hotspot(panel, row, source.file) for row in source.rows}
    windows = sorted([*hotspots.values(), *_scan_windows(panel, list(hotspots.values()))], key=lambda w: w.start)
    for left, right in pairwise(windows):
        if right.start < left.end:
            raise InputError(
                "windows overlap", file=source.file, field="window", found=f"{left.name} and {right.name}",
                expected="disjoint codon ranges",
            )  # fmt: skip
    panel = replace(panel, windows=tuple(windows))
    return replace(panel, variants=tuple(_check_row(panel, row, source.file) for row in source.rows))


def _place_exon(fields: dict[str, str], build: str, contig: str, fetch: Fetch, file: str) -> Exon:
    leftmost = fields[build]
    if not leftmost.isdigit():
        raise InputError(
            f"exon {fields['number']} has no {build} position", file=file, field=build, found=leftmost,
            expected="a 1-based position", hint="fill it in or use the other build",
        )  # fmt: skip
    start, length = int(leftmost) - 1, int(fields["cds_end"]) - int(fields["cds_start"]) + 1
    end = start + length
    sequence = fetch(contig, start - FLANK, end + FLANK)
    if "N" in sequence[FLANK : FLANK + length] or length < 1:
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
    if not (1 <= len(ends) <= 2 and all(e.isdigit() and int(e) > 0 for e in ends)):
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
    from esr1call.haplotype import describe, shift_span  # haplotype builds on the types above

    v = row.values
    window = panel.windows[panel.window_index[v["window"]]]
    column = f"pos_{panel.build}"
    if not v[column].isdigit():
        raise row.fail(file, column, "a 1-based position", "has no position on this build")
    if not v["ref"] or not v["alt"] or set(v["ref"] + v["alt"]) - set("ACGT") or v["ref"] == v["alt"]:
        raise row.fail(file, "alt", "two different alleles of A, C, G and T", "bad allele")
    start = int(v[column]) - 1
    exon = panel.exons[window.exon]
    at = start - exon.start + FLANK
    if not 0 <= at <= len(exon.sequence) - len(v["ref"]):
        raise row.fail(file, column, f"a position in exon {exon.number}", "lies outside its window's exon")
    seen = exon.sequence[at : at + len(v["ref"])]
    if seen != v["ref"]:
        raise row.fail(file, "ref", f"{seen} at {panel.contig}:{start + 1} ({panel.build})")
    low, high = shift_span(panel, window, start, v["ref"], v["alt"])
    if low < window.start or high > window.end:
        reach = f"a window that holds {panel.contig}:{low + 1}-{high}"
        raise row.fail(file, "window", reach, "the change does not fit in its window, or could be aligned outside it")
    cut = start - window.start, start + len(v["ref"]) - window.start
    haplotype = window.reference[: cut[0]] + v["alt"] + window.reference[cut[1] :]
    name = describe(panel, window, haplotype)
    for field, computed in (("cdna", name.cdna), ("protein", name.protein)):
        if v[field] != computed:
            raise row.fail(file, field, computed)
    _check_codon(panel, row, file, name.protein)
    return Variant(v["protein"], v["cdna"], window.name, start + 1, v["ref"], v["alt"], haplotype)


def _check_codon(panel: Panel, row: _Row, file: str, protein: str) -> None:
    """codon_ref and aa_ref are those of the codon the protein name starts with; likewise the changed ones."""
    from esr1call.haplotype import translate

    v = row.values
    codon_number = int("".join(c for c in protein.split("_")[0].split("del")[0] if c.isdigit()))
    codon = panel.coding[3 * codon_number - 3 : 3 * codon_number]
    changed = "-" if "del" in protein else v["codon_alt"]
    checks = (
        ("codon_ref", codon),
        ("codon_alt", changed),
        ("aa_ref", translate(codon)),
        ("aa_alt", "-" if changed == "-" else translate(v["codon_alt"])),
        ("protein", protein if changed == "-" else f"p.{translate(codon)}{codon_number}{translate(v['codon_alt'])}"),
    )
    for field, expected in checks:
        if v[field] != expected:
            raise row.fail(file, field, expected)
