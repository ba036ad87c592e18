"""VAF over all strata, and its interval, with the background as uncertain as the blanks leave it.

A stratum shows x_t = V + B molecules: B from the background with the same predictive distribution that p values come
from, V ~ Binomial(N_t - B, f). So each stratum's likelihood is a sum over how many of its molecules are background,
sum_b P(B = b) C(N_t - b, x_t - b) f^(x_t - b) (1 - f)^(N_t - x_t), and strata multiply.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from esr1call.lod import Block, Cases, Ints
from esr1call.stats import Floats

DROP = 1.920729
"""Half of the 95% point of chi-squared with one degree of freedom."""
_MAX_BACKGROUND = 2048
_BLOCK = 1 << 16
_SCAN = 24
_STEPS = 12
_FARTHEST = -50.0


def fractions(cases: Cases, observed: Ints, drop: float = DROP) -> tuple[Floats, Floats, Floats]:
    """Maximum likelihood VAF and its profile likelihood interval (log likelihood down by `drop`), each [n].

    `observed` int64 [n, 5]. No depth gives nan.
    """
    x, depth = observed.sum(axis=1), cases.depth.sum(axis=1)
    best, low, high = np.zeros(len(x)), np.zeros(len(x)), np.full(len(x), np.nan)
    with np.errstate(divide="ignore"):
        # Without a molecule, background and variant are told apart by nothing: (1 - f)^N
        high[:] = np.where(depth > 0, -np.expm1(-drop / depth), np.nan)
    most = observed.max(axis=1, initial=0)
    sizes = 2 ** np.ceil(np.log2(np.maximum(most, 4))).astype(np.int64)
    for size in np.unique(sizes[x > 0]):
        rows = np.flatnonzero((sizes == size) & (x > 0))
        terms = min(int(size), _MAX_BACKGROUND)
        for numbers, block in cases.take(rows).blocks(max(2, _BLOCK // (terms + 1))):
            at = rows[numbers]
            best[at], low[at], high[at] = _solve(_Likelihood(block, observed[at].T, terms), drop)
    nothing = depth == 0
    best[nothing], low[nothing] = np.nan, np.nan
    return best, low, high


class _Likelihood:
    """Log likelihood of f in n samples of one allele; `observed` [5, n]."""

    def __init__(self, block: Block, observed: Ints, terms: int) -> None:
        self.samples = observed.shape[1]
        self.depth = sum((block.depth[t] for t in range(len(block.step))), np.zeros(self.samples))
        self.seen = sum((observed[t] for t in range(len(block.step))), np.zeros(self.samples))
        self.parts: list[tuple[Floats, Floats, NDArray[np.bool_]]] = []
        b = np.arange(terms + 1)[:, None]
        for t in range(len(block.step)):
            if not observed[t].any():
                continue  # (1 - f)^N, whatever the background
            n, x = block.depth[t], observed[t]
            pmf = block.pmf(t, terms)
            variant = np.maximum(x - b, 0)
            with np.errstate(divide="ignore"):
                log = np.log(pmf) + gammaln(n - np.minimum(b, x) + 1) - gammaln(variant + 1) - gammaln(n - x + 1)
            log[b > x] = -np.inf
            top = int(x.max())
            self.parts.append((log[: top + 1], variant[: top + 1].astype(np.float64), x > 0))

    def __call__(self, f: Floats) -> Floats:
        """Log likelihood [n] at f [n]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            log_f = np.log(f)
            left = self.depth - self.seen
            total = np.where(left > 0, left * np.log1p(-f), 0.0)
            for log, variant, seen in self.parts:
                terms = log + np.where(variant > 0, variant * log_f, 0.0)
                peak = terms.max(axis=0)
                total = total + np.where(seen, peak + np.log(np.exp(terms - peak).sum(axis=0)), 0.0)
        out: Floats = np.where(np.isnan(total), -np.inf, total)
        return out

    def slope(self, log_f: Floats) -> Floats:
        """Derivative by log f, [n], at log f below 0."""
        f = np.exp(log_f)
        total: Floats = (self.seen - self.depth) * f / (1 - f)
        for log, variant, seen in self.parts:
            terms = log + variant * log_f
            share = np.exp(terms - terms.max(axis=0))
            total += np.where(seen, (share * variant).sum(axis=0) / share.sum(axis=0), 0.0)
        return total


