"""UMI correction: directional adjacency at one mismatch (Smith, Heger and Sudbery 2017), vectorised.

Within a position group, UMI b is taken for a miscopy of UMI a if they differ in one base and a was read at least
2 n_b - 1 times. A UMI belongs to the most-read UMI from which such steps lead to it. Neighbours are found by sorting
with one base masked at a time, so time is linear in the number of UMIs but for the sorts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esr1call.molecules.families import group as group_keys
from esr1call.pileup.fragments import mix
from esr1call.pileup.tags import MAX_UMI_BASES

_BASE = np.uint64(7)


def correct(
    group: NDArray[np.int64],
    left: NDArray[np.uint64],
    right: NDArray[np.uint64],
    count: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Index [n] of the UMI that each UMI is corrected to (itself where it stands).

    `group` int64 [n]: position group; `left`, `right` uint64 [n] packed UMIs, unique within a group; `count` int64 [n]
    templates. Ties in count are broken by the UMI itself, so the result does not depend on the order given.
    """
    n = len(group)
    source, target = _edges(group, left, right, count)
    if len(source) == 0:
        return np.arange(n)
    linked, place = np.unique(np.concatenate([source, target]), return_inverse=True)
    root = np.arange(n)
    root[linked] = linked[_ancestors(*np.split(place, 2), right[linked], left[linked], group[linked], -count[linked])]
    return root


def _ancestors(source: NDArray[np.int64], target: NDArray[np.int64], *keys: NDArray[Any]) -> NDArray[np.int64]:
    """Of each node the first, in the order of the keys (the last one foremost), from which edges lead to it."""
    by_rank = np.lexsort(keys)
    rank = np.empty(len(by_rank), dtype=np.int64)
    rank[by_rank] = np.arange(len(by_rank))
    best = rank.copy()
    while True:
        new = best.copy()
        np.minimum.at(new, target, best[source])
        new = np.minimum(new, new[by_rank[new]])  # an ancestor's ancestor is an ancestor
        if (new == best).all():
            return by_rank[best]
        best = new


def _edges(
    group: NDArray[np.int64], left: NDArray[np.uint64], right: NDArray[np.uint64], count: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs (a, b) with one mismatch in the same group and count_a >= 2 count_b - 1."""
    order = np.argsort(group, kind="stable")
    same = group[order][1:] == group[order][:-1]
    crowded = np.zeros(len(group), dtype=bool)
    crowded[order[1:][same]] = crowded[order[:-1][same]] = True
    who = np.flatnonzero(crowded)
    sources, targets = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for half, other in ((left, right), (right, left)):
        place = mix(mix(group.view(np.uint64)) + other)
        longest = int(half[who].max(initial=0)).bit_length()
        for i in range(min(-(-longest // 3), MAX_UMI_BASES)):
            digit = _BASE << np.uint64(3 * i)
            some = who[(half[who] & digit) != 0]
            masked = half[some] & ~digit
            key = mix(place[some] ^ masked)
            order = np.argsort(key)
            key, at, masked = key[order], some[order], masked[order]
            for step in range(1, 5):
                near = np.flatnonzero(key[step:] == key[:-step])
                if len(near) == 0:
                    break
                a, b = at[near], at[near + step]
                real = (group[a] == group[b]) & (other[a] == other[b]) & (masked[near] == masked[near + step])
                for x, y in ((a[real], b[real]), (b[real], a[real])):
                    enough = count[x] >= 2 * count[y] - 1
                    sources.append(x[enough])
                    targets.append(y[enough])
    return np.concatenate(sources), np.concatenate(targets)


def expected_collisions(place: NDArray[np.uint64], left: NDArray[np.uint64], right: NDArray[np.uint64]) -> float:
    """How many molecules hide behind another one's UMI: those that share fragment ends and UMI count as one.

    `place` uint64 [n] fragment ends, `left`, `right` uint64 [n] UMIs of the distinct molecules found. The chance c that
    two molecules have one UMI is measured where it shows, on pairs with other ends, so nothing is assumed of the pool
    of UMIs. Of M molecules with equal ends (1 - (1 - c)^M) / c show (the occupancy of 1 / c equally likely UMIs; UMIs
    that are far from equally likely hide more). 0 where no two molecules have other ends.
    """
    n = len(place)
    shown = np.unique(place, return_counts=True)[1].astype(np.float64)
    elsewhere = n * (n - 1) / 2 - _pairs(shown)
    _, first = group_keys(left, right)
    same = _pairs(np.diff(np.append(np.flatnonzero(first), n)).astype(np.float64))
    if elsewhere <= 0 or same <= 0 or same >= elsewhere:
        return 0.0
    chance = same / elsewhere
    # All UMIs taken would mean any number of molecules: half a UMI is left free.
    share = np.minimum(shown * chance, 1 - chance / 2)
    return float(np.maximum(np.log1p(-share) / np.log1p(-chance) - shown, 0).sum())


def _pairs(count: NDArray[np.float64]) -> float:
    return float((count * (count - 1)).sum() / 2)
