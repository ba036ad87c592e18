"""The header of a BAM file: its reference sequences, sort order, and where the first record lies (SAM spec, 4.2)."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from esr1call.contigs import Slice, build_of, place
from esr1call.errors import InputError
from esr1call.io.bgzf import BgzfFile
from esr1call.io.files import require_file

_MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class BamHeader:
    """What the header says: reference sequences, sort order, and the virtual offset of the first record."""

    references: tuple[Slice, ...]
    sort_order: str
    build: str | None
    first_record: int


def read_header(path: str | Path) -> BamHeader:
    """Header of a BAM; InputError where the file is none, is damaged, or names a reference sequence twice."""
    _check_kind(require_file(path))
    with BgzfFile(path) as bgzf:
        if not bgzf.has_eof_block():
            raise InputError("truncated: the end-of-file block is missing", file=path, hint="copy or write it again")
        reader = _HeaderReader(bgzf)
        if reader.take(4) != b"BAM\1":
            raise InputError("not a BAM file", file=path, hint="run esr1call align on it first")
        text = reader.take(reader.number()).rstrip(b"\0").decode("utf-8", "replace")
        names = []
        for _ in range(reader.number()):
            name = reader.take(reader.number()).rstrip(b"\0").decode("utf-8", "replace")
            names.append((name, reader.number()))
        first = reader.virtual_offset()
    repeated = [name for name, times in Counter(n for n, _ in names).items() if times > 1]
    if repeated:
        raise InputError("the header names a reference sequence twice", file=path, field="SN", found=repeated[0])
    return BamHeader(tuple(place(n, k) for n, k in names), _sort_order(text), build_of(names), first)


def _check_kind(path: Path) -> None:
    if not path.is_file():
        raise InputError("is a pipe or device, expected a file", file=path)
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"CRAM":
        raise InputError(
            "is a CRAM, not a BAM", file=path,
            hint="make a BAM of it with esr1call align --bam (which needs the reference the CRAM was made with)",
        )  # fmt: skip
    if start != b"\x1f\x8b\x08\x04":
        raise InputError("not a BAM file", file=path, hint="run esr1call align on it first")


def _sort_order(text: str) -> str:
    for line in text.split("\n"):
        if line.startswith("@HD\t"):
            return next((f[3:] for f in line.split("\t") if f.startswith("SO:")), "unknown")
    return "unknown"


class _HeaderReader:
    """Reads from the file's start, block by block, as far as the header goes."""

    def __init__(self, bgzf: BgzfFile) -> None:
        self._bgzf = bgzf
        self._block = self._next = self._at = 0
        self._plain = b""

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if not 0 <= size <= _MOST_BYTES:
            raise InputError("corrupt BAM header", file=self._bgzf.path, found=size, hint="copy or write it again")
        parts = []
        while size > 0:
            if self._at == len(self._plain):
                self._read_block()
            part = self._plain[self._at : self._at + size]
            parts.append(part)
            self._at += len(part)
            size -= len(part)
        return b"".join(parts)

    def number(self) -> int:
        """The next 32-bit number."""
        value: int = struct.unpack("<i", self.take(4))[0]
        return value

    def virtual_offset(self) -> int:
        """Where the next byte lies; at the end of a block, that is the next block."""
        return self._next << 16 if self._at == len(self._plain) else self._block << 16 | self._at

    def _read_block(self) -> None:
        self._block = self._next
        found = self._bgzf.block(self._block)
        if found is None:
            raise InputError("truncated: the header is incomplete", file=self._bgzf.path, hint="copy or write it again")
        self._plain, self._next = found
        self._at = 0
