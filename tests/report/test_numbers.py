from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.report import numbers


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (0.0, "0"), (0.0061634, "0.00616"), (0.5, "0.5"), (12.84, "12.8"), (235.2, "235"),
        (1234.5, "1,230"), (12_345_678, "12,300,000"), (1.2345e-7, "0.000000123"), (3e-5, "0.00003"),
    ],
)  # fmt: skip
def test_significant(value: float | None, shown: str) -> None:
    assert numbers.significant(value) == shown


@given(st.floats(1e-9, 1e12))
def test_significant_is_right_to_three_digits_and_never_scientific(value: float) -> None:
    shown = numbers.significant(value)
    assert "e" not in shown
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("p", "shown"),
    [(None, "–"), (1.0, "1.000"), (0.0642, "0.064"), (4.4e-5, "4e-5"), (6e-40, "6e-40"), (0.0, "<1e-300")],
)
def test_probability(p: float | None, shown: str) -> None:
    assert numbers.probability(p) == shown


def test_interval() -> None:
    assert numbers.interval(0.0083, 0.0162, as_percent=True) == "0.83 to 1.6%"
    assert numbers.interval(12.1, 20.3) == "12 to 20"
    assert numbers.interval(0.0, 0.00065, as_percent=True) == "≤ 0.065%"
    assert numbers.interval(None, 1.0) == "–"


def test_words() -> None:
    assert numbers.words("ntc") == "no-template control"
    assert numbers.words("duplex_yield") == "duplex yield"
    assert [numbers.sentence_list(list(x)) for x in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
