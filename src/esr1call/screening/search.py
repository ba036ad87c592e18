"""Finds the records of a buffer whose bases hold a seed of the targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esr1call.screening.records import LINES, Records
from esr1call.screening.seeds import CODES, SEED, STEP, SeedTable, WordSearch, rolling

_BASES_LINE = 1


class Screen:
    """One thread's search for a table's seeds."""

    def __init__(self, table: SeedTable) -> None:
        self._table = table
        self._words = WordSearch(table)

    def seeded(self, records: Records) -> NDArray[np.int64]:
        """Ascending indices of exactly those records whose bases hold a seed, in either case of letters."""
        at = self._words.find(records.buffer)
        line = np.searchsorted(records.ends, at)
        on_bases = line % LINES == _BASES_LINE
        at, record = at[on_bases], line[on_bases] // LINES
        found = [np.zeros(0, dtype=np.int64)]
        # A record's first word nearly always decides; the others are looked at only where it does not.
        while len(at):
            first = np.flatnonzero(np.diff(record, prepend=-1))
            holds = self._holds(records.buffer, at[first])
            found.append(record[first[holds]])
            rest = np.ones(len(at), dtype=np.bool_)
            rest[first] = False
            rest &= ~np.isin(record, found[-1], assume_unique=False)
            at, record = at[rest], record[rest]
        return np.sort(np.concatenate(found))

    def _holds(self, buffer: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a seed of the table starts at most STEP - 1 bytes before each position, where a word was found."""
        place = at[:, None] + np.arange(1 - STEP, SEED)
        codes = CODES[buffer[np.clip(place, 0, len(buffer) - 1)]]
        codes[place < 0] = CODES[0]
        values, whole = rolling(codes, SEED)
        seeds = self._table.seeds
        index = np.minimum(np.searchsorted(seeds, values), len(seeds) - 1)
        found: NDArray[np.bool_] = (whole & (seeds[index] == values)).any(axis=1)
        return found
