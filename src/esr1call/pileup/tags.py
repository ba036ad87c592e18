"""Optional fields of alignment records, found by walking all records' tags in lock-step (SAM spec, 4.2.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError
from esr1call.pileup.records import MOST_WORDS, Records, rows, unaligned

# Bytes of a value by its type character; 0: not a fixed-size type.
_VALUE_BYTES = np.zeros(256, dtype=np.int64)
for _types, _width in ((b"AcC", 1), (b"sS", 2), (b"iIf", 4), (b"d", 8)):  # htslib knows d too
    for _character in _types:
        _VALUE_BYTES[_character] = _width
_STRING = np.zeros(256, dtype=bool)
_STRING[list(b"ZH")] = True
_TEXT = np.arange(256) == ord("Z")
_INTEGERS = {"c": "i1", "C": "u1", "s": "<i2", "S": "<u2", "i": "<i4", "I": "<u4"}
_INTEGER = np.isin(np.arange(256), [ord(kind) for kind in _INTEGERS])
_BYTE_LOW, _BYTE_HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_ALL_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_LAYOUTS, _LAYOUT_READS = 12, 256


def _code(tag: str) -> int:
    return ord(tag[0]) | ord(tag[1]) << 8


@dataclass(frozen=True, eq=False)
class Strings:
    """Where string values lie: `start` int64 [n] offset of the first letter (-1: absent), `length` int64 [n]."""

    start: NDArray[np.int64]
    length: NDArray[np.int64]

    def take(self, keep: NDArray[np.int64]) -> Strings:
        """The values at the given places."""
        return Strings(self.start[keep], self.length[keep])


def find_tags(records: Records, wanted: tuple[str, ...], file: str) -> dict[str, Strings]:
    """The value of each wanted string tag (type Z) per record; of a tag that stands twice the first counts.

    Reads of one run have their tags laid out alike, so a layout is learnt from one record and then tried on all others
    at once; what fits none of the first few layouts is walked tag by tag. Raises InputError for tags that overrun their
    record or have an unknown type.
    """
    n = len(records)
    found = {tag: Strings(np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)) for tag in wanted}
    left = np.arange(n)
    for turn in range(_LAYOUTS):
        if len(left) < _LAYOUT_READS:
            break
        layout = _learn(records, int(left[0]), wanted, file)
        hit = layout.fits(records, left)
        others = left[~hit]
        for tag, (start, length) in layout.values.items():
            if turn == 0:  # nearly all have it: the others are put right
                np.add(records.tags, start, out=found[tag].start)
                found[tag].length.fill(length)
                found[tag].start[others], found[tag].length[others] = -1, 0
            else:
                who = left[hit]
                found[tag].start[who], found[tag].length[who] = records.tags[who] + start, length
        left = others
    if len(left):
        _walk(records, left, wanted, _TEXT, found, file)
    return found


def find_integers(records: Records, wanted: tuple[str, ...], file: str) -> dict[str, NDArray[np.int64]]:
    """The value [n] of each wanted integer tag (of any size) per record, -1 where it is absent; of a tag that stands
    twice the first counts. Raises InputError as `find_tags` does."""
    n = len(records)
    found = {tag: Strings(np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)) for tag in wanted}
    _walk(records, np.arange(n), wanted, _INTEGER, found, file)
    values = {}
    for tag, at in found.items():
        values[tag] = np.full(n, -1, dtype=np.int64)
        for kind, dtype in _INTEGERS.items():
            who = np.flatnonzero((at.start >= 0) & (records.data[at.start - 1] == ord(kind)))
            values[tag][who] = unaligned(records.data, dtype)[at.start[who]]
    return values


@dataclass(frozen=True, eq=False)
class _Layout:
    """Tags as they lie in one record, up to the last wanted one, in uint64 words: `fixed` what stands where `mask` is
    set, and 0 elsewhere; `text` 0x7F for each letter of a string, 0 elsewhere; `carry` 0x7F there and 0x80 elsewhere.
    `whole`: the tags end there, for a record that lacks a wanted tag."""

    size: int
    whole: bool
    fixed: NDArray[np.uint64]
    mask: NDArray[np.uint64]
    text: NDArray[np.uint64]
    carry: NDArray[np.uint64]
    values: dict[str, tuple[int, int]]

    def fits(self, records: Records, who: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the records have their tags laid out like this."""
        at = records.tags[who]
        room = records.end[who] - at
        fit: NDArray[np.bool_] = room == self.size if self.whole else room >= self.size
        wrong, text = np.zeros(len(who), dtype=np.uint64), np.full(len(who), _BYTE_HIGH)
        # Records that end before a word cannot fit; they only must not be read past the data.
        width = min(len(self.fixed), MOST_WORDS)
        last = len(records.data) - 8 * width
        for k in range(len(self.fixed)):
            part = k % width
            if part == 0:  # several words come in one move
                block = rows(records.data, np.minimum(at + 8 * k, last), 8 * width).view("<u8")
            word = block[:, part] ^ self.fixed[k]
            if self.text[k]:
                # No NUL may stand inside a string: the high bit of a letter comes of adding 0x7F, but for 0 (and 0x80,
                # which is no letter and is left to the walk).
                letters = word & self.text[k]
                letters += self.carry[k]
                text &= letters
            if self.mask[k]:
                word &= self.mask[k]
                wrong |= word
        fit &= wrong == 0
        fit &= text == _BYTE_HIGH
        return fit