def _solve(likelihood: _Likelihood, drop: float) -> tuple[Floats, Floats, Floats]:
    n = likelihood.samples
    zero, one = np.zeros(n), np.ones(n)
    least = np.log(1e-3 / likelihood.depth)
    log_grid = [least + (0 - least) * k / (_SCAN - 1) for k in range(_SCAN)]
    # The plain fraction is near the top where the background is nothing.
    log_grid.insert(0, np.log(likelihood.seen / likelihood.depth))
    grid = np.sort(np.stack(log_grid), axis=0)
    values = np.stack([likelihood(np.exp(g)) for g in grid])
    top = values.argmax(axis=0)
    column = np.arange(n)
    best = _climb(likelihood, grid[np.maximum(top - 1, 0), column], grid[np.minimum(top + 1, _SCAN), column])
    candidates = np.stack([likelihood(zero), likelihood(best), likelihood(one)])
    choice = candidates.argmax(axis=0)
    peak = candidates.max(axis=0)
    best = np.where(choice == 0, 0.0, np.where(choice == 2, 1.0, best))
    enough = values >= peak - drop
    # outermost points of the scan inside the interval; where none is, the best estimate
    some = enough.any(axis=0)
    first = np.where(some, enough.argmax(axis=0), top)
    last = np.where(some, _SCAN - enough[::-1].argmax(axis=0), top)
    log_best = np.where(best > 0, np.log(np.maximum(best, 1e-300)), grid[0])

    def above(x: Floats) -> Floats:
        """How far the log likelihood lies above the interval's edge."""
        out: Floats = likelihood(np.exp(x)) - (peak - drop)
        return out

    edge = values - (peak - drop)
    at_best = np.full(n, drop)
    outer, inner = np.maximum(first - 1, 0), np.where(some, np.minimum(grid[first, column], log_best), log_best)
    inside = np.where(some & (grid[first, column] < log_best), edge[first, column], at_best)
    low = _root(above, grid[outer, column], edge[outer, column], inner, inside)
    outer, inner = np.minimum(last + 1, _SCAN), np.where(some, np.maximum(grid[last, column], log_best), log_best)
    inside = np.where(some & (grid[last, column] > log_best), edge[last, column], at_best)
    high = _root(above, grid[outer, column], edge[outer, column], inner, inside)
    high = np.where(grid[outer, column] > log_best, high, log_best)
    low_f = np.where(likelihood(zero) >= peak - drop, 0.0, np.minimum(np.exp(low), best))
    high_f = np.where(likelihood(one) >= peak - drop, 1.0, np.maximum(np.exp(high), best))
    return best, low_f, high_f


def _climb(likelihood: _Likelihood, low: Floats, high: Floats) -> Floats:
    """The top between log fractions `low` and `high`, where the slope turns from rising to falling."""
    high = np.minimum(high, -1e-9)
    top: Floats = np.exp(_root(likelihood.slope, high, likelihood.slope(high), low, likelihood.slope(low)))
    return top


def _root(function: Callable[[Floats], Floats], x0: Floats, y0: Floats, x1: Floats, y1: Floats) -> Floats:
    """Where `function` is 0 between x0, where it is y0 < 0, and x1, where it is y1 >= 0; by the Illinois method.

    Where y0 is not negative, nothing is crossed: x0.
    """
    crossed = y0 < 0
    y0 = np.maximum(y0, _FARTHEST)
    outside, above_outside, inside, above_inside = x0, y0, x1, y1
    side = np.zeros(len(x0))
    for _ in range(_STEPS):
        with np.errstate(divide="ignore", invalid="ignore"):
            x = inside - above_inside * (inside - outside) / (above_inside - above_outside)
        between = (x - outside) * (x - inside) <= 0
        x = np.where(between, x, 0.5 * (outside + inside))
        y = np.maximum(function(x), _FARTHEST)
        within = y >= 0
        # an end that stays twice counts for half
        above_outside = np.where(within, np.where(side > 0, 0.5 * above_outside, above_outside), y)
        above_inside = np.where(within, y, np.where(side < 0, 0.5 * above_inside, above_inside))
        outside, inside = np.where(within, outside, x), np.where(within, x, inside)
        side = np.where(within, 1.0, -1.0)
    return np.where(crossed, np.where(np.abs(above_inside) < np.abs(above_outside), inside, outside), x0)
