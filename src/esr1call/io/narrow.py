"""Finds the stretch of a sorted BAM that matters by looking at a few blocks' starts.

htslib begins every block with a record, so bisection finds the first block that matters, whatever an index says: an
index has no checksum, and one with a wrong bit would leave reads out unseen. Where a file is not written so (htsjdk
lets records go on from block to block), only the stretch that its index names is narrowed, as far as that goes.
"""

from __future__ import annotations

from bisect import insort
from itertools import pairwise

import numpy as np

from esr1call.errors import InputError
from esr1call.io.bgzf import BgzfFile
from esr1call.pileup.filters import unsorted
from esr1call.pileup.records import record_offsets, unaligned

_ENOUGH = 1 << 16
"""Bytes of a stretch that are not worth another look."""


class Unaligned(Exception):
    """A block does not begin with a record."""


class Finder:
    """Finds stretches of one file by bisection; blocks looked at once serve all later questions.

    All of them are in coordinate order, or InputError is raised: `_seen` are (offset, key of the first record).
    """

    def __init__(self, bgzf: BgzfFile, first_record: int) -> None:
        self._bgzf, self._first, self._seen = bgzf, first_record, list[tuple[int, int]]()

    def find(self, hints: list[tuple[int, int]], reference: int, low: int, high: int) -> tuple[int, int]:
        """The part of the file (virtual offsets) that can hold records of `reference` that begin in [low, high).

        `hints` are stretches that an index names: looked at first, believed where the blocks around them agree. Never
        leaves out such a record; may keep others. Raises Unaligned where blocks do not tell.
        """
        if hints:
            self._probe(max(min(hints)[0] >> 16, _ENOUGH) - _ENOUGH, self._bgzf.size)
            self._probe(max(hints)[1] >> 16, self._bgzf.size)
        return self._bisect((self._first, self._bgzf.size << 16), _key(reference, low), _key(reference, high))

    def narrow(self, stretch: tuple[int, int], reference: int, low: int, high: int) -> tuple[int, int]:
        """The same within a stretch that is believed; all of it where blocks do not tell."""
        try:
            return self._bisect(stretch, _key(reference, low), _key(reference, high))
        except Unaligned:
            return stretch

    def _bisect(self, stretch: tuple[int, int], low: int, high: int) -> tuple[int, int]:
        start, end = self._bounds(stretch, low, high)
        for key in (low, high):
            a, b = start >> 16, end >> 16
            while b - a > _ENOUGH:
                found = self._probe((a + b) // 2, b)
                if found is None:
                    break
                a, b = (found[0], b) if found[1] < key else (a, (a + b) // 2)
            start, end = self._bounds((start, end), low, high)
        return start, end

    def _bounds(self, stretch: tuple[int, int], low: int, high: int) -> tuple[int, int]:
        """`stretch` from the last block seen that begins before `low` to the first that begins at `high` or after."""
        before = [at << 16 for at, key in self._seen if key < low and at << 16 < stretch[1]]
        start = max([stretch[0], *before])
        after = [at << 16 for at, key in self._seen if key >= high and at << 16 > start]
        return start, min([stretch[1], *after])

    def _probe(self, at: int, end: int) -> tuple[int, int] | None:
        """(offset, key of the first record) of the first block that begins in [at, end); None where there is none, or
        it is empty or damaged. Raises Unaligned where it does not begin and end with whole records, InputError where
        it is out of order with another block that was looked at."""
        offset = self._bgzf.next_block(at, end)
        if offset is None:
            return None
        try:
            found = self._bgzf.block(offset)
        except InputError:
            return None
        if found is None or not found[0] or offset << 16 < self._first:
            return None
        data = np.frombuffer(found[0] + bytes(64), dtype=np.uint8)
        size = len(found[0])
        try:
            records, done = record_offsets(data, size, np.zeros(1, dtype=np.int64), str(self._bgzf.path))
        except InputError as error:
            raise Unaligned from error
        if done != size or len(records) == 0:
            raise Unaligned
        fields = unaligned(data, "<i4")
        seen = offset, _key(int(fields[4]), int(fields[8]))
        if seen not in self._seen:
            insort(self._seen, seen)
            if any(key > next_key for (_, key), (_, next_key) in pairwise(self._seen)):
                raise unsorted(self._bgzf.path)
        return seen


def _key(reference: int, position: int) -> int:
    return (reference & 0x7FFFFFFF) << 32 | (position + 1)
