"""The batch's controls: no-template, wild-type and positive ones, each judged in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from esr1call.calling import SampleInfo
from esr1call.counts import CountTable
from esr1call.results import CallStatus, Check, Outcome, SampleResult, SampleStatus, VariantCall
from esr1call.settings import QcSettings

CONTROLS = ("ntc", "wild_type", "positive_control")
_NEXT = {
    "ntc": "find the source of the DNA (reagents, carry-over, index hopping); repeat the batch from its libraries",
    "wild_type": "look for contamination of the control and of the batch; repeat the batch",
    "positive_control": "check the control's lot and its row in the sample sheet; repeat the batch",
}


def judge_controls(
    samples: Sequence[tuple[SampleInfo, CountTable]], results: Sequence[SampleResult], settings: QcSettings
) -> list[Check]:
    """Every control judged; a kind of control that the batch has none of is not assessed."""
    checks: list[Check] = []
    for kind in CONTROLS:
        found = [(i, t, r) for (i, t), r in zip(samples, results, strict=True) if i.type == kind]
        for info, table, result in found:
            if kind == "ntc":
                checks.append(_ntc(info, table, settings))
            elif kind == "wild_type":
                checks.append(_wild_type(info, result))
            else:
                checks += _positive_control(info, result, settings)
        if not found:
            told = f"the batch has no {kind.replace('_', ' ')}"
            checks.append(Check(kind, None, Outcome.NOT_ASSESSED, told, next_step="add one to each batch"))
    return checks


def _check(name: str, info: SampleInfo, passed: bool, told: str, value: float | None, limit: float | None) -> Check:
    outcome = Outcome.PASSED if passed else Outcome.FAILED
    return Check(name, info.sample, outcome, told, value, limit, "" if passed else _NEXT[name])


def _ntc(info: SampleInfo, table: CountTable, settings: QcSettings) -> Check:
    depth = (table.depth() + table.undecided()).sum(axis=1)
    most = int(depth.argmax()) if len(depth) else 0
    found, limit = (int(depth[most]) if len(depth) else 0), settings.ntc_max_molecules
    told = f"{found} molecules in window {table.windows[most]}, at most {limit} allowed"
    return _check("ntc", info, found <= limit, told, found, limit)


def _wild_type(info: SampleInfo, result: SampleResult) -> Check:
    detected = [c.protein for c in result.calls if c.status is CallStatus.DETECTED]
    if detected:
        told = f"wild type shows {', '.join(detected)}"
    elif result.status is not SampleStatus.NOT_DETECTED:
        told = f"wild type is {result.status}: {'; '.join(result.reasons)}"
    else:
        return _check("wild_type", info, True, "nothing detected, with the power to", 0, 0)
    return _check("wild_type", info, False, told, len(detected), 0)


def _positive_control(info: SampleInfo, result: SampleResult, settings: QcSettings) -> Iterator[Check]:
    name, fold = "positive_control", settings.positive_control_fold
    if not info.expected:
        yield _check(name, info, False, "no expected variants in the sample sheet", None, None)
    for protein, expected in sorted(info.expected.items()):
        carrying = [c for c in result.calls if c.status is CallStatus.DETECTED and protein in _proteins(c)]
        vaf = sum(c.vaf for c in carrying)
        low, high = sum(c.vaf_low for c in carrying) / fold, sum(c.vaf_high for c in carrying) * fold
        if isinstance(expected, tuple):
            limit, wanted, found = expected[0], f"{expected[0]:.3g} to {expected[1]:.3g}", f"at {vaf:.3g}"
            passed = expected[0] <= vaf <= expected[1]
        else:
            limit, wanted, found = expected, f"{expected:.3g}", f"between {low:.3g} and {high:.3g}"
            passed = low <= expected <= high
        told = f"{protein} expected at {wanted}" + (f", found {found}" if carrying else " was not detected")
        yield _check(name, info, passed and bool(carrying), told, vaf, limit)


def _proteins(call: VariantCall) -> tuple[str, ...]:
    return (*call.panel_variants, call.protein)
