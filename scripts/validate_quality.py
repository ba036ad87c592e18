#!/usr/bin/env python3
"""Study of contamination checks on simulated batches: how often 1% of another sample is flagged, and a clean batch is.

    python scripts/validate_quality.py --json figures.json            200 batches of each kind, about 15 minutes
    python scripts/validate_quality.py --batches 20

Each batch has 12 patients with the frequencies and fractions of variants that PADA-1 published, a no-template, a
wild-type and a positive control. In contaminated batches one patient has p.D538G at 30%, and another one, who has no
variant, holds a share of the first one's molecules: by read pairs with the wrong index (hopped), or mixed in before
UMIs were attached. Flagged is a sample whose contamination or carry-over check failed, so that it is QC_FAILED.
"""

# The number of threads is set before numpy is imported.
# ruff: noqa: E402

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import click
import numpy as np

from esr1call.background import BackgroundModel
from esr1call.calling import SampleInfo, call_batch
from esr1call.io.files import write_json
from esr1call.io.model_file import read_model
from esr1call.io.reference import Reference, load_panel
from esr1call.io.sample_counts import load_snps
from esr1call.panel import Panel
from esr1call.quality.error_rates import ErrorCounter
from esr1call.quality.evidence import Evidence
from esr1call.quality.judge import judge_batch
from esr1call.results import BatchQuality, CallStatus, Outcome, SampleResult, SampleStatus
from esr1call.settings import CallingSettings, QcSettings
from esr1call.simulate.batch import BatchSimulator, Library, Person, Plan
from esr1call.snps import Snp

ROOT = Path(__file__).resolve().parents[1]
PATIENTS = 12
POSITIVE = 0.08
"""Part of PADA-1's samples that were newly or persistently positive."""
MEDIAN_VAF, LOG_SD, VAF_RANGE = 0.0083, 1.29, (0.0011, 0.35)
VARIANTS = {"p.D538G": 0.36, "p.Y537S": 0.2, "p.Y537N": 0.12, "p.E380Q": 0.15, "p.Y537C": 0.1, "p.L536R": 0.07}
"""Roughly how often each is the one found."""
GIVER, TAKER = 0, 1
CONTROL = (("p.D538G", 0.01), ("p.E380Q", 0.01), ("p.Y537S", 0.01))


@dataclass(frozen=True)
class Kind:
    """One kind of batch: the giver's fraction (None: a patient like any other), and what comes to the taker."""

    name: str
    giver: float | None = None
    hopped: float = 0.0
    mixed: float = 0.0
    umi_bases: int = 3


KINDS = (
    Kind("clean"),
    Kind("clean, one sample at 30%", 0.3),
    Kind("1% hopped", 0.3, hopped=0.01),
    Kind("1% hopped, UMIs of 8 bases", 0.3, hopped=0.01, umi_bases=8),
    Kind("1% mixed before UMIs", 0.3, mixed=0.01),
    Kind("3% mixed before UMIs", 0.3, mixed=0.03),
)


@dataclass(frozen=True, eq=False)
class World:
    """What all batches share."""

    panel: Panel
    model: BackgroundModel
    snps: tuple[Snp, ...]
    counter: ErrorCounter

    @classmethod
    def load(cls) -> World:
        """The shipped panel and SNPs, and the demo's background."""
        reference = Reference(ROOT / "test_data" / "reference" / "esr1_lbd.GRCh38.fa")
        panel = load_panel(ROOT / "config" / "panels" / "esr1_lbd.tsv", reference, "GRCh38")
        snps = load_snps(ROOT / "config" / "panels" / "esr1_snps.tsv", reference, "GRCh38")
        model = read_model(ROOT / "test_data" / "background" / "model.json", panel)
        return cls(panel, model, snps, ErrorCounter(panel, model, snps))

    def simulator(self, umi_bases: int) -> BatchSimulator:
        """Batches whose errors are those that the model expects."""
        keys = [
            (i, w.reference[:at] + alt + w.reference[at + 1 :])
            for i, w in enumerate(self.panel.windows)
            if w.kind == "hotspot"
            for at, ref in enumerate(w.reference)
            for alt in "ACGT"
            if alt != ref
        ]
        rates = self.model.predict(self.panel, [(self.panel.windows[i].name, h) for i, h in keys]).mean
        return BatchSimulator(self.panel, self.snps, dict(zip(keys, rates, strict=True)), Library(umi_bases=umi_bases))

    def judge(
        self, simulator: BatchSimulator, plans: Sequence[Plan], rng: np.random.Generator
    ) -> tuple[list[SampleResult], BatchQuality]:
        """Draw, call and judge one batch."""
        drawn = simulator.draw(plans, rng)
        called = call_batch([(d.info, d.table) for d in drawn], self.panel, self.model, CallingSettings())
        evidence = [
            Evidence(d.info, d.table, r, d.summary, d.alleles, d.sketches) for d, r in zip(drawn, called, strict=True)
        ]
        return judge_batch(evidence, self.panel, self.model, QcSettings(), self.snps, None, self.counter)

    def haplotype(self, protein: str) -> tuple[str, str]:
        """(window, haplotype) of a panel protein's first DNA form."""
        return next((v.window, v.haplotype) for v in self.panel.variants if v.protein == protein)


