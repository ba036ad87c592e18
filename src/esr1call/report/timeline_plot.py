"""The geometry of a patient's timeline plot: VAF and copies/mL over time, what each draw could see, and events.

A panel has a logarithmic axis and under it a row for "not detected". The template draws what stands here; colours and
shapes are the style sheet's, chosen by a series' number.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from esr1call.report.numbers import significant
from esr1call.report.scales import Axis, date_axis, date_ticks, log_axis, log_ticks
from esr1call.schedule import PlannedDraw

WIDTH = 720
SHAPES = 6
"""As many marker shapes as colours are told apart; more series combine them anew."""
_LEFT, _RIGHT, _TOP = 74, 708, 44
_VAF_HEIGHT, _COPIES_HEIGHT, _GAP = 132, 84, 18
_ROW = 22
"""Height of the row of negatives under a panel."""

Interval = tuple[float, float | None, float | None]
"""A value and the ends of its interval."""


@dataclass(frozen=True)
class Moment:
    """What a visit could see. `state`: full, hollow (without power) or failed; `lod`, `lod_copies`: its LoD95."""

    date: datetime.date
    state: str
    lod: float | None
    lod_copies: float | None
    title: str


@dataclass(frozen=True)
class Mark:
    """What one visit says of a variant; `powered`: where it is not detected, whether it could have been."""

    date: datetime.date
    detected: bool
    powered: bool
    title: str
    vaf: Interval | None
    copies: Interval | None


@dataclass(frozen=True)
class Series:
    """A variant over time; `triggers`: it may trigger by the rule."""

    name: str
    triggers: bool
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Point:
    """A mark in place; `low`, `high`: ends of its whisker, None without one."""

    x: float
    y: float
    low: float | None
    high: float | None
    hollow: bool
    title: str


@dataclass(frozen=True)
class Line:
    """A series in a panel: its polyline ("x,y x,y"), and its points. `colour` and `shape` are numbers."""

    colour: int
    shape: int
    path: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class PlotPanel:
    """One panel; `negative` is the y of the row of negatives, `band` the polygon under which nothing can be said."""

    label: str
    top: float
    bottom: float
    negative: float
    ticks: tuple[tuple[float, str], ...]
    band: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Flag:
    """An event in place; `text` is written beside it, where it fits. `tells`: a trial may act on it."""

    x: float
    y: float
    kind: str
    tells: bool
    text: str
    title: str
    anchor: str


@dataclass(frozen=True)
class PlannedBox:
    """The window of a planned draw in place."""

    x: float
    width: float
    attendance: str
    title: str


@dataclass(frozen=True)
class TimelinePlot:
    """All there is to draw; `legend` names the series, with colour, shape and whether they may trigger."""

    width: int
    height: float
    left: float
    right: float
    panels: tuple[PlotPanel, ...]
    draws: tuple[Point, ...]
    failed: tuple[Point, ...]
    draws_y: float
    dates: tuple[tuple[float, str], ...]
    flags: tuple[Flag, ...]
    planned: tuple[PlannedBox, ...]
    legend: tuple[tuple[str, int, int, bool], ...]
    summary: str


def timeline_plot(
    moments: Sequence[Moment],
    series: Sequence[Series],
    events: Sequence[tuple[datetime.date, str, str]],
    planned: Sequence[PlannedDraw],
) -> TimelinePlot:
    """Lay out visits (at least one), what they say of each series, events (date, kind, words), and planned draws."""
    days = [m.date for m in moments] + [d for p in planned for d in (p.opens, p.closes)]
    x = date_axis(min(days), max(days), _LEFT + 14, _RIGHT - 14)
    copies = any(m.lod_copies is not None for m in moments) or any(k.copies for s in series for k in s.marks)
    top: float = _TOP
    panels = [_panel("VAF", "%", 100, moments, series, x, top, top + _VAF_HEIGHT)]
    if copies:
        top += _VAF_HEIGHT + _ROW + _GAP
        panels.append(_panel("copies/mL", "", 1, moments, series, x, top, top + _COPIES_HEIGHT))
    draws_y = panels[-1].bottom + _ROW + 18
    at = [Point(_x(x, m.date), draws_y, None, None, m.state == "hollow", m.title) for m in moments]
    return TimelinePlot(
        width=WIDTH, height=draws_y + 46, left=_LEFT, right=_RIGHT, panels=tuple(panels),
        draws=tuple(p for p, m in zip(at, moments, strict=True) if m.state != "failed"),
        failed=tuple(p for p, m in zip(at, moments, strict=True) if m.state == "failed"),
        draws_y=draws_y, dates=tuple((x(day), label) for day, label in date_ticks(x)), flags=_flags(events, x),
        planned=tuple(_planned(p, x) for p in planned),
        legend=tuple((s.name, *_look(i), s.triggers) for i, s in enumerate(series)),
        summary=_summary(moments, series),
    )  # fmt: skip


def _look(number: int) -> tuple[int, int]:
    return number % SHAPES, (number + number // SHAPES) % SHAPES


def _x(axis: Axis, date: datetime.date) -> float:
    return axis(date.toordinal())


def _panel(
    label: str, unit: str, scale: int, moments: Sequence[Moment], series: Sequence[Series], x: Axis,
    top: float, bottom: float,
) -> PlotPanel:  # fmt: skip
    of_vaf = unit == "%"
    lods = [m.lod if of_vaf else m.lod_copies for m in moments]
    values = [value for s in series for k in s.marks if (value := k.vaf if of_vaf else k.copies) is not None]
    shown = [v for triple in values for v in triple if v] + [lod for lod in lods if lod]
    floor = (0.0005, 0.005) if of_vaf else (1.0, 10.0)
    y = log_axis([v for v in shown if v >= floor[0] / 50], bottom, top, floor)
    negative = bottom + 14
    lines = []
    for i, s in enumerate(series):
        points = []
        for mark in s.marks:
            value = mark.vaf if of_vaf else mark.copies
            place = _x(x, mark.date)
            if value is not None:
                low, high = (None if end is None else y(max(end, y.low)) for end in value[1:])
                points.append(Point(place, y(max(value[0], y.low)), low, high, False, mark.title))
            elif not mark.detected:
                shift = (i - (len(series) - 1) / 2) * min(7.0, 24 / len(series))
                points.append(Point(round(place + shift, 1), negative, None, None, not mark.powered, mark.title))
        path = " ".join(f"{p.x:g},{p.y:g}" for p in points)
        lines.append(Line(*_look(i), path, tuple(points)))
    ticks = tuple((y(t), significant(t * scale) + unit) for t in log_ticks(y, 6 if of_vaf else 4))
    return PlotPanel(label, top, bottom, negative, ticks, _band(moments, lods, x, y), tuple(lines))


def _band(moments: Sequence[Moment], lods: Sequence[float | None], x: Axis, y: Axis) -> str:
    """The polygon between the axis and each usable draw's LoD95; up to the top where a draw could see nothing."""
    places = [
        (_x(x, m.date), y(y.high if lod is None else lod))
        for m, lod in zip(moments, lods, strict=True)
        if m.state != "failed" and (lod is not None or m.lod is None)  # copies may be unknown where the LoD is not
    ]
    if not places:
        return ""
    first, last = (_LEFT, places[0][1]), (_RIGHT, places[-1][1])
    corners = [(_LEFT, y.start), first, *places, last, (_RIGHT, y.start)]
    return " ".join(f"{a:g},{b:g}" for a, b in corners)


