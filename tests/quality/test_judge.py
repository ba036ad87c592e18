"""Whole batches, in which one thing went wrong: exactly the right statuses, and no event that should not be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger
from esr1call.io.rule_file import load_rule
from esr1call.quality.judge import FAIL_BATCH, FAIL_SAMPLE
from esr1call.results import CHECKS, BatchQuality, CallStatus, Outcome, SampleResult, SampleStatus
from esr1call.settings import QcSettings
from esr1call.simulate.batch import Plan
from tests.builders import ROOT
from tests.quality.batches import HET, HOM, REF, controls, judged, outcome, patient, variant

DETECTED, NOT_DETECTED, QC_FAILED = SampleStatus.DETECTED, SampleStatus.NOT_DETECTED, SampleStatus.QC_FAILED
INDETERMINATE = SampleStatus.INDETERMINATE
P1 = [patient("P1", "V1", HET), patient("P1", "V2", HET, "2024-02-15")]
P2 = [patient("P2", "V1", HOM), patient("P2", "V2", HOM, "2024-02-15", variants=(variant("p.D538G", 0.02),))]


def statuses(plans: list[Plan], seed: int = 1) -> tuple[dict[str, SampleStatus], dict[str, SampleResult], BatchQuality]:
    results, quality = judged(plans, seed)
    return {name: r.status for name, r in results.items()}, results, quality


def events(folder: Path, *batches: dict[str, SampleResult]) -> dict[str, str]:
    """Patient -> kind of the last event and its drivers, once the batches are in a ledger."""
    rule = load_rule(ROOT / "config" / "rules" / "pada1.yaml")
    out = {}
    with Ledger(folder / "ledger.sqlite") as ledger:
        for results in batches:
            with ledger.writing("S1") as writer:
                for o in take_results(writer, results.values(), rule, "B1"):
                    kind = "none" if o.event is None else o.event.event["type"].split(".")[-2]
                    out[o.patient] = " ".join([kind, *(d["variant"] for d in o.data["drivers"])])
    return out


def test_a_good_batch(tmp_path: Path) -> None:
    found, results, quality = statuses([*P1, *P2, *controls()])
    assert found == {
        "P1-V1": NOT_DETECTED, "P1-V2": NOT_DETECTED, "P2-V1": NOT_DETECTED, "P2-V2": DETECTED,
        "NTC": INDETERMINATE, "WT": NOT_DETECTED, "PC": DETECTED,
    }  # fmt: skip
    assert quality.passed
    assert {c.outcome for c in quality.checks} == {Outcome.PASSED, Outcome.NOT_ASSESSED}
    assert [c.name for c in quality.checks] == sorted((c.name for c in quality.checks), key=CHECKS.index)
    assert events(tmp_path, results) == {"P1": "not-raised", "P2": "raised p.D538G"}
    assert results["P1-V1"].genotypes == {"rs1801132": "C/G", "rs2228480": "G/G"}
    of = {s.sample: s for s in quality.samples}
    assert (of["P2-V2"].status, of["P2-V2"].called_status) == (DETECTED, DETECTED)
    assert of["P1-V1"].conversion == pytest.approx(3000 / (15 / 3.3 * 1000), rel=0.1)
    assert of["P1-V1"].duplex_yield == pytest.approx(0.3, abs=0.02)
    assert of["P1-V1"].family_size == pytest.approx(3.0, rel=0.05)
    assert of["P1-V1"].fragment_length == pytest.approx(166, abs=11)
    assert quality.hop_rate == pytest.approx(0, abs=1e-3)


def test_a_failed_ntc(tmp_path: Path) -> None:
    found, results, quality = statuses([*P1, *P2, *controls(ntc=60)])
    assert {s: found[s] for s in ("P1-V1", "P1-V2", "P2-V1", "P2-V2")} == dict.fromkeys(
        ("P1-V1", "P1-V2", "P2-V1", "P2-V2"), QC_FAILED
    )
    assert found["NTC"] is QC_FAILED
    assert (found["WT"], found["PC"]) == (NOT_DETECTED, DETECTED)
    assert outcome(quality, "ntc", "NTC") is Outcome.FAILED
    assert events(tmp_path, results) == {"P1": "inconclusive", "P2": "inconclusive"}


def test_a_failed_positive_control(tmp_path: Path) -> None:
    found, results, quality = statuses([*P1, *P2, *controls(E380Q=0.0001)])
    assert all(found[s] is QC_FAILED for s in ("P1-V1", "P1-V2", "P2-V1", "P2-V2", "PC"))
    assert (found["NTC"], found["WT"]) == (INDETERMINATE, NOT_DETECTED)
    assert events(tmp_path, results) == {"P1": "inconclusive", "P2": "inconclusive"}
    assert [c.name for c in quality.failed] == ["positive_control"]


def test_a_wild_type_with_a_variant() -> None:
    bad = controls()
    bad[1] = replace(bad[1], variants=(variant("p.Y537S", 0.02),))
    found, _, _ = statuses([*P1, *bad])
    assert all(found[s] is QC_FAILED for s in ("P1-V1", "P1-V2", "WT"))


def test_a_swapped_pair_of_tubes(tmp_path: Path) -> None:
    """The second tubes of two patients are swapped: the variant of one would be raised for the other."""
    one, two = P1[1], P2[1]
    swapped = [replace(two, info=one.info), replace(one, info=two.info)]
    found, results, quality = statuses([P1[0], P2[0], *swapped, *controls()])
    assert found == {
        "P1-V1": NOT_DETECTED, "P1-V2": QC_FAILED, "P2-V1": NOT_DETECTED, "P2-V2": QC_FAILED,
        "NTC": INDETERMINATE, "WT": NOT_DETECTED, "PC": DETECTED,
    }  # fmt: skip
    assert [(c.name, c.sample) for c in quality.failed] == [("identity", "P1-V2"), ("identity", "P2-V2")]
    assert "discordant with P1-V1: rs1801132 is C/C, there C/G" in quality.failed[0].explanation
    assert not any("raised" in e.split() for e in events(tmp_path, results).values())


def test_a_swapped_pair_shows_against_an_earlier_batch() -> None:
    before, _ = judged([P1[0], P2[0], *controls()], seed=3)
    one, two = P1[1], P2[1]
    swapped = [replace(two, info=one.info), replace(one, info=two.info)]
    earlier = {"P1": [before["P1-V1"]], "P2": [before["P2-V1"]]}
    found, quality = judged([*swapped, *controls()], seed=4, earlier=earlier)
    assert (found["P1-V2"].status, found["P2-V2"].status) == (QC_FAILED, QC_FAILED)
    found, quality = judged([P1[1], P2[1], *controls()], seed=4, earlier=earlier)
    assert (found["P1-V2"].status, found["P2-V2"].status) == (NOT_DETECTED, DETECTED)
    assert outcome(quality, "identity", "P2-V2") is Outcome.PASSED


@pytest.mark.parametrize("how", ["hopped", "mixed"])
@pytest.mark.parametrize("seed", [1, 2])
def test_one_per_cent_of_a_sample_at_thirty(how: str, seed: int, tmp_path: Path) -> None:
    plans = [
        patient("P1", variants=(variant("p.D538G", 0.3),)),
        patient("P2", molecules=6000.0, ng=30.0, **{how: ((0, 0.01),)}),
        patient("P3", variants=(variant("p.Y537S", 0.01),)), patient("P4"), *controls(),
    ]  # fmt: skip
    found, results, quality = statuses(plans, seed)
    assert found == {
        "P1-V1": DETECTED, "P2-V1": QC_FAILED, "P3-V1": DETECTED, "P4-V1": NOT_DETECTED, "NTC": INDETERMINATE,
        "WT": NOT_DETECTED, "PC": DETECTED,
    }  # fmt: skip
    assert {c.sample for c in quality.failed} == {"P2-V1"}
    assert events(tmp_path, results)["P2"] == "inconclusive"
    of = next(s for s in quality.samples if s.sample == "P2-V1")
    if how == "hopped":
        assert of.contamination == pytest.approx(0.01, abs=0.006)
        assert of.contamination_source == "P1-V1"
    else:
        assert of.called_status is DETECTED  # it would have been reported


def test_a_sample_of_little_input() -> None:
    low = patient("P2", molecules=200.0, ng=1.0)
    found, _, quality = statuses([*P1, low, *controls()])
    assert found["P2-V1"] is INDETERMINATE
    assert outcome(quality, "depth", "P2-V1") is Outcome.WARNING
    assert (found["P1-V1"], found["P1-V2"]) == (NOT_DETECTED, NOT_DETECTED)
    assert quality.passed


def test_all_that_goes_wrong_at_once(tmp_path: Path) -> None:
    """Contamination, a swap and little input in one batch: each sample fails for its own reason alone."""
    plans = [
        patient("P1", person=REF, variants=(variant("p.D538G", 0.3),)),
        patient("P2", hopped=((0, 0.01),), molecules=4000.0),
        patient("P3", "V1", HET), patient("P3", "V2", HOM, "2024-02-15", variants=(variant("p.E380Q", 0.05),)),
        patient("P4", molecules=150.0, ng=0.8), *controls(),
    ]  # fmt: skip
    found, results, quality = statuses(plans)
    assert found == {
        "P1-V1": DETECTED, "P2-V1": QC_FAILED, "P3-V1": NOT_DETECTED, "P3-V2": QC_FAILED, "P4-V1": INDETERMINATE,
        "NTC": INDETERMINATE, "WT": NOT_DETECTED, "PC": DETECTED,
    }  # fmt: skip
    failed = {(c.sample, c.name) for c in quality.failed}
    assert failed >= {("P3-V2", "identity"), ("P2-V1", "contamination")}
    assert {s for s, _ in failed} == {"P2-V1", "P3-V2"}
    assert not any(e.startswith("raised") for e in events(tmp_path, results).values())


def test_errors_beyond_the_model_fail_the_patients() -> None:
    """A model that was fitted on blanks with a tenth of the errors that the batch shows."""
    from esr1call.quality.error_rates import ErrorCounter, judge_errors
    from tests.background_builders import hotspot_model, hotspot_panel
    from tests.quality.batches import evidence

    counter = ErrorCounter(hotspot_panel(), hotspot_model())
    errors = [counter.of(s) for s in evidence([*P1, *P2])]
    assert judge_errors(errors, QcSettings()).outcome is Outcome.PASSED
    more = [[replace(e, molecules=10 * e.molecules) for e in es] for es in errors]
    assert judge_errors(more, QcSettings()).outcome is Outcome.FAILED
    fewer = [[replace(e, expected=10 * e.expected) for e in es] for es in errors]
    assert judge_errors(fewer, QcSettings()).outcome is Outcome.WARNING


def test_which_checks_change_a_status_is_as_the_docs_say() -> None:
    text = (ROOT / "docs" / "quality.md").read_text()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    table = {row[0].strip("`"): row for row in rows if row[0].strip("`") in CHECKS}
    assert list(table) == list(CHECKS)
    for name, row in table.items():
        said = row[2]
        assert ("all patient samples" in said) == (name in FAIL_BATCH), name
        assert ("QC_FAILED" in said) == (name in FAIL_BATCH or name in FAIL_SAMPLE), name


def test_calls_stay_for_a_person_to_look_at() -> None:
    _, results, _ = statuses([*P1, *P2, *controls(ntc=60)])
    assert any(c.status is CallStatus.DETECTED for c in results["P2-V2"].calls)
    assert results["P2-V2"].reasons[0].startswith("control NTC failed: ")
