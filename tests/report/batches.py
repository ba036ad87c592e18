"""Finished batches for the report: courses of patients over earlier batches, controls, checks and measures."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from esr1call.counts import TIERS
from esr1call.history import History
from esr1call.io.decisions import take_results
from esr1call.io.files import write_json
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import publish
from esr1call.io.results_file import write_quality, write_result
from esr1call.report.batch import Material
from esr1call.results import (
    BatchQuality,
    CallStatus,
    Check,
    ErrorRate,
    Outcome,
    SampleQuality,
    SampleResult,
    VariantCall,
    WindowYield,
)
from esr1call.settings import CallingSettings, QcSettings
from tests.builders import esr1_panel, variant_call
from tests.io.test_batch import Lab
from tests.trigger_builders import RULE_FILE, digest_of, pada1, status_of

STUDY, BATCH = "S1", "B9"
SUBSTITUTIONS = ("A>C", "A>G", "A>T", "C>A", "C>G", "C>T", "G>A", "G>C", "G>T", "T>A", "T>C", "T>G")


def panel_calls(shown: Mapping[str, int], depth: int, genomes_per_ml: float | None) -> tuple[VariantCall, ...]:
    """A call of every allele of the shipped panel; `shown`: molecules by cDNA change. Under 1,000 there is no power."""
    strata = np.array([0.15, 0.15, 0.2, 0.2, 0.3])
    calls = []
    for v in esr1_panel().variants:
        x = shown.get(v.cdna, 0)
        status = CallStatus.DETECTED if x else CallStatus.NOT_DETECTED if depth >= 1000 else CallStatus.NO_CALL
        fractions = [x / depth, max(x - 2 * x**0.5, 0) / depth, (x + 2 * x**0.5 + 1.9) / depth] if depth else [0, 0, 1]
        copies = [None if genomes_per_ml is None else f * genomes_per_ml for f in fractions]
        calls.append(
            variant_call(
                window=v.window, haplotype=v.haplotype, protein=v.protein, cdna=v.cdna, panel_variants=(v.protein,),
                pos=v.pos, ref=v.ref, alt=v.alt, molecules=x, depth=depth,
                alt_by_stratum=_split(x, strata), depth_by_stratum=_split(depth, strata), status=status,
                p=10.0 ** -(x + 1) if x else 1.0, p_adjusted=10.0**-x, lob=1.7 / depth if depth else 0.0,
                lod95=5.2 / depth if depth else None, vaf=fractions[0], vaf_low=fractions[1],
                vaf_high=fractions[2], copies_per_ml=copies[0], copies_per_ml_low=copies[1],
                copies_per_ml_high=copies[2],
            )
        )  # fmt: skip
    return tuple(calls)


def _split(total: int, shares: np.ndarray) -> tuple[int, ...]:
    parts = np.floor(total * shares).astype(int)
    parts[-1] += total - parts.sum()
    return tuple(int(n) for n in parts)


def result(sample: str, kind: str = "patient", *, depth: int = 3000, failed: str = "", batch: str = BATCH,
           plasma_ml: float | None = 4.0, **given: Any) -> SampleResult:  # fmt: skip
    """A result with all panel calls; `given`: patient, visit, collected, and `shown` as in `panel_calls`."""
    shown = given.pop("shown", {})
    genomes = None if plasma_ml is None else 30 / plasma_ml * 1000 / 3.3
    calls = panel_calls(shown, depth, genomes)
    status = status_of(calls, failed=bool(failed))
    values = {
        "patient": None, "visit": None, "collected": None, "reasons": (failed,) if failed else (),
        "inputs": {"background": "a" * 64, "counts": "b" * 64, "panel": "c" * 64},
        **given,
    }  # fmt: skip
    return SampleResult(
        sample=sample, sample_type=kind, batch=batch, build="GRCh38", status=status, plasma_ml=plasma_ml,
        cfdna_ng=30.0, calls=calls, genotypes={"rs1801132": "C/G"} if kind == "patient" else {}, **values,
    )  # fmt: skip


def course(patient: str, seed: int, visits: int = 4) -> list[SampleResult]:
    """A patient's draws, the last in the batch reported, earlier ones in earlier batches; some are positive."""
    rng = np.random.default_rng(seed)
    day = datetime.date(2024, 1, 8) + datetime.timedelta(int(rng.integers(60)))
    fate = seed % 5
    rows = []
    for i in range(visits):
        shown: dict[str, int] = {}
        if fate == 1 and i == visits - 1:
            shown = {"c.1613A>G": int(rng.integers(9, 60))}
        elif fate == 2 and i >= 1:
            shown = {"c.1610A>C": 12 * 3**i, "c.1138G>C": 5 * 2**i, "c.1387T>C": 9}
        depth = 600 if fate == 3 and i == visits - 2 else int(rng.integers(2000, 4500))
        failed = "contamination failed: 2% of molecules are another sample's" if fate == 4 and i == 1 else ""
        rows.append(
            result(f"{patient}-V{i + 1}", patient=patient, visit=f"V{i + 1}", collected=day.isoformat(), shown=shown,
                   depth=depth, failed=failed, batch=BATCH if i == visits - 1 else f"B{5 + i}")
        )  # fmt: skip
        day += datetime.timedelta(29 if i == 0 else int(rng.integers(54, 63)))
    return rows


def controls() -> list[SampleResult]:
    """One control of each kind."""
    return [
        result("NTC-1", "ntc", depth=0, plasma_ml=None),
        result("PC-1", "positive_control", plasma_ml=None, shown={"c.1613A>G": 31, "c.1138G>C": 28}),
        result("WT-1", "wild_type", plasma_ml=None),
    ]


