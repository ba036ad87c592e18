"""What the formats need beside a sample's result, and where an allele lies in the panel's reference sequence."""

from __future__ import annotations

from dataclasses import dataclass

from esr1call.contigs import refseq
from esr1call.panel import FLANK, Exon, Panel


@dataclass(frozen=True)
class Context:
    """What all samples of an export share.

    `required_lod` and `min_molecules` are those that the calls were made with; `laboratory` names who reports, and
    `namespace` is the URI under which the study numbers its patients and specimens (both may be unknown).
    """

    study: str
    panel: Panel
    required_lod: float
    min_molecules: int
    version: str
    laboratory: str | None = None
    namespace: str | None = None

    @property
    def accession(self) -> str:
        """RefSeq accession of the panel's chromosome, or the contig's own name where it is no human chromosome."""
        return refseq(self.panel.contig, self.panel.build) or self.panel.contig


def trimmed(pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """(0-based start, ref, alt) of a normalised VCF allele, without the base that anchors an indel."""
    anchored = min(len(ref), len(alt)) == 1 and len(ref) != len(alt) and ref[0] == alt[0]
    return (pos, ref[1:], alt[1:]) if anchored else (pos - 1, ref, alt)


def exon_at(panel: Panel, pos: int) -> Exon | None:
    """The exon that 1-based `pos` lies in or in the flanks of; None where there is none."""
    return next((e for e in panel.exons if e.start - FLANK < pos <= e.end + FLANK), None)


def surroundings(panel: Panel, pos: int) -> tuple[str, int]:
    """The forward-strand sequence of the exon (with its flanks) around 1-based `pos`, and where it starts (0-based)."""
    exon = exon_at(panel, pos)
    assert exon is not None  # looked at when the result was read
    return exon.sequence, exon.start - FLANK


def roll(sequence: str, start: int, length: int, moved: str, step: int) -> int | None:
    """How far an indel can be moved left (`step` -1) or right (+1) without a change of what is shown.

    `moved` are the deleted or inserted bases, `start` their place in `sequence`, `length` that of the deleted bases (0
    for an insertion). None where the known sequence ends before the answer.
    """
    distance = 0
    while True:
        at = start - 1 - distance if step < 0 else start + length + distance
        if not 0 <= at < len(sequence) or sequence[at] == "N":
            return None
        if sequence[at] != (moved[-1] if step < 0 else moved[0]):
            return distance
        moved = moved[-1] + moved[:-1] if step < 0 else moved[1:] + moved[0]
        distance += 1
