"""What a batch's controls allow to be reported: a failed control turns the batch's patient samples into QC_FAILED."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from esr1call.calling import SampleInfo
from esr1call.counts import CountTable
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall
from esr1call.settings import QcSettings


@dataclass(frozen=True)
class Check:
    """One control, judged. `explanation` says in words what was found and what was expected."""

    name: str
    sample: str
    passed: bool
    explanation: str


@dataclass(frozen=True)
class QualityReport:
    """All checks of a batch, and kinds of control that it has none of (these are not assessed, never passed)."""

    checks: tuple[Check, ...]
    not_assessed: tuple[str, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(c for c in self.checks if not c.passed)


CONTROLS = ("ntc", "wild_type", "positive_control")


def judge_batch(
    samples: Sequence[tuple[SampleInfo, CountTable]], results: Sequence[SampleResult], settings: QcSettings
) -> tuple[list[SampleResult], QualityReport]:
    """Results as they may be reported, in the order given, and why.

    Every control of the batch is judged. Where one fails, it and all patient samples of the batch are QC_FAILED: what
    went wrong in a control may have gone wrong in any of them. Their calls stay, for a person to look at.
    """
    checks = []
    for (info, table), result in zip(samples, results, strict=True):
        if info.type == "ntc":
            checks.append(_ntc(info, table, settings))
        elif info.type == "wild_type":
            checks.append(_wild_type(info, result))
        elif info.type == "positive_control":
            checks += _positive_control(info, result, settings)
    have = {info.type for info, _ in samples}
    report = QualityReport(tuple(checks), tuple(c for c in CONTROLS if c not in have))
    reasons = tuple(f"control {c.sample} failed: {c.explanation}" for c in report.failed)
    own = {c.sample for c in report.failed}
    out = []
    for result in results:
        if reasons and (result.sample_type == "patient" or result.sample in own):
            result = replace(result, status=SampleStatus.QC_FAILED, reasons=(*reasons, *result.reasons))
        out.append(result)
    return out, report


def _ntc(info: SampleInfo, table: CountTable, settings: QcSettings) -> Check:
    depth = (table.depth() + table.undecided()).sum(axis=1)
    most = int(depth.argmax()) if len(depth) else 0
    found = int(depth[most]) if len(depth) else 0
    text = f"{found} molecules in window {table.windows[most]}, at most {settings.ntc_max_molecules} allowed"
    return Check("ntc", info.sample, found <= settings.ntc_max_molecules, text)


def _wild_type(info: SampleInfo, result: SampleResult) -> Check:
    detected = [c.protein for c in result.calls if c.status is CallStatus.DETECTED]
    if detected:
        return Check("wild_type", info.sample, False, f"wild type shows {', '.join(detected)}")
    if result.status is not SampleStatus.NOT_DETECTED:
        return Check("wild_type", info.sample, False, f"wild type is {result.status}: {'; '.join(result.reasons)}")
    return Check("wild_type", info.sample, True, "nothing detected, with the power to")


def _positive_control(info: SampleInfo, result: SampleResult, settings: QcSettings) -> list[Check]:
    if not info.expected:
        text = "no expected variants in the sample sheet"
        return [Check("positive_control", info.sample, False, text)]
    checks = []
    for protein, expected in sorted(info.expected.items()):
        carrying = [c for c in result.calls if c.status is CallStatus.DETECTED and protein in _proteins(c)]
        if not carrying:
            text = f"{protein} expected at {expected:.3g} was not detected"
            checks.append(Check("positive_control", info.sample, False, text))
            continue
        low = sum(c.vaf_low for c in carrying) / settings.positive_control_fold
        high = sum(c.vaf_high for c in carrying) * settings.positive_control_fold
        text = f"{protein} expected at {expected:.3g}, found between {low:.3g} and {high:.3g}"
        checks.append(Check("positive_control", info.sample, low <= expected <= high, text))
    return checks


def _proteins(call: VariantCall) -> tuple[str, ...]:
    return (*call.panel_variants, call.protein)
