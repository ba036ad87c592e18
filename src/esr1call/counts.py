"""The one table all statistics start from: how many molecules of each stratum show each haplotype of each window.

A stratum is a consensus tier and, where a molecule shows only one of its strands, which one (its source
orientation): F1R2 molecules read the forward strand of the genome, F2R1 molecules the reverse strand. Duplex
molecules show both, so they have no orientation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

STRATA = ("singleton_F1R2", "singleton_F2R1", "simplex_F1R2", "simplex_F2R1", "duplex")
"""Order of the last axis of every array by stratum."""
TIERS = ("singleton", "simplex", "duplex")
TIER_OF_STRATUM = np.array([0, 0, 1, 1, 2])
UNDECIDED = "?"
"""The haplotype of molecules with a base that could not be decided: counted, reported, never guessed."""


@dataclass(frozen=True, eq=False)
class CountTable:
    """Molecules by window, haplotype and stratum.

    `windows`: names, in the panel's order. Rows: `window` int64 [n] index into `windows`; `haplotype` n strings of
    forward-strand bases (any length; `UNDECIDED` for undecided molecules); `molecules` int64 [n, 5] by `STRATA`.
    Rows are sorted by (window, haplotype) and unique; rows without molecules are left out.
    """

    windows: tuple[str, ...]
    window: NDArray[np.int64]
    haplotype: tuple[str, ...]
    molecules: NDArray[np.int64]

    @classmethod
    def build(cls, windows: Iterable[str], rows: Iterable[tuple[int, str, NDArray[np.int64]]]) -> Self:
        """From (window index, haplotype, molecules [5]) rows in any order; equal keys are added."""
        summed: dict[tuple[int, str], NDArray[np.int64]] = {}
        for window, haplotype, molecules in rows:
            key = (int(window), haplotype)
            summed[key] = summed.get(key, 0) + np.asarray(molecules, dtype=np.int64)
        keys = sorted(k for k, v in summed.items() if v.any())
        return cls(
            tuple(windows),
            np.array([k[0] for k in keys], dtype=np.int64),
            tuple(k[1] for k in keys),
            np.array([summed[k] for k in keys], dtype=np.int64).reshape(len(keys), len(STRATA)),
        )

    @cached_property
    def _row(self) -> dict[tuple[int, str], int]:
        return {(int(w), h): i for i, (w, h) in enumerate(zip(self.window, self.haplotype, strict=True))}

    @cached_property
    def _decided(self) -> NDArray[np.bool_]:
        return np.array([h != UNDECIDED for h in self.haplotype], dtype=bool)

    def of(self, window: int, haplotype: str) -> NDArray[np.int64]:
        """Molecules [5] that show `haplotype` in window number `window`."""
        row = self._row.get((window, haplotype))
        return np.zeros(len(STRATA), dtype=np.int64) if row is None else self.molecules[row]

    def of_all(self, keys: Iterable[tuple[int, str]]) -> NDArray[np.int64]:
        """As `of` for many (window number, haplotype) pairs, [n, 5]."""
        rows = np.array([self._row.get(key, -1) for key in keys], dtype=np.int64)
        out = np.zeros((len(rows), len(STRATA)), dtype=np.int64)
        out[rows >= 0] = self.molecules[rows[rows >= 0]]
        return out

    def depth(self) -> NDArray[np.int64]:
        """Decided molecules [windows, 5]: the denominators."""
        return self._sum(self._decided)

    def undecided(self) -> NDArray[np.int64]:
        """Undecided molecules [windows, 5]."""
        return self._sum(~self._decided)

    def observed(self, window: int) -> list[str]:
        """Decided haplotypes seen in window number `window`."""
        return [self.haplotype[i] for i in np.flatnonzero((self.window == window) & self._decided)]

    def __add__(self, other: CountTable) -> CountTable:
        """Counts of two disjoint sets of molecules over the same windows."""
        if self.windows != other.windows:
            raise ValueError("count tables are over different windows")
        rows = [
            (int(t.window[i]), t.haplotype[i], t.molecules[i]) for t in (self, other) for i in range(len(t.haplotype))
        ]
        return CountTable.build(self.windows, rows)

    def _sum(self, keep: NDArray[np.bool_]) -> NDArray[np.int64]:
        out = np.zeros((len(self.windows), len(STRATA)), dtype=np.int64)
        np.add.at(out, self.window[keep], self.molecules[keep])
        return out
