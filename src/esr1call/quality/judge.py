"""All checks of a batch, and the status in which each result may be reported (the table is in docs/quality.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from esr1call.background import BackgroundModel
from esr1call.panel import Panel
from esr1call.quality.contamination import (
    Foreign,
    foreign_by_molecules,
    foreign_by_snps,
    judge_carry_over,
    judge_contamination,
    snp_shares,
)
from esr1call.quality.controls import CONTROLS, judge_controls
from esr1call.quality.error_rates import ErrorCounter, error_ratio, judge_errors
from esr1call.quality.evidence import Evidence
from esr1call.quality.germline import judge_germline
from esr1call.quality.identity import earlier_genotypes, judge_identity
from esr1call.quality.shared import SharedMolecules, shared_molecules
from esr1call.quality.yields import judge_yield, measures, window_yields
from esr1call.results import (
    CHECKS,
    BatchQuality,
    Check,
    Outcome,
    SampleQuality,
    SampleResult,
    SampleStatus,
)
from esr1call.settings import QcSettings
from esr1call.snps import Snp

FAIL_BATCH = (*CONTROLS, "error_rate")
"""Checks whose failure makes all patient samples QC_FAILED: what went wrong may have gone wrong in any of them."""
FAIL_SAMPLE = (*CONTROLS, "contamination", "carry_over", "identity")
"""Checks whose failure makes their own sample QC_FAILED. No other check changes a status."""
_ORDER = {name: i for i, name in enumerate(CHECKS)}


def judge_batch(
    samples: Sequence[Evidence],
    panel: Panel,
    model: BackgroundModel,
    settings: QcSettings,
    snps: Sequence[Snp] = (),
    earlier: Mapping[str, Sequence[SampleResult]] | None = None,
    counter: ErrorCounter | None = None,
) -> tuple[list[SampleResult], BatchQuality]:
    """Results as they may be reported, in the order given, and why.

    `earlier`: each patient's results of other batches, those that count. `counter`: one of this panel, model and SNPs,
    to use for many batches. Calls stay as they are, for a person to look at; the genotypes go into the results, so that
    later batches can be compared.
    """
    earlier = earlier or {}
    shared = shared_molecules([s.sketches for s in samples])
    by_snps = snp_shares(samples)
    foreign = [
        [f for f in (foreign_by_molecules(samples, shared, i), foreign_by_snps(samples, by_snps[i])) if f is not None]
        for i in range(len(samples))
    ]
    counter = counter or ErrorCounter(panel, model, snps)
    errors = [counter.of(s) for s in samples]
    windows = [window_yields(s, panel) for s in samples]
    measured = [measures(s, w) for s, w in zip(samples, windows, strict=True)]
    checks = judge_controls(
        [(s.info, s.table) for s in samples], [s.result for s in samples], settings
    )  # the controls are judged by their calls alone
    for i, own in enumerate(samples):
        if own.info.type == "ntc":
            continue
        checks.append(judge_contamination(own.info.sample, foreign[i], settings))
        checks += judge_yield(own, windows[i], measured[i], settings)
        if own.info.type == "patient":
            before = earlier.get(own.info.patient or "", ())
            checks.append(judge_carry_over(samples, i, shared, by_snps[i], settings))
            checks.append(judge_identity(own, earlier_genotypes(own, samples, before), snps, settings))
            checks.append(judge_germline(own.result, _draws_before(own, samples, before)))
    checks.append(judge_errors([e for s, e in zip(samples, errors, strict=True) if s.info.type != "ntc"], settings))
    checks.sort(key=lambda c: _ORDER[c.name])
    results = [_reported(s, checks) for s in samples]
    qualities = tuple(
        SampleQuality(
            sample=s.info.sample, sample_type=s.info.type, patient=s.info.patient, visit=s.info.visit,
            status=r.status, called_status=s.result.status, **measured[i],
            **_foreign(foreign[i], shared, i, s.info.type == "ntc"), error_ratio=error_ratio(errors[i]),
            genotypes=r.genotypes, windows=windows[i], errors=errors[i],
        )
        for i, (s, r) in enumerate(zip(samples, results, strict=True))
    )  # fmt: skip
    hops = shared.hop_rate()
    rates = (None, None, None) if hops is None else (hops.value, hops.low, hops.high)
    return results, BatchQuality(samples[0].info.batch if samples else "", tuple(checks), qualities, *rates)


def _draws_before(own: Evidence, batch: Sequence[Evidence], before: Sequence[SampleResult]) -> list[SampleResult]:
    """The patient's results of earlier days, of this batch and of others."""
    names = {s.info.sample for s in batch}
    found = [r for r in before if r.sample not in names]
    found += [s.result for s in batch if s.info.patient is not None and s.info.patient == own.info.patient]
    return [r for r in found if (r.collected or "") < (own.info.collected or "")]


def _reported(sample: Evidence, checks: Sequence[Check]) -> SampleResult:
    result = replace(sample.result, genotypes=sample.genotypes)
    reasons = []
    for c in checks:
        if c.outcome is not Outcome.FAILED:
            continue
        own = c.sample == result.sample and c.name in FAIL_SAMPLE
        if own or (c.name in FAIL_BATCH and result.sample_type == "patient"):
            what = f"control {c.sample}" if c.name in CONTROLS else c.name.replace("_", " ")
            reasons.append(f"{what} failed: {c.explanation}")
    if not reasons:
        return result
    return replace(result, status=SampleStatus.QC_FAILED, reasons=(*reasons, *result.reasons))


def _foreign(found: Sequence[Foreign], shared: SharedMolecules, i: int, is_ntc: bool) -> dict[str, Any]:
    """The measure of contamination with the highest lower limit."""
    if is_ntc or not found:
        values: dict[str, Any] = dict.fromkeys(
            ("contamination", "contamination_low", "contamination_high", "contamination_source")
        )
    else:
        worst = max(found, key=lambda f: (f.share.low, f.share.value))
        values = {
            "contamination": worst.share.value, "contamination_low": worst.share.low,
            "contamination_high": worst.share.high,
            "contamination_source": worst.source if worst.share.value > 0 else None,
        }  # fmt: skip
    comparable = bool(shared.compared[:, i].any())
    values["shared_molecules"] = round(float(shared.molecules[:, i].sum())) if comparable else None
    return values
