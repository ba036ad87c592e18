"""From a patient's draws to the laboratory's decision: is the ESR1 mutation in blood rising?

`decide` is a function of the set of valid results, so the order in which they arrive does not matter. Visits are
walked by collection time and the first that raises is the trigger; the decision then stays with that visit, whatever
later visits show (unless the rule is not latched: then the last that raises is). Without one, the decision is about the
last visit. Each variant is tested alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from esr1call.results import CallStatus
from esr1call.rise import Ratio, combined_cv, compare, power
from esr1call.rule import Rule
from esr1call.timeline import Allele, Draw, Evidence, Visit, visits_of


class State(StrEnum):
    """What the laboratory says of a patient; `RAISED` is "bESR1mut rising"."""

    RAISED = "raised"
    NOT_RAISED = "not-raised"
    INCONCLUSIVE = "inconclusive"


class Category(StrEnum):
    """What a detected variant is, compared with the patient's earlier visits; the first three raise."""

    NEW = "NEW"
    INCREASED = "INCREASED"
    REAPPEARED = "REAPPEARED"
    PERSISTENT = "PERSISTENT"
    UNDECIDED = "UNDECIDED"


class Reason(StrEnum):
    """Why a decision is what it is, or (as a caveat) what weakens it."""

    NEW = "NEW"
    INCREASED = "INCREASED"
    REAPPEARED = "REAPPEARED"
    NEGATIVE = "NEGATIVE"
    PERSISTENT = "PERSISTENT"
    NO_COMPARATOR = "NO_COMPARATOR"
    NO_POWER = "NO_POWER"
    NO_POWER_EARLIER = "NO_POWER_EARLIER"
    COPIES_UNKNOWN = "COPIES_UNKNOWN"
    QC_FAILED = "QC_FAILED"
    STALE_POSITIVE = "STALE_POSITIVE"
    NO_RESULT = "NO_RESULT"


RAISING = frozenset({Category.NEW, Category.INCREASED, Category.REAPPEARED})
_REDRAW = frozenset({Reason.QC_FAILED, Reason.NO_POWER})


@dataclass(frozen=True)
class Rise:
    """The rise test of a pair of visits; `comparisons`: how many earlier visits the nadir was chosen from.

    The interval's error is divided by `comparisons`, since the lowest of several draws is low by chance too.
    `power` is the chance that the VAF interval excludes 1 where the true ratio is the rule's fold.
    """

    vaf: Ratio
    copies_per_ml: Ratio | None
    power: float
    comparisons: int
    risen: bool


@dataclass(frozen=True)
class Finding:
    """One detected variant of a visit. `comparator` is the earlier visit it was held against; `before` what that showed
    of it where it was positive; `comparator_lod95` its power where it was not."""

    variant: str
    category: Category
    now: Evidence
    reason: Reason
    caveats: tuple[Reason, ...] = ()
    comparator: Visit | None = None
    comparator_status: CallStatus | None = None
    comparator_lod95: float | None = None
    before: Evidence | None = None
    rise: Rise | None = None


@dataclass(frozen=True)
class Decision:
    """The laboratory's answer for a patient, about `visits` (the driving visit comes last).

    `findings`: every variant detected at the driving visit that may trigger, those that raise first. `raised_before`:
    samples of earlier visits that raise too (only where the rule is not latched).
    """

    patient: str
    state: State
    reasons: tuple[Reason, ...]
    visits: tuple[Visit, ...]
    findings: tuple[Finding, ...] = ()
    without_power: tuple[str, ...] = ()
    raised_before: frozenset[str] = frozenset()

    @property
    def redraw_requested(self) -> bool:
        """Whether another draw would settle it."""
        return self.state is State.INCONCLUSIVE and not _REDRAW.isdisjoint(self.reasons)

    @property
    def drivers(self) -> tuple[Finding, ...]:
        """The findings that raise."""
        return tuple(f for f in self.findings if f.category in RAISING)

    @property
    def draws(self) -> tuple[Draw, ...]:
        """The draws it rests on."""
        return tuple(d for v in self.visits for d in v.draws)


