#!/usr/bin/env python3
"""Study of the calling statistics, on simulated counts and on real per-site molecule errors; HTML, TSV and JSON.

    python scripts/validate_calling.py --quick --json figures.json --out-dir results/validation

The truth of the simulation is a world of error rates by strand-resolved trinucleotide, site and sample, with dirty
sites, that shares no code with the model; the model knows it through 24 simulated blanks only. The real data are the
molecule errors published with smCounter2, which --real names; without them those figures are null.
"""

# The number of threads is set before numpy is imported.
# ruff: noqa: E402

from __future__ import annotations

import html
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import click
import numpy as np
from scipy.special import gammaincinv, gammaln

from esr1call.background import (
    BackgroundModel,
    Blank,
    Predictive,
    TierModel,
    change_of,
    log_prior_on_grid,
    nodes,
)
from esr1call.background_fit import TierData, fit, fit_tier
from esr1call.calling import PANEL_SHARE, SampleInfo, call_batch, other_tests
from esr1call.counts import CountTable
from esr1call.io.files import atomic_open, write_json
from esr1call.io.reference import Reference, load_panel
from esr1call.lod import Cases, limits, steps, tails
from esr1call.panel import Panel
from esr1call.results import CallStatus, SampleResult
from esr1call.rise import Count, compare, log_sd, p_rise, power
from esr1call.settings import CallingSettings
from esr1call.stats import mixture_table

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = CallingSettings()
MIX = np.array([0.10, 0.10, 0.30, 0.30, 0.20])
"""Shares of the strata in an ordinary sample."""
SIMPLEX = np.array([0, 0, 0.5, 0.5, 0])
DUPLEX_40 = np.array([0, 0, 0.3, 0.3, 0.4])
NAMED = ("p.D538G", "p.Y537S", "p.Y537N", "p.E380Q", "p.L536R")
TRANSITIONS = {"A>G", "T>C", "G>A", "C>T"}
COMPLEMENT = dict(zip("ACGT", "TGCA", strict=True))
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


