"""A sample of a window's molecules that can be compared with those of other samples: which of them are the same?

Molecules are chosen by the hash of what tells them apart (fragment ends and UMIs), those with the smallest hashes
first (bottom-k sketch, Cohen and Kaplan 2007). So two samples choose the same molecules as far as they hold the same
ones, and what is shared by the sketches below the smaller of their limits is shared by the samples at the same rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esr1call.molecules.consensus import UNDECIDED_CODE
from esr1call.pileup.fragments import NO_END, mix, pack_origin

MOST = 1000
"""Molecules kept of a window: so many that show the reference, and so many others."""
FRAGMENT_BIN, FRAGMENT_BINS = 10, 61
"""Fragment lengths are counted in bins of so many bp; the last of the bins is for all longer ones."""
NO_LIMIT = np.uint64(2**64 - 1)


@dataclass(frozen=True, eq=False)
class Sketch:
    """Molecules of one window, by rising `key` [n].

    `start`, `end` int64: fragment on the genome, 0-based half-open; `left`, `right` uint64 packed UMIs; `haplotype`
    uint64 code; `reference` bool: whether that is the reference; `templates` int64 read pairs. `limits` uint64 [2]: of
    molecules that show another haplotype, and of those that show the reference, all up to this key are here.
    """

    key: NDArray[np.uint64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    left: NDArray[np.uint64]
    right: NDArray[np.uint64]
    haplotype: NDArray[np.uint64]
    reference: NDArray[np.bool_]
    templates: NDArray[np.int64]
    limits: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True, eq=False)
class Collected:
    """What is kept of a window: its sketch, and fragments by length (int64 [FRAGMENT_BINS])."""

    sketch: Sketch
    lengths: NDArray[np.int64]


def keys_of(
    start: NDArray[np.int64], end: NDArray[np.int64], left: NDArray[np.uint64], right: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Hash of each molecule's fragment (half-open) and UMIs."""
    return mix(mix(mix(pack_origin(start, end, np.zeros(len(start), dtype=np.int64))) + left) ^ right)


def collect(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    left: NDArray[np.uint64],
    right: NDArray[np.uint64],
    haplotype: NDArray[np.uint64],
    templates: NDArray[np.int64],
    reference: int,
    most: int = MOST,
) -> Collected:
    """Sketch and fragment lengths of a window's molecules [n], given as `Sketch` has them; ends may be `NO_END`.

    `reference` is the code of the window's reference haplotype. Molecules without both ends known have no length; those
    without a UMI, or undecided, are no evidence and not in the sketch.
    """
    whole = (start != NO_END) & (end != NO_END)
    length = np.clip((end - start)[whole] // FRAGMENT_BIN, 0, FRAGMENT_BINS - 1)
    lengths = np.bincount(length, minlength=FRAGMENT_BINS).astype(np.int64)
    some = np.flatnonzero(whole & ((left != 0) | (right != 0)) & (haplotype != UNDECIDED_CODE))
    key = keys_of(start[some], end[some], left[some], right[some])
    is_reference = haplotype[some] == np.uint64(reference)
    chosen, limits = [], []
    for wanted in (False, True):
        of_kind = np.flatnonzero(is_reference == wanted)
        limit = NO_LIMIT
        if len(of_kind) > most:
            limit = np.partition(key[of_kind], most - 1)[most - 1]
            of_kind = of_kind[key[of_kind] <= limit]
        chosen.append(of_kind)
        limits.append(limit)
    pick = np.concatenate(chosen)
    pick = pick[np.argsort(key[pick], kind="stable")]
    rows = some[pick]
    sketch = Sketch(
        key[pick], start[rows], end[rows], left[rows], right[rows], haplotype[rows], is_reference[pick],
        templates[rows], np.array(limits, dtype=np.uint64),
    )  # fmt: skip
    return Collected(sketch, lengths)
