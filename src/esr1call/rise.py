"""Has a variant risen between two draws? The ratio of two molecule fractions, its interval, p and power.

Model: draw i shows x_i ~ Poisson(N_i f_i exp(e_i) + b_i) mutant molecules of N_i, where b_i is the background expected
in that sample and e_i the draw-to-draw variation of a patient whose fraction does not change, normal on the log scale
with the given coefficient of variation. Given the total x1 + x2, and with the plug-in f1 = (x1 + x2 - b1 - b2) /
(N1 + rho N2), x2 is binomial at a fixed difference e = e2 - e1; the mid-p tail is integrated over e by Gauss-Hermite
quadrature. Without draw variation and background this is the conditional mid-p test of two Poisson rates; the
interval is its inversion. Binomial sampling is treated as Poisson: the fractions of interest are below a few per cent,
and above that the draw variation dominates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammainc, ndtri

_NODES = 40
_WIDEST = 1e6
_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Count:
    """One draw's evidence: mutant molecules, all molecules, and background molecules expected among the mutant ones."""

    molecules: int
    depth: int
    background: float = 0.0

    @property
    def fraction(self) -> float:
        """Fraction of molecules after the background, at least 0."""
        return max(self.molecules - self.background, 0.0) / self.depth


@dataclass(frozen=True)
class Ratio:
    """Later over earlier. `low` and `high` bound the ratio at the confidence asked for; `p` is the one-sided mid-p
    of no rise. `ratio` is infinite where the earlier draw shows nothing above its background, nan where neither does.
    """

    ratio: float
    low: float
    high: float
    p: float


def log_sd(cv: float) -> float:
    """Standard deviation of the logarithm of a log-normal quantity with coefficient of variation `cv`."""
    return math.sqrt(math.log1p(cv * cv))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[_Array, _Array]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return nodes, weights / weights.sum()


def _tail(earlier: Count, later: Count, rho: float, cv: float) -> tuple[float, float]:
    """(P(X2 > x2), P(X2 = x2)) given the total, at true ratio `rho`, over the draw variation."""
    total = earlier.molecules + later.molecules
    background = earlier.background + later.background
    f1 = max(total - background, 0.0) / (earlier.depth + rho * later.depth)
    nodes, weights = _quadrature()
    # e2 - e1 has variance 2 sigma^2; half of it is put on each draw.
    half = np.exp(nodes * (log_sd(cv) / math.sqrt(2.0)))
    second = later.depth * rho * f1 * half + later.background
    share = second / (second + earlier.depth * f1 / half + earlier.background)
    at_least, above = (_upper(k, total, share) for k in (later.molecules, later.molecules + 1))
    p_above, p_at_least = float(weights @ above), float(weights @ at_least)
    return p_above, max(p_at_least - p_above, 0.0)


def _upper(k: int, n: int, share: _Array) -> _Array:
    """P(X >= k) of a binomial."""
    if k <= 0:
        return np.ones_like(share)
    if k > n:
        return np.zeros_like(share)
    tail: _Array = betainc(k, n - k + 1, share)
    return tail


def p_rise(earlier: Count, later: Count, cv: float, rho: float = 1.0) -> float:
    """One-sided mid-p of a true ratio of at most `rho`; 1 where there is no molecule at all."""
    if earlier.molecules + later.molecules == 0:
        return 1.0
    above, equal = _tail(earlier, later, rho, cv)
    return above + equal / 2


def combined_cv(*cvs: float) -> float:
    """Coefficient of variation of a product of independent log-normal quantities."""
    return math.sqrt(math.expm1(sum(log_sd(cv) ** 2 for cv in cvs)))


def compare(earlier: Count, later: Count, cv: float, confidence: float = 0.95, factor: float = 1.0) -> Ratio:
    """Ratio of the later to the earlier fraction with its two-sided interval at `confidence`.

    With `factor`, the ratio of quantities that are the fractions times something known (genome copies per mL): later
    over earlier.
    """
    if earlier.molecules + later.molecules == 0:
        return Ratio(math.nan, 0.0, math.inf, 1.0)
    f1, f2 = earlier.fraction, later.fraction
    ratio = f2 / f1 if f1 > 0 else (math.inf if f2 > 0 else math.nan)
    alpha = (1 - confidence) / 2
    low = _solve(earlier, later, cv, alpha)
    high = _solve(earlier, later, cv, 1 - alpha)
    return Ratio(ratio * factor, low * factor, high * factor, p_rise(earlier, later, cv, 1 / factor))


def _solve(earlier: Count, later: Count, cv: float, target: float) -> float:
    """The true ratio at which the mid-p is `target`, by bisection on the log scale; 0 or infinity at the edges."""
    low, high = -math.log(_WIDEST), math.log(_WIDEST)
    if p_rise(earlier, later, cv, math.exp(low)) >= target:
        return 0.0
    if p_rise(earlier, later, cv, math.exp(high)) <= target:
        return math.inf
    while high - low > 1e-9:
        middle = (low + high) / 2
        if p_rise(earlier, later, cv, math.exp(middle)) < target:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def power(
    earlier: Count, later_depth: int, later_background: float, fold: float, cv: float, confidence: float
) -> float:
    """Chance that the interval excludes 1 where the true ratio is `fold`, taking the earlier draw as the truth."""
    alpha = (1 - confidence) / 2
    nodes, weights = _quadrature()
    mean = later_depth * earlier.fraction * fold * np.exp(nodes * log_sd(cv) * math.sqrt(2.0)) + later_background
    low, high = 0, max(1, int(mean.max() + 10 * math.sqrt(mean.max()) + 10))
    while low < high:
        middle = (low + high) // 2
        if p_rise(earlier, Count(middle, later_depth, later_background), cv) <= alpha:
            high = middle
        else:
            low = middle + 1
    return float(weights @ gammainc(low, mean)) if low > 0 else 1.0


def fraction_interval(count: Count, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the fraction above background: Wilson's score interval of x / N, less the background rate."""
    z = float(ndtri((1 + confidence) / 2))
    n, share = count.depth, count.molecules / count.depth
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    rate = count.background / n
    return max(centre - half - rate, 0.0), min(max(centre + half - rate, 0.0), 1.0)
