"""Patients' histories in a line each: what each draw shows of four variants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from esr1call.decision import Decision, decide
from esr1call.io.rule_file import load_rule
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall
from esr1call.rule import Rule
from esr1call.timeline import Draw, canonical, digest, draws_of, rounded, to_json
from tests.builders import ROOT, variant_call

RULE_FILE = ROOT / "config" / "rules" / "pada1.yaml"
DEPTH = 5000

# name -> (window, haplotype, protein, cdna, panel variants, kind)
ALLELES = {
    "D538G": ("536-538", "CTCTATGGC", "p.D538G", "c.1613A>G", ("p.D538G",), "panel"),
    "Y537S": ("536-538", "CTCTCTGAC", "p.Y537S", "c.1610A>C", ("p.Y537S",), "panel"),
    "Y537S_AGT": ("536-538", "CTCAGTGAC", "p.Y537S", "c.1609_1610delinsAG", ("p.Y537S",), "panel"),
    "E380Q": ("380", "CAA", "p.E380Q", "c.1138G>C", ("p.E380Q",), "panel"),
    "S463P": ("463", "CCC", "p.S463P", "c.1387T>C", ("p.S463P",), "panel"),
    "cis": (
        "536-538", "CTCTCTGGC", "p.[Y537S;D538G]", "c.[1610A>C;1613A>G]", ("p.Y537S", "p.D538G"), "other",
    ),
    "Y537F": ("536-538", "CTCTTTGAC", "p.Y537F", "c.1610A>T", (), "other"),
}  # fmt: skip
LISTED = tuple(name for name, values in ALLELES.items() if values[-1] == "panel")


@cache
def pada1() -> Rule:
    """The shipped rule."""
    return load_rule(RULE_FILE)


def rule(**changes: Any) -> Rule:
    """The shipped rule with changes; those of `increase` are given by their own names."""
    base = pada1()
    inner = {k: v for k, v in changes.items() if hasattr(base.increase, k)}
    outer = {k: v for k, v in changes.items() if k not in inner}
    return replace(base, increase=replace(base.increase, **inner), **outer)


def call(name: str, molecules: int | None, depth: int = DEPTH, **given: Any) -> VariantCall:
    """The call of an allele: that many molecules detected, 0 negative, None no call."""
    window, haplotype, protein, cdna, carried, kind = ALLELES[name]
    status = CallStatus.DETECTED if molecules else CallStatus.NOT_DETECTED
    if molecules is None:
        status, depth = CallStatus.NO_CALL, depth // 10
    x = molecules or 0
    vaf = x / depth
    copies = vaf * 30 / 4 * 1000 / 3.3
    values: dict[str, Any] = {
        "window": window, "haplotype": haplotype, "protein": protein, "cdna": cdna, "panel_variants": carried,
        "kind": kind, "molecules": x, "depth": depth, "alt_by_stratum": (0, 0, x, 0, 0),
        "depth_by_stratum": (0, 0, depth, 0, 0), "p": 1e-30 if x else 1.0, "p_adjusted": 1e-29 if x else 1.0,
        "lob": 3 / depth, "lod95": 8 / depth, "vaf": vaf, "vaf_low": vaf * 0.8, "vaf_high": vaf * 1.2,
        "copies_per_ml": copies, "copies_per_ml_low": copies * 0.8, "copies_per_ml_high": copies * 1.2,
        "status": status,
    }  # fmt: skip
    return variant_call(**{**values, **given})


def status_of(calls: Iterable[VariantCall], failed: bool) -> SampleStatus:
    """The status of a sample with these calls, or one that failed quality control."""
    statuses = {c.status for c in calls}
    if failed:
        return SampleStatus.QC_FAILED
    if CallStatus.DETECTED in statuses:
        return SampleStatus.DETECTED
    return SampleStatus.INDETERMINATE if CallStatus.NO_CALL in statuses else SampleStatus.NOT_DETECTED


def sample(
    day: int | str,
    *,
    failed: bool = False,
    name: str | None = None,
    patient: str = "P01",
    depth: int = DEPTH,
    plasma_ml: float | None = 4.0,
    cfdna_ng: float | None = 30.0,
    batch: str = "batch1",
    **molecules: int | None,
) -> SampleResult:
    """A patient's sample of day number `day` (or an ISO date), with the molecules of alleles of `ALLELES`.

    Panel alleles that are not given are negative; None is no call.
    """
    month, rest = divmod(day, 28) if isinstance(day, int) else (0, 0)
    collected = f"{2024 + month // 12}-{month % 12 + 1:02d}-{rest + 1:02d}" if isinstance(day, int) else day
    shown = {**dict.fromkeys(LISTED, 0), **molecules}
    calls = tuple(call(n, x, depth) for n, x in shown.items())
    status = status_of(calls, failed=bool(failed))
    return SampleResult(
        sample=name or f"{patient}-{collected}", patient=patient, visit=f"V{month}", collected=collected,
        sample_type="patient", batch=batch, build="GRCh38", status=status, reasons=(), plasma_ml=plasma_ml,
        cfdna_ng=cfdna_ng, calls=calls, inputs={"counts": "0" * 64},
    )  # fmt: skip


def digest_of(result: SampleResult) -> str:
    """What tells versions of a result apart."""
    return digest(canonical(to_json(rounded(result))))


def draws(*samples: SampleResult | list[SampleResult], by: Rule | None = None) -> list[Draw]:
    """Draws of samples; a list holds the versions of one sample's result, oldest first."""
    versions = [s if isinstance(s, list) else [s] for s in samples]
    return draws_of([[(digest_of(r), r) for r in v] for v in versions], by or pada1())


def decided(*samples: SampleResult | list[SampleResult], by: Rule | None = None) -> Decision:
    """The decision of a history."""
    return decide("P01", draws(*samples, by=by), by or pada1())


def in_short(decision: Decision) -> str:
    """``raised NEW p.D538G=NEW`` and the like."""
    parts = [decision.state.value, "+".join(decision.reasons)]
    parts += [f"{f.variant}={f.category}" for f in decision.drivers]
    return " ".join(parts)


def write_results(folder: Path, *samples: SampleResult) -> list[str]:
    """Result files in samples/<sample>/result.json under a folder; returns their paths."""
    import json

    paths = []
    for result in samples:
        path = folder / "samples" / result.sample / "result.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(to_json(result)))
        paths.append(str(path))
    return paths
