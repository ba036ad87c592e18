"""What each read shows in each codon window: the haplotype between the window's ends, and how sure its bases are.

A read is observed in a window when it shows a base in the window's first and last column. Its haplotype is then all its
bases from the one to the other: the indels between are in it by its length, wherever the aligner put them.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from esr1call.panel import Window
from esr1call.pileup.cigar import Geometry, query_positions
from esr1call.pileup.records import Records, rows, unaligned

NO_VOTE = np.uint64(0)
"""A haplotype code that stands for no evidence (mates that contradict each other in length)."""
PACKED_BASES = 15
_NIBBLES = "=ACMGRSVTWYHKDBN"
_IS_BASE = np.isin(np.arange(16), (1, 2, 4, 8))
_LOW_BITS = np.uint64(0x1111111111111111)


def weight_table(cap: int, floor: int) -> NDArray[np.uint8]:
    """Evidence [256] of a base call by its quality q, in phred units: 10 log10 of the likelihood ratio of the base
    seen to one other, (1 - e) / (e / 3) with e = 10^(-q/10).

    q is capped at `cap` (errors before sequencing); 0 below `floor`, and for a missing quality (255).
    """
    q = np.minimum(np.arange(256, dtype=np.float64), cap)
    error = np.minimum(10 ** (-q / 10), 0.75)
    weight = np.rint(10 * np.log10(3 * (1 - error) / error))
    weight[: max(floor, 1)] = 0
    weight[94:] = 0
    result: NDArray[np.uint8] = weight.astype(np.uint8)
    return result


@dataclass(frozen=True, eq=False)
class WindowArrays:
    """Windows of a panel as sorted arrays [w]: `start`, `end` (genome positions) and `length` int64, `reference` uint64
    (haplotype code of the reference)."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    length: NDArray[np.int64]
    reference: NDArray[np.uint64]

    @classmethod
    def of(cls, windows: tuple[Window, ...]) -> WindowArrays:
        """From a panel's windows, which are sorted and disjoint."""
        start = np.array([w.start for w in windows], dtype=np.int64)
        end = np.array([w.end for w in windows], dtype=np.int64)
        reference = np.array([code_of(w.reference) for w in windows], dtype=np.uint64)
        return cls(start, end, end - start, reference)


@dataclass(frozen=True, eq=False)
class Observations:
    """Reads seen in one window.

    `read` int64 [m] into the records; `haplotype` uint64 [m]: length in the top 4 bits, then 4 bits a base in BAM's
    code, the last base lowest (or, with length 0, the number of a long haplotype); `weight` uint8 [m, window length]:
    evidence per column (for a haplotype with an indel, its weakest base's in every column).
    """

    read: NDArray[np.int64]
    haplotype: NDArray[np.uint64]
    weight: NDArray[np.uint8]


class LongHaplotypes:
    """Haplotypes of more than `PACKED_BASES` bases, by numbers made from the bases alone, so that it does not matter
    in which order, or from which thread, they are met."""

    def __init__(self) -> None:
        self._bases: dict[int, str] = {}

    def number(self, bases: str) -> int:
        """The number of a haplotype, from 1 to 2^56."""
        number = int.from_bytes(sha256(bases.encode()).digest()[:7], "little") + 1
        while self._bases.setdefault(number, bases) != bases:
            number += 1
        return number

    def bases(self, number: int) -> str:
        """The haplotype with this number."""
        return self._bases[number]


def near(windows: WindowArrays, start: NDArray[np.int64], end: NDArray[np.int64]) -> list[int]:
    """The windows that any of the reads over [start, end) may touch. A chunk of sorted reads lies near few of them."""
    if len(start) == 0:
        return []
    found: list[int] = np.flatnonzero((windows.start < end.max()) & (windows.end > start.min())).tolist()
    return found


def observe(
    records: Records,
    geometry: Geometry,
    start: NDArray[np.int64],
    windows: WindowArrays,
    weights: NDArray[np.uint8],
    long: LongHaplotypes,
) -> dict[int, Observations]:
    """Observations by window number. `start` int64 [n]: genome position of each record's first aligned base."""
    end, result = start + geometry.span, {}
    for w in near(windows, start, end):
        read = np.flatnonzero((start <= windows.start[w]) & (end >= windows.end[w]))
        left = windows.start[w] - start[read]
        right = left + (windows.length[w] - 1)
        odd = np.flatnonzero(~geometry.plain[read])
        if len(odd):
            columns = np.array([[windows.start[w]], [windows.end[w] - 1]]) + np.zeros(len(odd), dtype=np.int64)
            left[odd], right[odd] = query_positions(records, read[odd], columns, start[read[odd]])
            seen = (left >= 0) & (right >= 0)
            read, left, right = read[seen], left[seen], right[seen]
        if len(read):
            result[w] = _in_window(records, read, left, right, windows.reference[w], weights, long)
    return result


