"""Decision limits of a weighted molecule count: the tail of the background, critical value, LoB, LoD95, VAF.

The test statistic of an allele is T = sum over strata of w_t x_t, where x_t are its molecules in stratum t and w_t is
a whole number near `WEIGHT_SCALE` log((f0 + mu_t) / mu_t): the log likelihood ratio of one molecule for a variant at
fraction f0 against the background rate mu_t. Any fixed weights give an exact test; whole ones make T a lattice, so its
distribution is an exact convolution. All functions work on n alleles at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esr1call.stats import Floats, add_to_tail, mixture_table

Ints = NDArray[np.int64]

WEIGHT_SCALE = 2.0
MAX_WEIGHT = 16
MAX_STATISTIC = 4096
"""Tails are computed up to here; beyond, the tail at this value is reported, an upper bound of p."""
LEAST_P = 1e-300
"""Smaller p values are reported as this."""
_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class Cases:
    """n alleles of one or many samples, with what the background predicts for each.

    `depth` int64 [n, 5]: molecules by stratum. `weight`, `rate`, `size` float64 [n, 5, components]: the error rate of
    stratum t is a mixture of gamma distributions with means `rate` (per molecule) and shapes `size`; weights sum to 1.
    `extra` float64 [n, 5]: molecules expected on top (errors on molecules of another abundant haplotype).
    `step` int64 [n, 5]: w_t, at least 1.
    """

    depth: Ints
    weight: Floats
    rate: Floats
    size: Floats
    extra: Floats
    step: Ints

    def __len__(self) -> int:
        return len(self.depth)

    def take(self, rows: Ints | NDArray[np.bool_]) -> Cases:
        """Some of the rows."""
        return Cases(*(getattr(self, name)[rows] for name in ("depth", "weight", "rate", "size", "extra", "step")))

    @property
    def expected(self) -> Floats:
        """Background molecules expected, [n, 5]."""
        out: Floats = (self.weight * self.rate).sum(axis=-1) * self.depth + self.extra
        return out


def steps(weight: Floats, rate: Floats, f0: float) -> Ints:
    """w_t [n, 5] for a variant at fraction `f0`, from the background's components [n, 5, components]."""
    mu = np.maximum((weight * rate).sum(axis=-1), 1e-12)
    out: Ints = np.clip(np.rint(WEIGHT_SCALE * np.log1p(f0 / mu)), 1, MAX_WEIGHT).astype(np.int64)
    return out


