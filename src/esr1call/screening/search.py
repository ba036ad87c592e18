"""Finds the records of a buffer whose bases hold a seed of the targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esr1call.screening.records import LINES, Records
from esr1call.screening.seeds import CODES, NOT_A_BASE, SEED, STEP, SeedTable, WordSearch

_BASES_LINE = 1
_AFTER = 8
"""Bytes after the lines of bases, so that `WordSearch.find` searches just these."""
# Where the STEP seeds that hold a word lie, from the word's first byte on, and the weights that make codes a seed.
_AROUND = np.arange(1 - STEP, 1)[:, None] + np.arange(SEED)
_WEIGHTS = np.uint64(4) ** np.arange(SEED - 1, -1, -1, dtype=np.uint64)


class Screen:
    """One thread's search for a table's seeds."""

    def __init__(self, table: SeedTable) -> None:
        self._table = table
        self._words = WordSearch(table)

    def seeded(self, records: Records) -> NDArray[np.int64]:
        """Ascending indices of exactly those records whose bases hold a seed, in either case of letters."""
        at, record = self._found(records)
        seeded = np.zeros(len(records), dtype=np.bool_)
        # A record's first word nearly always decides; the others are looked at only where it does not.
        while len(at):
            first = np.empty(len(at), dtype=np.bool_)
            first[0] = True
            np.not_equal(record[1:], record[:-1], out=first[1:])
            who = record[first]
            seeded[who] = self._holds(records.buffer, at[first])
            rest = ~first & ~seeded[record]
            at, record = at[rest], record[rest]
        return np.flatnonzero(seeded)

    def _found(self, records: Records) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where words lie on lines of bases: position in the buffer, and record; ascending."""
        buffer, ends = records.buffer, records.ends
        if not len(ends):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        start = ends[0::LINES] + 1
        length = ends[_BASES_LINE::LINES] - start
        width = max(8, int(-(-length.max() // 8) * 8))
        if start[-1] + width <= len(buffer) and len(start) * width < len(buffer):
            # The lines of bases alone, side by side: less than half of the text. What follows a shorter one is no base
            # of its record; a word that runs into the next line may look like one, and is looked at like any other.
            flat = np.empty(len(start) * width + _AFTER, dtype=np.uint8)
            flat[-_AFTER:] = 0
            lines = np.lib.stride_tricks.as_strided(buffer, (len(buffer) - width + 1, width), (1, 1), writeable=False)
            flat[:-_AFTER].reshape(-1, width)[:] = lines[start]
            record, column = np.divmod(self._words.find(flat), width)
            inside = column < length[record]
            record, column = record[inside], column[inside]
            return start[record] + column, record
        at = self._words.find(buffer)
        line = np.searchsorted(ends, at)
        on_bases = line % LINES == _BASES_LINE
        return at[on_bases], line[on_bases] // LINES

    def _holds(self, buffer: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a seed of the table starts at most STEP - 1 bytes before each position, where a word was found."""
        codes = CODES[buffer[np.clip(at[:, None, None] + _AROUND, 0, len(buffer) - 1)]]
        whole = (codes != NOT_A_BASE).all(axis=2) & (at[:, None] + _AROUND[:, 0] >= 0)
        values = codes.astype(np.uint64) @ _WEIGHTS
        seeds = self._table.seeds
        index = np.minimum(np.searchsorted(seeds, values), len(seeds) - 1)
        found: NDArray[np.bool_] = (whole & (seeds[index] == values)).any(axis=1)
        return found
