"""Narrows a stretch of a sorted BAM that an index names to the blocks that matter, by looking at a few blocks' starts.

An index tells places to 16 kilobases, which in a deep capture is many times what a window needs. htslib begins every
block with a record, so bisection finds the first block that matters; where a file is not written so, nothing is
narrowed.
"""

from __future__ import annotations

import numpy as np

from esr1call.errors import InputError
from esr1call.io.bgzf import BgzfFile
from esr1call.pileup.records import record_offsets, unaligned

_ENOUGH = 1 << 16
"""Bytes of a stretch that are not worth another look."""


def narrow(bgzf: BgzfFile, stretch: tuple[int, int], reference: int, low: int, high: int) -> tuple[int, int]:
    """The part of `stretch` (virtual offsets) that can hold records of `reference` that begin in [low, high).

    Never leaves out such a record; may keep others.
    """
    start, end = stretch
    first = _last_block_before(bgzf, start >> 16, end >> 16, _key(reference, low))
    if first is not None and first > start >> 16:
        start = first << 16
    after = _first_block_from(bgzf, start >> 16, end >> 16, _key(reference, high))
    if after is not None and after < end >> 16:
        end = after << 16
    return start, end


def _key(reference: int, position: int) -> int:
    return (reference & 0x7FFFFFFF) << 32 | (position + 1)


def _last_block_before(bgzf: BgzfFile, start: int, end: int, key: int) -> int | None:
    """Offset of a block in [start, end) whose first record comes before `key`, as far on as bisection shows."""
    best = None
    while end - start > _ENOUGH:
        found = _probe(bgzf, (start + end) // 2, end)
        if found is None:
            return best
        offset, seen = found
        if seen < key:
            best = start = offset
        else:
            end = (start + end) // 2
    return best


def _first_block_from(bgzf: BgzfFile, start: int, end: int, key: int) -> int | None:
    """Offset of a block in [start, end) whose first record is at or after `key`, as far back as bisection shows."""
    best = None
    while end - start > _ENOUGH:
        middle = (start + end) // 2
        found = _probe(bgzf, middle, end)
        if found is None:
            return best
        offset, seen = found
        if seen >= key:
            best, end = offset, middle
        else:
            start = offset
    return best


def _probe(bgzf: BgzfFile, at: int, end: int) -> tuple[int, int] | None:
    """(offset, key of the first record) of the first block that begins in [at, end), None where no such block begins
    and ends with a whole record."""
    offset = bgzf.next_block(at, end)
    if offset is None:
        return None
    try:
        found = bgzf.block(offset)
        if found is None or len(found[0]) < 36:
            return None
        data = np.frombuffer(found[0] + bytes(64), dtype=np.uint8)
        size = len(found[0])
        records, done = record_offsets(data, size, np.zeros(1, dtype=np.int64), str(bgzf.path))
    except InputError:
        return None
    if done != size or len(records) == 0:
        return None
    fields = unaligned(data, "<i4")
    return offset, _key(int(fields[4]), int(fields[8]))
