"""Held-out sites of real per-site molecule errors: false positives observed over those that counts can attain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from validate_calling_report import ratio_plot
from validate_calling_world import Study, poisson_interval

from esr1call.background import TierModel, log_prior_on_grid, nodes
from esr1call.background_fit import TierData, fit_tier
from esr1call.stats import mixture_table

COMPLEMENT = dict(zip("ACGT", "TGCA", strict=True))


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
    for row, i in enumerate(rows):
        by_class.setdefault(sites.classes[i], []).append(row)
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
