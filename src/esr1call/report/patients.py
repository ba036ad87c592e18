"""One patient's course as a page shows it: visits, what each says of each variant, events, planned draws. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from esr1call.decision import decide
from esr1call.history import History
from esr1call.report.numbers import interval, percent, significant
from esr1call.report.timeline_plot import Mark, Moment, Series, TimelinePlot, timeline_plot
from esr1call.results import CallStatus
from esr1call.rule import Rule
from esr1call.schedule import Attendance, PlannedDraw, next_due, planned_draws
from esr1call.timeline import Allele, Visit, components, visits_of
from esr1call.trigger import as_of, decision_data, file_name, kind_of

REASONS = {
    "NEW": "an earlier draw could have seen it and did not",
    "INCREASED": "risen over the lowest earlier draw",
    "REAPPEARED": "detected again after it was not",
    "NEGATIVE": "no variant that may trigger, with the power to see each",
    "PERSISTENT": "detected before and now, not risen",
    "NO_COMPARATOR": "the first valid draw is positive; a later rise raises",
    "NO_POWER": "a variant that may trigger could not have been seen",
    "NO_POWER_EARLIER": "no earlier draw could have seen it",
    "COPIES_UNKNOWN": "plasma volume or cfDNA mass unknown, compared by VAF only",
    "QC_FAILED": "no usable draw in the last visit",
    "STALE_POSITIVE": "an earlier draw, once negative, is now called positive, and the next draw is negative",
    "NO_RESULT": "no valid draw",
}
"""What each reason of a decision means (`decision.Reason`)."""


@dataclass(frozen=True)
class DrawRow:
    """One visit as a row of a table. `here`: at least one of its samples is of the batch that is reported."""

    date: str
    visit: str
    samples: str
    batches: str
    statuses: tuple[str, ...]
    found: tuple[str, ...]
    here: bool


@dataclass(frozen=True)
class EventRow:
    """One event; `what` names what drove it, or the reasons where nothing did."""

    date: str
    kind: str
    what: str
    file: str
    here: bool


@dataclass(frozen=True)
class PatientView:
    """Everything shown of a patient, as of `day`, that of her last draw in the batch."""

    patient: str
    day: str
    state: str
    decision: str
    reasons: tuple[str, ...]
    waiting: str
    next_due: str
    overdue: tuple[str, ...]
    draws: tuple[DrawRow, ...]
    events: tuple[EventRow, ...]
    voided: tuple[str, ...]
    plot: TimelinePlot | None


def patient_view(
    patient: str, history: History, rule: Rule, day: datetime.date | None, study: str, batch: str
) -> PatientView:
    """The view of a patient. `day` None (no draw of hers counts in this batch): as of her last valid draw.

    Draws after `day`, and events about them, are left out and the decision is the one without them, so that a batch's
    report does not change with later batches.
    """
    draws = [d for d in history.draws(rule) if day is None or d.collected <= day]
    visits = visits_of(draws, rule)
    day = day or (visits[-1].draws[-1].collected if visits else None)
    data = decision_data(decide(patient, draws, rule), study, rule)
    events = [e.event for e in history.issued if day is None or as_of(e.event["data"]) <= day.isoformat()]
    planned = planned_draws(visits, rule.schedule, day) if day else []
    due = next_due(planned, day) if day else None
    return PatientView(
        patient=patient,
        day=day.isoformat() if day else "",
        state=data["state"],
        decision=data["decision"],
        reasons=_reasons(data),
        waiting=""
        if history.held is None or history.held_in != batch
        else f"{kind_of(history.held.event)} event waits for sign-off",
        next_due=_due(due),
        overdue=tuple(
            f"{d.name} ({d.date}) {_ATTENDANCE[d.attendance]}" for d in planned if d.attendance in _ATTENDANCE
        ),
        draws=tuple(_draw_row(v, batch) for v in visits),
        events=tuple(_event_row(e, batch, visits) for e in events),
        voided=tuple(sorted(s for s in history.voided if s in history.versions)),
        plot=_plot(visits, events, planned, rule) if visits else None,
    )


_ATTENDANCE = {
    Attendance.MISSING: "missing",
    Attendance.OUT_OF_WINDOW: "drawn out of its window",
    Attendance.UNUSABLE: "failed quality control",
}


def _reasons(data: dict[str, Any]) -> tuple[str, ...]:
    if data["drivers"]:
        return tuple(f"{d['variant']} {d['category']}: {REASONS[d['reason']]}" for d in data["drivers"])
    return tuple(f"{r}: {REASONS[r]}" for r in data["reasons"])


def _due(draw: PlannedDraw | None) -> str:
    if draw is None:
        return "unknown: no draw counts yet"
    again = "; drawn in time but of no use, to be drawn again" if draw.attendance is Attendance.UNUSABLE else ""
    return f"{draw.name} on {draw.date} ({draw.opens} to {draw.closes}){again}"


def _draw_row(visit: Visit, batch: str) -> DrawRow:
    found = []
    for variant, alleles in sorted(_alleles(visit).items()):
        seen = _detected(visit, alleles)
        if seen:
            e = visit.evidence(variant, seen)
            copies = "" if e.copies_per_ml is None else f", {significant(e.copies_per_ml)} copies/mL"
            found.append(f"{variant} {percent(e.vaf)}{copies}")
    results = [d.result for d in visit.draws]
    return DrawRow(
        date=visit.first.isoformat(),
        visit=", ".join(dict.fromkeys(r.visit for r in results if r.visit)),
        samples=", ".join(visit.samples),
        batches=", ".join(dict.fromkeys(r.batch for r in results)),
        statuses=tuple(dict.fromkeys(str(r.status) for r in results)),
        found=tuple(found),
        here=any(r.batch == batch for r in results),
    )


def _event_row(event: dict[str, Any], batch: str, visits: Sequence[Visit]) -> EventRow:
    data = event["data"]
    samples = {s["sample"] for s in data["specimens"]}
    here = any(d.result.sample in samples and d.result.batch == batch for v in visits for d in v.draws)
    return EventRow(as_of(data), kind_of(event), _event_words(data), file_name(event), here)


def _event_words(data: dict[str, Any]) -> str:
    return ", ".join(f"{d['variant']} {d['category']}" for d in data["drivers"]) or ", ".join(data["reasons"])


def _alleles(visit: Visit) -> dict[str, frozenset[Allele]]:
    """Protein change -> its DNA forms in a visit, also of changes that may not trigger."""
    out: dict[str, set[Allele]] = {}
    for allele, call in visit.calls.items():
        for variant, _ in components(call.protein, call.panel_variants):
            out.setdefault(variant, set()).add(allele)
    return {v: frozenset(a) for v, a in out.items()}


def _detected(visit: Visit, alleles: frozenset[Allele]) -> frozenset[Allele]:
    return frozenset(a for a in alleles if visit.calls[a].status is CallStatus.DETECTED)


def _plot(
    visits: Sequence[Visit], events: Sequence[dict[str, Any]], planned: Sequence[PlannedDraw], rule: Rule
) -> TimelinePlot:
    by_visit = [_alleles(v) for v in visits]
    ever: dict[str, set[Allele]] = {}
    triggers = set()
    for visit, alleles in zip(visits, by_visit, strict=True):
        for variant, forms in alleles.items():
            if seen := _detected(visit, forms):
                ever.setdefault(variant, set()).update(seen)
                if variant in visit.detected:
                    triggers.add(variant)
    order = sorted(ever, key=lambda v: (v not in triggers, v))
    series = []
    for variant in order:
        marks = tuple(_mark(v, variant, frozenset(ever[variant]), a) for v, a in zip(visits, by_visit, strict=True))
        series.append(Series(variant, variant in triggers, tuple(m for m in marks if m is not None)))
    told = [(datetime.date.fromisoformat(as_of(e["data"])), kind_of(e), _event_words(e["data"]))
            for e in events if as_of(e["data"])]  # fmt: skip
    return timeline_plot([_moment(v, rule) for v in visits], series, told, planned)


def _moment(visit: Visit, rule: Rule) -> Moment:
    """What a visit could see: the worst LoD95 of the panel's alleles that may trigger (of all, where none may)."""
    panel = [c for c in visit.calls.values() if c.kind == "panel"]
    relevant = [c for c in panel if any(rule.may_trigger(v, True) for v in c.panel_variants)] or panel
    lods = [c.lod95 for c in relevant]
    known = [x for x in lods if x is not None]
    lod = max(known) if known and len(known) == len(lods) else None
    genomes = visit.genomes_per_ml
    told = ", ".join(f"{d.result.sample} {d.result.status}" for d in visit.draws)
    if visit.usable:
        told += f"; LoD95 {percent(lod)}" if lod is not None else "; no power"
        if visit.without_power:
            told += f"; could not have seen {', '.join(visit.without_power)}"
    state = "failed" if not visit.usable else "hollow" if visit.without_power or not visit.alleles else "full"
    return Moment(
        visit.first, state, lod, None if lod is None or genomes is None else lod * genomes, f"{visit.first}: {told}"
    )