def _learn(records: Records, i: int, wanted: tuple[str, ...], file: str) -> _Layout:
    """The layout of record i."""
    begin, end = int(records.tags[i]), int(records.end[i])
    raw = records.data[begin:end].tobytes()
    size = len(raw)
    mask, text = bytearray(size), bytearray(size)
    values: dict[str, tuple[int, int]] = {}
    at = 0
    while at < size and len(values) < len(wanted):
        if at + 3 >= size:
            raise _corrupt(file)
        tag, kind, value = raw[at : at + 2].decode("latin-1"), raw[at + 2], at + 3
        width = int(_VALUE_BYTES[kind])
        mask[at:value] = b"\xff\xff\xff"
        if _STRING[kind]:
            stop = raw.find(b"\0", value)
            if stop < 0:
                raise _corrupt(file)
            width = stop - value + 1
            mask[stop] = 255
            text[value:stop] = b"\x7f" * (stop - value)
            if kind == ord("Z") and tag in wanted:
                values.setdefault(tag, (value, stop - value))
        elif kind == ord("B") and value + 5 <= size and _VALUE_BYTES[raw[value]]:
            count = int.from_bytes(raw[value + 1 : value + 5], "little", signed=True)
            if count < 0:
                raise _corrupt(file)
            mask[value : value + 5] = b"\xff" * 5
            width = 5 + count * int(_VALUE_BYTES[raw[value]])
        elif width == 0:
            raise _corrupt(file)
        at = value + width
        if at > size:
            raise _corrupt(file)
    found, masked, letters = (np.frombuffer(bytes(b[:at]) + bytes(-at % 8), dtype="<u8") for b in (raw, mask, text))
    carry = letters | (_BYTE_HIGH & ~(letters << np.uint64(1)))
    return _Layout(at, len(values) < len(wanted), found & masked, masked, letters, carry, values)


