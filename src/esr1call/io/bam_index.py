"""BAI and CSI indices: which stretches of a BAM can hold reads over given regions (SAM specification, 5; CSI 1)."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError

_LINEAR_SHIFT = 14


@dataclass(frozen=True, eq=False)
class _Bins:
    """Bins of one reference: `bin` int64 [n] and `start`, `end` uint64 [n] virtual offsets, one row a chunk; `least`
    uint64 per bin (CSI) or per 16 kb (BAI): offset before which no read overlaps it."""

    bin: NDArray[np.int64]
    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    linear: NDArray[np.uint64]
    least: dict[int, int]


class BamIndex:
    """A parsed index; `chunks` answers region queries."""

    def __init__(self, path: str | Path) -> None:
        """Read a .bai or .csi file; InputError where it is neither or is cut short."""
        self.path = path
        try:
            raw = Path(path).read_bytes()
            if raw[:2] == b"\x1f\x8b":
                raw = gzip.decompress(raw)
            self._parse(raw)
        except OSError as error:
            raise InputError(f"cannot read: {error.strerror or error}", file=path) from error
        except (struct.error, ValueError, EOFError, zlib.error) as error:
            raise InputError("corrupt BAM index", file=path, hint="index the BAM again") from error

    def _parse(self, raw: bytes) -> None:
        if raw[:4] == b"BAI\1":
            self._shift, self._depth, at, csi = _LINEAR_SHIFT, 5, 4, False
        elif raw[:4] == b"CSI\1":
            self._shift, self._depth, extra = struct.unpack_from("<iii", raw, 4)
            at, csi = 16 + extra, True
            if not (0 < self._shift < 40 and 0 <= self._depth < 12 and extra >= 0):
                raise ValueError("insane CSI header")
        else:
            raise ValueError("not an index")
        (count,) = struct.unpack_from("<i", raw, at)
        at += 4
        self._references = []
        for _ in range(count):
            bins, at = self._parse_reference(raw, at, csi)
            self._references.append(bins)
        if count < 0 or len(raw) - at not in (0, 8):  # the number of unplaced reads may follow
            raise ValueError("wrong size")

    def _parse_reference(self, raw: bytes, at: int, csi: bool) -> tuple[_Bins, int]:
        numbers, parts, least = list[int](), list[NDArray[np.uint64]](), dict[int, int]()
        (bins,) = struct.unpack_from("<I", raw, at)
        at += 4
        for _ in range(bins):
            number = struct.unpack_from("<I", raw, at)[0]
            at += 4
            if csi:
                least[number] = struct.unpack_from("<Q", raw, at)[0]
                at += 8
            (chunks,) = struct.unpack_from("<i", raw, at)
            if chunks < 0:
                raise ValueError("negative chunk count")
            parts.append(np.frombuffer(raw, dtype="<u8", count=2 * chunks, offset=at + 4).reshape(-1, 2))
            numbers += [number] * chunks
            at += 4 + 16 * chunks
        linear = np.zeros(0, dtype=np.uint64)
        if not csi:
            (tiles,) = struct.unpack_from("<I", raw, at)
            linear = np.frombuffer(raw, dtype="<u8", count=tiles, offset=at + 4)
            at += 4 + 8 * tiles
        chunks_of = np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.uint64)
        return _Bins(np.array(numbers, dtype=np.int64), chunks_of[:, 0], chunks_of[:, 1], linear, least), at

    @property
    def references(self) -> int:
        """Number of reference sequences."""
        return len(self._references)

    @property
    def end(self) -> int:
        """Virtual offset after the last placed read, 0 where there is none."""
        return max((int(b.end[b.bin < self._bins].max(initial=0)) for b in self._references), default=0)

    @property
    def mapped(self) -> int | None:
        """Mapped reads in the file, None where the index does not tell."""
        total = 0
        for bins in self._references:
            # The bin after the next: its second chunk holds the numbers of mapped and unmapped reads.
            figures = np.flatnonzero(bins.bin == self._bins + 1)
            if len(figures) == 2:
                total += int(bins.start[figures[1]])
            elif len(bins.bin):
                return None
        return total

    @property
    def _bins(self) -> int:
        """How many bins there can be; those of higher numbers hold figures, not offsets."""
        return ((1 << 3 * (self._depth + 1)) - 1) // 7

    def chunks(self, reference: int, start: int, end: int) -> list[tuple[int, int]]:
        """Virtual offset ranges, sorted and merged, that hold every read of `reference` over [start, end)."""
        if reference >= len(self._references) or reference < 0:
            return []
        bins = self._references[reference]
        wanted = self._overlapping(start, end)
        floor = self._floor(bins, start)
        use = np.isin(bins.bin, wanted) & (bins.end > np.uint64(floor))
        found = sorted((max(int(s), floor), int(e)) for s, e in zip(bins.start[use], bins.end[use], strict=True))
        return merge_ranges(found)

    def _overlapping(self, start: int, end: int) -> NDArray[np.int64]:
        numbers, offset = [], 0
        for level in range(self._depth + 1):
            shift = self._shift + 3 * (self._depth - level)
            numbers.append(np.arange(offset + (start >> shift), offset + ((end - 1) >> shift) + 1))
            offset += 1 << (3 * level)
        return np.concatenate(numbers)

    def _floor(self, bins: _Bins, start: int) -> int:
        """Offset before which no read reaches `start`."""
        if len(bins.linear):
            return int(bins.linear[min(start >> _LINEAR_SHIFT, len(bins.linear) - 1)])
        number = ((1 << 3 * self._depth) - 1) // 7 + (start >> self._shift)
        while number not in bins.least and number > 0:
            number = (number - 1) >> 3
        return bins.least.get(number, 0)


def merge_ranges(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted ranges with those that touch or share a compressed block joined."""
    merged: list[tuple[int, int]] = []
    for start, end in found:
        if merged and start >> 16 <= merged[-1][1] >> 16:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged
