from __future__ import annotations

import datetime
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esr1call.decision import Reason, decide
from esr1call.history import History
from esr1call.report.patients import REASONS, PatientView, patient_view
from esr1call.results import SampleResult
from esr1call.trigger import Issued, decision_data, event, plan
from tests.trigger_builders import digest_of, draws, pada1, sample


def history(*samples: SampleResult) -> History:
    """The state of a patient whose results these are, with the events decided after each."""
    out = History()
    for i, s in enumerate(samples):
        out.add_result(s.sample, digest_of(s), s)
        data = decision_data(decide("P01", draws(*samples[: i + 1]), pada1()), "S1", pada1())
        planned = plan(data, out.issued)
        if planned is not None:
            out.issued.append(Issued.parse(json.dumps(event(data, planned, pada1(), out.issued)).encode()))
    return out


def view(*samples: SampleResult, day: str | None = None, batch: str = "batch1") -> PatientView:
    until = None if day is None else datetime.date.fromisoformat(day)
    return patient_view("P01", history(*samples), pada1(), until, "S1", batch)


NEW = (sample(0), sample(28), sample(84, D538G=30))


def test_every_reason_has_words() -> None:
    assert set(REASONS) == {r.value for r in Reason}


def test_a_new_variant() -> None:
    shown = view(*NEW)
    assert shown.state == "bESR1mut rising"
    assert shown.reasons == ("p.D538G NEW: an earlier draw could have seen it and did not",)
    assert [(d.date, d.statuses, d.found) for d in shown.draws] == [
        ("2024-01-01", ("NOT_DETECTED",), ()),
        ("2024-02-01", ("NOT_DETECTED",), ()),
        ("2024-04-01", ("DETECTED",), ("p.D538G 0.6%, 13.6 copies/mL",)),
    ]
    assert [(e.date, e.kind, e.what) for e in shown.events] == [
        ("2024-01-01", "not-raised", "NEGATIVE"),
        ("2024-02-01", "not-raised", "NEGATIVE"),
        ("2024-04-01", "raised", "p.D538G NEW"),
    ]
    plot = shown.plot
    assert plot is not None
    assert plot.legend == (("p.D538G", 0, 0, True),)
    vaf, copies = plot.panels
    assert [p.y > vaf.bottom for p in vaf.lines[0].points] == [True, True, False]
    last = vaf.lines[0].points[-1]
    assert last.low is not None
    assert last.high is not None
    assert vaf.bottom >= last.low > last.y > last.high >= vaf.top
    assert last.title == "2024-04-01: p.D538G 0.6% (0.48 to 0.72%), 13.6 copies/mL (11 to 16), 30 of 5000 molecules"
    assert len(copies.lines[0].points) == 3
    assert [f.text for f in plot.flags] == ["", "", "raised p.D538G NEW"]
    assert [f.tells for f in plot.flags] == [False, False, True]
    assert plot.flags[2].x == last.x


def test_draws_after_the_day_are_left_out_whatever_followed() -> None:
    assert view(*NEW, day="2024-02-01") == view(*NEW[:2])


def test_events_of_this_batch_are_told_from_earlier_ones() -> None:
    shown = view(replace(NEW[0], batch="earlier"), *NEW[1:])
    assert [d.here for d in shown.draws] == [False, True, True]
    assert [e.here for e in shown.events] == [False, True, True]


def test_a_draw_without_power_is_hollow() -> None:
    shown = view(sample(0, D538G=40), sample(28, D538G=None, Y537S=None), sample(84))
    assert shown.plot is not None
    vaf = shown.plot.panels[0]
    assert [p.hollow for p in vaf.lines[0].points] == [False, True, False]
    assert "without the power" in vaf.lines[0].points[1].title
    assert [p.hollow for p in shown.plot.draws] == [False, True, False]
    assert "could not have seen p.D538G, p.E380Q, p.Y537S" in shown.plot.draws[1].title


def test_a_failed_draw_says_nothing() -> None:
    shown = view(sample(0, D538G=40), sample(28, failed=True, D538G=90), sample(84, D538G=41))
    assert shown.plot is not None
    assert len(shown.plot.panels[0].lines[0].points) == 2
    assert len(shown.plot.failed) == 1
    assert len(shown.plot.draws) == 2


