"""Common to the parts of `validate_calling.py`: what is found, the simulated world, and the panel's alleles in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import click
import numpy as np
from scipy.special import gammaincinv

from esr1call.background import BackgroundModel, Blank, change_of
from esr1call.background_fit import fit
from esr1call.calling import PANEL_SHARE
from esr1call.counts import CountTable
from esr1call.lod import Cases, steps
from esr1call.panel import Panel, Variant
from esr1call.settings import CallingSettings

SETTINGS = CallingSettings()
MIX = np.array([0.10, 0.10, 0.30, 0.30, 0.20])
"""Shares of the strata in an ordinary sample."""
SIMPLEX = np.array([0, 0, 0.5, 0.5, 0])
DUPLEX_40 = np.array([0, 0, 0.3, 0.3, 0.4])
NAMED = ("p.D538G", "p.Y537S", "p.Y537N", "p.E380Q", "p.L536R")
TRANSITIONS = {"A>G", "T>C", "G>A", "C>T"}
# Published rates per molecule of at least two read pairs, own strand; duplex and singleton by factors of these.
RATES = {
    "A>G": 3.1e-4,
    "T>C": 2.8e-4,
    "G>A": 2.9e-4,
    "C>T": 1.9e-4,
    "T>A": 5.9e-5,
    "A>T": 5.9e-5,
    "C>A": 2.5e-5,
    "G>T": 2.5e-5,
    "A>C": 1.3e-5,
    "T>G": 1.5e-5,
    "G>C": 8.9e-6,
    "C>G": 8.9e-6,
}
TIER_FACTOR = np.array([3.0, 3.0, 1.0, 1.0, 0.01])
KIND_RATE = 1e-7
BETWEEN_SAMPLES = 20.0


@dataclass
class Study:
    """What is found: figures by their key, and tables."""

    figures: dict[str, float | None] = field(default_factory=dict)
    tables: list[tuple[str, str, list[str], list[list[object]]]] = field(default_factory=list)
    plots: list[tuple[str, str]] = field(default_factory=list)

    def table(self, name: str, title: str, columns: Sequence[str], rows: list[list[object]]) -> None:
        """Keep a table, and print it."""
        self.tables.append((name, title, list(columns), rows))
        click.echo(f"\n{title}\n" + "\t".join(columns))
        for row in rows:
            click.echo("\t".join(shown(v) for v in row))


def shown(value: object) -> str:
    """Numbers to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def poisson_interval(x: int) -> tuple[float, float]:
    """Exact 95% interval of a Poisson mean."""
    low = float(gammaincinv(x, 0.025)) if x else 0.0
    return low, float(gammaincinv(x + 1, 0.975))


