"""What blanks show: the error rate of each haplotype in each stratum, as a distribution for the next sample.

Model, for each tier (singleton, simplex, duplex) apart:

- In sample i, the molecules of a stratum that show haplotype h by error are Poisson with mean N_i lambda_h g_i, where
  g_i ~ Gamma(phi, phi) is the variation between samples, so x_i ~ NB(mean N_i lambda_h, size phi).
- log lambda_h has a prior around its class: a gamma core (shape a), and with probability pi a heavy tail for dirty
  sites (beta prime: density of u = log lambda - class proportional to exp(2(u - c)) / (1 + exp(u - c))^(2 + b), so
  P(lambda > y) falls as y^-b). Sites differ less, relative to their rate, where errors are common: a grows and the odds
  of pi fall as powers of the class's rate.
- A class is a strand-resolved trinucleotide and substitution for one changed base, and the kind of change for others
  (two neighbouring bases, several, a deletion or insertion by length): these have their own rates, taken from what the
  blanks show of that kind in the window. Class locations are shrunk to their substitution, those to the tier.
- Strand: F2R1 molecules read the reverse strand, so their class is the complement's. Duplex molecules show both, so a
  class and its complement are one.

`background_fit` fits the hyperparameters by marginal likelihood. A haplotype's evidence from the blanks is its pooled
molecules X of N, with X ~ NB(N lambda, phi (sum N_i)^2 / sum N_i^2). With the prior it gives the posterior of lambda on
a grid of log rates; with g, the predictive distribution is a mixture of negative binomials of size phi.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, logsumexp

from esr1call.counts import STRATA, TIER_OF_STRATUM, UNDECIDED, CountTable
from esr1call.panel import FLANK, Panel, Window, reverse_complement
from esr1call.stats import Floats

LOG_RATES = np.arange(np.log(1e-9), np.log(0.3), 0.1)
"""The grid of log error rates per molecule."""
NODES = 48
"""Rates that stand for a posterior."""
_NEGLIGIBLE = np.log(1e-8)
_LEAST_MASS = 1e-13
_DIRTY_SHAPE = 2.0
_CORE_RANGE = (0.5, 200.0)
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_TRANSPOSE = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class Change:
    """How a haplotype differs from its window's reference.

    `kind`: ``substitution`` (one base), ``mnv`` (neighbouring bases), ``multi`` (bases apart), ``deletion:k``,
    ``insertion:k`` (k bases, 4 for more) or ``complex``. `key` names the evidence: ``offset`` and new base of a
    substitution, else the kind. `context` is the forward trinucleotide around a substituted base, `alt` its new base.
    """

    kind: str
    key: str
    context: str = ""
    alt: str = ""

    def classes(self) -> tuple[tuple[str, str], ...]:
        """For each stratum: (class, substitution), both on the strand the molecule shows; ('', '') is no substitution.

        A kind that is no substitution is its own class.
        """
        if self.kind != "substitution":
            return ((self.kind, ""),) * len(STRATA)
        forward = self._named(self.context, self.alt)
        reverse = self._named(reverse_complement(self.context), self.alt.translate(_TRANSPOSE))
        both = forward if self.context[1] in "CT" else reverse
        return (forward, reverse, forward, reverse, both)

    @staticmethod
    def _named(context: str, alt: str) -> tuple[str, str]:
        return f"{context}>{alt}", f"{context[1]}>{alt}"


def change_of(panel: Panel, window: Window, haplotype: str) -> Change:
    """Classify a haplotype that is not the reference."""
    ref = window.reference
    if len(ref) != len(haplotype):
        k = abs(len(haplotype) - len(ref))
        short, long = sorted((ref, haplotype), key=len)
        pure = any(long[:i] + long[i + k :] == short for i in range(len(short) + 1))
        kind = f"{'deletion' if len(haplotype) < len(ref) else 'insertion'}:{min(k, 4)}" if pure else "complex"
        return Change(kind, kind)
    differ = [i for i in range(len(ref)) if ref[i] != haplotype[i]]
    if not differ:
        raise ValueError("the reference haplotype is no change")
    if len(differ) > 1:
        kind = "mnv" if differ[-1] - differ[0] == len(differ) - 1 else "multi"
        return Change(kind, kind)
    at = differ[0]
    exon = panel.exons[window.exon]
    place = window.start + at - exon.start + FLANK
    return Change("substitution", f"{at}{haplotype[at]}", exon.sequence[place - 1 : place + 2], haplotype[at])


@dataclass(frozen=True)
class Shape:
    """Hyperparameters of one tier, see the module's text.

    `core` and `dirty` hold at the log rate `middle`, and change with a class's log rate by their slopes. `spread` and
    `substitution_spread` are the standard deviations of log class rates around their substitution, and of substitutions
    around the tier.
    """

    core: float = 4.0
    core_slope: float = 0.3
    dirty: float = 0.03
    dirty_slope: float = 0.3
    dirty_shift: float = 0.5
    dirty_index: float = 1.5
    between_samples: float = 20.0
    spread: float = 0.5
    substitution_spread: float = 1.2
    middle: float = -10.0

    def log_prior(self, log_rate: Floats, location: Floats) -> Floats:
        """Log density of `log_rate` in a class at `location` (broadcasts), not yet normalised on a grid."""
        u = np.minimum(log_rate - location, 50.0)
        off = location - self.middle
        core = np.clip(self.core * np.exp(self.core_slope * off), *_CORE_RANGE)
        odds = np.log(self.dirty / (1 - self.dirty)) - self.dirty_slope * off
        ordinary = core * (u - np.exp(u)) - gammaln(core) + core * np.log(core)
        v = u - self.dirty_shift
        b = self.dirty_index
        heavy = _DIRTY_SHAPE * v - (_DIRTY_SHAPE + b) * np.logaddexp(0.0, v) - betaln(_DIRTY_SHAPE, b)
        out: Floats = np.logaddexp(ordinary - np.logaddexp(0.0, odds), heavy - np.logaddexp(0.0, -odds))
        return out


Location = tuple[float, float]
"""Mean and standard deviation of a log rate."""


@dataclass(frozen=True)
class TierModel:
    """One tier: its shape, and the locations of log rates: of the tier, of substitutions, of classes."""

    shape: Shape
    location: Location
    substitutions: Mapping[str, Location]
    classes: Mapping[str, Location]

    def of(self, name: str, substitution: str) -> Location:
        """Location of a class; one that the blanks never showed falls back to its substitution, then to the tier."""
        if name in self.classes:
            return self.classes[name]
        if substitution in self.substitutions:
            mean, sd = self.substitutions[substitution]
            return mean, float(np.hypot(sd, self.shape.spread))
        wide = float(np.hypot(self.shape.spread, self.shape.substitution_spread))
        return self.location[0], float(np.hypot(self.location[1], wide))


@dataclass(frozen=True, eq=False)
class Evidence:
    """The blanks pooled.

    `depth` int64 [windows, 5]; `blanks` float64 [windows, 5], the effective number (sum N)^2 / sum N^2; `cells` the
    molecules [5] of (window index, key), where not 0; `without` the depth and effective number of (window index, key)
    from which blanks that carry the variant are left out.
    """

    depth: NDArray[np.int64]
    blanks: Floats
    cells: Mapping[tuple[int, str], NDArray[np.int64]]
    without: Mapping[tuple[int, str], tuple[NDArray[np.int64], Floats]]

    def of(self, window: int, key: str) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
        """Molecules, depth and effective blanks, each [5], of one haplotype's key."""
        depth, blanks = self.without.get((window, key), (self.depth[window], self.blanks[window]))
        return self.cells.get((window, key), np.zeros(len(STRATA), dtype=np.int64)), depth, blanks

    def less(
        self,
        depth: NDArray[np.int64],
        cells: Mapping[tuple[int, str], NDArray[np.int64]],
        carried: Collection[tuple[int, str]],
    ) -> Evidence:
        """Without one blank of `depth` [windows, 5] and molecules `cells`, whose `carried` variants it never had in."""
        left = {k: x - cells.get(k, 0) if k not in carried else x for k, x in self.cells.items()}
        without = {
            k: (n, b) if k in carried else _less(n, b, depth[k[0]]) for k, (n, b) in self.without.items()
        }  # fmt: skip
        return Evidence(*_less(self.depth, self.blanks, depth), {k: x for k, x in left.items() if x.any()}, without)


