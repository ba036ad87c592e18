from __future__ import annotations

from esr1call.report.batch import BatchView, batch_view
from tests.report.batches import material, quality, result


def tiles(view: BatchView) -> dict[str, str]:
    return {what: figure for figure, what, _ in view.tiles}


def test_rows_are_patients_by_name_then_controls() -> None:
    view = batch_view(material(3))
    assert [(r.who, r.sample, r.status) for r in view.rows] == [
        ("P000", "P000-V4", "NOT_DETECTED"),
        ("P001", "P001-V4", "DETECTED"),
        ("P002", "P002-V4", "DETECTED"),
        ("no-template control", "NTC-1", "INDETERMINATE"),
        ("positive control", "PC-1", "DETECTED"),
        ("wild-type control", "WT-1", "NOT_DETECTED"),
    ]
    assert [s.sample for s in view.samples] == [r.sample for r in view.rows]
    assert [p.patient for p in view.patients] == ["P000", "P001", "P002"]


def test_counts_at_the_head_are_of_patient_samples() -> None:
    event = {
        "type": "x.trigger.raised.v1",
        "data": {"specimens": [{"sample": "P001-V4"}], "drivers": [{"variant": "p.D538G", "category": "NEW"}]},
    }
    view = batch_view(material(3, events=(event,)))
    assert tiles(view) == {
        "samples of 3 patients": "3", "detected": "2", "not detected": "1", "indeterminate": "0",
        "failed quality control": "0", "triggers raised or amended": "1", "controls passed": "3 of 3",
    }  # fmt: skip
    assert view.rows[1].notes == ("p.D538G: raised NEW",)


def test_failed_checks() -> None:
    given = material(2)
    told = quality(given.results, {"P001-V4": "contamination"})
    checks = {"checks": [vars(c) for c in told.checks], "samples": []}
    view = batch_view(material(2, quality=checks))
    assert not view.passed
    assert [(r.sample, r.failed) for r in view.rows if r.failed] == [("P001-V4", 1)]
    (group,) = (g for g in view.checks if g.name == "contamination")
    assert group.counts == (("failed", 1), ("passed", 1))
    assert [(c.sample, c.next_step) for c in group.shown] == [("P001-V4", "look into it")]
    (identity,) = (g for g in view.checks if g.name == "identity")
    assert identity.unjudged == ((2, "no earlier sample", ""),)


def test_a_draw_of_an_earlier_batch_is_shown_and_a_later_one_is_not() -> None:
    one = material(1)
    later = result("P000-V5", patient="P000", visit="V5", collected="2025-12-01", batch="B10", shown={"c.1613A>G": 90})
    two = material(1)
    two.histories["P000"].add_result("P000-V5", "f" * 64, later)
    assert [d.batches for d in batch_view(one).patients[0].draws] == ["B5", "B6", "B7", "B9"]
    assert batch_view(two) == batch_view(one)


def test_links_are_safe_for_any_name() -> None:
    view = batch_view(material(0, more=[result('a b/"c', "blank")]))
    assert [r.link for r in view.rows if r.kind == "blank"] == ["samples/a%20b%2F%22c/report.html"]


def test_nothing_that_tells_time_or_machine() -> None:
    view = batch_view(material(1))
    assert view.versions == (("esr1call", "1.0"),)
    assert view.inputs == (("samples.tsv", "d" * 64),)
    assert "a machine" not in str(view)
    assert "2024-09-01" not in str(view)
