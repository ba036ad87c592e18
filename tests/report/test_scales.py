from __future__ import annotations

import datetime
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.report.scales import Axis, date_axis, date_ticks, linear_axis, linear_ticks, log_axis, log_ticks

POSITIVE = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20)


@given(POSITIVE)
def test_a_log_axis_holds_all_values_in_order(values: list[float]) -> None:
    axis = log_axis(values, 100, 0, (0.001, 0.01))
    assert axis.low <= min(values) * 1.000001
    assert axis.high >= max(values) * 0.999999
    places = [axis(v) for v in sorted(values)]
    assert places == sorted(places, reverse=True)
    assert all(0 <= p <= 100 for p in places)


@given(POSITIVE)
def test_ticks_lie_on_the_axis(values: list[float]) -> None:
    log, linear = log_axis(values, 0, 100, (0.001, 0.01)), linear_axis(values, 0, 100)
    for axis, ticks in ((log, log_ticks(log)), (linear, linear_ticks(linear))):
        assert ticks == sorted(set(ticks))
        assert ticks
        assert all(axis.low * 0.99 <= t <= axis.high * 1.01 for t in ticks)
    assert len(linear_ticks(linear)) <= 7


def test_values_off_the_axis_are_put_at_its_end() -> None:
    axis = Axis(0.001, 0.1, 100, 0, logarithmic=True)
    assert (axis(0.0001), axis(0.001), axis(0.01), axis(0.1), axis(5.0)) == (100, 100, 50, 0, 0)


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        ("2026-01-12", "2026-04-20", ["Feb 2026", "Mar", "Apr"]),
        ("2025-11-20", "2026-02-10", ["Dec 2025", "Jan 2026", "Feb"]),
        ("2024-01-05", "2026-12-20", ["Jul 2024", "Jan 2025", "Jul", "Jan 2026", "Jul"]),
        ("2026-03-10", "2026-03-10", ["Mar 2026", "Apr"]),
    ],
)
def test_dates(first: str, last: str, labels: list[str]) -> None:
    axis = date_axis(datetime.date.fromisoformat(first), datetime.date.fromisoformat(last), 0, 100)
    assert [label for _, label in date_ticks(axis)] == labels


@given(st.dates(datetime.date(2000, 1, 1), datetime.date(2060, 1, 1)), st.integers(0, 20_000))
def test_there_are_never_too_many_dates(first: datetime.date, days: int) -> None:
    axis = date_axis(first, first + datetime.timedelta(days), 0, 100)
    ticks = date_ticks(axis)
    assert len(ticks) <= 9
    assert all(a < b for (a, _), (b, _) in itertools.pairwise(ticks))
    assert all(axis.low <= t <= axis.high for t, _ in ticks)
