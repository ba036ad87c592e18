"""LoD95 and sensitivity in the simulated world, and power beside a test in which the tested sample has a say."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln
from validate_calling_report import lod_plot
from validate_calling_world import (
    DUPLEX_40,
    SETTINGS,
    SIMPLEX,
    TRANSITIONS,
    Study,
    World,
    depth_of,
    detection,
    level_of,
    model_of,
    named_alleles,
    one_base,
    panel_cases,
)

from esr1call.background import BackgroundModel, change_of
from esr1call.lod import limits
from esr1call.panel import Panel


def lod_and_sensitivity(
    study: Study,
    world: World,
    model: BackgroundModel,
    panel: Panel,
    rng: np.random.Generator,
    samples: int = 20_000,
) -> None:
    """Detection at the stated LoD95, and at 0.1% and 0.3%, each of as many simulated samples."""
    alleles = named_alleles(panel)
    rows: list[list[object]] = []
    found, points = [], []
    for total in (2000, 5000, 10000):
        cases = panel_cases(model, panel, list(alleles.values()), depth_of(total))
        limit = limits(cases, np.zeros_like(cases.depth), level_of(panel), SETTINGS.min_molecules)
        for row, (name, allele) in enumerate(alleles.items()):
            lod = float(limit.lod95[row])
            seen = detection(world, cases, row, allele, int(limit.critical[row]), lod, samples, rng)
            known = float((cases.background.mean[row] * cases.depth[row]).sum())
            true = float((world.rate(*allele) * cases.depth[row]).sum())
            rows.append([name, total, float(limit.lob[row]), lod, seen, known, true])
            found.append(seen)
            points.append((name, total, lod))
    study.table(
        "lod95",
        f"Detection at the stated LoD95 ({samples:,} samples of the world; level of one of the panel's alleles)",
        ["allele", "molecules", "LoB", "LoD95", "detected", "background expected", "true"],
        rows,
    )
    study.plots.append(("LoD95 by depth", lod_plot(points)))
    study.figures["lod95_detection_min"], study.figures["lod95_detection_max"] = min(found), max(found)

    rows = []
    by: dict[str, list[float]] = {"transversion": [], "all": []}
    for shares, label in ((SIMPLEX, "simplex"), (DUPLEX_40, "40% duplex")):
        for name, kind, lod, at in sensitivities(world, model, panel, depth_of(10_000, shares), samples, rng):
            rows.append([name, kind, label, lod, *at])
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


def sensitivities(
    world: World, model: BackgroundModel, panel: Panel, depth: np.ndarray, samples: int, rng: np.random.Generator
) -> list[tuple[str, str, float, list[float]]]:
    """Of each one-base allele: name, kind, LoD95, and the shares detected at 0.1% and 0.3%."""
    singles = [v for v in panel.variants if one_base(panel, v)]
    cases = panel_cases(model, panel, [(v.window, v.haplotype) for v in singles], depth)
    limit = limits(cases, np.zeros_like(cases.depth), level_of(panel), SETTINGS.min_molecules)
    out = []
    for row, v in enumerate(singles):
        change = change_of(panel, panel.windows[panel.window_index[v.window]], v.haplotype)
        kind = "transition" if change.classes()[2][1] in TRANSITIONS else "transversion"
        critical, allele = int(limit.critical[row]), (v.window, v.haplotype)
        at = [detection(world, cases, row, allele, critical, f, samples, rng) for f in (0.001, 0.003)]
        out.append((v.protein, kind, float(limit.lod95[row]), at))
    return out


def sensitivity_over_worlds(
    study: Study, panel: Panel, seed: int, worlds: int = 6, samples: int = 4000, blanks: int = 24
) -> None:
    """As `sensitivities`, each allele's mean over worlds of their own blanks and models.

    In one world the worst allele is the one whose site chance made dirtiest.
    """
    found: dict[str, list[list[float]]] = {}
    duplex: list[float] = []
    kinds: dict[str, str] = {}
    for number in range(worlds):
        rng = np.random.default_rng([seed, number])
        world = World(panel, rng)
        model = model_of(world, rng, blanks)
        for name, kind, _, at in sensitivities(world, model, panel, depth_of(10_000, SIMPLEX), samples, rng):
            kinds[name] = kind
            found.setdefault(name, []).append(at)
        for name, _, _, at in sensitivities(world, model, panel, depth_of(10_000, DUPLEX_40), samples, rng):
            if name == "p.D538G":
                duplex.append(at[0])
    mean = {name: np.mean(at, axis=0) for name, at in found.items()}
    least = {name: np.min(at, axis=0) for name, at in found.items()}
    study.table(
        "sensitivity_over_worlds",
        f"Sensitivity at 10,000 simplex molecules, mean of {worlds} worlds and the worst of them",
        ["allele", "kind", "at 0.1%", "worst", "at 0.3%", "worst"],
        [[name, kinds[name], *(float(v[name][k]) for k in range(2) for v in (mean, least))] for name in found],
    )
    of_transversions = [float(m[0]) for name, m in mean.items() if kinds[name] == "transversion"]
    study.figures["sens_0p1pct_transversions_worlds"] = min(of_transversions)
    study.figures["sens_0p1pct_transversions_worlds_mean"] = float(np.mean(of_transversions))
    study.figures["sens_0p1pct_d538g_duplex_worlds"] = float(np.mean(duplex))
    study.figures["sens_0p3pct_worlds"] = min(float(m[1]) for m in mean.values())


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
    study: Study,
    world: World,
    model: BackgroundModel,
    panel: Panel,
    rng: np.random.Generator,
    nulls: int = 400_000,
    samples: int = 20_000,
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
            mine = detection(world, cases, row, allele, int(limit.critical[row]), 0.001, samples, rng)
            null = world.errors(world.rate(*allele), depth, nulls, rng)
            at_two = null.sum(axis=1) >= SETTINGS.min_molecules
            score = np.where(at_two, null @ cases.steps[row], 0)
            false = float((score >= limit.critical[row]).mean())
            # the least threshold whose false positive rate in this world is at most the level
            equal = int(np.sort(score)[-int(level * len(score))]) + 1
            best = detection(world, cases, row, allele, equal, 0.001, samples, rng)
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