class World:
    """True error rates of every one-base haplotype, [n, 5], and of the panel's other haplotypes."""

    def __init__(self, panel: Panel, rng: np.random.Generator) -> None:
        self.panel = panel
        contexts: dict[str, float] = {}
        keys, rates = [], []
        for i, w in enumerate(panel.windows):
            for at, base in enumerate(w.reference):
                for alt in "ACGT".replace(base, ""):
                    shown_ = w.reference[:at] + alt + w.reference[at + 1 :]
                    row = []
                    for name, substitution in change_of(panel, w, shown_).classes():
                        factor = contexts.setdefault(name, float(np.exp(rng.normal(0, 0.3))))
                        row.append(RATES[substitution] * factor)
                    keys.append((i, shown_))
                    rates.append(np.array(row) * TIER_FACTOR)
        n = len(keys)
        site = rng.gamma(4, 1 / 4, (n, 1)) * np.exp(rng.normal(0, 0.2, (n, 5)))
        # 3% of sites are dirty, by a factor with a Pareto tail; panel alleles are sites like any other
        dirty = np.where(rng.random((n, 1)) < 0.03, 2 * rng.pareto(1.5, (n, 1)) + 2, 1.0)
        self.keys, self.rates = keys, np.minimum(np.array(rates) * site * dirty, 0.02)
        for v in panel.variants:
            key = (panel.window_index[v.window], v.haplotype)
            if key not in keys:
                self.keys.append(key)
                self.rates = np.vstack([self.rates, KIND_RATE * TIER_FACTOR])
        self.index = {key: i for i, key in enumerate(self.keys)}
        self.window = np.array([w for w, _ in self.keys])

    def rate(self, window: str, haplotype: str) -> np.ndarray:
        """True rates [5] of a haplotype."""
        found: np.ndarray = self.rates[self.index[(self.panel.window_index[window], haplotype)]]
        return found

    def errors(self, rates: np.ndarray, depth: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Error molecules [n, ..., 5] in n samples."""
        shape = (n, *rates.shape)
        drawn: np.ndarray = rng.poisson(depth * rates * rng.gamma(BETWEEN_SAMPLES, 1 / BETWEEN_SAMPLES, shape))
        return drawn

    def sample(
        self, depth: np.ndarray, rng: np.random.Generator, spike: tuple[tuple[int, str], float] | None = None
    ) -> CountTable:
        """Counts of a sample with `depth` [5] molecules in each window."""
        x = self.errors(self.rates, depth, 1, rng)[0]
        if spike is not None:
            x[self.index[spike[0]]] += rng.binomial(depth, spike[1])
        wild = np.tile(depth, (len(self.panel.windows), 1))
        np.subtract.at(wild, self.window, x)
        rows = [(*self.keys[i], x[i]) for i in np.flatnonzero(x.any(axis=1))]
        rows += [(i, w.reference, np.maximum(wild[i], 0)) for i, w in enumerate(self.panel.windows)]
        return CountTable.build([w.name for w in self.panel.windows], rows)


def depth_of(n: int, shares: np.ndarray = MIX) -> np.ndarray:
    """Molecules by stratum."""
    depth: np.ndarray = np.rint(n * shares).astype(np.int64)
    return depth


def named_alleles(panel: Panel) -> dict[str, tuple[str, str]]:
    """The five alleles of the study, each in its one-base form."""
    return {
        name: next((v.window, v.haplotype) for v in panel.variants if v.protein == name and one_base(panel, v))
        for name in NAMED
    }


def one_base(panel: Panel, variant: Variant) -> bool:
    """Whether a panel variant changes one base."""
    return change_of(panel, panel.windows[panel.window_index[variant.window]], variant.haplotype).kind == "substitution"


def level_of(panel: Panel) -> float:
    """Level of one panel allele: the first step of Holm."""
    return PANEL_SHARE * SETTINGS.alpha / len(panel.variants)


def panel_cases(model: BackgroundModel, panel: Panel, alleles: Sequence[tuple[str, str]], depth: np.ndarray) -> Cases:
    """One case for each allele, all at one depth [5]."""
    background = model.predict(panel, alleles)
    m = len(alleles)
    return Cases(
        np.tile(depth, (m, 1)), np.arange(m), background, np.zeros((m, 5)), steps(background, SETTINGS.reference_vaf)
    )


def detection(
    world: World,
    cases: Cases,
    row: int,
    allele: tuple[str, str],
    critical: int,
    fraction: float,
    n: int,
    rng: np.random.Generator,
) -> float:
    """Share of n simulated samples that are called."""
    depth = cases.depth[row]
    x = rng.binomial(depth, fraction, (n, 5)) + world.errors(world.rate(*allele), depth, n, rng)
    return float(((x @ cases.steps[row] >= critical) & (x.sum(axis=1) >= SETTINGS.min_molecules)).mean())


def model_of(world: World, rng: np.random.Generator, blanks: int = 24) -> BackgroundModel:
    """The model that a laboratory would have of the world, from its blanks."""
    given = [(Blank(f"B{i}", f"{i:064x}"), world.sample(depth_of(8000), rng)) for i in range(blanks)]
    model = fit(world.panel, given, chemistry="simulated", lot="1", date="2026-01-01")
    if model.carriers:
        click.echo(f"wrongly accused blanks: {model.carriers}")
    return model
