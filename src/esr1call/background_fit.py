"""Fitting a background model on blanks by marginal likelihood, and finding blanks that carry a true variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp

from esr1call.background import (
    LOG_RATES,
    BackgroundModel,
    Blank,
    Carrier,
    Change,
    Evidence,
    Location,
    Shape,
    TierModel,
    change_of,
)
from esr1call.counts import STRATA, TIER_OF_STRATUM, TIERS, UNDECIDED, CountTable
from esr1call.errors import InputError
from esr1call.haplotype import describe
from esr1call.panel import Panel
from esr1call.stats import Floats, nb_sf

MIN_BLANKS = 3
KINDS = (
    "mnv", "multi", "complex", *(f"{k}:{n}" for k in ("deletion", "insertion") for n in range(1, 5)),
)  # fmt: skip
# Prior of the tier's log rate: any error rate that sequencing is known to have.
_TIER_PRIOR: Location = (np.log(2e-5), 2.5)
# A kind of change that is no substitution is much rarer than one.
_KIND_PRIOR: Location = (np.log(1e-6), 2.5)
_CARRIER_P = 1e-8
_CARRIER_FRACTION = 1e-3
_CARRIER_MOLECULES = 5
_CERTAIN_FRACTION = 0.05
_FAR = 4.0
_ENOUGH = 2


@dataclass(frozen=True, eq=False)
class _Cells:
    """Every haplotype key of every window: `window` [n], `change` n, `molecules` int64 [n, blanks, 5], and `used` bool
    [n, blanks], False where the blank carries the variant. `depth` int64 [windows, blanks, 5]."""

    window: NDArray[np.int64]
    change: tuple[Change, ...]
    molecules: NDArray[np.int64]
    used: NDArray[np.bool_]
    depth: NDArray[np.int64]


def fit(
    panel: Panel,
    blanks: Sequence[tuple[Blank, CountTable]],
    *,
    chemistry: str,
    lot: str,
    date: str,
    min_blanks: int = MIN_BLANKS,
) -> BackgroundModel:
    """Fit a model on blanks. Raises InputError where there are none, too few, or two with one id."""
    ids = [b.id for b, _ in blanks]
    if not ids:
        raise InputError("no blanks", expected=f"counts of at least {min_blanks} blanks")
    if len(ids) < min_blanks:
        raise InputError("too few blanks", found=len(ids), expected=f"at least {min_blanks}")
    twice = next((i for i in ids if ids.count(i) > 1), None)
    if twice is not None:
        raise InputError("a blank is given twice", found=twice, expected="each blank once")
    cells = _collect(panel, [t for _, t in blanks])
    if not cells.depth.any():
        raise InputError("the blanks have no molecules", expected="molecules in the panel's windows")
    carriers = _find_carriers(panel, cells, blanks)
    fitted = [fit_tier(_tier_data(cells, tier)) for tier in range(len(TIERS))]
    diagnostics = {
        f"{name}_{key}": value
        for name, (_, figures) in zip(TIERS, fitted, strict=True)
        for key, value in figures.items()
    }
    return BackgroundModel(
        panel.sha256, panel.build, tuple(w.name for w in panel.windows), chemistry, lot, date,
        tuple(b for b, _ in blanks), carriers, tuple(tier for tier, _ in fitted), _evidence(cells), diagnostics,
    )  # fmt: skip


def _collect(panel: Panel, tables: Sequence[CountTable]) -> _Cells:
    """Molecules by haplotype key, window and blank."""
    row: dict[tuple[int, str], int] = {}
    window: list[int] = []
    changes: list[Change] = []

    def add(index: int, change: Change) -> None:
        row[(index, change.key)] = len(window)
        window.append(index)
        changes.append(change)

    for index, w in enumerate(panel.windows):
        for at, base in enumerate(w.reference):
            for alt in "ACGT":
                if alt != base:
                    add(index, change_of(panel, w, w.reference[:at] + alt + w.reference[at + 1 :]))
        for kind in KINDS:
            add(index, Change(kind, kind))
    molecules = np.zeros((len(window), len(tables), len(STRATA)), dtype=np.int64)
    depth = np.zeros((len(panel.windows), len(tables), len(STRATA)), dtype=np.int64)
    for b, table in enumerate(tables):
        depth[:, b] = table.depth()
        for index, haplotype, counts in zip(table.window, table.haplotype, table.molecules, strict=True):
            w = panel.windows[index]
            if haplotype not in (UNDECIDED, w.reference):
                molecules[row[(int(index), change_of(panel, w, haplotype).key)], b] += counts
    used = np.ones((len(window), len(tables)), dtype=bool)
    return _Cells(np.array(window), tuple(changes), molecules, used, depth)


def _evidence(cells: _Cells) -> Evidence:
    depth, blanks = _pooled(cells.depth)
    found, without = {}, {}
    for i in range(len(cells.window)):
        key = (int(cells.window[i]), cells.change[i].key)
        keep = cells.used[i]
        pooled = cells.molecules[i, keep].sum(axis=0)
        if pooled.any():
            found[key] = pooled
        if not keep.all():
            d, e = _pooled(cells.depth[cells.window[i]][None, keep])
            without[key] = (d[0], e[0])
    return Evidence(depth, blanks, found, without)


def _pooled(depth: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Sum over blanks and effective number of blanks of `depth` [n, blanks, 5]."""
    total = depth.sum(axis=1)
    squares = (depth.astype(np.float64) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return total, np.where(total > 0, total.astype(np.float64) ** 2 / squares, 0.0)


# ---------------------------------------------------------------- blanks that carry a variant


def _find_carriers(panel: Panel, cells: _Cells, blanks: Sequence[tuple[Blank, CountTable]]) -> tuple[Carrier, ...]:
    """Mark (and name) blanks whose molecules of one haplotype the other blanks can't explain.

    A blank at 5% or more carries the variant (no chemistry errs so often), unless half of the blanks show it so. One
    below is compared with the less mutated half of the others, by a prior far wider than any fitted one.
    """
    found = []
    depth = cells.depth.sum(axis=2)[cells.window]
    molecules = cells.molecules.sum(axis=2)
    fraction = molecules / np.maximum(depth, 1)
    suspects = np.flatnonzero(((molecules >= _CARRIER_MOLECULES) & (fraction >= _CARRIER_FRACTION)).any(axis=1))
    for i in suspects:
        order = np.argsort(-fraction[i], kind="stable")
        for b in order[: (len(order) - 1) // 2]:
            if molecules[i, b] < _CARRIER_MOLECULES or fraction[i, b] < _CARRIER_FRACTION:
                break
            calm = order[len(order) // 2 :]
            # Jeffreys-like gamma posterior of the calm blanks' rate, with CV 1 between samples
            rate = (molecules[i, calm].sum() + 0.5) / max(int(depth[i, calm].sum()), 1)
            explained = nb_sf(molecules[i, b], rate * depth[i, b], 1.0) > _CARRIER_P
            if fraction[i, b] < _CERTAIN_FRACTION and explained:
                break
            cells.used[i, b] = False
            found.append(_carrier(panel, cells, blanks[b], int(i), int(b)))
    return tuple(sorted(found, key=lambda c: (c.blank, c.window, c.haplotype)))


def _carrier(panel: Panel, cells: _Cells, blank: tuple[Blank, CountTable], cell: int, number: int) -> Carrier:
    index, key = int(cells.window[cell]), cells.change[cell].key
    w, table = panel.windows[index], blank[1]
    shown = [h for h in table.observed(index) if h != w.reference and change_of(panel, w, h).key == key]
    most = max(shown, key=lambda h: int(table.of(index, h).sum()))
    count = int(table.of(index, most).sum())
    depth = int(cells.depth[index, number].sum())
    return Carrier(blank[0].id, w.name, most, describe(panel, w, most).protein, count, depth)


# ---------------------------------------------------------------- one tier


@dataclass(frozen=True, eq=False)
class TierData:
    """Cells (a haplotype key of a window in one stratum) of one tier; those with the same evidence share a row.

    Rows: `x` float64 [rows, blanks]; `dropped` bool alike, where the blank is left out; `group` int64 [rows] into
    `depth` float64 [groups, blanks], sorted. Cells: `row` int64 [cells]; `cls` int64 [cells] into `classes`, (class,
    substitution) pairs.
    """

    x: Floats
    dropped: NDArray[np.bool_]
    group: NDArray[np.int64]
    depth: Floats
    row: NDArray[np.int64]
    cls: NDArray[np.int64]
    classes: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls,
        x: NDArray[np.int64],
        dropped: NDArray[np.bool_],
        group: NDArray[np.int64],
        depth: Floats,
        classes: Sequence[tuple[str, str]],
    ) -> TierData:
        """From cells: `x` and `dropped` [cells, blanks], `group` and `classes` [cells], `depth` [groups, blanks]."""
        blanks = x.shape[1]
        rows, row = np.unique(np.column_stack([group, x, dropped]), axis=0, return_inverse=True)
        index: dict[tuple[str, str], int] = {}
        number = np.array([index.setdefault(c, len(index)) for c in classes])
        return cls(
            rows[:, 1 : blanks + 1].astype(np.float64), rows[:, blanks + 1 :].astype(bool), rows[:, 0],
            depth.astype(np.float64), row.ravel(), number, tuple(index),
        )  # fmt: skip


def _tier_data(cells: _Cells, tier: int) -> TierData:
    classes = [c.classes() for c in cells.change]
    strata = np.flatnonzero(np.equal(TIER_OF_STRATUM, tier)).tolist()
    return TierData.of(
        np.concatenate([np.where(cells.used, cells.molecules[:, :, t], 0) for t in strata]),
        np.concatenate([~cells.used] * len(strata)),
        np.concatenate([cells.window + k * len(cells.depth) for k in range(len(strata))]),
        np.concatenate([cells.depth[:, :, t] for t in strata]).astype(np.float64),
        [c[t] for t in strata for c in classes],
    )


_DEFAULT = Shape()
# Standard deviations of the hyperparameters around their defaults: of logs, of the logit, and of the slopes themselves.
_HYPER_SD = {
    "core": 0.7, "core_slope": 0.3, "dirty": 1.0, "dirty_slope": 0.3, "dirty_index": 0.25, "between_samples": 1.0,
    "spread": 0.5, "substitution_spread": 0.5,
}  # fmt: skip


def _shape(theta: Floats, middle: float) -> Shape:
    """Shape from offsets to the default, in units of `_HYPER_SD`."""
    values = {"middle": middle}
    for (name, sd), offset in zip(_HYPER_SD.items(), theta, strict=True):
        default = getattr(_DEFAULT, name)
        move = float(np.clip(offset, -_FAR, _FAR)) * sd
        if name == "dirty":
            values[name] = float(1 / (1 + (1 - default) / default * np.exp(-move)))
        else:
            values[name] = default + move if name.endswith("_slope") else float(default * np.exp(move))
    return Shape(**{**asdict(_DEFAULT), **values})


def fit_tier(data: TierData) -> tuple[TierModel, dict[str, float]]:
    """Shape and locations of one tier by marginal likelihood, and figures of the fit.

    Figures: `cells`, `molecules` that the blanks show in them, `log_marginal` (natural log, without the weak priors of
    the hyperparameters), `evaluations` of it, `converged` (1 or 0), `at_limit`, the number of hyperparameters at the
    edge of what is allowed, and `overdispersion` (see there) where there is something to measure it by.
    """
    x = data.x.sum(axis=1)[data.row].sum()
    figures = {"cells": float(len(data.row)), "molecules": float(x)}
    if not data.depth.any():
        return TierModel(_DEFAULT, _TIER_PRIOR, {}, {}), figures
    middle = float(np.log((x + 0.5) / data.depth.sum(axis=1)[data.group][data.row].sum()))

    def loss(theta: Floats) -> float:
        return 0.5 * float(theta @ theta) - _Tree(data, _shape(theta, middle), coarse=2).log_marginal

    # Gradients by differences; a tenth of a log likelihood is more than enough.
    best = minimize(loss, np.zeros(len(_HYPER_SD)), method="L-BFGS-B", bounds=[(-_FAR, _FAR)] * len(_HYPER_SD),
                    options={"eps": 0.01, "ftol": 1e-7, "gtol": 0.3, "maxfun": 250})  # fmt: skip
    shape = _shape(best.x, middle)
    tree = _Tree(data, shape)
    figures |= {
        "log_marginal": tree.log_marginal, "evaluations": float(best.nfev), "converged": float(best.success),
        "at_limit": float((np.abs(best.x) >= _FAR).sum()),
    }  # fmt: skip
    spread = overdispersion(data, shape.between_samples)
    return tree.model(shape), figures if spread is None else {**figures, "overdispersion": spread}


def overdispersion(data: TierData, between_samples: float) -> float | None:
    """Pearson's chi-squared per degree of freedom of blanks around their site's pooled rate, over what the fitted
    variation between blanks makes of it: given a site's molecules, blanks share them by a Dirichlet-multinomial.

    Near 1 where the variation is as fitted; None where no site shows two molecules.
    """
    depth = np.where(data.dropped, 0.0, data.depth[data.group])
    total, pooled = data.x.sum(axis=1), depth.sum(axis=1)
    some = (total >= _ENOUGH) & ((depth > 0).sum(axis=1) >= 2)
    if not some.any():
        return None
    depth, total, x = depth[some], total[some], data.x[some]
    expected = total[:, None] * depth / pooled[some, None]
    chi2 = ((x - expected) ** 2 / np.where(depth > 0, expected, 1.0)).sum(axis=1)
    size = between_samples * pooled[some] ** 2 / (depth**2).sum(axis=1)
    cells = np.bincount(data.row, minlength=len(some))[some]
    usual = ((depth > 0).sum(axis=1) - 1) * (total + size) / (1 + size)
    return float(cells @ chi2 / (cells @ usual))


class _Tree:
    """Locations of the tier, its substitutions and their classes, given the shape.

    They live on every `coarse`-th point of the grid of log rates. Messages (log likelihoods of a parent's location)
    go up from cells to classes, substitutions and tier, which gives the marginal likelihood; `model` goes down again.
    """

    def __init__(self, data: TierData, shape: Shape, coarse: int = 1) -> None:
        self.data, self.grid = data, LOG_RATES[::coarse]
        like, constant = _cell_likelihood(data, shape.between_samples)
        prior = shape.log_prior(LOG_RATES[:, None], self.grid[None, :])
        prior = np.exp(prior - logsumexp(prior, axis=0))
        per_cell = np.log(like @ prior + 1e-300)
        order = np.argsort(data.cls, kind="stable")
        starts = np.searchsorted(data.cls[order], np.arange(len(data.classes)))
        self.up = np.add.reduceat(per_cell[data.row[order]], starts, axis=0)

        self.substitutions = sorted({s for _, s in data.classes if s})
        number = {s: i for i, s in enumerate(self.substitutions)}
        self.parent = np.array([number.get(s, -1) for _, s in data.classes])
        self.child = self.parent >= 0
        self.between_classes = _kernel(self.grid, shape.spread)
        self.message = _log_matmul(self.up, self.between_classes.T)
        self.sub_up = np.zeros((len(number), len(self.grid)))
        np.add.at(self.sub_up, self.parent[self.child], self.message[self.child])
        self.between_substitutions = _kernel(self.grid, shape.substitution_spread)
        self.sub_message = _log_matmul(self.sub_up, self.between_substitutions.T)
        self.tier = self.sub_message.sum(axis=0) + _log_normal(self.grid, *_TIER_PRIOR)
        self.kinds = self.up[~self.child] + _log_normal(self.grid, *_KIND_PRIOR)
        self.log_marginal = constant + float(logsumexp(self.tier) + logsumexp(self.kinds, axis=1).sum())

    def model(self, shape: Shape) -> TierModel:
        """Posterior locations. What reaches a node from above is everything but its own message."""
        sub_post = _log_matmul(self.tier - self.sub_message, self.between_substitutions) + self.sub_up
        post = np.empty_like(self.up)
        above = sub_post[self.parent[self.child]] - self.message[self.child]
        post[self.child] = _log_matmul(above, self.between_classes) + self.up[self.child]
        post[~self.child] = self.kinds
        names = [name for name, _ in self.data.classes]
        [tier] = self._moments(self.tier[None])
        return TierModel(
            shape, tier, dict(zip(self.substitutions, self._moments(sub_post), strict=True)),
            dict(zip(names, self._moments(post), strict=True)),
        )  # fmt: skip

    def _moments(self, log_weights: Floats) -> list[Location]:
        p = np.exp(log_weights - logsumexp(log_weights, axis=1, keepdims=True))
        mean = p @ self.grid
        variance = np.maximum(p @ self.grid**2 - mean**2, ((self.grid[1] - self.grid[0]) / 4) ** 2)
        return [(float(m), float(s)) for m, s in zip(mean, np.sqrt(variance), strict=True)]


def _log_matmul(log: Floats, kernel: Floats) -> Floats:
    """log(exp(log) @ kernel), rows scaled by their largest value."""
    peak = log.max(axis=1, keepdims=True)
    return np.log(np.exp(log - peak) @ kernel + 1e-300) + peak  # type: ignore[no-any-return]


def _cell_likelihood(data: TierData, phi: float) -> tuple[Floats, float]:
    """Likelihood [rows, grid] of each row's blanks, scaled to a maximum of 1; the log of the product of the cells'
    scales."""
    inner = np.log1p(data.depth[:, :, None] * np.exp(LOG_RATES) / phi)  # [groups, blanks, grid]
    none = -phi * inner.sum(axis=1)
    log = data.x.sum(axis=1)[:, None] * LOG_RATES + none[data.group]
    starts = np.searchsorted(data.group, np.arange(len(data.depth) + 1))
    for g in range(len(data.depth)):
        rows = slice(starts[g], starts[g + 1])
        log[rows] -= data.x[rows] @ inner[g]
    for row, blank in np.argwhere(data.dropped):
        log[row] += phi * inner[data.group[row], blank]
    depth = data.depth[data.group]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth_terms = np.where(data.x > 0, data.x * np.log(depth / phi), 0.0)
    peak = log.max(axis=1, keepdims=True)
    scale = peak[:, 0] + (depth_terms + _rising(data.x, phi)).sum(axis=1)
    return np.exp(log - peak), float(scale[data.row].sum())


def _rising(x: Floats, phi: float) -> Floats:
    out: Floats = gammaln(x + phi) - gammaln(phi) - gammaln(x + 1)
    return out


def _kernel(grid: Floats, sd: float) -> Floats:
    """Normal density [parent, child] on the grid, normalised over children."""
    k = np.exp(-0.5 * ((grid[None, :] - grid[:, None]) / sd) ** 2)
    return k / k.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def _log_normal(grid: Floats, mean: float, sd: float) -> Floats:
    log = -0.5 * ((grid - mean) / sd) ** 2
    return log - logsumexp(log)  # type: ignore[no-any-return]