def decide(patient: str, draws: Iterable[Draw], rule: Rule) -> Decision:
    """The decision from all of a patient's valid results, in any order; InputError without a collection date."""
    visits = visits_of(draws, rule)
    if not visits:
        return Decision(patient, State.INCONCLUSIVE, (Reason.NO_RESULT,), ())
    stale = _stale(visits)
    decision = raised = None
    for i, visit in enumerate(visits):
        decision = _assess(patient, visit, _earlier(visits, i, rule), stale, rule, raised)
        if decision.state is State.RAISED:
            before: frozenset[str] = (
                frozenset() if raised is None else raised.raised_before.union(raised.visits[-1].samples)
            )
            raised = replace(decision, raised_before=before)
            if rule.latched:
                break
    assert decision is not None
    return raised or _with_stale(decision, visits, stale)


_Stale = frozenset[tuple[Visit, str]]


def _stale(visits: Sequence[Visit]) -> _Stale:
    """(visit, variant) of positives that were negative in an earlier version and that the next draw contradicts."""
    out = set()
    for i, visit in enumerate(visits):
        for variant in visit.was_negative.intersection(visit.detected):
            window = _window(visit, variant)
            later = (v.status_of(variant, window) for v in visits[i + 1 :] if v.usable)
            if next((s for s in later if s is not CallStatus.NO_CALL), None) is CallStatus.NOT_DETECTED:
                out.add((visit, variant))
    return frozenset(out)


def _with_stale(decision: Decision, visits: Sequence[Visit], stale: _Stale) -> Decision:
    """A decision that isn't raised says so where a stale positive is left open."""
    if not stale:
        return decision
    open_visits = {id(v) for v, _ in stale}
    rest = tuple(v for v in visits[:-1] if id(v) in open_visits)
    inconclusive = decision.reasons if decision.state is State.INCONCLUSIVE else ()
    reasons = (*(r for r in inconclusive if r is not Reason.STALE_POSITIVE), Reason.STALE_POSITIVE)
    return replace(decision, state=State.INCONCLUSIVE, reasons=reasons, visits=(*rest, visits[-1]))


def _earlier(visits: Sequence[Visit], i: int, rule: Rule) -> list[Visit]:
    """Usable visits before visit number `i` that are not too old to compare with."""
    limit = rule.comparator_max_age_days
    return [v for v in visits[:i] if v.usable and (limit is None or (visits[i].first - v.first).days <= limit)]


def _assess(
    patient: str, visit: Visit, earlier: list[Visit], stale: _Stale, rule: Rule, raised: Decision | None
) -> Decision:
    """The decision about one visit; `raised`: the trigger before it."""
    if not visit.usable:
        return Decision(patient, State.INCONCLUSIVE, (Reason.QC_FAILED,), (visit,))
    since = None if raised is None else raised.visits[-1]
    found = [_examine(variant, visit, earlier, stale, rule, since) for variant in visit.detected]
    findings = tuple(sorted(found, key=lambda f: (f.category not in RAISING, f.variant)))
    powerless = tuple(visit.without_power)
    blind = bool(powerless) or not visit.alleles  # a visit that looked at nothing that may trigger is no negative
    if any(f.category in RAISING for f in findings):
        reasons = _distinct(f.reason for f in findings if f.category in RAISING)
        return Decision(patient, State.RAISED, reasons, (visit,), findings, powerless)
    undecided = _distinct(f.reason for f in findings if f.category is Category.UNDECIDED)
    if blind:
        undecided = _distinct((*undecided, Reason.NO_POWER))
    if undecided:
        return Decision(patient, State.INCONCLUSIVE, undecided, (visit,), findings, powerless)
    reason = Reason.PERSISTENT if findings else Reason.NEGATIVE
    return Decision(patient, State.NOT_RAISED, (reason,), (visit,), findings)


def _distinct(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(set(reasons)))


def _window(visit: Visit, variant: str) -> str:
    return min(visit.detected_alleles(variant))[0]


