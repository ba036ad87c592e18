"""FASTQ text in a buffer: where its lines and records are, which are sound, and how some are taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LINES = 4
PADDING = 32
"""Bytes after the text that belong to the buffer, so that words may be read beyond the text's end."""
_NEWLINE = 10


@dataclass(frozen=True, eq=False)
class Records:
    """Whole FASTQ records: `buffer` uint8 (text, then zeros to a multiple of 8), `ends` int64 [4 x records], where
    each line's newline is."""

    buffer: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends) // LINES


def whole_records(text: bytes, unit: int = 1) -> Records:
    """The whole records at the start of `text`, a multiple of `unit` of them."""
    size = len(text)
    buffer = np.empty((size + PADDING + 7) // 8 * 8, dtype=np.uint8)
    buffer[:size] = np.frombuffer(text, dtype=np.uint8)
    buffer[size:] = 0
    ends = np.flatnonzero(buffer[:size] == _NEWLINE)
    ends = ends[: len(ends) // (LINES * unit) * LINES * unit]
    used = int(ends[-1]) + 1 if len(ends) else 0
    stop = (used + PADDING + 7) // 8 * 8
    buffer[used:stop] = 0
    return Records(buffer[:stop], ends)


def unsound(records: Records) -> NDArray[np.int64]:
    """Indices of records whose first line does not start with '@', whose third does not with '+', or whose bases and
    qualities differ in length."""
    ends = records.ends
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1] + 1])
    length = ends - starts
    first, third = records.buffer[starts[0::LINES]], records.buffer[starts[2::LINES]]
    bad = (first != ord("@")) | (third != ord("+")) | (length[1::LINES] != length[3::LINES])
    return np.flatnonzero(bad)


def text_of(records: Records, which: NDArray[np.int64]) -> bytes:
    """The text of the records `which` (ascending indices)."""
    if not len(which):
        return b""
    breaks = np.flatnonzero(np.diff(which) != 1) + 1
    first, last = which[np.concatenate([[0], breaks])], which[np.concatenate([breaks - 1, [len(which) - 1]])]
    start = np.where(first > 0, records.ends[LINES * first - 1] + 1, 0)
    stop = records.ends[LINES * last + LINES - 1] + 1
    view = records.buffer.data
    return b"".join([view[a:b] for a, b in zip(start.tolist(), stop.tolist(), strict=True)])
