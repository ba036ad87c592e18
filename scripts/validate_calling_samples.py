"""Whole samples called, end to end on counts; draws of the predictive distribution; pairs of draws of a patient."""

from __future__ import annotations

import math
import time

import numpy as np
from validate_calling_world import (
    SETTINGS,
    Study,
    World,
    depth_of,
    level_of,
    named_alleles,
    one_base,
    panel_cases,
    poisson_interval,
)

from esr1call.background import BackgroundModel, Predictive
from esr1call.calling import SampleInfo, call_batch, other_tests
from esr1call.counts import CountTable
from esr1call.lod import limits, tails
from esr1call.panel import Panel
from esr1call.results import CallStatus, SampleResult
from esr1call.rise import Count, compare, log_sd, p_rise, power


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


def speed(
    study: Study,
    world: World,
    model: BackgroundModel,
    panel: Panel,
    rng: np.random.Generator,
    samples: int = 1000,
) -> None:
    """Seconds of one core for 1,000 samples with LoD, p, LoB, VAF and statuses; the best of three."""
    few = [(panel.window_index[v.window], v.haplotype) for v in panel.variants]
    rates = np.stack([world.rates[world.index[k]] for k in few])
    batch = []
    for s in range(samples):
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
        f"{samples:,} samples x {len(few)} alleles",
        ["run", "core seconds"],
        [[i + 1, s] for i, s in enumerate(seconds)],
    )


def draw_null(background: Predictive, row: int, depth: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Background molecules [n, 5] from the predictive distribution itself."""
    x = np.zeros((n, 5), dtype=np.int64)
    for t in np.flatnonzero(depth):
        rate = rng.choice(background.rate[row, t], n, p=background.weight[row, t])
        size = background.size[row, t]
        x[:, t] = rng.poisson(depth[t] * rate * rng.gamma(size, 1 / size, n))
    return x


def simulated_nulls(
    study: Study, model: BackgroundModel, panel: Panel, rng: np.random.Generator, n: int = 2_000_000
) -> None:
    """10^7 samples without a variant, `n` of each allele: tails and convolution against draws, to p = 1e-6."""
    alleles = named_alleles(panel)
    depth = depth_of(5000)
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
