"""The trigger rule: which variants may trigger, and what counts as new, as a rise, as cleared.

A rule is a file that a trial approves; here it is a frozen object. `hash` is over its content, not its file's bytes,
so a changed comment is the same rule. Units: fractions of molecules, days.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from esr1call.errors import InputError

_MISSENSE = re.compile(r"p\.[A-Z]([0-9]{1,9})[A-Z]")


@dataclass(frozen=True)
class Increase:
    """What counts as a rise: at least `fold` over the comparator, with intervals that exclude 1 in each measure."""

    fold: float
    confidence: float
    draw_cv: float
    quantification_cv: float
    comparator: str
    measures: tuple[str, ...]
    copies_unknown: str


@dataclass(frozen=True)
class Schedule:
    """The planned draws: at `first_days` from inclusion, then every `then_every_days`, each with a window around it."""

    cycle_days: int
    first_days: tuple[int, ...]
    then_every_days: int
    early_days: int
    late_days: int

    def day(self, number: int) -> int:
        """Day of the draw with that number (from 0), counted from inclusion."""
        beyond = number - len(self.first_days) + 1
        return self.first_days[number] if beyond <= 0 else self.first_days[-1] + beyond * self.then_every_days


@dataclass(frozen=True)
class Rule:
    """A validated rule; field meanings are in the comments of the shipped rule file."""

    name: str
    version: str
    event_prefix: str
    codons: frozenset[int]
    variants: frozenset[str]
    excluded: frozenset[str]
    unlisted: bool
    required_lod: float
    new_without_power: str
    increase: Increase
    reappearance: str
    first_positive: str
    same_visit_days: int
    comparator_max_age_days: int | None
    latched: bool
    sign_off: frozenset[str]
    schedule: Schedule
    sha256: str

    def __hash__(self) -> int:
        # Asked once a call, where the rule is a key of a cache.
        return hash(self.sha256)

    def may_trigger(self, protein: str, listed: bool) -> bool:
        """Whether the protein change `protein` (such as ``p.D538G``) may trigger; `listed`: the panel names it."""
        if protein in self.excluded:
            return False
        if protein in self.variants:
            return True
        codon = _MISSENSE.fullmatch(protein)
        return codon is not None and int(codon[1]) in self.codons and (listed or self.unlisted)


def parse_rule(values: Mapping[str, Any], file: str) -> Rule:
    """A rule from a mapping that already agrees with the shipped rule schema.

    Raises InputError for what a schema can't see: nothing may trigger, one variant may and may not, or planned draws
    are out of order or so near that a draw could be in time for two.
    """
    trigger, increase = values["trigger"], values["increase"]
    variants, excluded = frozenset(trigger.get("variants", ())), frozenset(trigger.get("excluded", ()))
    if not trigger["codons"] and not variants:
        raise InputError("nothing may trigger", file=file, field="trigger", expected="codons or variants")
    if both := sorted(variants & excluded):
        raise InputError(
            "both in variants and excluded", file=file, field="trigger", found=both[0], expected="one of them"
        )
    return Rule(
        values["name"], values["version"], values["event_prefix"], frozenset(trigger["codons"]), variants, excluded,
        trigger.get("unlisted", False), float(values["required_lod"]), values["new"]["without_power"],
        Increase(
            float(increase["fold"]), float(increase["confidence"]), float(increase["draw_cv"]),
            float(increase["quantification_cv"]), increase["comparator"], tuple(increase["measures"]),
            increase["copies_unknown"],
        ),
        values["reappearance"], values["baseline"]["first_positive"], values["same_visit_days"],
        values["comparator_max_age_days"], values["latched"], frozenset(values["sign_off"]),
        _schedule(values["schedule"], file), hashlib.sha256(rfc8785.dumps(dict(values))).hexdigest(),
    )  # fmt: skip


def _schedule(values: Mapping[str, Any], file: str) -> Schedule:
    schedule = Schedule(**{**values, "first_days": tuple(values["first_days"])})
    days = [schedule.day(i) for i in range(len(schedule.first_days) + 1)]
    gap = min(later - earlier for earlier, later in itertools.pairwise(days))
    if gap <= schedule.early_days + schedule.late_days:
        raise InputError(
            "planned draws are out of order, or their windows overlap", file=file, field="schedule", found=days,
            expected="days in order, further apart than early_days + late_days",
        )  # fmt: skip
    return schedule
