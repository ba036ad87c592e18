"""What a person reads of one patient: her decision, planned draws and what became of them, samples, and ledger entries.

Pure: values in, text out.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence

from esr1call.history import Entry, History, Kind, fold
from esr1call.report.text import text_table
from esr1call.results import CallStatus, SampleResult
from esr1call.rule import Rule
from esr1call.schedule import Attendance, PlannedDraw, next_due, planned_draws
from esr1call.timeline import visits_of
from esr1call.trigger import Issued, file_name, kind_of

_DRAWS = ("draw", "planned", "in time from", "to", "attendance", "drawn", "samples")
_SAMPLES = ("sample", "collected", "visit", "status", "detected", "versions", "note")
_ENTRIES = ("entry", "recorded", "kind", "what", "batch", "software")


def history_text(
    study: str,
    patient: str,
    entries: Sequence[Entry],
    rule: Rule,
    as_of: datetime.date | None,
    inclusion: datetime.date | None,
) -> str:
    """Everything of a patient as of a day (by default that of her last valid draw): samples drawn later are left out.

    The decision and the ledger's entries are those of now.
    """
    history = fold(entries)
    visits = visits_of(history.draws(rule), rule)
    day = as_of or (visits[-1].draws[-1].collected if visits else None)
    parts = [f"patient {patient} of study {study}" + (f", as of {day}" if day else ""), _decision_line(history), ""]
    if day is not None:
        draws = planned_draws(visits, rule.schedule, day, inclusion)
        parts += [text_table(_DRAWS, [_draw_row(d) for d in draws]) + _due_line(draws, day), ""]
    samples = [_sample_row(history, name) for name in history.versions if _seen(history, name, day)]
    parts += [text_table(_SAMPLES, sorted(samples, key=lambda r: (r[1], r[0])))]
    parts += [text_table(_ENTRIES, [_entry_row(e) for e in entries])]
    return "\n".join(parts)


def overview(histories: Sequence[tuple[str, History]]) -> str:
    """A row for each patient: decision, drivers, last event, and the event that waits for sign-off."""
    rows = []
    for patient, history in histories:
        data = json.loads(history.decision or "null")
        drivers = [f"{d['variant']} {d['category']}" for d in data["drivers"]] if data else []
        last = file_name(history.issued[-1].event) if history.issued else ""
        rows.append(
            (patient, data["state"] if data else "", ", ".join(drivers or (data["reasons"] if data else [])), last,
             history.held.id if history.held else "")
        )  # fmt: skip
    return text_table(("patient", "state", "because of", "last event", "waits for release"), rows)


def _decision_line(history: History) -> str:
    data = json.loads(history.decision or "null")
    if data is None:
        return "not decided"
    because = [f"{d['variant']} {d['category']}" for d in data["drivers"]] or data["reasons"]
    line = f"{data['state']} ({', '.join(because)})"
    if history.issued:
        line += f"; last event {file_name(history.issued[-1].event)}"
    if history.held is not None:
        line += f"; {kind_of(history.held.event)} event {history.held.id} waits for release"
    return line


def _draw_row(draw: PlannedDraw) -> tuple[str, ...]:
    drawn = ", ".join(str(v.first) for v in draw.visits)
    samples = ", ".join(s for v in draw.visits for s in v.samples)
    return draw.name, str(draw.date), str(draw.opens), str(draw.closes), draw.attendance.value, drawn, samples


def _due_line(draws: Sequence[PlannedDraw], day: datetime.date) -> str:
    due = next_due(draws, day)
    if due is None:
        return "next due: unknown without inclusion"
    again = " (again: the draw in time is of no use)" if due.attendance is Attendance.UNUSABLE else ""
    return f"next due: {due.name} on {due.date}, from {due.opens} to {due.closes}{again}"


def _seen(history: History, sample: str, day: datetime.date | None) -> bool:
    return day is None or (history.versions[sample][-1][1].collected or "") <= day.isoformat()


def _sample_row(history: History, sample: str) -> tuple[str, ...]:
    versions = history.versions[sample]
    result = versions[-1][1]
    note = "voided" if sample in history.voided else ""
    return (
        sample, result.collected or "", result.visit or "", result.status.value, _detected(result), str(len(versions)),
        note or "; ".join(result.reasons),
    )  # fmt: skip


def _detected(result: SampleResult) -> str:
    return ", ".join(f"{c.protein} {100 * c.vaf:.3g}%" for c in result.calls if c.status is CallStatus.DETECTED)


def _entry_row(entry: Entry) -> tuple[str, ...]:
    what = entry.name
    if entry.kind in (Kind.EVENT, Kind.HELD):
        what = file_name(Issued.parse(entry.body.encode()).event) + f" {entry.name[:12]}"
    elif entry.kind in (Kind.VOID, Kind.REINSTATE):
        body = json.loads(entry.body)
        what = f"{entry.name} by {body['by']}: {body['reason']}"
    elif entry.kind in (Kind.PUBLISHED, Kind.WITHDRAWN):
        what = entry.name[:12]
    return str(entry.position), entry.recorded, entry.kind, what, entry.batch, entry.software