def _mark(visit: Visit, variant: str, forms: frozenset[Allele], alleles: dict[str, frozenset[Allele]]) -> Mark | None:
    """What a visit says of a variant; None where it failed quality control."""
    if not visit.usable:
        return None
    shown = forms | _detected(visit, alleles.get(variant, frozenset()))
    seen = frozenset(a for a in shown if a in visit.calls)
    if _detected(visit, seen):
        e = visit.evidence(variant, seen)
        copies = ""
        if e.copies_per_ml is not None:
            copies = (
                f", {significant(e.copies_per_ml)} copies/mL ({interval(e.copies_per_ml_low, e.copies_per_ml_high)})"
            )
        title = (
            f"{visit.first}: {variant} {percent(e.vaf)} ({interval(e.vaf_low, e.vaf_high, as_percent=True)})"
            f"{copies}, {e.molecules} of {e.depth} molecules"
        )
        of_plasma = None if e.copies_per_ml is None else (e.copies_per_ml, e.copies_per_ml_low, e.copies_per_ml_high)
        return Mark(visit.first, True, True, title, (e.vaf, e.vaf_low, e.vaf_high), of_plasma)
    window = min(forms)[0]
    powered = _power(visit, alleles.get(variant, frozenset()), window)
    told = "not detected" if powered else "not detected, without the power to see it"
    return Mark(visit.first, False, powered, f"{visit.first}: {variant} {told}", None, None)


def _power(visit: Visit, alleles: frozenset[Allele], window: str) -> bool:
    """Whether a visit that does not detect a variant could have: by its panel forms, or by those of its window."""
    own = [visit.calls[a] for a in alleles if visit.calls[a].kind == "panel"]
    beside = own or [c for a, c in visit.calls.items() if a[0] == window and c.kind == "panel"]
    return bool(beside) and all(c.status is not CallStatus.NO_CALL for c in beside)
