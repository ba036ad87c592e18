"""Alignment records in inflated BAM bytes: where each begins, and their fixed fields as arrays (SAM spec, 4.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError

_WORDS = 9
"""32-bit words of the fixed fields, of which `read_records` unpacks those that hold several."""
PAIRED, UNMAPPED, MATE_UNMAPPED, REVERSE, MATE_REVERSE = 0x1, 0x4, 0x8, 0x10, 0x20
_LEAST_RECORD = 32
MOST_WORDS = 8
"""Most words of eight bytes to gather in one move: a chunk has as many bytes to spare behind its data."""
_STEPS, _WALKS = 14, 24  # steps between looks at what is done; fewer walks are as fast one after another
READ_1, READ_2, SECONDARY, QC_FAIL, DUPLICATE, SUPPLEMENTARY = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800


@dataclass(frozen=True, eq=False)
class Records:
    """Fixed fields of n records.

    `data` the chunk's bytes; `offset` int64 [n] where each record begins in it (at its size field); `fixed` int32 [n]
    by name (ref, pos, name_length, mapq, cigar_ops, flag, length, mate_ref, mate_pos); `cigar`, `seq`, `qual`, `tags`,
    `end` int64 [n] byte offsets of the variable parts.
    """

    data: NDArray[np.uint8]
    offset: NDArray[np.int64]
    fixed: dict[str, NDArray[np.int32]]
    cigar: NDArray[np.int64]
    seq: NDArray[np.int64]
    qual: NDArray[np.int64]
    tags: NDArray[np.int64]
    end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)

    def field(self, name: str) -> NDArray[np.int64]:
        """One fixed field as int64 [n]."""
        return self.fixed[name].astype(np.int64)

    def take(self, keep: NDArray[np.int64] | NDArray[np.bool_]) -> Records:
        """The records at the given places."""
        return Records(
            self.data, self.offset[keep], {name: field[keep] for name, field in self.fixed.items()}, self.cigar[keep],
            self.seq[keep], self.qual[keep], self.tags[keep], self.end[keep],
        )  # fmt: skip


def unaligned(data: NDArray[np.uint8], dtype: str) -> NDArray[np.uint64]:
    """View of `data` in which element i is the value of `dtype` that begins at byte i."""
    width = np.dtype(dtype).itemsize
    return np.ndarray((max(len(data) - width + 1, 0),), dtype=dtype, buffer=data, strides=(1,))


def rows(data: NDArray[np.uint8], offsets: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Bytes [n, width] that begin at `offsets`; the caller sees to it that they lie inside `data`."""
    # One item of `width` bytes a row: gathered in one move each, where rows of single bytes take two loops.
    items: NDArray[np.void] = np.ndarray((len(data) - width + 1,), dtype=f"V{width}", buffer=data, strides=(1,))
    return items[offsets].view(np.uint8).reshape(len(offsets), width)


def record_offsets(
    data: NDArray[np.uint8], size: int, starts: NDArray[np.int64], file: str
) -> tuple[NDArray[np.int64], int]:
    """Where each whole record in data[:size] begins, and where the first incomplete one begins.

    `starts` are block starts, the first of which begins a record. htslib begins each block with a record, so all
    blocks are walked in lock-step; the chain proves itself, since each walk must end exactly where the next block
    begins. Where it does not (other writers split records over blocks) the records are walked one after another.
    Raises InputError for a record whose length makes no sense.
    """
    if size == 0:
        return np.zeros(0, dtype=np.int64), 0
    ends = np.append(starts[1:], size)
    at, limit = starts[ends > starts], ends[ends > starts]
    if len(at) < _WALKS:
        return _serial_offsets(data, size, int(starts[0]), file)
    # Sizes are taken for less than 65536, as those of short reads are, from single bytes: these come fastest. A walk
    # past the data reads its last byte again and again, and what it finds there is not looked at.
    found, low, high = list[NDArray[np.int64]](), data, data[1:]
    four, scale = np.full(len(at), 4), np.full(len(at), 256)
    while (at < limit).any():
        for _ in range(_STEPS):
            found.append(at)
            more = high.take(at, mode="clip") * scale
            more += low.take(at, mode="clip")
            more += four
            at = at + more
    # A walk that has reached its end went on into the next block; one that missed its end has lost the chain.
    walks = np.stack([*found, at], axis=1)
    inside = walks < limit[:, None]
    reached = np.take_along_axis(walks, inside.sum(axis=1)[:, None], axis=1)[:, 0]
    offsets = walks[inside]
    sizes = unaligned(data, "<u4")[offsets]
    if (reached != limit).any() or (sizes < _LEAST_RECORD).any() or (sizes >> 16).any():
        return _serial_offsets(data, size, int(starts[0]), file)
    return offsets, size


def _serial_offsets(data: NDArray[np.uint8], size: int, start: int, file: str) -> tuple[NDArray[np.int64], int]:
    view, found, at = data.data, list[int](), start
    unpack = struct.Struct("<i").unpack_from
    while at + 4 <= size:
        (length,) = unpack(view, at)
        if not _LEAST_RECORD <= length <= 1 << 28:
            raise InputError("corrupt alignment record", file=file, field="block_size", found=length, expected=">= 32")
        if at + 4 + length > size:
            break
        found.append(at)
        at += 4 + length
    return np.array(found, dtype=np.int64), at


def read_records(data: NDArray[np.uint8], offsets: NDArray[np.int64], references: int, file: str) -> Records:
    """Decode the fixed fields at `offsets`; InputError where a record's parts overrun its size or a field is insane."""
    words = np.ascontiguousarray(rows(data, offsets, 4 * _WORDS).view("<i4").T)
    size, ref, pos, packed, counts, length, mate_ref, mate_pos, _ = words
    name_length, cigar_ops = packed & 0xFF, counts & 0xFFFF
    cigar = offsets + 36
    cigar += name_length
    seq = cigar + 4 * cigar_ops
    qual = seq + ((length + 1) >> 1)
    tags = qual + length
    end = offsets + 4
    end += size
    low, high = words.min(axis=1, initial=0), words.max(axis=1, initial=0)
    sane = low[5] >= 0 and bool((tags <= end).all()) and name_length.min(initial=1) > 0
    sane &= bool((low[[1, 2, 6, 7]] >= -1).all() and (high[[1, 6]] < max(references, 1)).all())
    if not sane:
        raise InputError(
            "corrupt alignment record: its parts do not fit its size, or it names a reference that is not there",
            file=file, hint="copy or write the file again",
        )  # fmt: skip
    fixed = {
        "ref": ref, "pos": pos, "name_length": name_length, "mapq": packed >> 8 & 0xFF, "cigar_ops": cigar_ops,
        "flag": counts >> 16 & 0xFFFF, "length": length, "mate_ref": mate_ref, "mate_pos": mate_pos,
    }  # fmt: skip
    return Records(data, offsets, fixed, cigar, seq, qual, tags, end)