def _walk(
    records: Records,
    who: NDArray[np.int64],
    wanted: tuple[str, ...],
    kinds: NDArray[np.bool_],
    found: dict[str, Strings],
    file: str,
) -> None:
    """Find the tags, of a type that `kinds` [256] allows, of the records `who`, all in lock-step, tag by tag."""
    data = records.data
    codes, words = unaligned(data, "<u2"), unaligned(data, "<u8")
    at, end = records.tags[who], records.end[who]
    alive = np.flatnonzero(at < end)
    missing = np.full(len(who), len(wanted), dtype=np.int8)
    while len(alive):
        here = at[alive]
        value = here + 3
        if (value >= end[alive]).any():
            raise _corrupt(file)
        code, kind = codes[here], data[here + 2]
        size = _VALUE_BYTES[kind]
        odd = np.flatnonzero(size == 0)
        if len(odd):
            string = _STRING[kind[odd]]
            size[odd[string]] = _string_bytes(words, value[odd[string]], end[alive[odd[string]]], file)
            array = odd[~string]
            size[array] = _array_bytes(data, kind[array], value[array], end[alive[array]], file)
        for tag in wanted:
            hit = np.flatnonzero((code == _code(tag)) & kinds[kind])
            hit = hit[found[tag].start[who[alive[hit]]] < 0]
            found[tag].start[who[alive[hit]]] = value[hit]
            found[tag].length[who[alive[hit]]] = size[hit] - 1
            missing[alive[hit]] -= 1
        following = value + size
        if (following > end[alive]).any():
            raise _corrupt(file)
        at[alive] = following
        # A record whose wanted tags are all found needs no further walk.
        alive = alive[(following < end[alive]) & (missing[alive] > 0)]


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
        zero = (word - _BYTE_LOW) & ~word & _BYTE_HIGH
        hit = zero != 0
        # The lowest set bit marks the first zero byte; its position is log2 / 8.
        lowest = zero[hit] & (~zero[hit] + np.uint64(1))
        length[alive[hit]] += (np.log2(lowest.astype(np.float64)).astype(np.int64) >> 3) + 1
        alive = alive[~hit]
        length[alive] += 8
    return length


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
_UPPER_CASE, _LETTER_CODE, _LETTER_HIGH = (np.uint64(0x0101010101010101 * byte) for byte in (0xFF ^ 0x20, 0x07, 0x40))
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


