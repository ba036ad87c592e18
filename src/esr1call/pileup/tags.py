"""Optional fields of alignment records, found by walking all records' tags in lock-step (SAM spec, 4.2.4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError
from esr1call.pileup.records import Records, rows, unaligned

# Bytes of a value by its type character; 0: not a fixed-size type.
_VALUE_BYTES = np.zeros(256, dtype=np.int64)
for _types, _width in ((b"AcC", 1), (b"sS", 2), (b"iIf", 4)):
    for _character in _types:
        _VALUE_BYTES[_character] = _width
_STRING = np.zeros(256, dtype=bool)
_STRING[list(b"ZH")] = True
_LOW = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)


def _code(tag: str) -> int:
    return ord(tag[0]) | ord(tag[1]) << 8


def find_tags(records: Records, wanted: tuple[str, ...], file: str) -> dict[str, NDArray[np.int64]]:
    """Byte offset of each wanted tag's value (after its type character) per record, -1 where it is absent.

    Only string tags (type Z) count; of a tag that stands twice the first counts. Raises InputError for tags that
    overrun their record or have an unknown type.
    """
    data = records.data
    codes, words = unaligned(data, "<u2"), unaligned(data, "<u8")
    found = {tag: np.full(len(records), -1, dtype=np.int64) for tag in wanted}
    at, end = records.tags.copy(), records.end
    alive = np.flatnonzero(at < end)
    missing = np.full(len(records), len(wanted), dtype=np.int8)
    while len(alive):
        here = at[alive]
        value = here + 3
        if (value >= end[alive]).any():
            raise _corrupt(file)
        code, kind = codes[here], data[here + 2]
        for tag in wanted:
            hit = np.flatnonzero((code == _code(tag)) & (kind == ord("Z")))
            if len(hit):
                who = alive[hit]
                new = found[tag][who] < 0
                found[tag][who[new]] = value[hit[new]]
                missing[who[new]] -= 1
        size = _VALUE_BYTES[kind]
        odd = np.flatnonzero(size == 0)
        if len(odd):
            string = _STRING[kind[odd]]
            size[odd[string]] = _string_bytes(words, value[odd[string]], end[alive[odd[string]]], file)
            size[odd[~string]] = _array_bytes(
                data, kind[odd[~string]], value[odd[~string]], end[alive[odd[~string]]], file
            )
        following = value + size
        if (following > end[alive]).any():
            raise _corrupt(file)
        at[alive] = following
        # A record whose wanted tags are all found needs no further walk.
        alive = alive[(following < end[alive]) & (missing[alive] > 0)]
    return found


def _string_bytes(
    words: NDArray[np.uint64], start: NDArray[np.int64], end: NDArray[np.int64], file: str
) -> NDArray[np.int64]:
    """Bytes of NUL-terminated strings, the NUL included: eight bytes at a time until one holds a zero byte."""
    length = np.zeros(len(start), dtype=np.int64)
    alive = np.arange(len(start))
    while len(alive):
        at = start[alive] + length[alive]
        if (at >= end[alive]).any():
            raise _corrupt(file)
        word = words[at]
        zero = (word - _LOW) & ~word & _HIGH
        hit = zero != 0
        # The lowest set bit marks the first zero byte; its position is log2 / 8.
        lowest = zero[hit] & (~zero[hit] + np.uint64(1))
        length[alive[hit]] += (np.log2(lowest.astype(np.float64)).astype(np.int64) >> 3) + 1
        alive = alive[~hit]
        length[alive] += 8
    return length


def string_lengths(
    data: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64], file: str
) -> NDArray[np.int64]:
    """Lengths, without the NUL, of the strings that begin at `start` in records that end at `end`."""
    return _string_bytes(unaligned(data, "<u8"), start, end, file) - 1


def _array_bytes(
    data: NDArray[np.uint8], kind: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64], file: str
) -> NDArray[np.int64]:
    """Bytes of B arrays: element type, int32 count, elements."""
    if (kind != ord("B")).any() or (start + 5 > end).any():
        raise _corrupt(file)
    width = _VALUE_BYTES[data[start]]
    count = unaligned(data, "<i4")[start + 1].astype(np.int64)
    if (width == 0).any() or (count < 0).any():
        raise _corrupt(file)
    return 5 + width * count


def _corrupt(file: str) -> InputError:
    return InputError("corrupt optional fields of an alignment record", file=file, hint="copy or write the file again")


# Base codes in a packed UMI: 3 bits each, from the low bits of the ASCII letters (A 1, C 3, G 7, T 4, N 6, - 5).
_UMI_CODE = np.full(256, 255, dtype=np.uint8)
for _character in b"ACGTNacgtn-+":
    _UMI_CODE[_character] = 5 if _character in b"-+" else _character & 7
UMI_N = 6
_DASH = 5
MAX_UMI_BASES = 21
UMI_LETTERS = {1: "A", 3: "C", 7: "G", 4: "T", 6: "N"}


def unpack_umi(packed: int) -> str:
    """The letters of a packed UMI, '' for 0."""
    letters = []
    while packed:
        letters.append(UMI_LETTERS[packed & 7])
        packed >>= 3
    return "".join(letters)


def pack_umis(
    data: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64], file: str
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Both halves of ``AAA-CCC`` UMI strings as integers, 3 bits a base, first base lowest; 0 for an absent half.

    `start` are the offsets of the strings, `end` those of their records' ends. Raises InputError for a letter that is
    no base, more than one dash, or a half longer than `MAX_UMI_BASES`.
    """
    n = len(start)
    halves = np.zeros((2, n), dtype=np.uint64)
    if n == 0:
        return halves[0], halves[1]
    length = string_lengths(data, start, end, file)
    for size in np.unique(length):
        who = np.flatnonzero(length == size)
        if size == 0:
            continue
        if size > 2 * MAX_UMI_BASES + 1:
            raise _bad_umi(data, start[who[0]], int(size), file)
        letters = _UMI_CODE[rows(data, start[who], int(size))]
        dash = letters == _DASH
        dashes = dash.sum(axis=1)
        if (letters == 255).any() or (dashes > 1).any():
            bad = who[int(np.flatnonzero((letters == 255).any(axis=1) | (dashes > 1))[0])]
            raise _bad_umi(data, start[bad], int(size), file)
        first = np.where(dashes == 1, dash.argmax(axis=1), size)
        for split in np.unique(first):
            part = first == split
            if max(split, size - split - 1) > MAX_UMI_BASES:
                raise _bad_umi(data, start[who[np.flatnonzero(part)[0]]], int(size), file)
            some = letters if part.all() else letters[part]
            halves[0, who[part]] = _pack(some[:, :split])
            halves[1, who[part]] = _pack(some[:, split + 1 :])
    return halves[0], halves[1]


def _pack(letters: NDArray[np.uint8]) -> NDArray[np.uint64]:
    packed = np.zeros(len(letters), dtype=np.uint64)
    for i in range(letters.shape[1]):
        packed |= letters[:, i].astype(np.uint64) << np.uint64(3 * i)
    return packed


def umi_has_n(packed: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether any base of each packed UMI is N (code 6 = 110: the two upper bits set, the lowest not)."""
    ones = np.uint64(0x1249249249249249)
    low, middle, high = packed & ones, (packed >> np.uint64(1)) & ones, (packed >> np.uint64(2)) & ones
    result: NDArray[np.bool_] = (high & middle & ~low) != 0
    return result


def _bad_umi(data: NDArray[np.uint8], start: np.int64, size: int, file: str) -> InputError:
    shown = data[start : start + min(size, 60)].tobytes().decode("latin-1")
    return InputError(
        "bad UMI", file=file, field="RX", found=shown,
        expected=f"A, C, G, T, N with at most one '-', at most {MAX_UMI_BASES} bases a half",
    )  # fmt: skip
