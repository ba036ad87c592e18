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
    PAIRED,
    READ_2,
    REVERSE,
    Records,
    unaligned,
)

NO_END = np.int64(-(1 << 31))
"""Fragment end of a read without a mate on its contig."""
F1R2, F2R1 = 0, 1
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_CIGAR = re.compile(r"(?:[0-9]+[MIDNSHP=X])+")
_CIGAR_OP = re.compile(r"([0-9]+)([MIDNSHP=X])")


def mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A 64-bit mixing function (the finaliser of SplitMix64, Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))


def hash_strings(data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64-bit hashes of byte strings; used to find mates, which are looked for only in one window at a time."""
    words = unaligned(data, "<u8")
    value = length.astype(np.uint64)
    for k in range(int(-(-length.max(initial=0) // 8))):
        rest = length - 8 * k
        word = words[np.minimum(start + 8 * k, len(words) - 1)]
        cut = np.clip(8 * (8 - rest), 0, 63).astype(np.uint64)
        word = np.where(rest >= 8, word, (word << cut) >> cut)
        value = np.where(rest > 0, mix(value ^ word), value)
    return value


class MateCigars:
    """Parsed MC tags: clips and reference span by CIGAR string, each distinct string parsed once."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._keys = np.zeros(0, dtype=np.uint64)
        self._values = np.zeros((0, 3), dtype=np.int64)

    def lookup(self, data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
        """(leading clip, reference span, trailing clip) int64 [n, 3] of CIGAR strings; InputError for a bad one."""
        keys = hash_strings(data, start, length)
        known = self._find(keys)
        new = np.flatnonzero(known < 0)
        if len(new):
            distinct, at = np.unique(keys[new], return_index=True)
            texts = [data[start[i] : start[i] + length[i]].tobytes().decode("latin-1") for i in new[at]]
            parsed = np.array([self._parse(t) for t in texts], dtype=np.int64)
            order = np.argsort(np.concatenate([self._keys, distinct]), kind="stable")
            self._values = np.concatenate([self._values, parsed])[order]
            self._keys = np.concatenate([self._keys, distinct])[order]
            known = self._find(keys)
        return self._values[known]

    def _find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        if len(self._keys) == 0:
            return np.full(len(keys), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)

    def _parse(self, text: str) -> tuple[int, int, int]:
        if text == "*":
            return 0, -1, 0
        if not _CIGAR.fullmatch(text):
            raise InputError("bad mate CIGAR", file=self._file, field="MC", found=text, expected="a CIGAR such as 100M")
        lead = span = trail = 0
        inside = False
        for size, op in _CIGAR_OP.findall(text):
            if op in "SH":
                lead, trail = (lead, trail + int(size)) if inside else (lead + int(size), trail)
            else:
                inside = True
                span += int(size) if op in "MDN=X" else 0
        return lead, span, trail


@dataclass(frozen=True, eq=False)
class Fragments:
    """Per read [n]: `start`, `end` int64 (5' ends on the forward and the reverse strand, `NO_END` where unknown);
    `strand` uint8 (`F1R2` or `F2R1`); `mate_start`, `mate_end` int64, the mate's aligned reference span (empty without
    a mate)."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.uint8]
    mate_start: NDArray[np.int64]
    mate_end: NDArray[np.int64]


def fragments(
    records: Records, geometry: Geometry, start: NDArray[np.int64], mate_shape: NDArray[np.int64]
) -> Fragments:
    """Fragment ends and strand of each read.

    `start` int64 [n]: genome position of the first aligned base. `mate_shape` int64 [n, 3]: the mate's (leading clip,
    span, trailing clip); a span of -1 where it is unknown: then the mate counts as unclipped and without length.
    """
    flag = records.field("flag")
    reverse = (flag & REVERSE) != 0
    own = np.where(reverse, start + geometry.span + geometry.trail - 1, start - geometry.lead)
    mated = (flag & (PAIRED | MATE_UNMAPPED)) == PAIRED
    mated &= (records.fixed["mate_ref"] == records.fixed["ref"]) & (records.fixed["mate_pos"] >= 0)
    mate_reverse = (flag & MATE_REVERSE) != 0
    mate_start = start + (records.field("mate_pos") - records.field("pos"))
    mate_span = np.maximum(mate_shape[:, 1], 0)
    mate = np.where(mate_reverse, mate_start + mate_span + mate_shape[:, 2] - 1, mate_start - mate_shape[:, 0])
    facing = reverse != mate_reverse
    left = np.where(facing, np.where(reverse, mate, own), np.minimum(own, mate))
    right = np.where(facing, np.where(reverse, own, mate), np.maximum(own, mate))
    left = np.where(mated, left, np.where(reverse, NO_END, own))
    right = np.where(mated, right, np.where(reverse, own, NO_END))
    second = (flag & (PAIRED | READ_2)) == (PAIRED | READ_2)
    # Read 1 forward means that the molecule's own strand is the forward one. For mates that face each other read 1 of
    # a pair whose read 2 is reverse is forward; for others the direction of read 1 itself decides.
    read_1_reverse = np.where(second, np.where(mated, mate_reverse, ~reverse), reverse)
    strand = np.where(read_1_reverse, F2R1, F1R2).astype(np.uint8)
    return Fragments(left, right, strand, np.where(mated, mate_start, 0), np.where(mated, mate_start + mate_span, 0))
