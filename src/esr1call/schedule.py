"""Which of a patient's planned draws took place, which are missing or of no use, and when the next one is due.

Pure, and without a clock: the day of asking is given. Day 0 is inclusion, by default the day of the first draw.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from esr1call.rule import Schedule
from esr1call.timeline import Visit


class Attendance(StrEnum):
    """What became of a planned draw as of a day. UNUSABLE: drawn in time, and every sample failed quality control."""

    DONE = "done"
    UNUSABLE = "unusable"
    OUT_OF_WINDOW = "out of window"
    MISSING = "missing"
    DUE = "due"
    PLANNED = "planned"


@dataclass(frozen=True)
class PlannedDraw:
    """A draw of the schedule with the visits nearest to it. `name`: cycle and day; `opens` to `closes`: its window."""

    name: str
    day: int
    date: datetime.date
    opens: datetime.date
    closes: datetime.date
    visits: tuple[Visit, ...]
    attendance: Attendance


def planned_draws(
    visits: Sequence[Visit], schedule: Schedule, as_of: datetime.date, inclusion: datetime.date | None = None
) -> list[PlannedDraw]:
    """The schedule up to the first draw whose window opens after `as_of`; visits after `as_of` are not looked at.

    A visit belongs to the planned draw nearest to its first day. Empty where neither inclusion nor any visit is known.
    """
    seen = [v for v in visits if v.first <= as_of]
    start = inclusion or (seen[0].first if seen else None)
    if start is None:
        return []
    days = [schedule.day(0)]
    while start + datetime.timedelta(days[-1] - schedule.early_days) <= as_of:
        days.append(schedule.day(len(days)))
    nearest: list[list[Visit]] = [[] for _ in days]
    for visit in seen:
        offset = (visit.first - start).days
        nearest[min(range(len(days)), key=lambda i: abs(days[i] - offset))].append(visit)
    return [_planned(day, start, tuple(v), schedule, as_of) for day, v in zip(days, nearest, strict=True)]


def next_due(draws: Sequence[PlannedDraw], as_of: datetime.date) -> PlannedDraw | None:
    """The first planned draw that can still be made in time."""
    return next((d for d in draws if d.closes >= as_of and d.attendance is not Attendance.DONE), None)


def _planned(
    day: int, start: datetime.date, visits: tuple[Visit, ...], schedule: Schedule, as_of: datetime.date
) -> PlannedDraw:
    date = start + datetime.timedelta(day)
    opens, closes = date - datetime.timedelta(schedule.early_days), date + datetime.timedelta(schedule.late_days)
    cycle, rest = divmod(day, schedule.cycle_days)
    inside = [v for v in visits if opens <= v.first <= closes]
    if inside:
        attendance = Attendance.DONE if any(v.usable for v in inside) else Attendance.UNUSABLE
    elif visits:
        attendance = Attendance.OUT_OF_WINDOW
    elif closes < as_of:
        attendance = Attendance.MISSING
    else:
        attendance = Attendance.DUE if opens <= as_of else Attendance.PLANNED
    return PlannedDraw(f"C{cycle + 1}D{rest + 1}", day, date, opens, closes, visits, attendance)