def _examine(
    variant: str, visit: Visit, earlier: list[Visit], stale: _Stale, rule: Rule, since: Visit | None
) -> Finding:
    """What one detected variant is, given the earlier visits; `since`: the last trigger; rises start anew from it."""
    window = _window(visit, variant)
    now = visit.evidence(variant, visit.detected_alleles(variant))
    if (visit, variant) in stale:
        return Finding(variant, Category.UNDECIDED, now, Reason.STALE_POSITIVE)
    caveats: tuple[Reason, ...] = ()
    if any((v, variant) in stale for v in earlier):
        caveats = (Reason.STALE_POSITIVE,)
        earlier = [v for v in earlier if (v, variant) not in stale]
    if not earlier:
        undecided = rule.first_positive == "inconclusive"
        category = Category.UNDECIDED if undecided else Category.PERSISTENT
        return Finding(variant, category, now, Reason.NO_COMPARATOR, caveats)
    seen = [(v, v.status_of(variant, window)) for v in earlier]
    evaluable = [(v, s) for v, s in seen if s is not CallStatus.NO_CALL]
    if not evaluable:
        finding = _against(Category.NEW, variant, now, seen[-1], caveats)
        if rule.new_without_power == "inconclusive":
            return replace(finding, category=Category.UNDECIDED, reason=Reason.NO_POWER_EARLIER)
        return replace(finding, caveats=(*caveats, Reason.NO_POWER_EARLIER))
    positive = [v for v, s in evaluable if s is CallStatus.DETECTED]
    if not positive:
        return _against(Category.NEW, variant, now, evaluable[-1], caveats)
    if evaluable[-1][1] is CallStatus.NOT_DETECTED and rule.reappearance == "raise":
        return _against(Category.REAPPEARED, variant, now, evaluable[-1], caveats)
    if since is not None:
        positive = [v for v in positive if v.first >= since.first] or positive
    return _compared(variant, visit, positive, caveats, rule)


def _against(
    category: Category,
    variant: str,
    now: Evidence,
    comparator: tuple[Visit, CallStatus],
    caveats: tuple[Reason, ...],
) -> Finding:
    """A finding held against a visit that did not detect the variant."""
    visit, status = comparator
    lods = [visit.calls[a].lod95 for a in visit.alleles.get(variant, ()) if visit.calls[a].kind == "panel"]
    known = [x for x in lods if x is not None]
    return Finding(
        variant, category, now, Reason(category.value), caveats, visit, status, max(known) if known else None
    )


def _compared(variant: str, visit: Visit, positive: list[Visit], caveats: tuple[Reason, ...], rule: Rule) -> Finding:
    """Whether a variant has risen over the lowest (or the last) of the earlier visits that detected it."""
    candidates = positive if rule.increase.comparator == "nadir" else positive[-1:]
    pairs = [_pair(variant, visit, v) for v in candidates]
    # Of equally low visits the latest.
    index = min(range(len(pairs)), key=lambda i: (pairs[i][0].vaf, -i))
    before, now = pairs[index]
    comparator = candidates[index]
    rise = rise_between(before, now, comparator.genomes_per_ml, visit.genomes_per_ml, len(candidates), rule)
    category = Category.INCREASED if rise.risen else Category.PERSISTENT
    if rise.copies_per_ml is None and "copies_per_ml" in rule.increase.measures:
        caveats = (*caveats, Reason.COPIES_UNKNOWN)
        if rise.risen and rule.increase.copies_unknown == "inconclusive":
            category = Category.UNDECIDED
    reason = Reason.COPIES_UNKNOWN if category is Category.UNDECIDED else Reason(category.value)
    return Finding(variant, category, now, reason, caveats, comparator, CallStatus.DETECTED, before=before, rise=rise)


def _pair(variant: str, later: Visit, earlier: Visit) -> tuple[Evidence, Evidence]:
    """(earlier, later) evidence over the DNA forms that either visit detects, so that like is compared with like."""
    alleles: frozenset[Allele] = later.detected_alleles(variant) | earlier.detected_alleles(variant)
    return earlier.evidence(variant, alleles), later.evidence(variant, alleles)


def rise_between(
    before: Evidence,
    now: Evidence,
    genomes_before: float | None,
    genomes_now: float | None,
    comparisons: int,
    rule: Rule,
) -> Rise:
    """The rise test of two visits' evidence in VAF and, where genomes per mL are known for both, in copies per mL."""
    settings = rule.increase
    confidence = 1 - (1 - settings.confidence) / comparisons
    vaf = compare(before.count, now.count, settings.draw_cv, confidence)
    copies = None
    if genomes_before and genomes_now:
        cv = combined_cv(settings.draw_cv, settings.quantification_cv)
        copies = compare(before.count, now.count, cv, confidence, genomes_now / genomes_before)
    measured = {"vaf": vaf, "copies_per_ml": copies}
    asked = [r for m in settings.measures if (r := measured[m]) is not None] or [vaf]
    risen = all(r.low > 1 and r.ratio >= settings.fold for r in asked)
    seen = power(before.count, now.depth, now.background, settings.fold, settings.draw_cv, confidence)
    return Rise(vaf, copies, seen, comparisons, risen)
