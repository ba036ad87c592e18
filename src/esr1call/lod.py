"""Decision limits of a weighted molecule count: the tail of the background, critical value, LoB and LoD95.

The test statistic of an allele is T = sum over strata of w_t x_t, where x_t are its molecules in stratum t and w_t is
a whole number near `WEIGHT_SCALE` log((f0 + mu_t) / mu_t): the log likelihood ratio of one molecule for a variant at
fraction f0 against the background rate mu_t. Any fixed weights give an exact test; whole ones make T a lattice, so its
distribution is an exact convolution.

Samples of one allele share its background and weights, so they are computed together: arrays inside have the lattice
(or the mixture's components) first and samples last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from esr1call.background import Predictive
from esr1call.stats import Floats, add_to_tail, mixture_pmf, mixture_table

Ints = NDArray[np.int64]

WEIGHT_SCALE = 2.0
MAX_WEIGHT = 16
MAX_STATISTIC = 4096
"""Tails are computed up to here; beyond, the tail at this value is reported, an upper bound of p."""
LEAST_P = 1e-300
"""Smaller p values are reported as this."""
_FIRST_TOP = 64
_BLOCK = 1 << 16
_POWER = 0.95


@dataclass(frozen=True, eq=False)
class Cases:
    """n alleles of one or many samples, with what the background predicts for each.

    `depth` int64 [n, 5]: molecules by stratum. `row` int64 [n]: the case's row in `background` and in `step`, of m
    alleles. `extra` float64 [n, 5]: molecules expected on top (errors on molecules of another abundant haplotype).
    `step` int64 [m, 5]: w_t, at least 1.
    """

    depth: Ints
    row: Ints
    background: Predictive
    extra: Floats
    step: Ints

    def __len__(self) -> int:
        return len(self.depth)

    def take(self, rows: Ints | NDArray[np.bool_]) -> Cases:
        """Some of the cases."""
        return Cases(self.depth[rows], self.row[rows], self.background, self.extra[rows], self.step)

    @property
    def expected(self) -> Floats:
        """Background molecules expected, [n, 5]."""
        return self.background.mean[self.row] * self.depth + self.extra

    @property
    def steps(self) -> Ints:
        """w_t of each case, [n, 5]."""
        return self.step[self.row]

    def blocks(self, size: int) -> Iterator[tuple[Ints, Block]]:
        """Cases of one allele, at most `size` at a time, with their numbers.

        A case alone is doubled: numpy sums a single column in another order, and what is found in a sample must not
        depend, not even in the last bit, on what other samples there are.
        """
        order = np.argsort(self.row, kind="stable")
        starts = np.flatnonzero(np.diff(self.row[order], prepend=-1))
        for rows in np.split(order, starts[1:]) if len(order) else ():
            for at in range(0, len(rows), size):
                part = rows[at : at + size]
                part = np.repeat(part, 2) if len(part) == 1 else part
                row, b = self.row[part[0]], self.background
                yield (
                    part,
                    Block(
                        self.depth[part].T, b.weight[row], b.rate[row], b.size[row], self.extra[part].T, self.step[row]
                    ),
                )


@dataclass(frozen=True, eq=False)
class Block:
    """n samples of one allele: `depth`, `extra` [5, n]; `weight`, `rate` [5, nodes]; `size`, `step` [5]."""

    depth: Ints
    weight: Floats
    rate: Floats
    size: Floats
    extra: Floats
    step: Ints

    def take(self, rows: NDArray[np.bool_]) -> Block:
        """Some of the samples."""
        return Block(self.depth[:, rows], self.weight, self.rate, self.size, self.extra[:, rows], self.step)

    def pmf(self, stratum: int, top: int) -> Floats:
        """P(X = x) of the background molecules of one stratum, x = 0..top, [top + 1, n]."""
        return mixture_pmf(*self._mixture(stratum), top)

    def _mixture(self, stratum: int) -> tuple[Floats, Floats, float]:
        used = self.weight[stratum] > 0
        mean = self.rate[stratum, used, None] * self.depth[stratum] + self.extra[stratum]
        return self.weight[stratum, used], mean, float(self.size[stratum])

    def tail(self, top: int) -> tuple[Floats, Floats]:
        """P(T >= t) for t = 0..top, [top + 1, n]; and pmf at 0 and 1 of each stratum, [5, 2, n]."""
        strata, n = self.depth.shape
        tail = np.zeros((top + 1, n))
        tail[0] = 1.0
        few = np.zeros((strata, 2, n))
        few[:, 0] = 1.0
        for t in range(strata):
            if self.depth[t].any() or self.extra[t].any():
                pmf, above = mixture_table(*self._mixture(t), -(-top // int(self.step[t])))
                tail = add_to_tail(tail, pmf, above, int(self.step[t]), top)
                few[t] = pmf[:2]
        return tail, few


def steps(background: Predictive, f0: float) -> Ints:
    """w_t [m, 5] for a variant at fraction `f0`."""
    mu = np.maximum(background.mean, 1e-12)
    out: Ints = np.clip(np.rint(WEIGHT_SCALE * np.log1p(f0 / mu)), 1, MAX_WEIGHT).astype(np.int64)
    return out


def tails(cases: Cases, top: int) -> Floats:
    """P(T >= t) for t = 0..top under the background, [n, top + 1]."""
    out = np.empty((len(cases), top + 1))
    for rows, block in cases.blocks(_columns(top)):
        out[rows] = block.tail(top)[0].T
    return out


def _columns(top: int) -> int:
    return max(1, _BLOCK // (top + 1))


@dataclass(frozen=True, eq=False)
class Limits:
    """Per allele: `p` of what was observed; `critical` least T with P(T >= critical) <= alpha; `lob` and `lod95`.

    Both are fractions above background, as VAF is. `lod95` is nan where even a fraction of 1 is not seen in 95% of
    samples. Where no critical value is in reach (a site so dirty that thousands of molecules show it), `critical` is 0,
    and `lob` and `lod95` are nan.
    """

    p: Floats
    critical: Ints
    lob: Floats
    lod95: Floats


def limits(cases: Cases, observed: Ints, alpha: float, min_molecules: int) -> Limits:
    """p, critical value at level `alpha`, LoB and LoD95 of each allele; `observed` int64 [n, 5] molecules.

    LoB = the largest T that is not called, as a fraction above background: (T - E[T]) / sum w_t N_t, for one stratum
    (k_c - 1) / N less the background rate, so that it can be compared with VAF and LoD95, which are net of background.
    LoD95 = least fraction f with P(T >= critical and at least `min_molecules` (1 or 2) molecules | f) >= 0.95.
    """
    n = len(cases)
    value = np.minimum((cases.steps * observed).sum(axis=1), MAX_STATISTIC)
    p, critical, lob, lod95 = np.ones(n), np.zeros(n, dtype=np.int64), np.full(n, np.nan), np.full(n, np.nan)
    measured = np.zeros(n, dtype=bool)
    todo, top = np.arange(n), _FIRST_TOP
    while len(todo):
        for numbers, block in cases.take(todo).blocks(_columns(top)):
            rows = todo[numbers]
            tail, few = block.tail(top)
            seen = np.flatnonzero(value[rows] <= top)
            p[rows[seen]], measured[rows[seen]] = tail[value[rows[seen]], seen], True
            found = tail[top] <= alpha
            if found.any():
                least = np.where(found, (tail <= alpha).argmax(axis=0), top)
                critical[rows[found]] = least[found]
                lob[rows[found]] = _lob(block, tail, least, min_molecules)[found]
                lod95[rows[found]] = _lod95(Power(block, tail, few, least, min_molecules))[found]
        todo = todo[critical[todo] == 0] if top < MAX_STATISTIC else todo[:0]
        top *= 2
    far = np.flatnonzero(~measured)
    p[far] = p_values(cases.take(far), observed[far])
    return Limits(np.maximum(p, LEAST_P), critical, lob, lod95)


def p_values(cases: Cases, observed: Ints) -> Floats:
    """P(T >= what was observed) under the background, [n]."""
    value = np.minimum((cases.steps * observed).sum(axis=1), MAX_STATISTIC)
    reach = np.maximum(2 ** np.ceil(np.log2(np.maximum(value, 1))).astype(np.int64), _FIRST_TOP)
    p = np.ones(len(cases))
    for top in np.unique(reach).tolist():
        rows = np.flatnonzero(reach == top)
        for numbers, block in cases.take(rows).blocks(_columns(top)):
            p[rows[numbers]] = block.tail(top)[0][value[rows[numbers]], np.arange(len(numbers))]
    return np.maximum(p, LEAST_P)


def _lob(block: Block, tail: Floats, critical: Ints, min_molecules: int) -> Floats:
    """The largest value of T below `critical` that can occur, as a fraction above background."""
    t = np.arange(len(tail) - 1)[:, None]
    possible = (tail[:-1] > tail[1:]) & (t < critical)
    largest = np.where(possible, t, 0).max(axis=0)
    mean = (block.weight * block.rate).sum(axis=1)
    # sums over strata one by one: the same order whatever the number of samples
    depth, weighted, expected = np.zeros((3, block.depth.shape[1]))
    for t_, step in enumerate(block.step):
        depth += block.depth[t_]
        weighted += step * block.depth[t_]
        expected += step * (block.depth[t_] * mean[t_] + block.extra[t_])
    with np.errstate(divide="ignore", invalid="ignore"):
        net = np.maximum(largest - expected, 0.0) / weighted
        return np.where(depth > 0, np.maximum(net, (min_molecules - 1) / depth), np.nan)


class Power:
    """Probability that a variant is called, in n samples of one allele.

    Variant molecules are Poisson(f N_t), so S, the T from them, is compound Poisson: Panjer's recursion gives its
    distribution, P(S = s) = (1 / s) sum_t f N_t w_t P(S = s - w_t). Called means S + B >= critical, where B is the T
    from the background with its `tail` [top + 1, n], and X >= `min_molecules`. `few` [5, 2, n]: P(X = 0), P(X = 1) of
    the background in each stratum. `critical` int64 [n], at most top.
    """

    def __init__(self, block: Block, tail: Floats, few: Floats, critical: Ints, min_molecules: int) -> None:
        self.block, self.critical, self.few, self.min_molecules = block, critical, few, min_molecules
        self.steps = np.unique(block.step)
        self.depth = np.zeros((len(self.steps), block.depth.shape[1]))
        for k, step in enumerate(self.steps):
            for t in np.flatnonzero(block.step == step):
                self.depth[k] += block.depth[t]
        self.total = self.depth.sum(axis=0)
        longest = int(critical.max(initial=1))
        need = critical - np.arange(longest + MAX_WEIGHT)[:, None]
        # P(B < critical - u)
        self.below = np.where(need > 0, 1.0 - np.take_along_axis(tail, np.maximum(need, 0), axis=0), 0.0)

    def at(self, fraction: Floats) -> tuple[Floats, Floats]:
        """Power [n] at `fraction` [n], and its slope by the fraction."""
        s, log_scale = self._variant(fraction)
        scale = np.exp(log_scale)
        longest = len(s)
        missed = (s * self.below[:longest]).sum(axis=0) * scale
        # one molecule more of weight w: missed still where S + B < critical - w
        slope = np.zeros_like(missed)
        for k, step in enumerate(self.steps):
            slope += self.depth[k] * (missed - (s * self.below[step : longest + step]).sum(axis=0) * scale)
        if self.min_molecules == 2:
            missed += self._one_molecule(fraction)
        return np.clip(1.0 - missed, 0.0, 1.0), slope

    def _variant(self, fraction: Floats) -> tuple[Floats, Floats]:
        """P(S = u) for u = 0..longest critical - 1, up to a factor whose log is given."""
        longest = len(self.below) - MAX_WEIGHT
        pad = MAX_WEIGHT
        s = np.zeros((pad + longest, len(fraction)))
        s[pad] = 1.0
        log_scale = -fraction * self.total
        slopes = [(int(w), fraction * self.depth[k] * w) for k, w in enumerate(self.steps)]
        part = np.empty(len(fraction))
        for value in range(1, longest):
            row = s[pad + value]
            for w, slope in slopes:
                row += np.multiply(slope, s[pad + value - w], out=part)
            row /= value
            if value % 16 == 0:
                large = row > 1e100
                if large.any():
                    s[:, large] *= 1e-100
                    log_scale[large] += 100 * np.log(10.0)
        return s[pad:], log_scale

    def _one_molecule(self, fraction: Floats) -> Floats:
        """P(exactly one molecule, and T >= critical)."""
        none, alone = np.ones_like(fraction), np.zeros_like(fraction)
        for t, step in enumerate(self.block.step):
            mean = fraction * self.block.depth[t]
            zero, one = self.few[t]
            none *= zero * np.exp(-mean)
            alone += np.where(step >= self.critical, one / np.maximum(zero, 1e-300) + mean, 0.0)
        return none * alone


def _lod95(power: Power) -> Floats:
    """Least fraction that is called in 95 of 100 samples, [n]; nan where none is.

    Newton's steps for the probit of power by log f, kept inside a bracket; samples are done one by one, so that none
    depends on the others.
    """
    total = power.total
    some = total > 0
    depth = np.where(some, total, 1.0)
    low, high = np.log(0.01 / depth), np.zeros(len(depth))
    sure = some & (power.at(np.ones(len(depth)))[0] >= _POWER)
    target = ndtri(_POWER)
    weighted, squares = np.zeros((2, len(depth)))
    for k, w in enumerate(power.steps):
        weighted += w * power.depth[k]
        squares += float(w) ** 2 * power.depth[k]
    count = power.critical * weighted / np.where(some, squares, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        guess = np.log((count + target * np.sqrt(count) + 1.0) * squares / weighted**2)
    x = np.where(sure, np.clip(guess, low, high), 0.0)
    done = ~sure
    for _ in range(60):
        f = np.exp(x)
        value, slope = power.at(f)
        enough = value >= _POWER
        high, low = np.where(enough & ~done, x, high), np.where(~enough & ~done, x, low)
        off = ndtri(np.clip(value, 1e-12, 1 - 1e-12)) - target
        with np.errstate(divide="ignore", invalid="ignore"):
            # d probit / d log f
            step = off * np.exp(-0.5 * (off + target) ** 2) / np.sqrt(2 * np.pi) / (slope * f)
        new = x - step
        new = np.where((new > low) & (new < high), new, 0.5 * (low + high))
        done |= (np.abs(off) < 1e-7) | (high - low < 1e-9)
        if done.all():
            break
        x = np.where(done, x, new)
    return np.where(sure, np.exp(x), np.nan)
