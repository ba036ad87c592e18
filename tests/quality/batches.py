"""Simulated batches for tests of quality control: plans, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from esr1call.calling import SampleInfo, call_batch
from esr1call.quality.evidence import Evidence
from esr1call.quality.judge import judge_batch
from esr1call.results import BatchQuality, Outcome, SampleResult
from esr1call.settings import CallingSettings, QcSettings
from esr1call.simulate.batch import BatchSimulator, Library, Person, Plan
from esr1call.snps import Snp
from tests.background_builders import World, hotspot_model, hotspot_panel
from tests.builders import haplotype_of

SNPS = (Snp("rs1801132", "chr6", 151944386, "G", "C", 0.75), Snp("rs2228480", "chr6", 152098959, "G", "A", 0.2))
CALLING = CallingSettings()
HET, HOM = Person({"rs1801132": 1, "rs2228480": 0}), Person({"rs1801132": 2, "rs2228480": 1})
REF = Person({"rs1801132": 0, "rs2228480": 0})


@cache
def simulator(umi_bases: int = 3) -> BatchSimulator:
    """Batches over the hotspot panel."""
    panel = hotspot_panel()
    return BatchSimulator(panel, SNPS, World.of(panel).rates, Library(umi_bases=umi_bases))


def variant(protein: str, fraction: float) -> tuple[str, str, float]:
    """A panel variant at a fraction, for `Plan.variants`."""
    panel = hotspot_panel()
    window = next(v.window for v in panel.variants if v.protein == protein)
    return window, haplotype_of(panel, window, protein), fraction


def patient(name: str, visit: str = "V1", person: Person = HET, day: str = "2024-01-15", **plan: Any) -> Plan:
    """A patient's sample NAME-VISIT with 3,000 molecules from 15 ng."""
    info = SampleInfo(f"{name}-{visit}", "patient", "B1", name, visit, day, 4.0, plan.pop("ng", 15.0))
    return Plan(info, person, **plan)


def controls(ntc: float = 0.5, **positive: float) -> list[Plan]:
    """An empty NTC, a wild type and a positive control with p.D538G and p.E380Q at 1% (or as given)."""
    made = tuple(variant(f"p.{name}", f) for name, f in ({"D538G": 0.01, "E380Q": 0.01} | positive).items())
    expected: dict[str, Any] = {"p.D538G": 0.01, "p.E380Q": 0.01}
    return [
        Plan(SampleInfo("NTC", "ntc", "B1"), REF, ntc),
        Plan(SampleInfo("WT", "wild_type", "B1"), REF),
        Plan(SampleInfo("PC", "positive_control", "B1", expected=expected), REF, variants=made),
    ]


def evidence(plans: Sequence[Plan], seed: int = 1, umi_bases: int = 3) -> list[Evidence]:
    """Drawn and called."""
    drawn = simulator(umi_bases).draw(plans, np.random.default_rng(seed))
    called = call_batch([(d.info, d.table) for d in drawn], hotspot_panel(), hotspot_model(), CALLING)
    return [Evidence(d.info, d.table, r, d.summary, d.alleles, d.sketches) for d, r in zip(drawn, called, strict=True)]


def judged(
    plans: Sequence[Plan],
    seed: int = 1,
    settings: QcSettings | None = None,
    earlier: Mapping[str, Sequence[SampleResult]] | None = None,
) -> tuple[dict[str, SampleResult], BatchQuality]:
    """Results by sample, and the batch's quality."""
    given = evidence(plans, seed)
    results, quality = judge_batch(
        given, hotspot_panel(), hotspot_model(), settings or QcSettings(), SNPS, earlier or {}
    )
    return {r.sample: r for r in results}, quality


def outcome(quality: BatchQuality, name: str, sample: str | None) -> Outcome:
    """Of the one check of that name and sample."""
    [found] = [c for c in quality.checks if (c.name, c.sample) == (name, sample)]
    return found.outcome