def tails(cases: Cases, top: int) -> Floats:
    """P(T >= t) for t = 0..top under the background, [n, top + 1]."""
    out = np.empty((len(cases), top + 1))
    chunk = max(1, _CHUNK // (top + 1))
    for start in range(0, len(cases), chunk):
        out[start : start + chunk] = _tails(cases.take(np.arange(start, min(start + chunk, len(cases)))), top)
    return out


def _tails(cases: Cases, top: int) -> Floats:
    n, strata = cases.depth.shape
    tail = np.zeros((n, top + 1))
    tail[:, 0] = 1.0
    mean = cases.depth[..., None] * cases.rate + cases.extra[..., None]
    for t in range(strata):
        for step in np.unique(cases.step[:, t]):
            rows = np.flatnonzero((cases.step[:, t] == step) & (mean[:, t] > 0).any(axis=-1))
            if len(rows):
                pmf, above = mixture_table(cases.weight[rows, t], mean[rows, t], cases.size[rows, t], -(-top // step))
                tail[rows] = add_to_tail(tail[rows], pmf, above, int(step), top)
    return tail


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
    value = (cases.step * observed).sum(axis=1)
    p, critical, lob, lod95 = np.ones(n), np.zeros(n, dtype=np.int64), np.full(n, np.nan), np.full(n, np.nan)
    todo = np.arange(n)
    top = 128
    while len(todo):
        part = cases.take(todo)
        tail = tails(part, top)
        last = top >= MAX_STATISTIC
        inside = tail <= alpha
        ready = inside.any(axis=1) & ((value[todo] <= top) | last) if not last else np.ones(len(todo), dtype=bool)
        rows, done = todo[ready], tail[ready]
        p[rows] = np.maximum(done[np.arange(len(rows)), np.minimum(value[rows], top)], LEAST_P)
        found = inside[ready].any(axis=1)
        rows, done, inside, part = rows[found], done[found], inside[ready][found], part.take(ready).take(found)
        critical[rows] = inside.argmax(axis=1)
        lob[rows] = _lob(part, done, critical[rows], min_molecules)
        lod95[rows] = _lod95(part, done, critical[rows], min_molecules)
        todo = todo[~ready]
        top *= 4 if top < MAX_STATISTIC // 4 else MAX_STATISTIC // top
    return Limits(p, critical, lob, lod95)


def _lob(cases: Cases, tail: Floats, critical: Ints, min_molecules: int) -> Floats:
    """The largest value of T below `critical` that can occur, as a fraction above background."""
    t = np.arange(tail.shape[1] - 1)
    possible = (tail[:, :-1] > tail[:, 1:]) & (t < critical[:, None])
    largest = np.where(possible, t, 0).max(axis=1)
    depth = cases.depth.sum(axis=1)
    weighted = (cases.step * cases.depth).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        net = np.maximum(largest - (cases.step * cases.expected).sum(axis=1), 0.0) / weighted
        return np.where(depth > 0, np.maximum(net, (min_molecules - 1) / depth), np.nan)


def power(cases: Cases, tail: Floats, critical: Ints, fraction: Floats, min_molecules: int) -> Floats:
    """Probability [n] that a variant at `fraction` [n] is called, given the background's `tail` [n, >= critical + 1].

    Variant molecules are Poisson(f N_t), so T from them is compound Poisson: Panjer's recursion gives its distribution,
    P(S = s) = (1 / s) sum_t f N_t w_t P(S = s - w_t). Called means T >= critical and X >= `min_molecules`.
    """
    n, strata = cases.depth.shape
    mean = fraction[:, None] * cases.depth
    longest = int(critical.max(initial=1))
    pad = MAX_WEIGHT
    s = np.zeros((n, pad + longest))
    s[:, pad] = 1.0  # P(S = 0) up to a factor exp(log_scale)
    log_scale = -mean.sum(axis=1)
    slope = mean * cases.step
    row = np.arange(n)
    for value in range(1, longest):
        total = np.zeros(n)
        for t in range(strata):
            total += slope[:, t] * s[row, pad + value - cases.step[:, t]]
        s[:, pad + value] = total / value
        if value % 16 == 0:
            large = s[:, pad + value - 15 : pad + value + 1].max(axis=1) > 1e100
            s[large] *= 1e-100
            log_scale[large] += 100 * np.log(10.0)
    # missed = P(S + B < critical) = sum_u P(S = u) P(B < critical - u)
    u = np.arange(longest)
    need = critical[:, None] - u
    below = np.where(need > 0, 1.0 - np.take_along_axis(tail, np.maximum(need, 0), axis=1), 0.0)
    missed = (s[:, pad:] * below).sum(axis=1) * np.exp(log_scale)
    if min_molecules == 2:
        missed += _one_molecule(cases, critical, mean)
    out: Floats = np.clip(1.0 - missed, 0.0, 1.0)
    return out


def _one_molecule(cases: Cases, critical: Ints, mean: Floats) -> Floats:
    """P(exactly one molecule, and T >= critical)."""
    background = cases.depth[..., None] * cases.rate + cases.extra[..., None]
    ratio = background / cases.size
    zero = (cases.weight * np.exp(-cases.size * np.log1p(ratio))).sum(axis=-1)
    one = (cases.weight * np.exp(-(cases.size + 1) * np.log1p(ratio)) * background).sum(axis=-1)
    alone = (one + mean * zero) / zero  # relative to no molecule of this stratum
    reach = np.where(cases.step >= critical[:, None], alone, 0.0).sum(axis=1)
    out: Floats = reach * np.exp((np.log(zero) - mean).sum(axis=1))
    return out


def _lod95(cases: Cases, tail: Floats, critical: Ints, min_molecules: int) -> Floats:
    """Least fraction that is called in 95 of 100 samples, by bisection of log f; nan where none is."""
    out = np.full(len(cases), np.nan)
    rows = np.flatnonzero(cases.depth.sum(axis=1) > 0)
    sure = power(cases.take(rows), tail[rows], critical[rows], np.ones(len(rows)), min_molecules) >= 0.95
    rows = rows[sure]
    if not len(rows):
        return out
    part, tail, critical = cases.take(rows), tail[rows], critical[rows]
    low = np.log(0.01 / part.depth.sum(axis=1))
    high = np.zeros(len(rows))
    for _ in range(18):
        middle = 0.5 * (low + high)
        enough = power(part, tail, critical, np.exp(middle), min_molecules) >= 0.95
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    out[rows] = np.exp(high)
    return out


def fractions(cases: Cases, observed: Ints, drop: float = 1.920729) -> tuple[Floats, Floats, Floats]:
    """Maximum likelihood VAF and its 95% profile likelihood interval (log likelihood down by `drop`), each [n].

    Model: x_t ~ Binomial(N_t, f + (1 - f) mu_t), mu_t the expected background rate; concave in f. Zero depth gives nan.
    """
    x = observed.astype(np.float64)
    depth = cases.depth.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mu = np.where(depth > 0, np.minimum(cases.expected / depth, 0.5), 0.0)
    mu = np.maximum(mu, 1e-12)
    some = depth.sum(axis=1) > 0

    def log_likelihood(f: Floats) -> Floats:
        rate = f[:, None] + (1 - f[:, None]) * mu
        with np.errstate(divide="ignore", invalid="ignore"):
            hit = np.where(x > 0, x * np.log(rate), 0.0)
            missed = np.where(depth > x, (depth - x) * np.log1p(-rate), 0.0)
        out: Floats = (hit + missed).sum(axis=1)
        return out

    def slope(f: Floats) -> Floats:
        rate = f[:, None] + (1 - f[:, None]) * mu
        with np.errstate(divide="ignore", invalid="ignore"):
            missed = np.where(depth > x, (depth - x) / (1 - rate), 0.0)
        out: Floats = ((x / rate - missed) * (1 - mu)).sum(axis=1)
        return out

    zero, one = np.zeros(len(x)), np.ones(len(x))
    best = _bisect(lambda f: slope(f) > 0, zero, one)
    best = np.where(slope(zero) <= 0, 0.0, np.where((depth == x).all(axis=1), 1.0, best))
    peak = log_likelihood(best)
    low = _bisect(lambda f: log_likelihood(f) < peak - drop, zero, best)
    low = np.where(log_likelihood(zero) >= peak - drop, 0.0, low)
    high = _bisect(lambda f: log_likelihood(f) >= peak - drop, best, one)
    high = np.where(log_likelihood(one) >= peak - drop, 1.0, high)
    return tuple(np.where(some, v, np.nan) for v in (best, low, high))  # type: ignore[return-value]


def _bisect(lower: Callable[[Floats], NDArray[np.bool_]], low: Floats, high: Floats) -> Floats:
    """Where `lower(f)` turns from true to false between `low` and `high`."""
    low, high = low.copy(), high.copy()
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = lower(middle)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return high