def test_the_band_is_the_worst_lod_of_what_may_trigger() -> None:
    deep, shallow = sample(0), sample(28, depth=2000)
    shown = view(deep, shallow)
    assert shown.plot is not None
    corners = [tuple(map(float, c.split(","))) for c in shown.plot.panels[0].band.split()]
    assert corners[2][1] > corners[3][1], "a larger LoD is higher up, which is a smaller y"
    assert "LoD95 0.16%" in shown.plot.draws[0].title
    assert "LoD95 0.4%" in shown.plot.draws[1].title


def test_a_draw_that_saw_nothing_has_a_band_up_to_the_top() -> None:
    blind = sample(28)
    blind = replace(blind, calls=tuple(replace(c, lod95=None) for c in blind.calls))
    shown = view(sample(0), blind)
    assert shown.plot is not None
    corners = [tuple(map(float, c.split(","))) for c in shown.plot.panels[0].band.split()]
    assert corners[3][1] == shown.plot.panels[0].top


def test_without_volumes_there_is_no_panel_of_copies() -> None:
    rows = [
        replace(s, calls=tuple(replace(c, copies_per_ml=None) for c in s.calls))
        for s in (sample(0, plasma_ml=None), sample(28, plasma_ml=None, D538G=9))
    ]
    shown = view(*rows)
    assert shown.plot is not None
    assert [p.label for p in shown.plot.panels] == ["VAF"]


def test_variants_that_do_not_trigger_are_shown_and_told_apart() -> None:
    shown = view(sample(0, S463P=50, Y537S=12))
    assert shown.plot is not None
    assert [(name, triggers) for name, _, _, triggers in shown.plot.legend] == [("p.Y537S", True), ("p.S463P", False)]


def test_dna_forms_are_added_up_and_a_cis_haplotype_counts_for_both() -> None:
    shown = view(sample(0, Y537S=10, Y537S_AGT=15, cis=5))
    assert shown.draws[0].found == ("p.D538G 0.1%, 2.27 copies/mL", "p.Y537S 0.6%, 13.6 copies/mL")


def test_planned_draws() -> None:
    shown = view(sample("2024-01-01"), sample("2024-01-30"))
    assert shown.next_due == "C4D1 on 2024-03-25 (2024-03-18 to 2024-04-08)"
    assert shown.overdue == ()
    late = view(sample("2024-01-01"), sample("2024-06-20"))
    assert any("missing" in o for o in late.overdue)


def test_of_a_patient_without_a_valid_draw() -> None:
    shown = patient_view("P01", History(), pada1(), None, "S1", "batch1")
    assert (shown.plot, shown.draws, shown.state) == (None, (), "bESR1mut inconclusive")


@pytest.mark.parametrize("molecules", [1, 4999])
def test_extreme_fractions_stay_inside_the_plot(molecules: int) -> None:
    shown = view(sample(0), sample(28, D538G=molecules))
    assert shown.plot is not None
    for panel in shown.plot.panels:
        point = panel.lines[0].points[-1]
        assert panel.top <= point.y <= panel.bottom


MOLECULES = st.sampled_from([None, 0, 0, 1, 3, 40, 2500, 5000])
DRAWS = st.lists(
    st.tuples(st.integers(0, 1500), st.booleans(), MOLECULES, MOLECULES, MOLECULES, st.sampled_from([4.0, None])),
    min_size=1,
    max_size=7,
    unique_by=lambda draw: draw[0] // 3,
)


@settings(max_examples=60)
@given(DRAWS)
def test_whatever_the_history_all_marks_are_inside_the_plot(rows: list[tuple[int, bool, int, int, int, float]]) -> None:
    start = datetime.date(2024, 1, 1)
    history = History()
    for day, failed, one, two, three, ml in rows:
        date = (start + datetime.timedelta(day)).isoformat()
        s = sample(date, failed=failed, D538G=one, Y537S=two, S463P=three, plasma_ml=ml)
        history.add_result(s.sample, digest_of(s), s)
    plot = patient_view("P01", history, pada1(), None, "S1", "batch1").plot
    assert plot is not None
    for panel in plot.panels:
        for line in panel.lines:
            for p in line.points:
                assert plot.left <= p.x <= plot.right
                assert panel.top <= p.y <= panel.bottom or p.y == panel.negative
                assert p.low is None or p.high is None or panel.bottom >= p.low >= p.y >= p.high >= panel.top
    assert len(plot.draws) + len(plot.failed) >= 1
    assert all(plot.left <= x <= plot.right for x, _ in plot.dates)