_TELLING = ("raised", "amended", "retracted")


def _flags(events: Sequence[tuple[datetime.date, str, str]], x: Axis) -> tuple[Flag, ...]:
    """Events in two rows at the top; those that a trial acts on are named, where there is room."""
    out: list[Flag] = []
    free = [float("-inf"), float("-inf")]  # where each row's last text ends
    for date, kind, words in events:
        at = _x(x, date)
        text = f"{kind} {words}" if kind in _TELLING else ""
        width = 9 + 7 * len(text)
        anchor = "end" if at + width > _RIGHT + 8 else "start"
        start = at - width if anchor == "end" else at - 6
        row = 0 if free[0] <= start else 1
        if text and free[row] > start:
            text, width = "", 9
        free[row] = max(free[row], at + 8 if anchor == "end" else at + width)
        out.append(Flag(at, 12 + 16 * row, kind, kind in _TELLING, text, f"{date}: event {kind}: {words}", anchor))
    return tuple(out)


def _planned(draw: PlannedDraw, x: Axis) -> PlannedBox:
    start, end = _x(x, draw.opens), _x(x, draw.closes)
    title = f"planned {draw.name} on {draw.date} ({draw.opens} to {draw.closes}): {draw.attendance.value}"
    return PlannedBox(start, round(max(end - start, 2), 1), draw.attendance.name.lower(), title)


def _summary(moments: Sequence[Moment], series: Sequence[Series]) -> str:
    """The plot in words, for who can't see it."""
    parts = [f"{len(moments)} visits from {moments[0].date} to {moments[-1].date}."]
    for s in series:
        told = [k.title.removeprefix(f"{k.date}: {s.name} ") + f" on {k.date}" for k in s.marks if k.detected]
        parts.append(f"{s.name}: {'; '.join(told)}.")
    return " ".join(parts if series else [*parts, "No variant detected."])
