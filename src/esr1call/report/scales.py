"""From values to places in a plot: logarithmic, linear and date axes with their ticks."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from dataclasses import dataclass

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS_APART = (1, 2, 3, 6, 12, 24, 60, 120, 240)


@dataclass(frozen=True)
class Axis:
    """Maps [low, high] to the pixels [start, end] (either way round); values outside are put at the nearest end."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The place of `value`, to a tenth of a pixel."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def log_axis(values: Iterable[float], start: float, end: float, at_least: tuple[float, float]) -> Axis:
    """A logarithmic axis from 1, 2 or 5 times a power of ten to another, around `values` and `at_least`."""
    inside = [v for v in (*values, *at_least) if v > 0]
    return Axis(_round_down(min(inside)), _round_up(max(inside)), start, end, logarithmic=True)


def log_ticks(axis: Axis, most: int = 6) -> list[float]:
    """1, 2, 5 times powers of ten inside the axis, or powers of ten alone where these are too many."""
    powers = range(math.floor(math.log10(axis.low)) - 1, math.ceil(math.log10(axis.high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{s}e{p}") for p in powers for s in steps]
        ticks = [t for t in ticks if axis.low * 0.999 <= t <= axis.high * 1.001]
        if len(ticks) <= most:
            break
    return ticks


def linear_axis(values: Iterable[float], start: float, end: float, least: float = 0.0) -> Axis:
    """A linear axis from `least` to a round number above all `values`."""
    high = max(values, default=1.0)
    return Axis(least, _round_up(high) if high > least else least + 1.0, start, end)


def linear_ticks(axis: Axis, about: int = 5) -> list[float]:
    """Multiples of a round step."""
    step = _round_up((axis.high - axis.low) / about)
    first = math.ceil(axis.low / step - 1e-9)
    return [float(f"{i * step:.6g}") for i in range(first, math.floor(axis.high / step + 1e-9) + 1)]


def _round_up(value: float) -> float:
    power = math.floor(math.log10(value))
    return next(float(f"{s}e{power}") for s in (1, 2, 5, 10) if float(f"{s}e{power}") >= value * (1 - 1e-9))


def _round_down(value: float) -> float:
    power = math.floor(math.log10(value))
    return next(float(f"{s}e{power}") for s in (5, 2, 1) if float(f"{s}e{power}") <= value * (1 + 1e-9))


def date_axis(first: datetime.date, last: datetime.date, start: float, end: float) -> Axis:
    """An axis of days (their ordinals); a single day is in its middle."""
    low, high = first.toordinal(), last.toordinal()
    margin = 30 if low == high else 0
    return Axis(low - margin, high + margin, start, end)


def date_ticks(axis: Axis, most: int = 8) -> list[tuple[int, str]]:
    """(ordinal, label) of firsts of months; the year is told where it changes."""
    first, last = datetime.date.fromordinal(round(axis.low)), datetime.date.fromordinal(round(axis.high))
    months = range(first.year * 12 + first.month, last.year * 12 + last.month)
    every = next((e for e in _MONTHS_APART if len(months) / e <= most), _MONTHS_APART[-1])
    days = [datetime.date(m // 12, m % 12 + 1, 1) for m in months if m % every == 0]
    out = []
    for i, day in enumerate(days):
        same_year = i > 0 and day.year == days[i - 1].year
        out.append((day.toordinal(), _MONTHS[day.month - 1] + ("" if same_year else f" {day.year}")))
    return out