def pack_umis(data: NDArray[np.uint8], at: Strings, file: str) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Both halves of ``AAA-CCC`` UMI strings as integers, 3 bits a base, first base lowest; 0 for an absent half.

    Raises InputError for a letter that is no base, more than one dash, or a half longer than `MAX_UMI_BASES`.
    """
    halves = np.zeros((2, len(at.start)), dtype=np.uint64)
    common = int(at.length[len(at.length) // 2]) if len(at.length) else 0
    if common and (at.length == common).all():
        packed = _pack_alike(data, at.start, common)
        if packed is not None:
            return packed
    for size in np.unique(at.length):
        who = np.flatnonzero(at.length == size)
        if size == 0:
            continue
        if size > 2 * MAX_UMI_BASES + 1:
            raise _bad_umi(data, at.start[who[0]], int(size), file)
        halves[:, who] = _pack_unlike(_UMI_CODE[rows(data, at.start[who], int(size))], data, at.start[who], file)
    return halves[0], halves[1]


def _pack_alike(
    data: NDArray[np.uint8], start: NDArray[np.int64], size: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
    """Both halves of UMIs of one size with the dash, if any, at one place; None where one is not like that, or bad."""
    first = _UMI_CODE[data[start[0] : start[0] + size]]
    place = int((first == _DASH).argmax()) if (first == _DASH).any() else size
    if max(place, size - place - 1) > MAX_UMI_BASES:
        return None
    if place < size and (_UMI_CODE[data[start + place]] != _DASH).any():
        return None
    halves = []
    for begin, bases in ((start, place), (start + place + 1, size - place - 1)):
        packed = np.zeros(len(start), dtype=np.uint64)
        for k in range(0, bases, 8):
            keep = _ALL_ONES >> np.uint64(64 - 8 * min(8, bases - k))
            word = unaligned(data, "<u8")[begin + k] & (keep & _UPPER_CASE)
            if _bad_letters(word, keep):
                return None
            packed |= _squeeze(word & _LETTER_CODE) << np.uint64(3 * k)
        halves.append(packed)
    return halves[0], halves[1]


def _bad_letters(word: NDArray[np.uint64], keep: np.uint64) -> bool:
    """Whether any byte of the words, of those in `keep`, is not A, C, G, T or N: the code in a letter's low three bits
    tells what the others must be."""
    one, two = word >> np.uint64(1), word >> np.uint64(2)
    t_or_n = two & ~word & _BYTE_LOW  # 100 or 110; the others are 001, 011 and 111
    n = t_or_n & one
    expected = ((t_or_n ^ n) << np.uint64(4)) | (n << np.uint64(3)) | (keep & _LETTER_HIGH)
    wrong = (word & ~_LETTER_CODE) ^ expected
    wrong |= ~(two | word) & _BYTE_LOW & keep  # 000, 010
    wrong |= two & ~one & word & _BYTE_LOW  # 101
    return bool(wrong.any())


def _pack_unlike(
    letters: NDArray[np.uint8], data: NDArray[np.uint8], start: NDArray[np.int64], file: str
) -> NDArray[np.uint64]:
    """Halves [2, n] of UMIs of one length whose dashes stand at different places."""
    size, dash = letters.shape[1], letters == _DASH
    dashes = dash.sum(axis=1)
    place = np.where(dashes == 1, dash.argmax(axis=1), size)
    bad = (letters == 255).any(axis=1) | (dashes > 1) | (np.maximum(place, size - place - 1) > MAX_UMI_BASES)
    if bad.any():
        raise _bad_umi(data, start[int(bad.argmax())], size, file)
    halves = np.zeros((2, len(letters)), dtype=np.uint64)
    for split in np.unique(place):
        some = place == split
        halves[0, some] = _pack(letters[some, :split])
        halves[1, some] = _pack(letters[some, split + 1 :])
    return halves


def _pack(letters: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Codes [n, bases] as integers, eight letters of a word squeezed at a time."""
    n, bases = letters.shape
    packed = np.zeros(n, dtype=np.uint64)
    for k in range(0, bases, 8):
        padded = np.zeros((n, 8), dtype=np.uint8)
        padded[:, : min(8, bases - k)] = letters[:, k : k + 8]
        packed |= _squeeze(padded.view("<u8")[:, 0]) << np.uint64(3 * k)
    return packed


def _squeeze(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Eight codes of 3 bits, one a byte, side by side."""
    word = (word | word >> np.uint64(5)) & np.uint64(0x003F003F003F003F)
    word = (word | word >> np.uint64(10)) & np.uint64(0x00000FFF00000FFF)
    return (word | word >> np.uint64(20)) & np.uint64(0xFFFFFF)


def umi_has_n(packed: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether any base of each packed UMI is N."""
    return _has_code(packed, UMI_N)


def umi_length(packed: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number of bases of each packed UMI."""
    length = np.zeros(len(packed), dtype=np.int64)
    while packed.any():
        length += packed > 0
        packed = packed >> np.uint64(3)
    return length


def _has_code(packed: NDArray[np.uint64], code: int) -> NDArray[np.bool_]:
    """Whether any 3-bit code of each packed UMI is `code`: the difference to it has a group of three zero bits."""
    ones = np.uint64(0x1249249249249249)
    differs = packed ^ (ones * np.uint64(code))
    some = differs | differs >> np.uint64(1) | differs >> np.uint64(2)
    found: NDArray[np.bool_] = (~some & ones) != 0
    return found


def _bad_umi(data: NDArray[np.uint8], start: np.int64, size: int, file: str) -> InputError:
    shown = data[start : start + min(size, 60)].tobytes().decode("latin-1")
    return InputError(
        "bad UMI", file=file, field="RX", found=shown,
        expected=f"A, C, G, T, N with at most one '-', at most {MAX_UMI_BASES} bases a half",
    )  # fmt: skip
