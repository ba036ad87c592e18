"""One FASTQ stream as blocks of whole, sound records, and such records as columns of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError
from esr1call.screening.records import LINES, Records, text_of, unsound, whole_records
from esr1call.screening.search import Screen
from esr1call.screening.seeds import SeedTable

_BASES = b"ACGTN\n"
_QUALITIES = bytes(range(33, 127)) + b"\n"
_MAX_NAME = 254
"""Longest read name a BAM record holds."""
BLOCK = 1 << 19
"""Bytes of text taken at a time, at least: with its working arrays it stays in a core's cache."""


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive records of a stream, the first one the stream's number `first` (from 0).

    `seeded`: ascending numbers in the stream of those that hold a seed, or None where that was not asked.
    """

    first: int
    records: Records
    seeded: NDArray[np.int64] | None

    @property
    def end(self) -> int:
        """Number after the last record's."""
        return self.first + len(self.records)

    def text(self, which: NDArray[np.int64]) -> bytes:
        """Text of the records with these numbers in the stream."""
        return text_of(self.records, which - self.first)


@dataclass(frozen=True)
class Columns:
    """Records taken apart: names without '@' and comment, the comments, upper-case bases, qualities."""

    name: list[str]
    comment: list[str]
    bases: list[str]
    quality: list[str]


def blocks(content: Iterable[bytes], path: Path, unit: int, table: SeedTable | None) -> Iterator[Block]:
    """The records of a stream, a multiple of `unit` at a time, searched for seeds where a table is given.

    Raises InputError, naming file and read, where the stream is no FASTQ, ends within a record or has an unsound one.
    """
    screen, first = Screen(table) if table is not None else None, 0
    for text in _pieces(content, path):
        records = whole_records(text.data, unit)
        if text.last:
            _check_end(text.data.count(b"\n"), unit, first, path)
        text.used = int(records.ends[-1]) + 1 if len(records) else 0
        if not len(records):
            continue
        bad = unsound(records)
        if len(bad):
            columns(text_of(records, bad[:1]), path, bad[:1] + first)
            raise InputError(f"read {first + int(bad[0]) + 1}: malformed record", file=path)
        yield Block(first, records, screen.seeded(records) + first if screen is not None else None)
        first += len(records)


def _check_end(lines: int, unit: int, first: int, path: Path) -> None:
    """The last piece's lines must be whole records, and whole pairs where the stream holds both mates."""
    read = first + lines // LINES + 1
    if lines % LINES:
        raise InputError(
            f"read {read}: the file ends inside a record", file=path, expected="four lines for each read",
            hint="the file is truncated; copy it again",
        )  # fmt: skip
    if lines % (LINES * unit):
        raise InputError(
            "the last read has no mate", file=path, found=f"{read - 1} reads",
            expected="read 1 and read 2 of each pair in turn",
        )  # fmt: skip


@dataclass
class _Piece:
    """Text handed out; whoever takes it says how many of its bytes were `used`, and gets the rest again."""

    data: bytes
    last: bool
    used: int = 0


def _pieces(content: Iterable[bytes], path: Path) -> Iterator[_Piece]:
    """The stream's text in pieces of BLOCK bytes or more; the last one ends with its last record's line break."""
    held, size, started = [], 0, False
    for block in content:
        if not started and not block.startswith(b"@"):
            raise InputError("not a FASTQ file", file=path, found=block[:20], expected="'@' as its first character")
        started = True
        held.append(block)
        size += len(block)
        if size < BLOCK:
            continue
        joined = b"".join(held)
        # Line breaks at the end may be the file's last, which are not lines.
        piece = _Piece(joined.rstrip(b"\r\n"), last=False)
        yield piece
        held = [joined[piece.used :]]
        size = len(held[0])
    lines = b"".join(held).replace(b"\r", b"").split(b"\n")
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) % LINES == LINES - 1 and not lines[-2]:
        lines.append(b"")  # a last read without bases: its empty quality line looks like the file's end
    if lines:
        yield _Piece(b"".join([line + b"\n" for line in lines]), last=True)


def columns(text: bytes, path: Path, numbers: NDArray[np.int64]) -> Columns:
    """Take records apart; InputError names the first bad one. `numbers` are theirs in the stream (from 0)."""
    try:
        decoded = text.decode("ascii")
    except UnicodeDecodeError as error:
        raise InputError("not a FASTQ file: it holds bytes that are not text", file=path) from error
    lines = (decoded.replace("\r", "") if "\r" in decoded else decoded).split("\n")[:-1]
    headers, bases, plus, quality = lines[0::LINES], lines[1::LINES], lines[2::LINES], lines[3::LINES]
    if {h[:1] for h in headers} - {"@"}:
        _blame(path, numbers, headers, lambda h: h[:1] == "@", "a name line that starts with '@'")
    if {p[:1] for p in plus} - {"+"}:
        _blame(path, numbers, plus, lambda p: p[:1] == "+", "a third line that starts with '+'")
    if list(map(len, bases)) != list(map(len, quality)):
        i = next(i for i in range(len(bases)) if len(bases[i]) != len(quality[i]))
        raise InputError(
            f"read {numbers[i] + 1}: bases and qualities differ in length", file=path,
            found=f"{len(quality[i])} qualities", expected=f"{len(bases[i])}",
        )  # fmt: skip
    if "\n".join(bases).encode().translate(None, _BASES):
        bases = [b.upper().replace(".", "N") for b in bases]
        _blame(path, numbers, bases, lambda b: not b.strip("ACGTN"), "bases A, C, G, T and N")
    if "\n".join(quality).encode().translate(None, _QUALITIES):
        _blame(path, numbers, quality, lambda q: all("!" <= c <= "~" for c in q), "qualities from '!' to '~'")
    parts = [h[1:].split(None, 1) if h[1:2].strip() else [""] for h in headers]
    names = [p[0] for p in parts]
    if not all(names) or max(map(len, names), default=1) > _MAX_NAME:
        _blame(path, numbers, names, lambda n: 0 < len(n) <= _MAX_NAME, f"a name of 1 to {_MAX_NAME} characters")
    return Columns(names, [p[1] if len(p) > 1 else "" for p in parts], bases, quality)


def _blame(path: Path, numbers: NDArray[np.int64], values: list[str], good: object, expected: str) -> None:
    """Raise for the first value that is not good (none: the bulk test was only a quick look)."""
    assert callable(good)
    for number, value in zip(numbers.tolist(), values, strict=True):
        if not good(value):
            raise InputError(f"read {number + 1}: malformed record", file=path, found=value, expected=expected)