def quality(results: Sequence[SampleResult], failed: Mapping[str, str] | None = None) -> BatchQuality:
    """Measures of all samples, and checks that passed but for `failed`: sample -> name of the check."""
    failed = failed or {}
    rng = np.random.default_rng(3)
    checks = [
        Check(kind, r.sample, Outcome.PASSED, "as expected", 0.0, 10.0)
        for kind in ("ntc", "wild_type", "positive_control")
        for r in results
        if r.sample_type == kind
    ]
    for name in ("contamination", "identity", "depth", "germline"):
        for r in results:
            if r.sample_type == "patient":
                bad = failed.get(r.sample) == name
                outcome = Outcome.FAILED if bad else Outcome.NOT_ASSESSED if name == "identity" else Outcome.PASSED
                told = (
                    "2% of molecules are another sample's"
                    if bad
                    else "no earlier sample"
                    if name == "identity"
                    else "ok"
                )
                checks.append(Check(name, r.sample, outcome, told, 0.02, 0.005, "look into it" if bad else ""))
    return BatchQuality(BATCH, tuple(checks), tuple(_measures(r, rng) for r in results), 0.0002, 0.0001, 0.0004)


def _measures(r: SampleResult, rng: np.random.Generator) -> SampleQuality:
    empty = r.sample_type == "ntc"
    depth = r.calls[0].depth
    bins = np.arange(61) * 10.0
    lengths = rng.poisson(2000 * np.exp(-(((bins - 165) / 20) ** 2)))
    errors = [
        ErrorRate(s, t, int(rng.poisson(e)), e, 100_000)
        for s in SUBSTITUTIONS
        for t, e in zip(TIERS, (12.0, 2.0, 0.05), strict=True)
    ]
    return SampleQuality(
        sample=r.sample, sample_type=r.sample_type, patient=r.patient, visit=r.visit, status=r.status,
        called_status=r.status, reads_mapped=None if empty else 90_000, on_target_rate=None if empty else 0.9,
        molecules=float(depth), duplex_molecules=0.3 * depth, duplex_yield=None if empty else 0.3,
        undecided_rate=None if empty else 0.006, input_hge=None, conversion=None if empty else depth / 9000,
        family_size=None if empty else 2.2, umi_error_rate=None, fragment_length=None if empty else 165.0,
        fragment_bin=10, fragment_lengths=() if empty else tuple(map(int, lengths)), family_sizes=(0, 10, 5),
        contamination=None if empty else float(rng.gamma(1, 0.0003)), contamination_low=None if empty else 0.0,
        contamination_high=None if empty else 0.001, contamination_source=None, shared_molecules=0,
        error_ratio=None if empty else float(rng.normal(1, 0.1)), genotypes=r.genotypes,
        windows=(WindowYield("380", (1, 2, 3, 4, 5), (0, 0, 0, 0, 0)),), errors=() if empty else tuple(errors),
    )  # fmt: skip


def material(patients: int = 3, visits: int = 4, more: Sequence[SampleResult] = (), **given: Any) -> Material:
    """A batch with the last draw of each patient, and controls; `more` results may be of patients or not."""
    courses = [course(f"P{i:03d}", i, visits) for i in range(patients)]
    results = [c[-1] for c in courses] + controls() + list(more)
    histories: dict[str, History] = {}
    for r in [r for c in courses for r in c] + [r for r in more if r.patient is not None]:
        histories.setdefault(str(r.patient), History()).add_result(r.sample, digest_of(r), r)
    values = {
        "study": STUDY, "batch": BATCH, "laboratory": None, "results": tuple(results),
        "quality": json.loads(json.dumps({"passed": True, **asdict(quality(results))})), "reads": {}, "events": (),
        "histories": histories, "rule": pada1(), "calling": CallingSettings(), "limits": QcSettings(),
        "provenance": {
            "started": "2024-09-01T10:00:00+00:00", "platform": "a machine", "versions": {"esr1call": "1.0"},
            "inputs": {"samples.tsv": {"bytes": 1, "mtime_ns": 2, "sha256": "d" * 64}},
        },
        **given,
    }  # fmt: skip
    assert set(values) == {f.name for f in dataclasses.fields(Material)}
    return Material(**values)


def folder(place: Path, patients: int = 3, visits: int = 4) -> Path:
    """The same batch as files, as the workflow leaves them, with earlier batches in the study's ledger."""
    courses = [course(f"P{i:03d}", i, visits) for i in range(patients)]
    results = [c[-1] for c in courses] + controls()
    lab = Lab(place)
    lab.settings |= {"batch": BATCH, "study": STUDY}
    lab.settings["trigger"]["rule"] = str(RULE_FILE)
    for r in results:
        cells = {"patient": r.patient, "visit": r.visit, "collected": r.collected} if r.patient else {}
        if r.sample_type == "positive_control":
            cells = {"expected": "p.D538G=0.01"}
        lab.row(r.sample, type=r.sample_type, **cells)  # type: ignore[arg-type]
    lab.sheet()
    out = place / "results" / BATCH
    write_json(out / "config.json", lab.settings)
    write_json(out / "provenance.json", material().provenance)
    write_quality(out, quality(results))
    for r in results:
        write_result(out / "samples" / r.sample / "result.json", r)
        write_json(out / "samples" / r.sample / "align.json", {"pairs_read": 50_000})
    batches = {r.batch for c in courses for r in c}
    with Ledger(lab.settings["trigger"]["ledger"]) as ledger:
        for name in sorted(batches):
            with ledger.writing(STUDY) as writer:
                take_results(writer, [r for c in courses for r in c if r.batch == name], pada1(), name)
        publish(ledger, STUDY, BATCH, out / "triggers")
    return out
