"""Calls that may not be of the tumour: germline variants, and clones of blood cells (CHIP)."""

from __future__ import annotations

from collections.abc import Sequence

from esr1call.results import CallStatus, Check, Outcome, SampleResult, SampleStatus, VariantCall

HETEROZYGOUS = (0.4, 0.6)
HOMOZYGOUS = 0.9
CONSTANT_FOLD, CONSTANT_DRAWS = 1.3, 3
_NEXT = "sequence the blood cells of the same draw"


def judge_germline(own: SampleResult, before: Sequence[SampleResult]) -> Check:
    """A warning for a VAF near 50% or 100%, or one that stays the same through treatment.

    The same: in this and at least two earlier draws (`before`, of any batch) the estimates lie within a factor of 1.3,
    and the intervals of all have a fraction in common.
    """
    found, worst = [], None
    detected = [c for c in own.calls if c.status is CallStatus.DETECTED]
    for call in detected:
        if HETEROZYGOUS[0] <= call.vaf <= HETEROZYGOUS[1] or call.vaf >= HOMOZYGOUS:
            near = "100%" if call.vaf >= HOMOZYGOUS else "50%"
            found.append(f"{call.protein} at {call.vaf:.1%} is near {near}, as a germline variant is")
            worst = call.vaf
            continue
        draws = [call, *(c for r in before if r.sample != own.sample and (c := _same(r, call)) is not None)]
        lowest, highest = min(c.vaf for c in draws), max(c.vaf for c in draws)
        overlap = max(c.vaf_low for c in draws) <= min(c.vaf_high for c in draws)
        if len(draws) >= CONSTANT_DRAWS and highest <= CONSTANT_FOLD * lowest and overlap:
            found.append(
                f"{call.protein} stays at {lowest:.2%} to {highest:.2%} in {len(draws)} draws, as a clone of blood "
                "cells may"
            )
            worst = call.vaf
    if found:
        return Check("germline", own.sample, Outcome.WARNING, "; ".join(found), worst, HETEROZYGOUS[0], _NEXT)
    told = "no call looks like a germline variant or a clone of blood cells" if detected else "no calls"
    return Check("germline", own.sample, Outcome.PASSED, told, None, HETEROZYGOUS[0])


def _same(result: SampleResult, call: VariantCall) -> VariantCall | None:
    if result.status is SampleStatus.QC_FAILED:
        return None
    key = (call.window, call.haplotype)
    return next((c for c in result.calls if (c.window, c.haplotype) == key and c.status is CallStatus.DETECTED), None)
