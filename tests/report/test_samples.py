from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from esr1call.report.samples import SampleView, sample_view
from esr1call.results import CallStatus, SampleResult
from tests.builders import esr1_panel, variant_call
from tests.report.batches import quality, result
from tests.trigger_builders import pada1


def view(r: SampleResult, checks: list[dict[str, Any]] | None = None, **reads: int) -> SampleView:
    measured = asdict(quality([r]).samples[0])
    return sample_view(r, pada1(), checks or [], measured, reads)


def patient(**given: Any) -> SampleResult:
    return result("S", patient="P1", visit="V1", collected="2024-01-08", **given)


def check(name: str, sample: str | None, outcome: str) -> dict[str, Any]:
    return {"name": name, "sample": sample, "outcome": outcome, "explanation": "told", "next_step": "do"}


def test_every_variant_of_the_panel_is_listed_once_by_position() -> None:
    shown = view(patient())
    rows = [(r.protein, r.cdna) for w in shown.windows for r in w.rows]
    assert sorted(rows) == sorted((v.protein, v.cdna) for v in esr1_panel().variants)
    assert [w.name for w in shown.windows] == ["303", "380", "392", "421-423", "463", "469", "534-535", "536-538"]


def test_molecules_by_tier_and_strand() -> None:
    shown = view(patient(shown={"c.1613A>G": 40}))
    (window,) = (w for w in shown.windows if w.name == "536-538")
    assert (window.depth, window.cells) == ("3,000", ("450 / 450", "600 / 600", "900"))
    (row,) = (r for r in window.rows if r.status == "DETECTED")
    assert (row.molecules, row.cells, row.relevant) == (40, ("6 / 6", "8 / 8", "12"), True)
    assert (row.vaf, row.vaf_interval, row.copies) == ("1.33%", "0.91 to 1.8%", "30.3")
    assert (row.lob, row.lod95, row.p) == ("0.0567%", "0.173%", "1e-41")
    assert next(r for r in window.rows if r.cdna == "c.1610A>C").cells == ("", "", "")
    assert [b.total for b in shown.bars] == ["3,000"] * 8


def test_variants_that_may_not_trigger_are_marked() -> None:
    relevant = {r.protein for w in view(patient()).windows for r in w.rows if r.relevant}
    assert {"p.D538G", "p.Y537S", "p.E380Q", "p.L536Q"} <= relevant
    assert not {"p.S463P", "p.V422del", "p.K303R"} & relevant


def test_detected() -> None:
    shown = view(patient(shown={"c.1613A>G": 40}))
    assert shown.conclusion == "p.D538G (c.1613A>G) 1.33%, 30.3 copies/mL."
    assert shown.found == ("p.D538G 1.33%",)
    assert shown.highest_copies == pytest.approx(30.303, rel=1e-4)


def test_a_negative_says_how_far_down_it_is_one() -> None:
    shown = view(patient())
    assert shown.conclusion.startswith("No variant of the panel detected. One at 0.173% of molecules would have been")
    assert any("below its LoD95 (up to 0.173%)" in limit for limit in shown.limits)


def test_no_power_is_never_told_as_negative() -> None:
    shown = view(patient(depth=400))
    assert shown.status == "INDETERMINATE"
    assert "no negative" in shown.conclusion
    assert "p.D538G" in shown.conclusion
    assert any(limit.startswith("Whether p.E380Q") for limit in shown.limits)


def test_detected_beside_what_could_not_be_seen() -> None:
    whole = patient(shown={"c.1613A>G": 40})
    blind = [replace(c, status=CallStatus.NO_CALL) if c.cdna == "c.1138G>C" else c for c in whole.calls]
    shown = view(replace(whole, calls=tuple(blind)))
    assert shown.conclusion.endswith("No power to see p.E380Q at 0.5%.")


def test_a_failed_sample_says_nothing_else() -> None:
    shown = view(patient(failed="control NTC-1 failed", shown={"c.1613A>G": 40}))
    assert shown.conclusion == "Quality control failed: this result must not be used."
    assert shown.reasons == ("control NTC-1 failed",)
    assert [limit.split(":")[0] for limit in shown.limits] == ["Anything of the patient"]


def test_unknown_volume() -> None:
    shown = view(patient(plasma_ml=None, shown={"c.1613A>G": 40}))
    assert ("Plasma", "–") in shown.facts
    assert shown.conclusion == "p.D538G (c.1613A>G) 1.33%."
    assert any(limit.startswith("Copies per mL") for limit in shown.limits)


def test_a_sample_without_molecules() -> None:
    shown = view(result("NTC-1", "ntc", depth=0, plasma_ml=None))
    assert shown.bars == ()
    assert {(r.vaf, r.lob, r.lod95, r.p) for w in shown.windows for r in w.rows} == {("–", "–", "–", "–")}
    assert ("On target", "–") in shown.measures


def test_other_haplotypes_follow_the_panel() -> None:
    r = patient()
    other = variant_call(kind="other", protein="p.L540P", cdna="c.1619T>C", panel_variants=())
    shown = view(replace(r, calls=(*r.calls, other)))
    assert [o.protein for o in shown.others] == ["p.L540P"]


def test_checks_of_the_sample_and_of_the_batch_where_they_did_not_pass() -> None:
    checks = [
        check("contamination", "S", "passed"), check("identity", "S", "not_assessed"),
        check("on_target", "S", "not_assessed"), check("error_rate", None, "failed"), check("ntc", None, "passed"),
    ]  # fmt: skip
    shown = view(patient(), checks, pairs_read=12345)
    assert [(c.name, c.outcome) for c in shown.checks] == [
        ("contamination", "passed"), ("identity", "not_assessed"), ("on-target rate", "not_assessed"),
        ("error rate", "failed"),
    ]  # fmt: skip
    assert "Anything on identity: not assessed, which is not passed." in shown.limits
    assert shown.measures[0] == ("Read pairs", "12,345")
