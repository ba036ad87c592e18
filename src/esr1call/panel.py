"""The panel: which codon windows are counted and which variants are named, for one gene and one genome build.

`panel_file` makes a `Panel` from a file and checks it against the reference it will be used with.

Coordinates: files and names are 1-based inclusive; fields called `start`/`end` are 0-based half-open genome
positions; ``c.`` positions are 1-based from the A of the start codon.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

Fetch = Callable[[str, int, int], str]
"""(contig, start, end) -> forward-strand bases in upper case, 'N' where the reference has none."""

FLANK = 20
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

    @cached_property
    def coding_sha256(self) -> str:
        """SHA-256 of `coding`: the same on every build whose exons have the same bases."""
        return hashlib.sha256(self.coding.encode()).hexdigest()

    def cds_of(self, exon: int, position: int) -> int:
        """c. position of the 0-based genome `position` in exon number `exon` (index)."""
        e = self.exons[exon]
        return e.cds_start + (position - e.start if self.strand == "+" else e.end - 1 - position)

    def codons_of(self, window: Window) -> tuple[int, int]:
        """First and last codon number that the window touches."""
        ends = sorted(self.cds_of(window.exon, p) for p in (window.start, window.end - 1))
        return (ends[0] + 2) // 3, (ends[1] + 2) // 3
