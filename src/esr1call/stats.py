"""Exact tails of counts, and corrections for many tests. Numpy and scipy.special only.

Counts of background molecules are mixtures of negative binomials. All tails here are sums of positive terms, so they
keep their relative accuracy (about 1e-12) however small they are; `nb_log_sf` goes on where a float underflows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, gammaln

Floats = NDArray[np.float64]

_SAFE = 1e-280
_LOGS_FROM_SIZE = 100.0
_QUICK_RATIO = 0.4


def nb_log_pmf(x: ArrayLike, mean: ArrayLike, size: ArrayLike) -> Floats:
    """log P(X = x) of the negative binomial with this mean and size (variance mean + mean^2 / size); broadcasts."""
    x, mean, size = (np.asarray(v, dtype=np.float64) for v in (x, mean, size))
    ratio = mean / size
    with np.errstate(divide="ignore", invalid="ignore"):
        # x log(mean / (size + mean)), 0 at x = 0 even where the mean is 0
        power = np.where(x > 0, x * (np.log(ratio) - np.log1p(ratio)), 0.0)
    out: Floats = gammaln(x + size) - gammaln(size) - gammaln(x + 1) - size * np.log1p(ratio) + power
    return out


def nb_sf(x: ArrayLike, mean: ArrayLike, size: ArrayLike) -> Floats:
    """P(X >= x) of the negative binomial, relative accuracy about 1e-12 down to 1e-290; broadcasts."""
    x, mean, size = (np.asarray(v, dtype=np.float64) for v in (x, mean, size))
    out: Floats = np.where(x <= 0, 1.0, betainc(np.maximum(x, 1.0), size, mean / (size + mean)))
    return out


def nb_log_sf(x: ArrayLike, mean: ArrayLike, size: ArrayLike) -> Floats:
    """log P(X >= x), also where the tail itself is too small for a float; broadcasts."""
    x, mean, size = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, mean, size)))
    tail = nb_sf(x, mean, size)
    with np.errstate(divide="ignore"):
        out: Floats = np.array(np.log(tail))
    small = (tail < _SAFE) & (mean > 0)
    if small.any():
        x, mean, size = x[small], mean[small], size[small]
        # P(X >= x) = P(X = x) (1 + r0 + r0 r1 + ...), r_j = P(x+j+1) / P(x+j) < 1 so far above the mean
        q = mean / (size + mean)
        term, total, j = np.ones_like(x), np.ones_like(x), x.copy()
        while (term > 1e-17 * total).any():
            term = term * (j + size) / (j + 1) * q
            total = total + term
            j += 1
        out[small] = nb_log_pmf(x, mean, size) + np.log(total)
    return out


def mixture_table(weight: Floats, mean: Floats, size: float, top: int) -> tuple[Floats, Floats]:
    """pmf and tail of n mixtures of negative binomials that share their weights and size.

    `weight` [components], `mean` [components, n]; returns P(X = x) and P(X >= x), both [top + 1, n] for x = 0..top.
    """
    pmf, q, term, below = _mixture(weight, mean, size, top)
    tail = np.empty_like(pmf)
    if top > 0:
        tail[top] = _mixture_tail(weight, q, size, top, term, below)
    # Adding up from the far end keeps the relative accuracy; the middle of the distribution can't exceed 1.
    for x in range(top - 1, 0, -1):
        np.add(tail[x + 1], pmf[x], out=tail[x])
    np.minimum(tail, 1.0, out=tail)
    tail[0] = 1.0
    return pmf, tail


def mixture_pmf(weight: Floats, mean: Floats, size: float, top: int) -> Floats:
    """As `mixture_table`, without the tail."""
    return _mixture(weight, mean, size, top)[0]


def _mixture(weight: Floats, mean: Floats, size: float, top: int) -> tuple[Floats, Floats, Floats, Floats]:
    """pmf [top + 1, n]; and by component [components, n]: q, and the weighted P(X = top) and P(X < top)."""
    c, n = mean.shape
    ratio = mean / size
    q = ratio / (1 + ratio)
    log_term = -size * np.log1p(ratio)
    # A component's pmf by its ratio of neighbours, P(x) / P(x-1) = q (x - 1 + size) / x; where size is large P(0) may
    # be too small for a float, and logs are needed.
    log_q = np.log(np.maximum(q, 1e-300)) if size > _LOGS_FROM_SIZE else None
    term = weight[:, None] * np.exp(log_term)
    below = np.zeros((c, n))
    pmf = np.empty((top + 1, n))
    pmf[0] = term.sum(axis=0)
    for x in range(1, top + 1):
        below += term
        factor = (x - 1 + size) / x
        if log_q is None:
            term *= q
            term *= factor
        else:
            log_term += log_q
            log_term += np.log(factor)
            np.exp(log_term, out=term)
            term *= weight[:, None]
        pmf[x] = term.sum(axis=0)
    return pmf, q, term, below


def _mixture_tail(weight: Floats, q: Floats, size: float, top: int, term: Floats, below: Floats) -> Floats:
    """P(X >= top) [n] from each component's weighted P(X = top) and P(X < top).

    The complement of P(X < top) is exact to 3e-11 for components that have a hundredth of their weight there, or no
    more weight than 1e5 times the tail; of the others those with any part in the tail are computed.
    """
    floor = term.sum(axis=0)
    above = np.maximum(weight[:, None] - below, term)
    heavy = (weight[:, None] > 1e5 * floor) & (below > 0.99 * weight[:, None])
    above[heavy] = term[heavy]
    matters = heavy & (term > 1e-12 * floor)
    # P(x + 1) / P(x) from x = top on; where it is small the tail is the sum of a few terms
    quick = np.maximum(q * ((top + size) / (top + 1)), q) < _QUICK_RATIO
    c, i = np.nonzero(matters & quick)
    above[c, i] = _sum_on(term[c, i], q[c, i], size, top)
    c, i = np.nonzero(matters & ~quick)
    above[c, i] = weight[c] * betainc(float(top), size, q[c, i])
    out: Floats = above.sum(axis=0)
    return out


def _sum_on(term: Floats, q: Floats, size: float, top: int) -> Floats:
    """P(X >= top) from P(X = top). Terms are added until they change no sum, so none depends on its neighbours."""
    total, term, x = term.copy(), term.copy(), top
    while (term > 1e-17 * total).any():
        term *= q
        term *= (x + size) / (x + 1)
        total += term
        x += 1
    return total


def add_to_tail(tail: Floats, pmf: Floats, pmf_tail: Floats, weight: int, top: int) -> Floats:
    """Tail of T + weight * X from the tail of T.

    `tail` [top + 1, n] holds P(T >= t) for t = 0..top; `pmf` and `pmf_tail` [k, n] those of X for
    x = 0..k-1, with k > top / weight. Returns [top + 1, n]. Exact: P(T + wX >= t) is the sum of P(X = x) P(T >= t - wx)
    over wx < t, plus P(wX >= t); nothing is cut off and no difference is taken.
    """
    t = np.arange(top + 1)
    out: Floats = pmf_tail[-(-t // weight)]  # ceil(t / weight)
    for x in range((top - 1) // weight + 1):
        # t > wx, where T >= t - wx is not certain
        out[weight * x + 1 :] += pmf[x] * tail[1 : top + 1 - weight * x]
    return np.minimum(out, 1.0, out=out)


def holm(p: ArrayLike, tests: int | None = None) -> Floats:
    """Holm's adjusted p values (family-wise error), in the order given; `tests` >= len(p) counts tests left out."""
    p = np.asarray(p, dtype=np.float64)
    m = len(p) if tests is None else max(tests, len(p))
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum(np.maximum.accumulate(p[order] * (m - np.arange(len(p)))), 1.0)
    out = np.empty_like(p)
    out[order] = adjusted
    return out


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Benjamini-Hochberg adjusted p values (false discovery rate), in the order given."""
    p = np.asarray(p, dtype=np.float64)
    m = len(p)
    order = np.argsort(p, kind="stable")[::-1]
    adjusted = np.minimum(np.minimum.accumulate(p[order] * (m / np.arange(m, 0, -1))), 1.0)
    out = np.empty_like(p)
    out[order] = adjusted
    return out
