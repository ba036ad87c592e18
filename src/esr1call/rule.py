"""The trigger rule: which variants may trigger, and what counts as new, as a rise, as cleared.

A rule is a file that a trial approves; here it is a frozen object. `hash` is over its content, not its file's bytes,
so a changed comment is the same rule. Units: fractions of molecules, days.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from esr1call.errors import InputError

_MISSENSE = re.compile(r"p\.[A-Z]([0-9]+)[A-Z]")


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
    sha256: str

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

    Raises InputError for what a schema can't see: nothing may trigger, or one variant may and may not.
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
        values["comparator_max_age_days"], hashlib.sha256(rfc8785.dumps(dict(values))).hexdigest(),
    )  # fmt: skip
