"""Which source fragment each read comes from: both fragment ends, the strand that was read, and the UMIs.

A fragment end is the unclipped 5' position of the read that begins there (soft and hard clips included), so that
clipping does not split a family. The mate's end comes from its MC tag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError
from esr1call.pileup.cigar import Geometry
from esr1call.pileup.records import (
    MATE_REVERSE,
    MATE_UNMAPPED,
    MOST_WORDS,
    PAIRED,
    READ_2,
    REVERSE,
    Records,
    rows,
    unaligned,
)
from esr1call.pileup.tags import Strings

NO_END = np.int64(-(1 << 30))
"""Fragment end of a read without a mate on its contig."""
_END_MASK = np.int64((1 << 31) - 1)
F1R2, F2R1 = 0, 1
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)
_CIGAR = re.compile(r"(?:[0-9]{1,9}[MIDNSHP=X])+")
MAX_MATE_SPAN = (1 << 28) - 1
"""Bases that a mate may span, clips included: a BAM's longest CIGAR operation, more than any human chromosome."""
_CIGAR_OP = re.compile(r"([0-9]+)([MIDNSHP=X])")


def mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A 64-bit mixing function (the finaliser of SplitMix64, Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))


def hash_strings(data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64-bit hashes of byte strings (multilinear hashing, Carter and Wegman 1979, of words that were mixed); used to
    find mates, and strings that were met before.

    Each word of eight bytes counts by its own factor, and a word of zeros adds nothing: so a string's hash does not
    depend on the longest one among those given.
    """
    value = np.asarray(length, dtype=np.uint64) * _MIX_2
    longest, shortest = int(length.max(initial=0)), int(length.min(initial=1 << 30))
    words = -(-longest // 8)
    width = min(words, MOST_WORDS)
    for k in range(words):
        part = k % width
        if part == 0:  # several words come in one move; past a string's end it does not matter from where
            block = rows(data, np.minimum(start + 8 * k, len(data) - 8 * width), 8 * width).view("<u8")
        word = block[:, part]
        if shortest < 8 * k + 8:  # what is past the end goes out at the top
            word = word << (np.maximum(8 * k + 8 - length, 0) << 3).view(np.uint64)
        # Its last letters must tell in the low bits too: else names that differ in such letters of two words can meet.
        word = word * _MIX_1
        word ^= word >> _HALF
        word *= _factor(k)
        value += word
    return value


def _factor(k: int) -> np.uint64:
    """An odd number for the word in place k."""
    return np.uint64(mix(np.array([k + 1], dtype=np.uint64))[0] | np.uint64(1))


class MateCigars:
    """Parsed MC tags: clips and reference span by CIGAR string, each distinct string parsed once."""

    def __init__(self, file: str) -> None:
        self._file = file
        # Replaced as a whole, never changed: threads may read it while another adds to it.
        self._known = np.zeros(0, dtype=np.uint64), np.zeros((0, 3), dtype=np.int64)

    def lookup(self, data: NDArray[np.uint8], at: Strings) -> NDArray[np.int64]:
        """(leading clip, reference span, trailing clip) int64 [n, 3] of CIGAR strings; InputError for a bad one."""
        if len(at.start) == 0:
            return np.zeros((0, 3), dtype=np.int64)
        # Most mates have one and the same CIGAR: only those that differ from one in the middle are looked up.
        odd = np.flatnonzero(_differ(data, at, len(at.start) // 2))
        common = self._known_or_parsed(data, at.take(np.array([len(at.start) // 2])))
        if len(odd) == 0:
            return np.broadcast_to(common, (len(at.start), 3))
        shapes = np.repeat(common, len(at.start), axis=0)
        shapes[odd] = self._known_or_parsed(data, at.take(odd))
        return shapes

    def _known_or_parsed(self, data: NDArray[np.uint8], at: Strings) -> NDArray[np.int64]:
        start, length = at.start, at.length
        keys, (known, values) = hash_strings(data, start, length), self._known
        place = _find(known, keys)
        new = np.flatnonzero(place < 0)
        if len(new):
            distinct, first = np.unique(keys[new], return_index=True)
            texts = [data[start[i] : start[i] + length[i]].tobytes().decode("latin-1") for i in new[first]]
            parsed = np.array([self._parse(t) for t in texts], dtype=np.int64)
            order = np.argsort(np.concatenate([known, distinct]), kind="stable")
            known, values = np.concatenate([known, distinct])[order], np.concatenate([values, parsed])[order]
            self._known = known, values
            place = _find(known, keys)
        return values[place]

    def _parse(self, text: str) -> tuple[int, int, int]:
        if text == "*":
            return 0, -1, 0
        bad = InputError("bad mate CIGAR", file=self._file, field="MC", found=text, expected="a CIGAR such as 100M")
        if not _CIGAR.fullmatch(text):
            raise bad
        lead = span = trail = 0
        inside = False
        for size, op in _CIGAR_OP.findall(text):
            if op in "SH":
                lead, trail = (lead, trail + int(size)) if inside else (lead + int(size), trail)
            else:
                inside = True
                span += int(size) if op in "MDN=X" else 0
        if lead + span + trail > MAX_MATE_SPAN:
            raise bad
        return lead, span, trail


def _differ(data: NDArray[np.uint8], at: Strings, i: int) -> NDArray[np.bool_]:
    """Which strings are not the same as string i."""
    differ: NDArray[np.bool_] = at.length != at.length[i]
    words = unaligned(data, "<u8")
    for k in range(0, int(at.length[i]), 8):
        word = words[np.minimum(at.start + k, len(words) - 1)]  # shorter strings may end where the data ends
        word ^= word[i]
        if at.length[i] - k < 8:
            word <<= np.uint64(64 - 8 * (at.length[i] - k))
        differ |= word != 0
    return differ


def _find(known: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Places of `keys` in the sorted `known`, -1 where absent."""
    if len(known) == 0:
        return np.full(len(keys), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, at, -1)


@dataclass(frozen=True, eq=False)
class Fragments:
    """Per read [n]: `origin` uint64, the fragment's 5' ends on the forward and the reverse strand (`NO_END` where
    unknown) and the strand, packed by `pack_origin`; `mate_start`, `mate_end` int64, the mate's aligned reference span
    (empty without a mate)."""

    origin: NDArray[np.uint64]
    mate_start: NDArray[np.int64]
    mate_end: NDArray[np.int64]


def pack_origin(start: NDArray[np.int64], end: NDArray[np.int64], strand: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Ends (31 bits each) and strand in one integer: ``start << 32 | end << 1 | strand``."""
    packed = (start & _END_MASK) << 32 | (end & _END_MASK) << 1 | strand
    return packed.view(np.uint64)


def unpack_origin(origin: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(start, end, strand) int64 of packed origins."""
    packed = origin.view(np.int64)
    ends = [(packed >> shift) & _END_MASK for shift in (32, 1)]
    # Ends a little before a contig's first base, and NO_END, are negative: bit 30 is their sign.
    start, end = (e - ((e >> 30) << 31) for e in ends)
    return start, end, packed & 1


def fragments(
    records: Records, geometry: Geometry, start: NDArray[np.int64], mate_shape: NDArray[np.int64]
) -> Fragments:
    """Fragment ends and strand of each read.

    `start` int64 [n]: genome position of the first aligned base. `mate_shape` int64 [n, 3]: the mate's (leading clip,
    span, trailing clip); a span of -1 where it is unknown: then the mate counts as unclipped and without length.
    """
    flag, fixed = records.fixed["flag"], records.fixed
    reverse, mate_reverse = (flag & REVERSE) != 0, (flag & MATE_REVERSE) != 0
    own = _choose(reverse, start + geometry.span + (geometry.trail - 1), start - geometry.lead)
    mated = (flag & (PAIRED | MATE_UNMAPPED)) == PAIRED
    mated &= (fixed["mate_ref"] == fixed["ref"]) & (fixed["mate_pos"] >= 0)
    mate_start = start + (fixed["mate_pos"] - fixed["pos"])
    mate_end = mate_start + np.maximum(mate_shape[:, 1], 0)
    mate = _choose(mate_reverse, mate_end + (mate_shape[:, 2] - 1), mate_start - mate_shape[:, 0])
    left, right = _choose(reverse, mate, own), _choose(reverse, own, mate)
    second = (flag & READ_2) != 0
    # Read 1 forward means that the molecule's own strand is the forward one.
    strand = (second & mate_reverse) | (~second & reverse)
    odd = np.flatnonzero(~mated | (reverse == mate_reverse))
    if len(odd):
        left[odd], right[odd], strand[odd] = _odd_ends(
            own[odd], mate[odd], reverse[odd], mated[odd], second[odd] & ((flag[odd] & PAIRED) != 0), strand[odd]
        )
        mate_start, mate_end = mate_start * mated, mate_end * mated
    origin = pack_origin(left, right, strand.astype(np.int64))
    return Fragments(origin, mate_start, mate_end)


def _choose(mask: NDArray[np.bool_], yes: NDArray[np.int64], no: NDArray[np.int64]) -> NDArray[np.int64]:
    """`np.where`, several times faster on masks that follow no pattern."""
    chosen = yes - no
    chosen *= mask
    chosen += no
    return chosen


def _odd_ends(
    own: NDArray[np.int64],
    mate: NDArray[np.int64],
    reverse: NDArray[np.bool_],
    mated: NDArray[np.bool_],
    second: NDArray[np.bool_],
    strand: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Ends and strand of reads without a mate, and of mates that point the same way (ends in order of position)."""
    left = np.where(mated, np.minimum(own, mate), np.where(reverse, NO_END, own))
    right = np.where(mated, np.maximum(own, mate), np.where(reverse, own, NO_END))
    # A lone read 2 tells where read 1 would have been: facing it.
    return left, right, np.where(mated, strand, reverse ^ second)
