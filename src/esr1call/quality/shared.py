"""Molecules that two samples of a batch share: the direct evidence of index hopping and of mixed libraries.

Two samples' molecules are the same where fragment ends and both UMIs agree. The sample with more reads of a shared
molecule is where it comes from; where both have the same number, it is shared out as the clear ones are. By chance
molecules agree as well, the more the shorter the UMIs: that number is estimated from pairs of molecules of two samples
that have the same ends, and from how often molecules of different ends have the same UMIs, and taken off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from esr1call.molecules.sketch import NO_LIMIT, Sketch
from esr1call.pileup.fragments import pack_origin
from esr1call.stats import Floats

_TAIL = 0.025
_CELLS_AT_ONCE = 2_000_000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """A fraction with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class SharedMolecules:
    """What samples share, all [giver, taker] over the batch's samples.

    `molecules`: the taker's molecules that are the giver's; `chance`: how many would agree by chance; `compared`: the
    taker's molecules that were compared (0 where the two can't be compared); `reads`: read pairs of the taker's shared
    molecules; `giver_reads`: read pairs of all the giver's molecules that were compared.
    """

    molecules: Floats
    chance: Floats
    compared: Floats
    reads: Floats
    giver_reads: Floats

    def contamination(self, taker: int) -> tuple[Share, int] | None:
        """(share of a sample's molecules that are another's, the likeliest giver); None where it can't be compared."""
        some = self.compared[:, taker] > 0
        if not some.any():
            return None
        seen, chance = self.molecules[:, taker], self.chance[:, taker]
        whole = float(np.median(self.compared[some, taker]))
        return poisson_share(float(seen.sum()), float(chance.sum()), whole), int((seen - chance).argmax())

    def pair(self, giver: int, taker: int) -> Share | None:
        """Share of `taker`'s molecules that are `giver`'s, None where they can't be compared."""
        if self.compared[giver, taker] == 0:
            return None
        return poisson_share(
            self.molecules[giver, taker], self.chance[giver, taker], float(self.compared[giver, taker])
        )

    def hop_rate(self) -> Share | None:
        """Share of a sample's read pairs that turn up in another sample, over the batch; None where nothing tells."""
        total = self.giver_reads.max(axis=1, initial=0.0).sum()
        if total == 0:
            return None
        seen, reads = float(self.molecules.sum()), float(self.reads.sum())
        by_chance = float(self.chance.sum()) * (reads / seen if seen else 1.0)
        return poisson_share(reads, by_chance, float(total))


def poisson_share(seen: float, chance: float, whole: float) -> Share:
    """(seen - chance) / whole with the exact Poisson interval of `seen` (Garwood 1936), within 0..1."""
    low = gammaincinv(seen, _TAIL) if seen > 0 else 0.0
    high = gammaincinv(seen + 1, 1 - _TAIL)
    return Share(*(float(np.clip((x - chance) / whole, 0.0, 1.0)) for x in (seen, low, high)))


def shared_molecules(samples: Sequence[Mapping[str, Sketch] | None]) -> SharedMolecules:
    """Compare every two of the samples' sketches, by window name (None or nothing in it: can't be compared)."""
    n = len(samples)
    out = SharedMolecules(*(np.zeros((n, n)) for _ in range(5)))
    pools = {i: _pool(list(s.values())) for i, s in enumerate(samples) if s}
    if not pools:
        return out
    who, found = list(pools), list(pools.values())
    limits = np.array([p.limit for p in found], dtype=np.uint64)
    for i, pool in pools.items():
        shown = np.searchsorted(pool.key, np.minimum(limits, pool.limit), side="right")
        out.compared[who, i] = shown
        out.giver_reads[i, who] = np.append(0, np.cumsum(pool.templates))[shown]
    for pairs in (out.compared, out.giver_reads):
        np.fill_diagonal(pairs, 0.0)
    same_umi = _umi_coincidence([k for s in samples if s for k in s.values()])
    out.chance[np.ix_(who, who)] = _chance(found, same_umi)
    _count_shared(out, who, found)
    return out


@dataclass(frozen=True, eq=False)
class _Pool:
    """A sample's molecules of all windows, each once, by rising `key`; `limit`: all up to this key are here."""

    key: NDArray[np.uint64]
    place: NDArray[np.uint64]
    templates: Ints
    limit: np.uint64