def _less(depth: NDArray[np.int64], blanks: Floats, own: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Pooled depth and effective number of blanks once one blank's own depth is taken away."""
    rest = depth - own
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.where(blanks > 0, depth.astype(np.float64) ** 2 / blanks, 0.0) - own.astype(np.float64) ** 2
        # the number is at least 1, and is stored to a few digits
        return rest, np.where(rest > 0, rest.astype(np.float64) ** 2 / np.clip(squares, 1.0, rest**2), 0.0)


@dataclass(frozen=True)
class Blank:
    """One blank the model was fitted on: its id and the SHA-256 of its counts."""

    id: str
    sha256: str


@dataclass(frozen=True)
class Carrier:
    """A variant that a blank carries, left out of that variant's background."""

    blank: str
    window: str
    haplotype: str
    name: str
    molecules: int
    depth: int


@dataclass(frozen=True, eq=False)
class Predictive:
    """Error rates of n haplotypes in the next sample: rate times g, where g is gamma with mean 1 and shape `size`.

    `weight`, `rate` float64 [n, 5, NODES]: a discrete distribution of rates per molecule. `size` float64 [n, 5].
    """

    weight: Floats
    rate: Floats
    size: Floats

    @property
    def mean(self) -> Floats:
        """Expected rates [n, 5]."""
        out: Floats = (self.weight * self.rate).sum(axis=-1)
        return out


@dataclass(frozen=True, eq=False)
class BackgroundModel:
    """A fitted background; independent of any sample under test."""

    panel_sha256: str
    build: str
    windows: tuple[str, ...]
    chemistry: str
    lot: str
    date: str
    blanks: tuple[Blank, ...]
    carriers: tuple[Carrier, ...]
    tiers: tuple[TierModel, ...]
    evidence: Evidence
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    sha256: str = ""

    @cached_property
    def _known(self) -> dict[tuple[Panel, str, str], tuple[Floats, Floats, Floats]]:
        return {}

    def predict(self, panel: Panel, haplotypes: Sequence[tuple[str, str]]) -> Predictive:
        """Background of (window name, haplotype) pairs, seen in the blanks or not; kept for the next call."""
        missing = [h for h in dict.fromkeys(haplotypes) if (panel, *h) not in self._known]
        if missing:
            made = self._predict(panel, missing)
            for i, h in enumerate(missing):
                self._known[(panel, *h)] = (made.weight[i], made.rate[i], made.size[i])
        found = [self._known[(panel, *h)] for h in haplotypes]
        none = (np.empty((0, len(STRATA), NODES)),) * 2 + (np.empty((0, len(STRATA))),)
        return Predictive(*(np.stack([f[k] for f in found]) if found else none[k] for k in range(3)))

    def leaving_out(self, panel: Panel, blank: str, table: CountTable) -> BackgroundModel:
        """The model for a test of one of its own blanks, whose counts are `table`: what the other blanks show at each
        site. Rates of classes and hyperparameters, which are pooled over all sites, stay; so does `sha256`."""

        def key(window: int, haplotype: str) -> tuple[int, str]:
            return window, change_of(panel, panel.windows[window], haplotype).key

        cells: dict[tuple[int, str], NDArray[np.int64]] = {}
        for window, haplotype, x in zip(table.window.tolist(), table.haplotype, table.molecules, strict=True):
            if haplotype not in (UNDECIDED, panel.windows[window].reference):
                cells[key(window, haplotype)] = cells.get(key(window, haplotype), 0) + x
        carried = {key(panel.window_index[c.window], c.haplotype) for c in self.carriers if c.blank == blank}
        return replace(self, evidence=self.evidence.less(table.depth(), cells, carried))

    def error_rate(self, panel: Panel, window: Window, parent: str, child: str) -> Floats:
        """Expected rate [5] of one-base errors that turn molecules of haplotype `parent` into `child`."""
        at = next(i for i, (a, b) in enumerate(zip(parent, child, strict=True)) if a != b)
        exon = panel.exons[window.exon]
        place = window.start - exon.start + FLANK
        around = exon.sequence[:place] + parent + exon.sequence[place + len(window.reference) :]
        change = Change("substitution", f"{at}{child[at]}", around[place + at - 1 : place + at + 2], child[at])
        out = np.empty(len(STRATA))
        for t, (name, substitution) in enumerate(change.classes()):
            tier = self.tiers[TIER_OF_STRATUM[t]]
            mean, sd = tier.of(name, substitution)
            prior = np.exp(log_prior_on_grid(tier.shape, np.array([mean]), np.array([sd]))[0])
            out[t] = prior @ np.exp(LOG_RATES)
        return out

    def _predict(self, panel: Panel, haplotypes: Sequence[tuple[str, str]]) -> Predictive:
        n, strata = len(haplotypes), len(STRATA)
        mean, sd = np.empty((n, strata)), np.empty((n, strata))
        x, depth, blanks = np.empty((n, strata)), np.empty((n, strata)), np.empty((n, strata))
        for i, (window_name, haplotype) in enumerate(haplotypes):
            index = panel.window_index[window_name]
            change = change_of(panel, panel.windows[index], haplotype)
            for t, (name, substitution) in enumerate(change.classes()):
                mean[i, t], sd[i, t] = self.tiers[TIER_OF_STRATUM[t]].of(name, substitution)
            x[i], depth[i], blanks[i] = self.evidence.of(index, change.key)
        weight, rate, size = np.empty((n, strata, NODES)), np.empty((n, strata, NODES)), np.empty((n, strata))
        for t in range(strata):
            shape = self.tiers[TIER_OF_STRATUM[t]].shape
            log_posterior = log_prior_on_grid(shape, mean[:, t], sd[:, t])
            pooled_size = shape.between_samples * np.maximum(blanks[:, t], 1e-9)
            log_posterior += log_likelihood(x[:, t], depth[:, t], pooled_size)
            weight[:, t], rate[:, t] = nodes(log_posterior)
            size[:, t] = shape.between_samples
        return Predictive(weight, rate, size)


def log_prior_on_grid(shape: Shape, mean: Floats, sd: Floats) -> Floats:
    """Log prior [n, grid] of log rates around class locations that are themselves normal (mean, sd), both [n]."""
    weights = np.log(_NODE_WEIGHTS / _NODE_WEIGHTS.sum())
    parts = [
        shape.log_prior(LOG_RATES, (mean + sd * node)[:, None]) + w for node, w in zip(_NODES, weights, strict=True)
    ]
    out = logsumexp(np.stack(parts), axis=0)
    return out - logsumexp(out, axis=1, keepdims=True)  # type: ignore[no-any-return]


def log_likelihood(x: Floats, depth: Floats, size: Floats) -> Floats:
    """Log likelihood [n, grid] of x molecules of `depth`, up to a constant: NB(mean depth * rate, size), all [n]."""
    ratio = depth[:, None] * np.exp(LOG_RATES) / size[:, None]
    inner = np.log1p(ratio)
    out: Floats = x[:, None] * (LOG_RATES - inner) - size[:, None] * inner
    return out


def nodes(log_density: Floats) -> tuple[Floats, Floats]:
    """Weights and rates, each [n, NODES], that stand for densities of log rates on the grid [n, grid].

    Every point of the grid, or where more than `NODES` hold any mass every second or third and so on: densities are
    smooth over a few points, so that the trapezoid rule loses nothing. Rates too small to matter are one node.
    """
    p = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    small = LOG_RATES < _NEGLIGIBLE
    rates = np.exp(LOG_RATES)
    weight, rate = np.zeros((len(p), NODES)), np.zeros((len(p), NODES))
    # row by row: sums over some columns of many rows would differ in their last bits with what other rows there are
    for i, row in enumerate(p):
        weight[i, 0] = row[small].sum()
        rate[i, 0] = (row[small] * rates[small]).sum() / max(weight[i, 0], 1e-300)
        held = np.flatnonzero((row > _LEAST_MASS) & ~small)
        if len(held):
            stride = -(-(held[-1] - held[0] + 1) // (NODES - 1))
            at = np.arange(held[0], held[-1] + 1, stride)
            scale = row[held[0] : held[-1] + 1].sum() / row[at].sum()
            weight[i, 1 : len(at) + 1], rate[i, 1 : len(at) + 1] = row[at] * scale, rates[at]
    return weight / weight.sum(axis=1, keepdims=True), rate
