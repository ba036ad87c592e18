"""Reads of other loci that an aligner forces onto slices of a reference.

Against a whole genome a read of a related gene finds its own place. Against a few slices it has none, and what is like
enough to a slice is put there with a high MAPQ. Such pairs are told by how much of both mates does not fit: a true
pair shows a variant or two and what the sequencer misread, and knows where it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from esr1call.alignment.output import AlignedCounts
from esr1call.contigs import place

MAX_DIFFERENCES = 6
"""Most differences of both mates together, as `differences` counts them; this and the next were chosen by
scripts/validate_screen.py."""
MAX_DIFFERENT = 0.05
"""Largest share of differences in both mates' bases."""
CLIPPED_BASES = 10
"""So many clipped bases stand for a difference: the aligner leaves out what fits badly."""
MIN_QUALITY = 20
"""Mismatches of a lower base quality are the sequencer's."""
_CODON = 3
_ALIGNED, _INSERTION, _DELETION, _SOFT_CLIP = (0, 7, 8), 1, 2, 4
_UNMAPPED, _SECONDARY_OR_SUPPLEMENTARY = 0x4, 0x900


def differences(cigar: Sequence[tuple[int, int]], mismatches: Sequence[int], start: int, length: int) -> float:
    """How often an alignment differs from its slice.

    Mismatches (ascending positions in the slice) within a codon's length of the first are one, a gap is one however
    long, and clipped bases are one in `CLIPPED_BASES` where they do not lie beyond the slice of `length` bases.
    `cigar` holds (operation, bases) as BAM does, `start` is the alignment's 0-based position in the slice.
    """
    found, last = 0, -_CODON
    for at in mismatches:
        if at - last >= _CODON:
            last, found = at, found + 1
    found += sum(operation in (_INSERTION, _DELETION) for operation, _ in cigar)
    return found + _clipped(cigar, start, length) / CLIPPED_BASES


def _clipped(cigar: Sequence[tuple[int, int]], start: int, length: int) -> int:
    """Clipped bases that would lie in the slice."""
    left = cigar[0][1] if cigar[0][0] == _SOFT_CLIP else 0
    right = cigar[-1][1] if len(cigar) > 1 and cigar[-1][0] == _SOFT_CLIP else 0
    if not left and not right:
        return 0
    end = start + sum(size for operation, size in cigar if operation in _ALIGNED or operation == _DELETION)
    return min(left, start) + min(right, length - end)


def without_foreign(
    records: Iterable[Any], sequences: Sequence[tuple[str, int]], counts: AlignedCounts
) -> Iterator[Any]:
    """The records (a read's together, mates in turn), with MAPQ 0 for pairs that do not fit the slices they lie on.

    Sequences that are no slices are left alone. `counts.reads_foreign` tells how many reads lost their MAPQ.
    """
    # A slice by its region's name is told by its offset; a whole chromosome has none.
    lengths = [length if place(name, length).offset else 0 for name, length in sequences]
    if not any(lengths):
        yield from records
        return
    for _, pair in groupby(records, key=lambda r: r.query_name):
        found = list(pair)
        if not _fit(found, lengths):
            for record in found:
                if not record.flag & _UNMAPPED and lengths[record.reference_id]:
                    record.mapping_quality = 0
                    counts.reads_foreign += not record.flag & _SECONDARY_OR_SUPPLEMENTARY
        yield from found


def _fit(records: Sequence[Any], lengths: Sequence[int]) -> bool:
    """Whether a pair's alignments to slices are like those of reads of the slices."""
    placed, most, bases = [], 0.0, 0
    for r in records:
        if not r.flag & (_UNMAPPED | _SECONDARY_OR_SUPPLEMENTARY) and (length := lengths[r.reference_id]):
            cigar, start, edits = r.cigartuples, r.reference_start, r.get_tag("NM")
            clipped = _clipped(cigar, start, length)
            placed.append((r, cigar, start, length))
            bases += r.query_alignment_length + clipped
            most += edits + clipped / CLIPPED_BASES  # at least as many as there are differences
    limit = min(MAX_DIFFERENCES, MAX_DIFFERENT * bases) + 1e-9
    return most <= limit or sum(differences(c, _mismatches(r), start, n) for r, c, start, n in placed) <= limit


def _mismatches(record: Any) -> list[int]:
    """Reference positions of an alignment's mismatches that are well read."""
    quality = record.query_qualities
    pairs = record.get_aligned_pairs(matches_only=True, with_seq=True)  # a mismatch in lower case
    return [at for query, at, base in pairs if base.islower() and quality[query] >= MIN_QUALITY]