def _pool(sketches: Sequence[Sketch]) -> _Pool:
    limit = min(limit for s in sketches for limit in s.limits)
    key = np.concatenate([s.key for s in sketches])
    start, end = (np.concatenate([getattr(s, name) for s in sketches]) for name in ("start", "end"))
    # One molecule may be in several windows, and twice in one where its strands were not paired.
    key, first, number = np.unique(key, return_index=True, return_inverse=True)
    templates = np.zeros(len(key), dtype=np.int64)
    np.maximum.at(templates, number, np.concatenate([s.templates for s in sketches]))
    place = pack_origin(start[first], end[first], np.zeros(len(first), dtype=np.int64))
    kept = key <= limit
    return _Pool(key[kept], place[kept], templates[kept], limit)


def _chance(found: Sequence[_Pool], same_umi: float) -> Floats:
    """Molecules [n, n] that agree by chance; both orders of a pair get half of them."""
    places, number = np.unique(np.concatenate([p.place for p in found]), return_inverse=True)
    sample = np.repeat(np.arange(len(found)), [len(p.key) for p in found])
    pairs = np.zeros((len(found), len(found)))
    step = max(_CELLS_AT_ONCE // len(found), 1)
    for first in range(0, len(places), step):
        some = (number >= first) & (number < first + step)
        table = np.zeros((len(found), min(step, len(places) - first)))
        np.add.at(table, (sample[some], number[some] - first), 1)
        pairs += table @ table.T
    part = np.array([1.0 if p.limit == NO_LIMIT else float(p.limit) / 2.0**64 for p in found])
    # Of two samples' pairs of molecules with equal ends, part x part are here; but those that agree in all are one key,
    # and here with the smaller part.
    out: Floats = pairs * same_umi / np.maximum(part[:, None], part[None, :]) / 2
    np.fill_diagonal(out, 0.0)
    return out


def _count_shared(out: SharedMolecules, who: Sequence[int], found: Sequence[_Pool]) -> None:
    sizes = [len(p.key) for p in found]
    key = np.concatenate([p.key for p in found])
    sample = np.repeat(np.array(who, dtype=np.int64), sizes)
    templates = np.concatenate([p.templates for p in found])
    limit = np.repeat(np.array([p.limit for p in found], dtype=np.uint64), sizes)
    order = np.argsort(key, kind="stable")
    key, sample, templates, limit = key[order], sample[order], templates[order], limit[order]
    ties, tied_reads = np.zeros_like(out.molecules), np.zeros_like(out.molecules)
    step = 1
    while (same := np.flatnonzero(key[step:] == key[:-step])).size:  # neighbours, then next but one, and so on
        one, two = same, same + step
        both = key[one] <= np.minimum(limit[one], limit[two])
        one, two = one[both], two[both]
        more = templates[one] - templates[two]
        for sign in (1, -1):
            giver, taker = (one, two) if sign > 0 else (two, one)
            clear, tie = more * sign > 0, more == 0
            np.add.at(out.molecules, (sample[giver[clear]], sample[taker[clear]]), 1)
            np.add.at(out.reads, (sample[giver[clear]], sample[taker[clear]]), templates[taker[clear]])
            np.add.at(ties, (sample[giver[tie]], sample[taker[tie]]), 1)
            np.add.at(tied_reads, (sample[giver[tie]], sample[taker[tie]]), templates[taker[tie]])
        step += 1
    known = out.molecules + out.molecules.T
    toward = np.divide(out.molecules, known, out=np.full_like(known, 0.5), where=known > 0)
    out.molecules[:] += ties * toward
    out.reads[:] += tied_reads * toward


def _umi_coincidence(sketches: Sequence[Sketch]) -> float:
    """How likely two molecules have the same UMIs, from how often that is so in one window of one sample."""
    same = pairs = 0.0
    for s in sketches:
        count = np.unique(np.stack([s.left, s.right], axis=1), axis=0, return_counts=True)[1].astype(np.float64)
        same += float((count * (count - 1)).sum())
        pairs += len(s) * (len(s) - 1.0)
    return same / pairs if pairs else 0.0


def shared_alleles(giver: Sketch, taker: Sketch, haplotype: np.uint64) -> int:
    """How many of the taker's molecules with a haplotype the giver has too, with at least as many reads."""
    rows = taker.haplotype == haplotype
    _, one, two = np.intersect1d(taker.key[rows], giver.key, return_indices=True)
    return int((taker.templates[rows][one] <= giver.templates[two]).sum())
