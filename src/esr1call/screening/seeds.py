"""The seeds of the targets: every run of SEED bases, on both strands, and a small table that most text fails.

Text is tested at every STEP-th byte only, for a word of WORD bases: whichever place a seed has in the text, one word
that is tested lies wholly inside it, since WORD + STEP - 1 = SEED. So the quick test loses no seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEED = 19
"""bwa mem's shortest seed (its option -k); 2 bits a base."""
STEP = 8
WORD = SEED - STEP + 1
_BITS = 20
"""The word table has 2^20 entries, so that it stays in a core's cache."""

# Bits 1 and 2 of a letter's code tell A, C, T and G apart, in either case.
_LETTER_BITS = np.uint64(0x0606060606060606)
# Moves the letter bits of the next four bytes beside those of bytes 4 to 7, and all later ones out.
_NEXT = np.uint64(34)
_SHIFT = np.uint64(64 - _BITS)
# Odd numbers without a pattern; the first is 2^64 divided by the golden ratio.
_MULTIPLIERS = tuple(np.uint64((0x9E3779B97F4A7C15 * (2 * i + 1)) % 2**64) for i in range(16))

NOT_A_BASE = 4
CODES = np.full(256, NOT_A_BASE, dtype=np.uint8)
"""Byte -> 0, 1, 2, 3 for A, C, G, T in either case, else NOT_A_BASE."""
for _i, _base in enumerate(b"ACGT"):
    CODES[[_base, _base | 0x20]] = _i


@dataclass(frozen=True, eq=False)
class SeedTable:
    """What `search` looks text up in.

    `seeds`: uint64, ascending, the 2-bit codes of all seeds. `words` and `words_again`: bool [2^20], two hashes of
    every word inside a seed; `multipliers` are those of the two hashes.
    """

    seeds: NDArray[np.uint64]
    words: NDArray[np.bool_]
    words_again: NDArray[np.bool_]
    multipliers: tuple[np.uint64, np.uint64]


def build_table(targets: Iterable[str]) -> SeedTable:
    """Table of all seeds of the `targets` (bases of one strand each; the other is added). Seeds with N are left out."""
    seeds, words = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for target in targets:
        text = np.frombuffer(target.encode("ascii"), dtype=np.uint8)
        forward = CODES[text]
        for codes in (forward, np.where(forward < NOT_A_BASE, 3 - forward, forward)[::-1]):
            values, whole = rolling(codes, SEED)
            seeds.append(values[whole])
            letters = np.frombuffer(b"ACGTN", dtype=np.uint8)[codes]
            inside = rolling(codes, WORD)[1]
            words.append(packed_words(letters)[: len(inside)][inside])
    kept, unique = np.unique(np.concatenate(seeds)), np.unique(np.concatenate(words))
    # Qualities are runs of one letter: such a run must not look like a word by chance.
    runs = packed_words(np.repeat(np.frombuffer(b"ACGT", dtype=np.uint8), 2 * WORD))[:: 2 * WORD]
    runs = np.setdiff1d(runs, unique)
    tables = []
    for multiplier in _MULTIPLIERS:
        table = np.zeros(1 << _BITS, dtype=np.bool_)
        table[hashed(unique, multiplier)] = True
        tables.append((int(table[hashed(runs, multiplier)].sum()), multiplier, table))
    tables.sort(key=lambda t: t[0])
    (_, one, first), (_, two, second) = tables[:2]
    return SeedTable(kept, first, second, (one, two))


def rolling(codes: NDArray[np.uint8], k: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The 2-bit value of the k bases from each position of the last axis on, and whether all k are bases.

    Both [..., n - k + 1] for codes [..., n]; values of runs that are not whole mean nothing.
    """
    n = codes.shape[-1] - k + 1
    if n <= 0:
        empty = (*codes.shape[:-1], 0)
        return np.zeros(empty, dtype=np.uint64), np.zeros(empty, dtype=np.bool_)
    # By doubling: a run of 2m bases is two of m; those that add up to k are joined.
    value, bad, have = (codes & 3).astype(np.uint64), codes == NOT_A_BASE, 1
    joined, whole, length = np.zeros_like(value), np.ones_like(bad), 0
    while True:
        if k & have:
            size = value.shape[-1] - length
            joined = (joined[..., :size] << np.uint64(2 * have)) | value[..., length:]
            whole = whole[..., :size] & ~bad[..., length:]
            length += have
        if 2 * have > k:
            return joined[..., :n], whole[..., :n]
        size = value.shape[-1] - have
        value, bad = (value[..., :size] << np.uint64(2 * have)) | value[..., have:], bad[..., :size] | bad[..., have:]
        have *= 2


def packed_words(text: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The letter bits of the WORD bytes from each position of `text` on, uint64 of its length (zeros follow it)."""
    padded = np.concatenate([text, np.zeros(16, dtype=np.uint8)])
    eight = np.lib.stride_tricks.sliding_window_view(padded, 8)
    at = np.ascontiguousarray(eight).view("<u8")[:, 0]
    return pack(at[: len(text)], at[8 : 8 + len(text)])


def pack(eight: NDArray[np.uint64], next_eight: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Letter bits of eight bytes and of the first four of the next eight (little-endian)."""
    packed: NDArray[np.uint64] = (eight & _LETTER_BITS) ^ ((next_eight & _LETTER_BITS) << _NEXT)
    return packed


def hashed(packed: NDArray[np.uint64], multiplier: np.uint64) -> NDArray[np.int64]:
    """Entry of the word table for each packed word."""
    return ((packed * multiplier) >> _SHIFT).astype(np.int64)


class WordSearch:
    """Looks a table's words up at every STEP-th byte of text; holds its working arrays, so one is for one thread."""

    _BLOCK = 1 << 16

    def __init__(self, table: SeedTable) -> None:
        self._table = table
        self._letters = np.empty(self._BLOCK + 1, dtype=np.uint64)
        self._packed = np.empty(self._BLOCK, dtype=np.uint64)
        self._hash = np.empty(self._BLOCK, dtype=np.uint64)
        self._found = np.empty(self._BLOCK, dtype=np.bool_)

    def find(self, text: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Positions, multiples of STEP, at which `text` may hold a word; the last is 16 bytes before its end.

        The length of `text` is a multiple of 8. No word of the table is missed; others are found rarely.
        """
        eights = text.view("<u8")
        table, found = self._table, [np.zeros(0, dtype=np.int64)]
        for start in range(0, len(eights) - 1, self._BLOCK):
            size = min(self._BLOCK, len(eights) - 1 - start)
            letters, packed, hash_ = self._letters[: size + 1], self._packed[:size], self._hash[:size]
            np.bitwise_and(eights[start : start + size + 1], _LETTER_BITS, out=letters)
            np.left_shift(letters[1:], _NEXT, out=packed)
            np.bitwise_xor(packed, letters[:-1], out=packed)
            np.multiply(packed, table.multipliers[0], out=hash_)
            np.right_shift(hash_, _SHIFT, out=hash_)
            np.take(table.words, hash_.view(np.int64), out=self._found[:size], mode="clip")
            at = np.flatnonzero(self._found[:size])
            at = at[table.words_again[hashed(packed[at], table.multipliers[1])]]
            found.append((at + start) * STEP)
        return np.concatenate(found)