def plans_of(kind: Kind, world: World, rng: np.random.Generator) -> list[Plan]:
    """One batch."""
    plans = []
    for i in range(PATIENTS):
        variants: tuple[tuple[str, str, float], ...] = ()
        if kind.giver is not None and i == GIVER:
            variants = ((*world.haplotype("p.D538G"), kind.giver),)
        elif not (kind.hopped or kind.mixed) or i != TAKER:
            variants = _pada1(world, rng)
        foreign = {"hopped": kind.hopped, "mixed": kind.mixed} if i == TAKER else {}
        given: dict[str, Any] = {how: ((GIVER, share),) for how, share in foreign.items() if share}
        info = SampleInfo(f"P{i:02}-V1", "patient", "B", f"P{i:02}", "V1", "2024-01-15", 4.0, 15.0)
        molecules = float(np.exp(rng.normal(np.log(3000), 0.3)))
        plans.append(Plan(info, Person.draw(rng, world.snps), molecules, variants, **given))
    expected: dict[str, float | tuple[float, float]] = dict(CONTROL)
    control = tuple((*world.haplotype(name), f) for name, f in CONTROL)
    plans.append(Plan(SampleInfo("NTC", "ntc", "B"), Person({}), 1.0))
    plans.append(Plan(SampleInfo("WT", "wild_type", "B"), Person.draw(rng, world.snps)))
    info = SampleInfo("PC", "positive_control", "B", expected=expected)
    plans.append(Plan(info, Person.draw(rng, world.snps), 3000.0, control))
    return plans


def _pada1(world: World, rng: np.random.Generator) -> tuple[tuple[str, str, float], ...]:
    if rng.random() >= POSITIVE:
        return ()
    weights = np.array(list(VARIANTS.values()))
    name = str(rng.choice(list(VARIANTS), p=weights / weights.sum()))
    vaf = float(np.clip(np.exp(rng.normal(np.log(MEDIAN_VAF), LOG_SD)), *VAF_RANGE))
    return ((*world.haplotype(name), vaf),)


def study(kind: Kind, world: World, batches: int, seed: int) -> dict[str, Any]:
    """Rates over many batches: of the taker flagged, of other samples and of batches with any of them flagged, and of
    takers whose foreign variant would have been reported."""
    simulator = world.simulator(kind.umi_bases)
    flagged = wrong = false_samples = false_batches = others = called = 0
    estimates = []
    for number in range(batches):
        rng = np.random.default_rng([seed, KINDS.index(kind), number])
        results, quality = world.judge(simulator, plans_of(kind, world, rng), rng)
        bad = {
            c.sample
            for c in quality.checks
            if c.outcome is Outcome.FAILED and c.name in ("contamination", "carry_over")
        }
        contaminated = bool(kind.hopped or kind.mixed)
        taker = results[TAKER]
        if contaminated:
            flagged += taker.sample in bad
            has_call = any(c.protein == "p.D538G" and c.status is CallStatus.DETECTED for c in taker.calls)
            called += has_call
            wrong += has_call and taker.status is SampleStatus.DETECTED
            found = quality.samples[TAKER].contamination
            estimates.append(0.0 if found is None else found)
        false = bad - ({taker.sample} if contaminated else set())
        false_samples += len(false)
        false_batches += bool(false)
        others += PATIENTS - contaminated
    return {
        "kind": kind.name, "batches": batches, "flagged": flagged / batches if estimates else None,
        "taker_called": called / batches if estimates else None,
        "wrongly_reported": wrong / batches if estimates else None,
        "false_flags_per_sample": false_samples / others, "batches_with_false_flags": false_batches / batches,
        "contamination_median": float(np.median(estimates)) if estimates else None,
    }  # fmt: skip


@click.command()
@click.option("--batches", default=200, show_default=True, type=click.IntRange(1, 100_000), help="Of each kind.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice([k.name for k in KINDS]), help="Default: all.")
@click.option("--seed", default=1, show_default=True)
@click.option("--json", "json_path", help="File for the figures.")
def main(batches: int, kinds: tuple[str, ...], seed: int, json_path: str | None) -> None:
    """Print a table of what is flagged in simulated batches."""
    world, rows, started = World.load(), [], time.perf_counter()
    columns = (
        "flagged",
        "wrongly_reported",
        "false_flags_per_sample",
        "batches_with_false_flags",
        "contamination_median",
    )
    click.echo("| batches | " + " | ".join(columns) + " |\n|" + " --- |" * (len(columns) + 1))
    for kind in KINDS:
        if kinds and kind.name not in kinds:
            continue
        row = study(kind, world, batches, seed)
        rows.append(row)
        click.echo(f"| {kind.name} | " + " | ".join("" if row[c] is None else f"{row[c]:.4g}" for c in columns) + " |")
    seconds = time.perf_counter() - started
    click.echo(f"{batches} batches of each kind in {seconds:.0f} s", err=True)
    if json_path:
        write_json(Path(json_path), {"batches": batches, "seed": seed, "seconds": round(seconds), "kinds": rows})


if __name__ == "__main__":
    sys.exit(main())
