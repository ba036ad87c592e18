"""The content of a file in blocks of bytes, inflated where it is gzip; and a worker that reads ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from isal import isal_zlib

from esr1call.errors import InputError

_BLOCK = 1 << 17
T = TypeVar("T")


def file_bytes(path: Path) -> Iterator[bytes]:
    """The file's content in blocks; a gzip file (of any make) is inflated member by member.

    Raises InputError where it cannot be read, or is corrupt or truncated: that must never pass for a short file.
    """
    try:
        yield from _bytes(path)
    except isal_zlib.IsalError as error:  # type: ignore[misc]
        raise InputError("corrupt gzip file", file=path, hint="copy the file again") from error
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror or error}", file=path) from error


def _bytes(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        block = handle.read(_BLOCK)
        if block[:2] != b"\x1f\x8b":
            while block:
                yield block
                block = handle.read(_BLOCK)
            return
        member = isal_zlib.decompressobj(wbits=31)
        inside = True
        while block:
            if not inside:
                block = block.lstrip(b"\0")  # padding between or after members is legal
                if not block:
                    block = handle.read(_BLOCK)
                    continue
                member, inside = isal_zlib.decompressobj(wbits=31), True
            out = member.decompress(block)
            if out:
                yield out
            inside = not member.eof
            block = member.unused_data or handle.read(_BLOCK)
        if inside:
            raise InputError("truncated gzip file", file=path, hint="copy the file again")


class Ahead(Iterator[T]):
    """Runs an iterator in a thread, a few items ahead of whoever takes them; raises what it raised.

    `close` stops it, whatever is left.
    """

    def __init__(self, items: Iterator[T], depth: int = 3) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[T | None, Exception | None]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            for item in self._items:
                self._queue.put((item, None))
                if self._stopped.is_set():
                    return
        except Exception as raised:  # raised again by whoever takes the items
            error = raised
        self._queue.put((None, error))

    def __next__(self) -> T:
        item, error = self._queue.get()
        if item is not None:
            return item
        self._queue.put((None, None))  # whoever asks again is told the same
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()
