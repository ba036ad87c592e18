from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.results import SampleResult
from esr1call.rule import Schedule
from esr1call.schedule import Attendance, next_due, planned_draws
from esr1call.timeline import Visit, visits_of
from tests.trigger_builders import draws, pada1, sample

PLAN = Schedule(cycle_days=28, first_days=(0, 28), then_every_days=56, early_days=7, late_days=14)
START = date(2024, 1, 1)


def on(day: int, **given: object) -> SampleResult:
    return sample((START + timedelta(day)).isoformat(), **given)  # type: ignore[arg-type]


def visits(*samples: SampleResult) -> list[Visit]:
    return visits_of(draws(*samples), pada1())


def shown(samples: list[SampleResult], as_of: int, inclusion: int | None = None) -> list[str]:
    start = None if inclusion is None else START + timedelta(inclusion)
    planned = planned_draws(visits(*samples), PLAN, START + timedelta(as_of), start)
    return [f"{d.name} {d.attendance.value}" for d in planned]


def test_the_shipped_rule_has_the_trials_schedule() -> None:
    schedule = pada1().schedule
    assert [schedule.day(i) for i in range(5)] == [0, 28, 84, 140, 196]
    assert schedule == PLAN


@pytest.mark.parametrize(
    ("samples", "as_of", "expected"),
    [
        ([on(0)], 0, ["C1D1 done", "C2D1 planned"]),
        ([on(0)], 20, ["C1D1 done", "C2D1 planned"]),
        ([on(0)], 21, ["C1D1 done", "C2D1 due", "C4D1 planned"]),
        ([on(0)], 42, ["C1D1 done", "C2D1 due", "C4D1 planned"]),
        ([on(0)], 43, ["C1D1 done", "C2D1 missing", "C4D1 planned"]),
        ([on(0), on(21)], 43, ["C1D1 done", "C2D1 done", "C4D1 planned"]),
        ([on(0), on(42)], 43, ["C1D1 done", "C2D1 done", "C4D1 planned"]),
        ([on(0), on(20)], 43, ["C1D1 done", "C2D1 out of window", "C4D1 planned"]),
        ([on(0), on(43)], 43, ["C1D1 done", "C2D1 out of window", "C4D1 planned"]),
        ([on(0), on(28, failed=True)], 43, ["C1D1 done", "C2D1 unusable", "C4D1 planned"]),
        ([on(0), on(28, failed=True), on(35)], 43, ["C1D1 done", "C2D1 done", "C4D1 planned"]),
        ([on(0), on(28), on(90)], 43, ["C1D1 done", "C2D1 done", "C4D1 planned"]),
        ([on(0), on(84)], 90, ["C1D1 done", "C2D1 missing", "C4D1 done", "C6D1 planned"]),
    ],
)
def test_attendance(samples: list[SampleResult], as_of: int, expected: list[str]) -> None:
    assert shown(samples, as_of) == expected


def test_inclusion_may_be_given_where_its_draw_is_missing() -> None:
    assert shown([on(28)], 30, inclusion=0) == ["C1D1 missing", "C2D1 done", "C4D1 planned"]
    assert shown([], 30, inclusion=0) == ["C1D1 missing", "C2D1 due", "C4D1 planned"]
    assert shown([], 30) == []


@pytest.mark.parametrize(
    ("samples", "as_of", "due"),
    [
        ([on(0)], 0, 28),
        ([on(0)], 42, 28),
        ([on(0)], 43, 84),
        ([on(0), on(21)], 21, 84),
        ([on(0), on(28, failed=True)], 30, 28),
        ([on(0), on(28, failed=True)], 50, 84),
        ([on(0), on(20)], 20, 28),
    ],
)
def test_next_due(samples: list[SampleResult], as_of: int, due: int) -> None:
    day = START + timedelta(as_of)
    found = next_due(planned_draws(visits(*samples), PLAN, day), day)
    assert found is not None
    assert found.date == START + timedelta(due)
    assert (found.opens, found.closes) == (found.date - timedelta(7), found.date + timedelta(14))


@given(
    st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=8, unique_by=lambda t: t[0]),
    st.integers(0, 500),
)
def test_each_visit_seen_is_at_one_planned_draw_and_one_is_always_due(
    given_draws: list[tuple[int, bool]], as_of: int
) -> None:
    found = visits(*(on(d, failed=f) for d, f in given_draws))
    day = START + timedelta(as_of)
    planned = planned_draws(found, PLAN, day)
    placed = [v for d in planned for v in d.visits]
    assert sorted(v.first for v in placed) == [v.first for v in found if v.first <= day]
    for d in planned:
        in_time = [v for v in d.visits if d.opens <= v.first <= d.closes]
        assert (d.attendance is Attendance.DONE) == any(v.usable for v in in_time)
        assert (d.attendance is Attendance.MISSING) == (not d.visits and d.closes < day)
    if planned:
        assert planned[-1].opens > day
        assert next_due(planned, day) is not None
