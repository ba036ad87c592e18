"""BGZF files: find blocks, inflate them with their checksums, a chunk of blocks at a time (SAM specification, 4.1)."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import deflate
import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError

EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
PADDING = 64
"""Zero bytes after a chunk's data, so that wide unaligned loads near its end stay inside the buffer."""
_MAGIC = b"\x1f\x8b\x08\x04"
_USUAL_EXTRA = b"\x06\x00BC\x02\x00"
_READ_BYTES, _PROBE_BYTES = 6 << 20, 1 << 14
_CHUNK_BLOCKS = 256  # 16 MiB inflated: fewer make more calls of numpy, more leave the processor's cache


@dataclass(frozen=True, eq=False)
class Chunk:
    """Inflated bytes of consecutive blocks.

    `data` uint8 [size + PADDING]; `starts` int64, where each block begins in `data` (0 first, unless a carried
    record precedes); `size` bytes of data.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    size: int


class BgzfFile:
    """Random access to a BGZF file by compressed block offset."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise InputError(f"cannot read: {error.strerror}", file=path) from error
        self.size = self.path.stat().st_size
        self.bytes_read = 0
        self._own = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def has_eof_block(self) -> bool:
        """Whether the file ends with the empty block that marks a complete file."""
        if self.size < len(EOF_BLOCK):
            return False
        self._file.seek(self.size - len(EOF_BLOCK))
        return self._file.read(len(EOF_BLOCK)) == EOF_BLOCK

    def blocks(self, start: int = 0, end: int | None = None) -> Iterator[list[tuple[int, memoryview, int]]]:
        """Lists of (compressed offset, block bytes, inflated size) for blocks that begin in [start, end)."""
        limit = self.size if end is None else min(end, self.size)
        at, ahead = start, _READ_BYTES
        while at < limit:
            self._file.seek(at)
            # A block begun in the range may end beyond it, by at most 64 KiB.
            raw = self._file.read(min(ahead, limit - at + (1 << 16)))
            found, used = self._split(raw, at, limit)
            self.bytes_read += used
            if not found:
                return
            yield found
            at += used
            # What is read and not used is read again: about as much as the last blocks took is enough.
            ahead = min(used + used // 16 + (1 << 16), _READ_BYTES)

    def _split(self, raw: bytes, at: int, limit: int) -> tuple[list[tuple[int, memoryview, int]], int]:
        view, found, used = memoryview(raw), list[tuple[int, memoryview, int]](), 0
        complete_file = at + len(raw) >= self.size
        while used < len(raw) and at + used < limit and len(found) < _CHUNK_BLOCKS:
            length = _block_length(raw, used)
            if length is None or used + length > len(raw):
                if length is None and len(raw) - used >= 18:
                    raise self._corrupt(at + used, "not a BGZF block")
                if complete_file:
                    raise InputError(
                        f"truncated: the file ends inside the block at byte {at + used}",
                        file=self.path, hint="copy or write it again",
                    )  # fmt: skip
                break
            (inflated,) = struct.unpack_from("<I", raw, used + length - 4)
            if inflated > 1 << 16:
                raise self._corrupt(at + used, "block claims more than 64 KiB")
            found.append((at + used, view[used : used + length], inflated))
            used += length
        return found, used

    def next_block(self, at: int, end: int) -> int | None:
        """Offset of the first block that begins in [at, end), None where there is none."""
        while at < end:
            self._file.seek(at)
            raw = self._file.read(min(_PROBE_BYTES, end - at + 18))
            self.bytes_read += len(raw)
            place = raw.find(_MAGIC)
            while 0 <= place < end - at:
                if _block_length(raw, place) is not None:
                    return at + place
                place = raw.find(_MAGIC, place + 1)
            at += max(len(raw) - 18, 1)
        return None

    def block(self, at: int) -> tuple[bytes, int] | None:
        """Inflated bytes of the block that begins at `at`, and where the next begins; None at the end of the file."""
        found = next(self.blocks(at, at + 1), None)
        if found is None:
            return None
        ((_, packed, inflated),) = found
        data = np.zeros(inflated, dtype=np.uint8)
        self._inflate([(at, packed, inflated, inflated)], data)
        return data.tobytes(), at + len(packed)

    def inflate(self, found: list[tuple[int, memoryview, int]]) -> Chunk:
        """Inflate blocks as `blocks` lists them, checksums checked; may run in a thread of its own.

        The chunk's bytes are good until the thread's next call: one buffer serves all, as fresh memory costs a third
        as much as inflating into it.
        Raises InputError naming the block's offset for a corrupt block or a wrong checksum.
        """
        sizes = np.array([b[2] for b in found], dtype=np.int64)
        ends = np.cumsum(sizes)
        size = int(ends[-1]) + PADDING
        buffer: NDArray[np.uint8] | None = getattr(self._own, "buffer", None)
        if buffer is None or len(buffer) < size:
            buffer = self._own.buffer = np.empty(max(size, _CHUNK_BLOCKS << 16), dtype=np.uint8)
        data = buffer[:size]
        data[-PADDING:] = 0
        self._inflate([(b[0], b[1], b[2], e) for b, e in zip(found, ends.tolist(), strict=True)], data)
        return Chunk(data, ends - sizes, int(ends[-1]))

    def _inflate(self, jobs: list[tuple[int, memoryview, int, int]], data: NDArray[np.uint8]) -> None:
        into = data.data
        for offset, block, inflated, end in jobs:
            try:
                # Into no room at all nothing is inflated, and so nothing is found wrong.
                plain = deflate.deflate_decompress(block[12 + (block[10] | block[11] << 8) : -8], max(inflated, 1))
            except (deflate.DeflateError, ValueError) as error:
                raise self._corrupt(offset, "corrupt data or wrong checksum") from error
            # The block's own last bytes, not what follows its data: a length that takes in the next block shows.
            if len(plain) != inflated or deflate.crc32(plain) != int.from_bytes(block[-8:-4], "little"):
                raise self._corrupt(offset, "corrupt data or wrong checksum")
            into[end - inflated : end] = plain

    def _corrupt(self, offset: int, problem: str) -> InputError:
        return InputError(f"{problem} at byte {offset}", file=self.path, hint="copy or write the file again")


def _block_length(raw: bytes, at: int) -> int | None:
    """Length of the block that begins at `at`, or None where no complete BGZF header stands there."""
    if len(raw) - at < 18 or raw[at : at + 4] != _MAGIC:
        return None
    if raw[at + 10 : at + 16] == _USUAL_EXTRA:
        return (raw[at + 16] | raw[at + 17] << 8) + 1 if raw[at + 17] or raw[at + 16] >= 25 else None
    (extra,) = struct.unpack_from("<H", raw, at + 10)
    field, stop = at + 12, at + 12 + extra
    while field + 6 <= min(stop, len(raw)):
        size = struct.unpack_from("<H", raw, field + 2)[0]
        if raw[field : field + 2] == b"BC" and size == 2:
            length: int = struct.unpack_from("<H", raw, field + 4)[0] + 1
            return length if length >= extra + 20 else None
        field += 4 + size
    return None
