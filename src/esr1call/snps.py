"""Common SNPs, by which people are told apart: where they lie, what molecules show there, and genotypes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from esr1call.contigs import canonical
from esr1call.counts import UNDECIDED, CountTable
from esr1call.errors import InputError
from esr1call.panel import Fetch, Panel, Window

COLUMNS = ("name", "contig", "pos_GRCh38", "pos_GRCh37", "ref", "alt", "frequency")
HOMOZYGOUS = 0.1
"""A homozygous sample shows less than this fraction of the other allele: more would be a tenth foreign DNA."""
HETEROZYGOUS = 0.25
"""A heterozygous sample shows both alleles at least at this fraction; tumour DNA can move them away from 1/2."""
LEAST_MOLECULES = 30


@dataclass(frozen=True)
class Snp:
    """One SNP; `position` is 0-based on the genome, `frequency` that of `alt` in the population, roughly."""

    name: str
    contig: str
    position: int
    ref: str
    alt: str
    frequency: float


@dataclass(frozen=True)
class AlleleCounts:
    """Molecules that show a SNP's reference allele, its other allele, and anything else."""

    snp: Snp
    ref: int
    alt: int
    other: int

    @property
    def genotype(self) -> str | None:
        """Alleles such as ``C/G``, in the order of the alphabet; None where the molecules do not tell."""
        n = self.ref + self.alt
        if n < LEAST_MOLECULES:
            return None
        fraction = self.alt / n
        if fraction < HOMOZYGOUS:
            return f"{self.snp.ref}/{self.snp.ref}"
        if fraction > 1 - HOMOZYGOUS:
            return f"{self.snp.alt}/{self.snp.alt}"
        return "/".join(sorted((self.snp.ref, self.snp.alt))) if min(fraction, 1 - fraction) >= HETEROZYGOUS else None


def parse_snps(lines: Iterable[str], file: str, build: str, fetch: Fetch) -> tuple[Snp, ...]:
    """Rows of a SNP file (`COLUMNS`; '#' begins a comment), by position; InputError names the row that is wrong.

    Every reference base is checked against the reference.
    """
    found: dict[tuple[str, int], Snp] = {}
    header = False
    for number, line in enumerate(lines, 1):
        cells = line.rstrip("\r").split("\t")
        if not line.strip() or line.startswith("#"):
            continue
        if not header:
            if tuple(cells) != COLUMNS:
                raise InputError("bad columns", file=file, line=number, found=line, expected=", ".join(COLUMNS))
            header = True
            continue
        snp = _snp(cells, build, file, number)
        base = fetch(snp.contig, snp.position, snp.position + 1)
        if base != snp.ref:
            raise InputError(
                f"the reference of {snp.name} disagrees", file=file, line=number, field="ref", found=snp.ref,
                expected="a position in the reference" if base == "N" else base,
                hint=f"is {snp.contig}:{snp.position + 1} its place on {build}?",
            )  # fmt: skip
        if (snp.contig, snp.position) in found or snp.name in {s.name for s in found.values()}:
            raise InputError("SNP given twice", file=file, line=number, found=snp.name, expected="each once")
        found[snp.contig, snp.position] = snp
    return tuple(found[key] for key in sorted(found))


def _snp(cells: Sequence[str], build: str, file: str, line: int) -> Snp:
    if len(cells) != len(COLUMNS):
        raise InputError("wrong number of columns", file=file, line=line, found=len(cells), expected=str(len(COLUMNS)))
    row = dict(zip(COLUMNS, cells, strict=True))

    def bad(field: str, expected: str) -> InputError:
        return InputError("bad value", file=file, line=line, field=field, found=row[field], expected=expected)

    column = f"pos_{build}"
    digits = row[column].isascii() and row[column].isdigit() and len(row[column]) <= 10
    if not (digits and 0 < int(row[column]) < 2**31):
        raise bad(column, "a 1-based position")
    for allele in ("ref", "alt"):
        if row[allele] not in ("A", "C", "G", "T") or row["ref"] == row["alt"]:
            raise bad(allele, "two different bases")
    try:
        frequency = float(row["frequency"])
    except ValueError:
        frequency = -1.0
    if not 0 < frequency < 1:
        raise bad("frequency", "a fraction between 0 and 1")
    if not row["name"]:
        raise bad("name", "a name such as rs1801132")
    return Snp(row["name"], canonical(row["contig"]), int(row[column]) - 1, row["ref"], row["alt"], frequency)


