from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from esr1call.calling import SampleInfo
from esr1call.counts import CountTable
from esr1call.quality.controls import CONTROLS
from esr1call.quality.evidence import Evidence
from esr1call.quality.judge import judge_batch
from esr1call.results import BatchQuality, CallStatus, Outcome, SampleResult, SampleStatus
from esr1call.settings import QcSettings
from tests.background_builders import hotspot_model, hotspot_panel
from tests.builders import count_table, sample_result, variant_call


def control(kind: str, calls: Any = (), status: SampleStatus = SampleStatus.NOT_DETECTED, **info: Any) -> Any:
    name = info.pop("sample", kind)
    result = sample_result(
        sample=name, patient=None, visit=None, collected=None, sample_type=kind, status=status, calls=tuple(calls)
    )
    return SampleInfo(name, kind, "B", **info), count_table({}, hotspot_panel()), result


def patient() -> Any:
    result = sample_result(sample="P", status=SampleStatus.DETECTED)
    return SampleInfo("P", "patient", "B"), count_table({}, hotspot_panel()), result


def judged(*given: tuple[SampleInfo, CountTable, SampleResult]) -> tuple[list[SampleResult], BatchQuality]:
    results, quality = judge_batch([Evidence(*g) for g in given], hotspot_panel(), hotspot_model(), QcSettings())
    return results, replace(quality, checks=tuple(c for c in quality.checks if c.name in CONTROLS))


EXPECTED = {"p.D538G": 0.01}
GOOD = variant_call(vaf=0.011, vaf_low=0.009, vaf_high=0.013)


def empty_ntc(molecules: int = 0) -> Any:
    info, _, result = control("ntc", status=SampleStatus.INDETERMINATE)
    counts = {("536-538", "ref"): molecules} if molecules else {}
    return info, count_table(counts, hotspot_panel(), depth=None), result


def test_a_good_batch_stays_as_it_is() -> None:
    given = (
        patient(), empty_ntc(10), control("wild_type"), control("blank"),
        control("positive_control", [GOOD], SampleStatus.DETECTED, expected=EXPECTED),
    )  # fmt: skip
    results, report = judged(*given)
    assert results == [r for *_, r in given]
    assert [(c.name, c.outcome) for c in report.checks] == [
        ("ntc", Outcome.PASSED), ("wild_type", Outcome.PASSED), ("positive_control", Outcome.PASSED)
    ]  # fmt: skip
    assert report.passed


def low() -> Any:
    return variant_call(vaf=0.002, vaf_low=0.0015, vaf_high=0.003)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (empty_ntc(11), "11 molecules in window 536-538, at most 10 allowed"),
        (control("wild_type", [GOOD], SampleStatus.DETECTED), "wild type shows p.D538G"),
        (control("wild_type", status=SampleStatus.INDETERMINATE), "wild type is INDETERMINATE"),
        (control("positive_control", [], expected=EXPECTED), "p.D538G expected at 0.01 was not detected"),
        (
            control("positive_control", [variant_call(status=CallStatus.NO_CALL)], expected=EXPECTED),
            "p.D538G expected at 0.01 was not detected",
        ),
        (control("positive_control", [low()], expected=EXPECTED), "p.D538G expected at 0.01, found between 0.001 and"),
        (
            control("positive_control", [GOOD], expected={"p.D538G": (0.005, 0.0105)}),
            "p.D538G expected at 0.005 to 0.0105, found at 0.011",
        ),
        (control("positive_control", [GOOD], expected={}), "no expected variants in the sample sheet"),
    ],
)
def test_a_failed_control_fails_the_patients(bad: Any, said: str) -> None:
    results, report = judged(patient(), bad, control("blank"))
    assert [r.status for r in results] == [SampleStatus.QC_FAILED, SampleStatus.QC_FAILED, SampleStatus.NOT_DETECTED]
    assert results[0].reasons[0].startswith(f"control {bad[0].sample} failed: ")
    assert said in results[0].reasons[0]
    assert results[0].calls == patient()[2].calls
    assert [c.sample for c in report.failed] == [bad[0].sample]
    assert report.failed[0].next_step


def test_an_expected_interval_holds_the_estimate() -> None:
    given = control("positive_control", [GOOD], SampleStatus.DETECTED, expected={"p.D538G": (0.01, 0.012)})
    _, report = judged(given)
    assert report.failed == ()


def test_forms_of_one_protein_are_added_up() -> None:
    half = variant_call(vaf=0.005, vaf_low=0.004, vaf_high=0.006)
    other = variant_call(kind="other", haplotype="CTCTATGGA", vaf=0.005, vaf_low=0.004, vaf_high=0.006)
    _, report = judged(control("positive_control", [half, other], SampleStatus.DETECTED, expected=EXPECTED))
    assert report.failed == ()


def test_undecided_molecules_in_an_ntc_count() -> None:
    info, _, result = empty_ntc()
    table = count_table({("536-538", "?"): 30}, hotspot_panel(), depth=None)
    _, report = judged((info, table, result))
    assert len(report.failed) == 1


def test_missing_controls_are_not_assessed() -> None:
    results, report = judged(patient())
    assert [(c.name, c.sample, c.outcome) for c in report.checks] == [
        (kind, None, Outcome.NOT_ASSESSED) for kind in ("ntc", "wild_type", "positive_control")
    ]
    assert results == [patient()[2]]
