"""Bases per column and strand over the windows: the raw pileup, before anything is grouped into molecules.

Every read that passes the filters counts at each column it covers, overlapping mates twice (as samtools mpileup does
with -A -B -x), bases below the least quality not at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from esr1call.contigs import Slice
from esr1call.panel import Panel
from esr1call.pileup.cigar import query_positions
from esr1call.pileup.filters import ReadFilter, Sifted, Usable
from esr1call.pileup.records import REVERSE, read_records, rows
from esr1call.pileup.windows import column, near, packed_bases
from esr1call.settings import CountSettings

SYMBOLS = ("A", "C", "G", "T", "N", "del")
"""Order of the last axis of `BaseCounter.counts`."""
_SYMBOL = np.full(16, 4, dtype=np.int64)
_SYMBOL[[1, 2, 4, 8]] = range(4)
_DELETED = 5
_EACH_BYTE, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)


class BaseCounter:
    """Takes chunks of records; `counts` int64 [columns, 2 strands, symbols], all windows' columns one after another."""

    def __init__(self, panel: Panel, references: Sequence[Slice], settings: CountSettings, file: str) -> None:
        self.reads = ReadFilter(panel, references, settings.min_mapq, file)
        self._min_quality, self._file = settings.min_base_quality, file
        length = self.reads.windows.length
        self._first = np.cumsum(length) - length
        self.counts = np.zeros((int(length.sum()), 2, len(SYMBOLS)), dtype=np.int64)
        self._windows = [(w.name, p) for w in panel.windows for p in range(w.start, w.end)]

    def columns(self) -> list[tuple[str, int]]:
        """(window name, 0-based genome position) of each column."""
        return self._windows

    def prepare(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> tuple[Sifted, NDArray[np.int64]]:
        """Bases of the records that begin at `offsets` in `data`; changes no state, so chunks may go at once."""
        records = read_records(data, offsets, len(self.reads.offset), self._file)
        reads, sifted = self.reads.sift(records, whole=False)
        windows, counts = self.reads.windows, np.zeros_like(self.counts)
        sifted.counts["counted"] += len(reads)
        end = reads.start + reads.shape.span
        for w in near(windows, reads.start, end):
            over = (reads.start < windows.end[w]) & (end > windows.start[w])
            columns = counts[self._first[w] : self._first[w] + windows.length[w]]
            self._plain(reads, np.flatnonzero(over & reads.shape.plain), end, w, columns)
            self._columns(reads, np.flatnonzero(over & ~reads.shape.plain), end, w, columns)
        return sifted, counts

    def take(self, chunk: tuple[Sifted, NDArray[np.int64]]) -> None:
        """Add a prepared chunk, in file order."""
        self.reads.follow(chunk[0])
        self.counts += chunk[1]

    def _plain(
        self, reads: Usable, who: NDArray[np.int64], end: NDArray[np.int64], w: int, columns: NDArray[np.int64]
    ) -> None:
        """Reads of one match: all columns from one load of bases and one of qualities. Most span the window and show
        the reference, well read: these are counted as one. Columns beyond a read's ends hold whatever lies beside."""
        windows, records, length = self.reads.windows, reads.records, len(columns)
        start, stop = reads.start[who], end[who]
        left = windows.start[w] - start
        bases = packed_bases(records, who, left, length)
        quality = rows(records.data, records.qual[who] + left, -(-length // 8) * 8)
        odd = (bases != windows.reference[w]) | (left < 0) | (stop < windows.end[w]) | self._some_bad(quality, length)
        strand = ((records.fixed["flag"][who] & REVERSE) != 0).astype(np.int64)
        plain = np.bincount(strand[~odd], minlength=2)
        some = np.flatnonzero(odd)
        bases, quality, strand = bases[some], quality[some], strand[some] * 16
        first, last = -left[some], (stop - windows.start[w])[some]
        for i in range(length):
            expected = column(windows.reference[w : w + 1], i, length)[0]
            columns[i, :, _SYMBOL[expected]] += plain
            good = (first <= i) & (i < last) & (quality[:, i] >= self._min_quality)
            _put(columns[i], np.bincount((strand + column(bases, i, length))[good], minlength=32), expected)

    def _some_bad(self, quality: NDArray[np.uint8], length: int) -> NDArray[np.bool_]:
        """Whether any of the first `length` qualities of each row may be too low, eight a word: with the high bit set,
        a byte keeps it through the subtraction of the least quality unless it is lower."""
        words, bad = quality.view("<u8"), np.zeros(len(quality), dtype=np.uint64)
        for k in range(words.shape[1]):
            keep = _HIGH_BITS >> np.uint64(64 - 8 * min(8, length - 8 * k))
            bad |= ~((words[:, k] | _HIGH_BITS) - _EACH_BYTE * np.uint64(self._min_quality)) & keep
        some: NDArray[np.bool_] = bad != 0
        return some

    def _columns(
        self, reads: Usable, who: NDArray[np.int64], end: NDArray[np.int64], w: int, columns: NDArray[np.int64]
    ) -> None:
        """Reads with other CIGARs, column by column."""
        if len(who) == 0:
            return
        windows, records = self.reads.windows, reads.records
        target = np.arange(windows.start[w], windows.end[w])[:, None] + np.zeros(len(who), dtype=np.int64)
        at = query_positions(records, who, target, reads.start[who])
        covered = (target >= reads.start[who]) & (target < end[who])
        strand = ((records.fixed["flag"][who] & REVERSE) != 0).astype(np.int64)
        for i in range(len(target)):
            shown = np.flatnonzero(covered[i] & (at[i] >= 0))
            place, query = who[shown], at[i][shown]
            good = records.data[records.qual[place] + query] >= self._min_quality
            byte = records.data[records.seq[place] + (query >> 1)]
            code = np.where(query & 1, byte & 15, byte >> 4).astype(np.int64)
            expected = column(windows.reference[w : w + 1], i, len(target))[0]
            _put(columns[i], np.bincount((strand[shown] * 16 + code)[good], minlength=32), expected)
            gone = covered[i] & (at[i] < 0)
            columns[i, :, _DELETED] += np.bincount(strand[gone], minlength=2)


def _put(column: NDArray[np.int64], tally: NDArray[np.int64], expected: int) -> None:
    """Add counts [32], by strand and BAM code, to a column [2, symbols] whose reference base is `expected`."""
    for code in range(16):  # 0 is '=': as the reference
        column[:, _SYMBOL[code or expected]] += tally[code::16]
