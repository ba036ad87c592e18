"""CIGARs in vectorised passes over the operator index: reference length, clips, and query positions of columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError
from esr1call.pileup.records import Records, unaligned

# Operators MIDNSHP=X in BAM's order.
_QUERY = np.array([1, 1, 0, 0, 1, 0, 0, 1, 1] + [0] * 7, dtype=bool)
_REFERENCE = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1] + [0] * 7, dtype=bool)
_MATCH = _QUERY & _REFERENCE
_CLIP = np.array([0, 0, 0, 0, 1, 1] + [0] * 10, dtype=bool)
_SKIP, _OPERATORS = 3, 9
_PLAIN = np.uint32(sum(1 << int(op) for op in np.flatnonzero(_MATCH)))


@dataclass(frozen=True, eq=False)
class Geometry:
    """Per read, int64 [n]: reference bases spanned, clipped bases (S and H) before and after; bool [n]: `spliced`, and
    `plain` where the CIGAR is one match."""

    span: NDArray[np.int64]
    lead: NDArray[np.int64]
    trail: NDArray[np.int64]
    spliced: NDArray[np.bool_]
    plain: NDArray[np.bool_]

    def take(self, keep: NDArray[np.int64]) -> Geometry:
        """Of the reads at the given places."""
        return Geometry(self.span[keep], self.lead[keep], self.trail[keep], self.spliced[keep], self.plain[keep])


def geometry(records: Records, file: str) -> Geometry:
    """Spans and clips of all records; InputError where CIGAR and sequence length disagree."""
    words = unaligned(records.data, "<u4")
    count = records.fixed["cigar_ops"]
    n = len(records)
    lead, trail, spliced = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    # Most reads are one match: they need no second look.
    first = words[np.minimum(records.cigar, len(words) - 1)]
    plain = (count == 1) & ((_PLAIN >> (first & 15)) & 1).astype(bool)
    span = (first >> 4) * plain.astype(np.int64)
    query = span.copy()
    others = np.flatnonzero(~plain & (count > 0))
    if len(others):
        # The operators of all these reads one after another.
        ends = np.cumsum(count[others], dtype=np.int64)
        starts = ends - count[others]
        read = np.repeat(np.arange(len(others)), count[others])
        word = words[(records.cigar[others] - 4 * starts)[read] + 4 * np.arange(len(read))]
        op, size = word & 15, (word >> 4).astype(np.int64)
        if (op >= _OPERATORS).any():
            raise InputError("corrupt CIGAR: unknown operator", file=file, hint="copy or write the file again")
        clip = _CLIP[op]
        inside = np.cumsum(~clip)  # operators other than clips so far
        before = clip & (inside == (inside - ~clip)[starts][read])
        span[others] = np.add.reduceat(size * _REFERENCE[op], starts)
        query[others] = np.add.reduceat(size * _QUERY[op], starts)
        lead[others] = np.add.reduceat(size * before, starts)
        trail[others] = np.add.reduceat(size * (clip & ~before), starts)
        spliced[others] = np.logical_or.reduceat(op == _SKIP, starts)
    length = records.fixed["length"]
    odd = np.flatnonzero(query != length)
    if ((length[odd] > 0) & (count[odd] > 0)).any():
        raise InputError("CIGAR and sequence lengths disagree", file=file, hint="copy or write the file again")
    return Geometry(span, lead, trail, spliced, plain)


def query_positions(
    records: Records, read: NDArray[np.int64], target: NDArray[np.int64], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Query positions [k, m] of reference columns.

    `read` [m] indexes `records`; `target` [k, m] are columns within the reads' reference spans, in the coordinates of
    `start` [m], the reads' first reference positions. -1 where the column shows no base (deleted or skipped).
    """
    words = unaligned(records.data, "<u4")
    count = records.fixed["cigar_ops"][read]
    cigar = records.cigar[read]
    found = np.full(target.shape, -1, dtype=np.int64)
    reference, query = start.copy(), np.zeros(len(read), dtype=np.int64)
    alive, k = np.flatnonzero(count > 0), 0
    while len(alive):
        word = words[cigar[alive] + 4 * k]
        op, size = word & 15, (word >> 4).astype(np.int64)
        into = target[:, alive] - reference[alive]
        hit = (into >= 0) & (into < size) & _MATCH[op]
        found[:, alive] = np.where(hit, query[alive] + into, found[:, alive])
        reference[alive] += size * _REFERENCE[op]
        query[alive] += size * _QUERY[op]
        k += 1
        alive = alive[count[alive] > k]
    return found