def counted_panel(panel: Panel, snps: Iterable[Snp]) -> Panel:
    """The panel to count with: SNPs on its contig that no window covers are one-base windows of kind ``snp``."""
    inside = {p for w in panel.windows for p in range(w.start, w.end)}
    more = [
        Window(f"snp:{s.name}", "snp", s.contig, s.position, s.position + 1, 0, s.ref)
        for s in snps
        if s.contig == panel.contig and s.position not in inside
    ]
    return replace(panel, windows=tuple(sorted((*panel.windows, *more), key=lambda w: w.start))) if more else panel


def elsewhere(panel: Panel, snps: Iterable[Snp]) -> list[Panel]:
    """For each contig that is not the panel's, a panel of its SNPs' one-base windows alone."""
    by_contig: dict[str, list[Window]] = {}
    for s in snps:
        if s.contig != panel.contig:
            window = Window(f"snp:{s.name}", "snp", s.contig, s.position, s.position + 1, 0, s.ref)
            by_contig.setdefault(s.contig, []).append(window)
    return [replace(panel, contig=c, windows=tuple(ws)) for c, ws in sorted(by_contig.items())]


def without_snps(table: CountTable, counted: Panel, panel: Panel) -> CountTable:
    """The counts of the panel's own windows, of a table over those of `counted_panel`."""
    if counted is panel:
        return table
    rows = zip(table.window.tolist(), table.haplotype, table.molecules, strict=True)
    own = [panel.window_index.get(w.name, -1) for w in counted.windows]
    return CountTable.build((w.name for w in panel.windows), ((own[w], h, m) for w, h, m in rows if own[w] >= 0))


def allele_counts(table: CountTable, counted: Panel, snps: Iterable[Snp]) -> list[AlleleCounts]:
    """What decided molecules show at those SNPs that lie in a window of `counted`.

    Haplotypes with an insertion or deletion count as other: which base stands at the SNP is then not known.
    """
    out = []
    for snp in snps:
        for i, w in enumerate(counted.windows):
            if w.contig == snp.contig and w.start <= snp.position < w.end:
                seen = {snp.ref: 0, snp.alt: 0, "": 0}
                for row in np.flatnonzero(table.window == i):
                    shown = table.haplotype[row]
                    if shown != UNDECIDED:
                        base = shown[snp.position - w.start] if len(shown) == len(w.reference) else ""
                        seen[base if base in seen else ""] += int(table.molecules[row].sum())
                out.append(AlleleCounts(snp, seen[snp.ref], seen[snp.alt], seen[""]))
    return out


def agreement(genotypes: Mapping[str, str], others: Mapping[str, str], snps: Iterable[Snp]) -> tuple[int, int, float]:
    """(SNPs at which both have the same genotype, SNPs at which they differ, chance that an unrelated person has all
    of the genotypes that agree).

    The chance takes the SNPs for independent, in Hardy-Weinberg proportions.
    """
    same = different = 0
    chance = 1.0
    for snp in snps:
        one, two = genotypes.get(snp.name), others.get(snp.name)
        if one is None or two is None:
            continue
        if one == two:
            same += 1
            alleles = one.split("/")
            q = [snp.frequency if a == snp.alt else 1 - snp.frequency for a in alleles]
            chance *= q[0] * q[1] * (1 if alleles[0] == alleles[1] else 2)
        else:
            different += 1
    return same, different, chance