# ---------------------------------------------------------------- the world


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
        return self.rates[self.index[(self.panel.window_index[window], haplotype)]]

    def errors(self, rates: np.ndarray, depth: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Error molecules [n, ..., 5] in n samples."""
        shape = (n, *rates.shape)
        return rng.poisson(depth * rates * rng.gamma(BETWEEN_SAMPLES, 1 / BETWEEN_SAMPLES, shape))

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
    return np.rint(n * shares).astype(np.int64)


# ---------------------------------------------------------------- held-out sites of the real data


@dataclass(frozen=True)
class Sites:
    """Cells of the real data: molecules `x` of `depth`, class and substitution, and the fold each is held out in."""

    x: np.ndarray
    depth: np.ndarray
    classes: list[tuple[str, str]]
    fold: np.ndarray


def regions_of(rows: list[list[str]]) -> np.ndarray:
    """Number of the captured region of each row: a new one after a gap of 200 bases."""
    out, number, before = np.zeros(len(rows), dtype=np.int64), -1, ("", 0)
    for i, r in enumerate(rows):
        if r[0] != before[0] or int(r[1]) > before[1] + 200:
            number += 1
        before, out[i] = (r[0], int(r[1])), number
    return out


def neighbours(rows: list[list[str]]) -> list[str | None]:
    """Trinucleotide around each row's site; None where a neighbour is missing: the authors left many sites out."""
    base = {(r[0], int(r[1])): r[2] for r in rows}
    out: list[str | None] = []
    for r in rows:
        left, right = base.get((r[0], int(r[1]) - 1)), base.get((r[0], int(r[1]) + 1))
        out.append(left + r[2] + right if left and right else None)
    return out


def read_sites(path: Path, folds: int) -> Sites:
    """Read a table of molecule errors. Sites with at least 5% of molecules (germline variants) are left out.

    Folds are of whole captured regions. Where the trinucleotide is unknown, the class is one of its own for each
    substitution.
    """
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    column = {name: i for i, name in enumerate(lines[0])}
    rows = lines[1:]
    region = regions_of(rows)
    contexts = neighbours(rows)
    x, depth, classes, fold = [], [], [], []
    for r, number, forward in zip(rows, region, contexts, strict=True):
        ref = r[2]
        for own, strand in ((ref, "negStrand"), (COMPLEMENT[ref], "posStrand")):
            n = int(float(r[column[strand]]))
            if not n:
                continue
            context = forward
            if context is not None and own != ref:
                context = "".join(COMPLEMENT[b] for b in reversed(context))
            for alt in "ACGT".replace(own, ""):
                seen = int(float(r[column[f"{own}/{alt}"]]))
                if seen >= max(5, 0.05 * n):
                    continue
                x.append(seen)
                depth.append(n)
                name = f"{own}>{alt} anywhere" if context is None else f"{context}>{alt}"
                classes.append((name, f"{own}>{alt}"))
                fold.append(number % folds)
    known = sum("anywhere" not in name for name, _ in classes) / len(classes)
    click.echo(f"{path.name}: {len(x)} cells of {region[-1] + 1} regions, trinucleotide known of {100 * known:.0f}%")
    return Sites(np.array(x), np.array(depth), classes, np.array(fold))


def fit_sites(sites: Sites, rows: np.ndarray) -> TierModel:
    """The package's fit, with the data set as its one blank; depths are grouped to 2%, which only saves time."""
    lattice = np.rint(np.log(sites.depth[rows]) / 0.04).astype(np.int64)
    levels, group = np.unique(lattice, return_inverse=True)
    depth = np.array([[np.exp(np.log(sites.depth[rows][group == g]).mean())] for g in range(len(levels))])
    x = sites.x[rows][:, None]
    data = TierData.of(x, np.zeros(x.shape, dtype=bool), group, depth, [sites.classes[i] for i in rows])
    return fit_tier(data)[0]


def held_out(sites: Sites, tier: TierModel, rows: np.ndarray, alphas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p [rows] of held-out cells, from the class alone, and the level attainable at each alpha [rows, alphas]."""
    p, level = np.ones(len(rows)), np.zeros((len(rows), len(alphas)))
    by_class: dict[tuple[str, str], list[int]] = {}
    for at, i in enumerate(rows):
        by_class.setdefault(sites.classes[i], []).append(at)
    for name, found in by_class.items():
        at = np.array(found)
        mean, sd = tier.of(*name)
        weight, rate = nodes(log_prior_on_grid(tier.shape, np.array([mean]), np.array([sd])))
        used = weight[0] > 0
        n, x = sites.depth[rows[at]], sites.x[rows[at]]
        top = 64
        while True:
            wide = np.append(n, n[-1])  # never a single column
            tail = mixture_table(weight[0, used], rate[0, used, None] * wide, tier.shape.between_samples, top)[1][
                :, :-1
            ]
            if top >= 16384 or (top >= max(x.max(), 1) and (tail[-1] <= alphas.min()).all()):
                break
            top *= 2
        p[at] = tail[np.minimum(x, top), np.arange(len(at))]
        for k, alpha in enumerate(alphas):
            inside = tail <= alpha
            level[at, k] = np.where(inside.any(axis=0), tail[inside.argmax(axis=0), np.arange(len(at))], 0.0)
    return p, level


def real_data(study: Study, folder: Path | None) -> None:
    """False positives at held-out sites, observed over attainable."""
    keys = {1e-2: "fpr_ratio_1e2", 1e-3: "fpr_ratio_1e3", 1e-4: "fpr_ratio_1e4"}
    study.figures.update(dict.fromkeys(keys.values()))
    if folder is None:
        click.echo("no real data: fpr_ratio_* are null")
        return
    alphas, folds = np.array(list(keys)), 5
    rows: list[list[object]] = []
    worst: dict[float, tuple[float, float]] = {}
    total = np.zeros((len(alphas), 2))
    points = []
    for name in ("dropped", "included"):
        sites = read_sites(folder / f"qiaseq_molecule_errors.singletons_{name}.tsv", folds)
        p, level = np.ones(len(sites.x)), np.zeros((len(sites.x), len(alphas)))
        for fold in range(folds):
            test = np.flatnonzero(sites.fold == fold)
            tier = fit_sites(sites, np.flatnonzero(sites.fold != fold))
            p[test], level[test] = held_out(sites, tier, test, alphas)
        click.echo(f"last fold of {name}: {tier.shape}")
        for k, alpha in enumerate(alphas):
            observed, expected = int((p <= alpha).sum()), float(level[:, k].sum())
            low, high = (v / expected for v in poisson_interval(observed))
            ratio = observed / expected
            rows.append([f"singletons {name}", len(p), float(alpha), observed, expected, ratio, low, high])
            points.append((float(alpha), ratio, low, high))
            total[k] += observed, expected
            # the bar is two-sided but at 1e-4, where only too many are a fault
            off = ratio if alpha == alphas[-1] else abs(math.log(max(ratio, 1e-3)))
            if alpha not in worst or off > worst[alpha][0]:
                worst[alpha] = off, ratio
    for alpha, (seen, expected) in zip(alphas, total, strict=True):
        low, high = (v / expected for v in poisson_interval(int(seen)))
        rows.append(["both", "", float(alpha), int(seen), float(expected), float(seen / expected), low, high])
    study.table(
        "real_data",
        "Held-out sites of the real data (5 folds of whole regions; class alone, no data of the site)",
        ["data", "cells", "alpha", "observed", "attainable", "ratio", "low", "high"],
        rows,
    )
    study.plots.append(("Held-out sites: observed over attainable false positives, 95% intervals", ratio_plot(points)))
    for alpha, key in keys.items():
        study.figures[key] = worst[alpha][1]


# ---------------------------------------------------------------- simulated nulls


def panel_cases(model: BackgroundModel, panel: Panel, alleles: Sequence[tuple[str, str]], depth: np.ndarray) -> Cases:
    """One case for each allele, all at one depth [5]."""
    background = model.predict(panel, alleles)
    m = len(alleles)
    return Cases(
        np.tile(depth, (m, 1)), np.arange(m), background, np.zeros((m, 5)), steps(background, SETTINGS.reference_vaf)
    )


def draw_null(background: Predictive, row: int, depth: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Background molecules [n, 5] from the predictive distribution itself."""
    x = np.zeros((n, 5), dtype=np.int64)
    for t in np.flatnonzero(depth):
        rate = rng.choice(background.rate[row, t], n, p=background.weight[row, t])
        size = background.size[row, t]
        x[:, t] = rng.poisson(depth[t] * rate * rng.gamma(size, 1 / size, n))
    return x


def simulated_nulls(study: Study, model: BackgroundModel, panel: Panel, rng: np.random.Generator) -> None:
    """10^7 samples without a variant: tails and convolution against draws, to p = 1e-6."""
    alleles = named_alleles(panel)
    depth, n = depth_of(5000), 2_000_000
    cases = panel_cases(model, panel, list(alleles.values()), depth)
    tail = tails(cases, 4096)
    alphas = 10.0 ** -np.arange(2, 7)
    observed, expected = np.zeros(len(alphas)), np.zeros(len(alphas))
    for row in range(len(cases)):
        for _ in range(4):
            x = draw_null(cases.background, row, depth, n // 4, rng)
            p = tail[row, np.minimum(x @ cases.step[row], 4096)]
            observed += [(p <= a).sum() for a in alphas]
        expected += [n * tail[row, (tail[row] <= a).argmax()] for a in alphas]
    rows: list[list[object]] = []
    for a, o, e in zip(alphas, observed, expected, strict=True):
        low, high = poisson_interval(int(o))
        rows.append([float(a), int(o), float(e), float(o / e), low / e, high / e])
    study.table(
        "nulls",
        f"Null draws of the predictive distribution, {n * len(cases):,} samples",
        ["alpha", "observed", "attainable", "ratio", "low", "high"],
        rows,
    )
    study.figures["null_ratio_1e6"] = float(observed[-1] / expected[-1])


def named_alleles(panel: Panel) -> dict[str, tuple[str, str]]:
    """The five alleles of the study, each in its one-base form."""
    return {
        name: next((v.window, v.haplotype) for v in panel.variants if v.protein == name and one_base(panel, v))
        for name in NAMED
    }


def one_base(panel: Panel, variant: object) -> bool:
    """Whether a panel variant changes one base."""
    w = panel.windows[panel.window_index[variant.window]]  # type: ignore[attr-defined]
    return change_of(panel, w, variant.haplotype).kind == "substitution"  # type: ignore[attr-defined]


def level_of(panel: Panel) -> float:
    """Level of one panel allele: the first step of Holm."""
    return PANEL_SHARE * SETTINGS.alpha / len(panel.variants)


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


def lod_and_sensitivity(
    study: Study, world: World, model: BackgroundModel, panel: Panel, rng: np.random.Generator
) -> None:
    """Detection at the stated LoD95, and at 0.1% and 0.3%."""
    alleles = named_alleles(panel)
    rows: list[list[object]] = []
    found, points = [], []
    for total in (2000, 5000, 10000):
        cases = panel_cases(model, panel, list(alleles.values()), depth_of(total))
        limit = limits(cases, np.zeros_like(cases.depth), level_of(panel), SETTINGS.min_molecules)
        for row, (name, allele) in enumerate(alleles.items()):
            lod = float(limit.lod95[row])
            seen = detection(world, cases, row, allele, int(limit.critical[row]), lod, 20_000, rng)
            known = float((cases.background.mean[row] * cases.depth[row]).sum())
            true = float((world.rate(*allele) * cases.depth[row]).sum())
            rows.append([name, total, float(limit.lob[row]), lod, seen, known, true])
            found.append(seen)
            points.append((name, total, lod))
    study.table(
        "lod95",
        "Detection at the stated LoD95 (20,000 samples of the world; level of one of the panel's alleles)",
        ["allele", "molecules", "LoB", "LoD95", "detected", "background expected", "true"],
        rows,
    )
    study.plots.append(("LoD95 by depth", lod_plot(points)))
    study.figures["lod95_detection_min"], study.figures["lod95_detection_max"] = min(found), max(found)

    singles = [(v.protein, (v.window, v.haplotype)) for v in panel.variants if one_base(panel, v)]
    rows = []
    by: dict[str, list[float]] = {"transversion": [], "all": []}
    for shares, label in ((SIMPLEX, "simplex"), (DUPLEX_40, "40% duplex")):
        cases = panel_cases(model, panel, [a for _, a in singles], depth_of(10_000, shares))
        limit = limits(cases, np.zeros_like(cases.depth), level_of(panel), SETTINGS.min_molecules)
        for row, (name, allele) in enumerate(singles):
            change = change_of(panel, panel.windows[panel.window_index[allele[0]]], allele[1])
            kind = "transition" if change.classes()[2][1] in TRANSITIONS else "transversion"
            at = [
                detection(world, cases, row, allele, int(limit.critical[row]), f, 20_000, rng) for f in (0.001, 0.003)
            ]
            rows.append([name, kind, label, float(limit.lod95[row]), *at])
            if label == "simplex":
                by["all"].append(at[1])
                if kind == "transversion":
                    by["transversion"].append(at[0])
            elif name == "p.D538G":
                study.figures["sens_0p1pct_d538g_duplex"] = at[0]
    study.table(
        "sensitivity",
        "Sensitivity at 10,000 molecules",
        ["allele", "kind", "molecules", "LoD95", "at 0.1%", "at 0.3%"],
        rows,
    )
    study.figures["sens_0p1pct_transversions"] = min(by["transversion"])
    study.figures["sens_0p1pct_transversions_mean"] = float(np.mean(by["transversion"]))
    study.figures["sens_0p3pct"] = min(by["all"])


# ---------------------------------------------------------------- whole samples


def detected(result: SampleResult) -> list[tuple[str, str]]:
    """Haplotypes that a sample was called for."""
    return [(c.window, c.haplotype) for c in result.calls if c.status is CallStatus.DETECTED]


def blanks_end_to_end(
    study: Study, world: World, model: BackgroundModel, panel: Panel, number: int, rng: np.random.Generator
) -> None:
    """False positive samples among new blanks, called as any sample is."""
    false, names = 0, []
    for start in range(0, number, 250):
        batch = [
            (SampleInfo(f"N{start + i}", "patient", "B"), world.sample(depth_of(int(rng.uniform(3000, 12000))), rng))
            for i in range(min(250, number - start))
        ]
        for result in call_batch(batch, panel, model, SETTINGS):
            if detected(result):
                false += 1
                names += [c.protein for c in result.calls if c.status is CallStatus.DETECTED]
    low, high = (1000 * v / number for v in poisson_interval(false))
    study.figures["false_samples_per_1000_blanks"] = 1000 * false / number
    study.table(
        "blanks",
        f"False positive samples ({len(panel.variants)} alleles and {other_tests(panel)} others)",
        ["blanks", "false", "per 1000", "low", "high", "called"],
        [[number, false, 1000 * false / number, low, high, ", ".join(names) or "none"]],
    )


def one_allele(
    study: Study, world: World, model: BackgroundModel, panel: Panel, each: int, rng: np.random.Generator
) -> None:
    """Two-base alleles and deletions at their LoD: samples called must be called for that one allele."""
    depth = depth_of(5000)
    rows: list[list[object]] = []
    several = called = 0
    for v in panel.variants:
        if one_base(panel, v):
            continue
        cases = panel_cases(model, panel, [(v.window, v.haplotype)], depth)
        lod = float(limits(cases, np.zeros_like(cases.depth), level_of(panel), SETTINGS.min_molecules).lod95[0])
        spike = ((panel.window_index[v.window], v.haplotype), lod)
        batch = [(SampleInfo(f"V{i}", "patient", "B"), world.sample(depth, rng, spike)) for i in range(each)]
        found = [detected(r) for r in call_batch(batch, panel, model, SETTINGS)]
        seen = sum((v.window, v.haplotype) in f for f in found)
        more = sum(bool(set(f) - {(v.window, v.haplotype)}) for f in found)
        rows.append([v.protein, v.haplotype, lod, each, seen / each, more])
        several, called = several + more, called + seen
    study.table(
        "one_allele",
        "Two-base alleles and deletions at their LoD95, 5,000 molecules",
        ["allele", "haplotype", "LoD95", "samples", "detected", "called for anything else"],
        rows,
    )
    study.figures["one_allele_share"] = 1 - several / max(called, 1)


def speed(study: Study, world: World, model: BackgroundModel, panel: Panel, rng: np.random.Generator) -> None:
    """Seconds of one core for 1,000 samples with LoD, p, LoB, VAF and statuses; the best of three."""
    few = [(panel.window_index[v.window], v.haplotype) for v in panel.variants]
    rates = np.stack([world.rates[world.index[k]] for k in few])
    batch = []
    for s in range(1000):
        depth = depth_of(int(rng.uniform(3000, 12000)))
        x = world.errors(rates, depth, 1, rng)[0]
        rows = [(*k, v) for k, v in zip(few, x, strict=True)]
        rows += [(i, w.reference, depth) for i, w in enumerate(panel.windows)]
        batch.append((SampleInfo(f"T{s}", "patient", "B"), CountTable.build([w.name for w in panel.windows], rows)))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        call_batch(batch, panel, model, SETTINGS)
        seconds.append(time.process_time() - start)
    study.figures["call_1000_samples_s"] = min(seconds)
    study.table(
        "speed",
        f"1,000 samples x {len(few)} alleles",
        ["run", "core seconds"],
        [[i + 1, s] for i, s in enumerate(seconds)],
    )


# ---------------------------------------------------------------- beside a beta-binomial test with plug-in dispersion


def shearwater_like(x: int, n: int, blanks: np.ndarray, depths: np.ndarray, rho: float | None) -> float:
    """Likelihood ratio of one molecule rate for the tested sample and the blanks against two; beta-binomial.

    As ShearwaterML does: the dispersion is the method-of-moments estimate over all samples, the tested one included,
    where `rho` is not given.
    """
    counts, totals = np.append(blanks, x).astype(float), np.append(depths, n).astype(float)
    if rho is None:
        mu = counts.sum() / totals.sum()
        share = counts / totals
        spread = share.var(ddof=1)
        expected = mu * (1 - mu) * np.mean(1 / totals)
        rho = float(np.clip((spread - expected) / max(mu * (1 - mu) - expected, 1e-12), 1e-6, 0.1))
    pool, own = max(blanks.sum(), 0.5) / depths.sum(), max(x, 0.5) / n
    if own <= pool:
        return 0.0
    joint = max(counts.sum(), 0.5) / totals.sum()

    def log_likelihood(counts: np.ndarray, totals: np.ndarray, mean: float) -> float:
        a, b = mean * (1 - rho) / rho, (1 - mean) * (1 - rho) / rho
        parts = (
            gammaln(counts + a)
            + gammaln(totals - counts + b)
            - gammaln(totals + a + b)
            - gammaln(a)
            - gammaln(b)
            + gammaln(a + b)
        )
        return float(np.sum(parts))

    one, those = np.array([float(x)]), np.array([float(n)])
    apart = log_likelihood(one, those, own) + log_likelihood(counts[:-1], totals[:-1], pool)
    return apart - log_likelihood(counts, totals, joint)


def beside_shearwater(
    study: Study, world: World, model: BackgroundModel, panel: Panel, rng: np.random.Generator
) -> None:
    """Power at 0.1% where each test has a false positive rate of 1e-4, N = 8,000, 24 blanks.

    Each test's threshold is the 1 - 1e-4 quantile of its statistic over simulated nulls; ours also at its own level,
    which is stricter, since blanks leave open what a site's rate is.
    """
    n, trials = 8000, 1000
    level = 1e-4
    rows: list[list[object]] = []
    ours = []
    for label, shares in (("simplex", SIMPLEX), ("40% duplex", DUPLEX_40)):
        depth = depth_of(n, shares)
        cases = panel_cases(model, panel, list(named_alleles(panel).values()), depth)
        limit = limits(cases, np.zeros_like(cases.depth), level, SETTINGS.min_molecules)
        for row, (name, allele) in enumerate(named_alleles(panel).items()):
            mine = detection(world, cases, row, allele, int(limit.critical[row]), 0.001, 20_000, rng)
            null = world.errors(world.rate(*allele), depth, 400_000, rng)
            at_two = null.sum(axis=1) >= SETTINGS.min_molecules
            score = np.where(at_two, null @ cases.steps[row], 0)
            false = float((score >= limit.critical[row]).mean())
            # the least threshold whose false positive rate in this world is at most the level
            equal = int(np.sort(score)[-int(level * len(score))]) + 1
            best = detection(world, cases, row, allele, equal, 0.001, 20_000, rng)
            others = []
            for rho in (None, 1e-4):
                plain = null.sum(axis=1)
                spiked = world.errors(world.rate(*allele), depth, trials, rng).sum(axis=1)
                spiked = spiked + rng.binomial(n, 0.001, trials)
                blanks = world.errors(world.rate(*allele), depth, 24, rng).sum(axis=1)
                totals = np.full(24, n)
                llr = {int(x): shearwater_like(int(x), n, blanks, totals, rho) for x in {*plain, *spiked}}
                threshold = np.quantile([llr[int(x)] for x in plain], 1 - level)
                others.append(float(np.mean([llr[int(x)] > threshold for x in spiked])))
            rows.append([name, label, best, mine, false, *others])
            if label == "simplex":
                ours.append(best)
    study.table(
        "beside_shearwater",
        "Power at 0.1% VAF, false positive rate 1e-4, N = 8,000, 24 blanks",
        [
            "allele",
            "molecules",
            "ours",
            "ours at its own level 1e-4",
            "and its false positive rate there",
            "shearwater-like",
            "with dispersion fixed at 1e-4",
        ],
        rows,
    )
    study.figures["power_vs_shearwater_0p1pct"] = float(np.mean(ours))
    study.figures["power_vs_shearwater_0p1pct_min"] = min(ours)


# ---------------------------------------------------------------- rise


def rise(study: Study, pairs: int, rng: np.random.Generator) -> None:
    """Type I error at a one-sided 5%, and coverage of the 95% ratio interval, with 20% draw-to-draw variation."""
    cv = 0.20
    rows: list[list[object]] = []
    errors, covered = [], []
    for n1, n2, f, b in (
        (6000, 6000, 0.003, 1.5),
        (4000, 9000, 0.01, 1.0),
        (8000, 5000, 0.03, 0.5),
        (6000, 6000, 0.1, 0.5),
    ):
        for ratio in (1.0, 3.0):
            wrong = plain = inside = 0
            for _ in range(pairs):
                e1, e2 = rng.normal(0, log_sd(cv), 2)
                x1 = rng.poisson(n1 * f * math.exp(e1) + b)
                x2 = rng.poisson(n2 * f * ratio * math.exp(e2) + b)
                first, second = Count(int(x1), n1, b), Count(int(x2), n2, b)
                if ratio == 1.0:
                    wrong += p_rise(first, second, cv) <= 0.05
                    plain += p_rise(first, second, 0.0) <= 0.05
                found = compare(first, second, cv)
                inside += found.low <= ratio <= found.high
            covered.append(inside / pairs)
            if ratio == 1.0:
                errors.append(wrong / pairs)
            seen = power(Count(round(n1 * f + b), n1, b), n2, b, ratio, cv, 0.95)
            rows.append(
                [
                    f,
                    n1,
                    n2,
                    ratio,
                    *((wrong / pairs, plain / pairs) if ratio == 1.0 else ("", "")),
                    inside / pairs,
                    seen,
                ]
            )
    study.table(
        "rise",
        f"Rise test, {pairs} pairs each, CV 20%",
        ["VAF", "N1", "N2", "true ratio", "type I", "without draw variation", "coverage", "stated power"],
        rows,
    )
    study.figures["rise_type1"], study.figures["rise_ci_coverage"] = float(np.mean(errors)), float(np.mean(covered))


# ---------------------------------------------------------------- report

Place = Callable[[float, float], tuple[float, float]]
WIDTH, HEIGHT, EDGE = 560, 280, 50


def frame(
    xs: tuple[float, float],
    ys: tuple[float, float],
    x_ticks: list[float],
    y_ticks: list[float],
    labels: tuple[str, str],
) -> tuple[list[str], Place]:
    """Axes of a plot with logarithmic scales, and where a point lies."""

    def place(x: float, y: float) -> tuple[float, float]:
        def along(v: float, ends: tuple[float, float]) -> float:
            return (math.log(v) - math.log(ends[0])) / (math.log(ends[1]) - math.log(ends[0]))

        y = min(max(y, ys[0]), ys[1])
        return EDGE + along(x, xs) * (WIDTH - 2 * EDGE), HEIGHT - EDGE - along(y, ys) * (HEIGHT - 2 * EDGE)

    parts = [f'<rect x="{EDGE}" y="{EDGE}" width="{WIDTH - 2 * EDGE}" height="{HEIGHT - 2 * EDGE}" class="frame"/>']
    for x in x_ticks:
        at, bottom = place(x, ys[0])
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{x:g}</text>')
    for y in y_ticks:
        left, at = place(xs[0], y)
        parts.append(f'<line x1="{left}" x2="{WIDTH - EDGE}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{html.escape(labels[0])}</text>')
    parts.append(f'<text x="{EDGE}" y="{EDGE - 10}">{html.escape(labels[1])}</text>')
    return parts, place


def svg(parts: list[str]) -> str:
    """A whole picture."""
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">{"".join(parts)}</svg>'


def ratio_plot(points: list[tuple[float, float, float, float]]) -> str:
    """Ratios with intervals by alpha; the first data set left of the tick, the second right of it."""
    parts, place = frame(
        (3e-5, 3e-2),
        (0.25, 8),
        [1e-4, 1e-3, 1e-2],
        [0.25, 0.5, 0.8, 1, 1.25, 2, 4, 8],
        ("alpha", "observed / attainable"),
    )
    for i, (alpha, ratio, low, high) in enumerate(points):
        x = alpha * (0.85 if i < len(points) / 2 else 1.18)
        (px, py), (_, top), (_, bottom) = (
            place(x, max(ratio, 0.26)),
            place(x, max(high, 0.26)),
            place(x, max(low, 0.26)),
        )
        colour = "#0072b2" if i < len(points) / 2 else "#d55e00"
        parts.append(f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="{colour}"/>')
        parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"/>')
    return svg(parts)


def lod_plot(points: list[tuple[str, int, float]]) -> str:
    """LoD95 of each allele by molecules."""
    parts, place = frame(
        (1500, 14000), (3e-4, 2e-2), [2000, 5000, 10000], [3e-4, 1e-3, 3e-3, 1e-2], ("molecules", "LoD95")
    )
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#666666")
    for k, (name, colour) in enumerate(zip(NAMED, colours, strict=True)):
        line = [place(n, lod) for allele, n, lod in points if allele == name]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in line)}"/>'
        )
        parts.append(f'<text x="{WIDTH - EDGE - 70}" y="{EDGE + 18 + 14 * k}" fill="{colour}">{name}</text>')
    return svg(parts)


STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 2rem}
td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}
.frame{fill:none;stroke:#888}.grid{stroke:#eee}text{font-size:11px}.missed{color:#b00;font-weight:600}"""
BARS: dict[str, tuple[float, float]] = {
    "fpr_ratio_1e2": (0.8, 1.25),
    "fpr_ratio_1e3": (0.8, 1.25),
    "fpr_ratio_1e4": (0, 2),
    "lod95_detection_min": (0.93, 0.97),
    "lod95_detection_max": (0.93, 0.97),
    "sens_0p1pct_transversions": (0.95, 1),
    "sens_0p1pct_d538g_duplex": (0.95, 1),
    "sens_0p3pct": (0.99, 1),
    "false_samples_per_1000_blanks": (0, 1),
    "power_vs_shearwater_0p1pct": (0.9, 1),
    "rise_type1": (0.04, 0.06),
    "rise_ci_coverage": (0.94, 0.96),
    "one_allele_share": (1, 1),
    "call_1000_samples_s": (0, 2),
}


def verdicts(study: Study) -> list[list[object]]:
    """Each figure beside its bar."""
    out: list[list[object]] = []
    for key, value in study.figures.items():
        low, high = BARS.get(key, (-math.inf, math.inf))
        met = "not measured" if value is None else "met" if low <= value <= high else "missed"
        bar = "" if key not in BARS else f"{low:g} to {high:g}"
        out.append([key, "" if value is None else value, bar, met if key in BARS else ""])
    return out


def write_report(study: Study, folder: Path) -> None:
    """report.html and one TSV for each table."""
    folder.mkdir(parents=True, exist_ok=True)
    body = ["<h1>Calling: validation study</h1>"]
    for name, title, columns, rows in study.tables:
        with atomic_open(folder / f"{name}.tsv") as out:
            out.write("\t".join(columns) + "\n")
            out.writelines("\t".join(shown(v) for v in row) + "\n" for row in rows)
        head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
        lines = []
        for row in rows:
            mark = ' class="missed"' if "missed" in row else ""
            lines.append(f"<tr{mark}>" + "".join(f"<td>{html.escape(shown(v))}</td>" for v in row) + "</tr>")
        body.append(f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{''.join(lines)}</table>")
    for title, picture in study.plots:
        body.append(f"<h2>{html.escape(title)}</h2>{picture}")
    with atomic_open(folder / "report.html") as out:
        out.write(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Calling: validation study</title>'
            f"<style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
        )


@click.command()
@click.option("--quick", is_flag=True, help="Smaller simulations where they are slow; ends within 10 minutes.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option(
    "--out-dir",
    type=click.Path(path_type=Path),
    default=ROOT / "results/validation_calling",
    show_default=False,
    help="Report and tables.",
)
@click.option(
    "--real",
    type=click.Path(path_type=Path),
    envvar="ESR1CALL_REAL_BACKGROUND",
    default=ROOT.parent / "shared/background",
    help="Folder of the real data.",
)
@click.option("--panel", "panel_path", default=str(ROOT / "config/panels/esr1_lbd.tsv"), help="Panel TSV.")
@click.option("--reference", default=str(ROOT / "test_data/reference/esr1_lbd.GRCh38.fa"), help="Reference FASTA.")
@click.option("--seed", default=20260101, show_default=True)
def main(
    quick: bool, json_path: Path | None, out_dir: Path, real: Path, panel_path: str, reference: str, seed: int
) -> None:
    """Measure the calling statistics and write a report."""
    rng = np.random.default_rng(seed)
    study = Study()
    panel = load_panel(panel_path, Reference(reference), "GRCh38")
    world = World(panel, rng)
    start = time.monotonic()

    def step(name: str) -> None:
        click.echo(f"[{time.monotonic() - start:.0f} s] {name}", err=True)

    step("real data")
    real_data(study, real if real.is_dir() else None)
    step("model on 24 blanks")
    given = [(Blank(f"B{i}", f"{i:064x}"), world.sample(depth_of(8000), rng)) for i in range(24)]
    model = fit(panel, given, chemistry="simulated", lot="1", date="2026-01-01")
    if model.carriers:
        click.echo(f"wrongly accused blanks: {model.carriers}")
    step("LoD and sensitivity")
    lod_and_sensitivity(study, world, model, panel, rng)
    step("speed")
    speed(study, world, model, panel, rng)
    step("beside shearwater")
    beside_shearwater(study, world, model, panel, rng)
    step("one allele")
    one_allele(study, world, model, panel, 100 if quick else 1000, rng)
    step("rise")
    rise(study, 700 if quick else 4000, rng)
    step("nulls")
    simulated_nulls(study, model, panel, rng)
    step("blanks")
    blanks_end_to_end(study, world, model, panel, 3000 if quick else 10_000, rng)
    rows = verdicts(study)
    study.tables.insert(0, ("figures", "Figures", ["figure", "value", "bar", ""], rows))
    write_report(study, out_dir)
    if json_path is not None:
        write_json(json_path, study.figures)
    click.echo("")
    for row in rows:
        click.echo("\t".join(shown(v) for v in row))
    step(f"report: {out_dir / 'report.html'}")


if __name__ == "__main__":
    sys.exit(main())
