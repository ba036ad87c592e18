"""Reads of other loci that an aligner forces onto slices of a reference.

Against a whole genome a read of a related gene finds its own place. Against a few slices it has none, and what is like
enough to a slice is put there with a high MAPQ. Such reads are told by how much of them fits: a true read's bases fit
nearly all, unless they lie beyond the slice's end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from esr1call.alignment.output import AlignedCounts
from esr1call.contigs import place

MIN_IDENTITY = 0.9
"""Least share of aligned columns that match; an insertion or deletion is one column, however long."""
MIN_ALIGNED = 0.5
"""Least share of a read's bases, of those that do not lie beyond the slice's ends, that are aligned."""
_MATCH, _INSERTION, _DELETION, _SOFT_CLIP = 0, 1, 2, 4
_UNMAPPED, _SECONDARY_OR_SUPPLEMENTARY = 0x4, 0x900


def fits(cigar: Sequence[tuple[int, int]], edits: int, start: int, length: int) -> bool:
    """Whether an alignment is like one of a read of the slice itself.

    `cigar` holds (operation, bases) as BAM does, `edits` is its NM tag, `start` its 0-based position in a slice of
    `length` bases.
    """
    sizes = [0] * 9
    gaps = 0
    for operation, size in cigar:
        sizes[operation] += size
        gaps += operation in (_INSERTION, _DELETION)
    matched = sizes[_MATCH] + sizes[7] + sizes[8]
    if not matched:
        return False
    mismatches = edits - sizes[_INSERTION] - sizes[_DELETION]
    if mismatches + gaps > (1 - MIN_IDENTITY) * (matched + gaps) + 1e-9:
        return False
    end = start + matched + sizes[_DELETION]
    left = cigar[0][1] if cigar[0][0] == _SOFT_CLIP else 0
    right = cigar[-1][1] if len(cigar) > 1 and cigar[-1][0] == _SOFT_CLIP else 0
    clipped = min(left, start) + min(right, length - end)
    aligned = matched + sizes[_INSERTION]
    return aligned >= MIN_ALIGNED * (aligned + clipped)


def without_foreign(
    records: Iterable[Any], sequences: Sequence[tuple[str, int]], counts: AlignedCounts
) -> Iterator[Any]:
    """The records (a read's together, mates in turn), with MAPQ 0 where one of the mates does not fit a slice.

    Sequences that are no slices are left alone. `counts.reads_foreign` tells how many reads lost their MAPQ.
    """
    # A slice by its region's name is told by its offset; a whole chromosome has none.
    lengths = [length if place(name, length).offset else 0 for name, length in sequences]
    if not any(lengths):
        yield from records
        return
    for _, pair in groupby(records, key=lambda r: r.query_name):
        found = list(pair)
        if not all(_fits(r, lengths) for r in found if not r.flag & (_UNMAPPED | _SECONDARY_OR_SUPPLEMENTARY)):
            for record in found:
                if not record.flag & _UNMAPPED and lengths[record.reference_id]:
                    record.mapping_quality = 0
                    counts.reads_foreign += not record.flag & _SECONDARY_OR_SUPPLEMENTARY
        yield from found


def _fits(record: Any, lengths: list[int]) -> bool:
    length = lengths[record.reference_id]
    if not length:
        return True
    return fits(record.cigartuples, record.get_tag("NM"), record.reference_start, length)