def _in_window(
    records: Records,
    read: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    reference: np.uint64,
    weights: NDArray[np.uint8],
    long: LongHaplotypes,
) -> Observations:
    length = int(reference) >> 60
    bases = packed_bases(records, read, left, length)
    qualities = rows(records.data, records.qual[read] + left, length)
    # Python's own table look-up for bytes is several times faster than an index.
    translated = bytearray(qualities.tobytes().translate(weights.tobytes()))
    weight = np.frombuffer(translated, dtype=np.uint8).reshape(qualities.shape)
    _mend_codes(bases, weight, np.flatnonzero(bases != reference), reference)
    odd = np.flatnonzero(right - left != length - 1)
    if len(odd):
        size = right[odd] - left[odd] + 1
        short = size <= PACKED_BASES
        for n in np.unique(size[short]):
            some = odd[size == n]
            bases[some] = packed_bases(records, read[some], left[some], int(n))
        _long_haplotypes(records, read, left, odd[~short], size[~short], bases, long)
        weight[odd] = _weakest(records, read[odd], left[odd], size, weights)[:, None]
        for n in np.unique(size[short]):
            some = odd[size == n]
            weight[some[~_only_single_bases(bases[some], int(n))]] = 0
        weight[odd[bases[odd] == NO_VOTE]] = 0
    return Observations(read, bases, weight)


def packed_bases(records: Records, read: NDArray[np.int64], left: NDArray[np.int64], size: int) -> NDArray[np.uint64]:
    """Haplotype codes of `size` (<= 15) bases from query position `left`: sixteen bases come in one load."""
    word = unaligned(records.data, "<u8")[records.seq[read] + (left >> 1)].byteswap(inplace=True)
    word <<= ((left & 1) << 2).view(np.uint64)
    word >>= np.uint64(64 - 4 * size)
    word |= np.uint64(size << 60)
    return word


def _mend_codes(
    bases: NDArray[np.uint64], weight: NDArray[np.uint8], who: NDArray[np.int64], reference: np.uint64
) -> None:
    """In the haplotypes `who` (of the window's length), in place: '=' becomes the reference's base, and any code that
    is not one base (N and the like) loses its evidence."""
    length = weight.shape[1]
    who = who[~_only_single_bases(bases[who], length)]
    if len(who) == 0:
        return
    for i in range(length):
        code = column(bases[who], i, length)
        shift = np.uint64(4 * (length - 1 - i))
        bases[who] |= np.where(code == 0, reference & (np.uint64(15) << shift), np.uint64(0))
        weight[who[~_IS_BASE[code] & (code > 0)], i] = 0


def _only_single_bases(bases: NDArray[np.uint64], length: int) -> NDArray[np.bool_]:
    """Whether all `length` codes are A, C, G or T, that is, have one bit set each."""
    low = _LOW_BITS >> np.uint64(64 - 4 * length)
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    bits = (bases & low) + (bases >> one & low) + (bases >> two & low) + (bases >> three & low)
    single: NDArray[np.bool_] = bits == low
    return single


def _long_haplotypes(
    records: Records,
    read: NDArray[np.int64],
    left: NDArray[np.int64],
    who: NDArray[np.int64],
    size: NDArray[np.int64],
    bases: NDArray[np.uint64],
    long: LongHaplotypes,
) -> None:
    """Number the haplotypes of more than 15 bases, in place; spelled once per distinct sequence. One with a code that
    is no base has no vote."""
    for length in np.unique(size):
        some = who[size == length]
        packed = rows(records.data, records.seq[read[some]] + (left[some] >> 1), int(length) // 2 + 1)
        letters = np.stack([packed >> 4, packed & 15], axis=2).reshape(len(some), -1)
        odd = (left[some] & 1).astype(bool)
        shown = np.where(odd[:, None], letters[:, 1:], letters[:, :-1])[:, : int(length)]
        distinct, inverse = np.unique(shown, axis=0, return_inverse=True)
        numbers = [long.number("".join(_NIBBLES[b] for b in r)) if _IS_BASE[r].all() else 0 for r in distinct]
        bases[some] = np.array(numbers, dtype=np.uint64)[inverse.reshape(-1)]


def _weakest(
    records: Records,
    read: NDArray[np.int64],
    left: NDArray[np.int64],
    size: NDArray[np.int64],
    weights: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    low = np.full(len(read), 255, dtype=np.uint8)
    for i in range(int(size.max())):
        who = np.flatnonzero(size > i)
        low[who] = np.minimum(low[who], weights[records.data[records.qual[read[who]] + left[who] + i]])
    return low


def haplotype_length(haplotype: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number of bases by code; 0 for `NO_VOTE` and for long haplotypes."""
    return (haplotype >> np.uint64(60)).astype(np.int64)


def column(haplotype: NDArray[np.uint64], i: int, length: int) -> NDArray[np.int64]:
    """BAM code of base i (0 first) of haplotypes of `length` bases."""
    return ((haplotype >> np.uint64(4 * (length - 1 - i))) & np.uint64(15)).astype(np.int64)


def spell(haplotype: int, long: LongHaplotypes) -> str:
    """The bases of a haplotype code."""
    length = haplotype >> 60
    if length == 0:
        return long.bases(haplotype)
    return "".join(_NIBBLES[(haplotype >> (4 * (length - 1 - i))) & 15] for i in range(length))


def code_of(bases: str) -> int:
    """Haplotype code of at most `PACKED_BASES` bases."""
    code = 0
    for base in bases:
        code = code << 4 | _NIBBLES.index(base)
    return len(bases) << 60 | code
