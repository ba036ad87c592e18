"""One patient's draws in order: visits, and what each visit shows of each variant that may trigger.

The unit is the protein change. Its DNA forms are added up, and a haplotype that carries two changes in cis counts once
for each; fractions of different changes are never added. Draws of one visit are pooled, molecules and volumes alike.
Nothing here knows a clock: all dates are collection dates.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any

from esr1call.errors import InputError
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall
from esr1call.rise import Count, fraction_interval
from esr1call.rule import Rule

HGE_PER_NG = 1000 / 3.3
"""Haploid human genomes per ng of DNA (3.3 pg each)."""

Allele = tuple[str, str]
"""(window, haplotype)."""


def to_json(result: SampleResult) -> dict[str, Any]:
    """A result as values for `json`."""
    return {**vars(result), "calls": [dict(vars(c)) for c in result.calls]}


def rounded(result: SampleResult) -> SampleResult:
    """A result with its floats to 6 digits: the form in which it is kept, decided from and hashed."""
    values = _round(dict(vars(result)), _RESULT_FLOATS)
    calls = tuple(made_of(_round(dict(vars(c)), _CALL_FLOATS)) for c in result.calls)
    return SampleResult(**{**values, "inputs": dict(sorted(result.inputs.items())), "calls": calls})


_RESULT_FLOATS, _CALL_FLOATS = (
    tuple(f.name for f in fields(kind) if "float" in str(f.type)) for kind in (SampleResult, VariantCall)
)


def _round(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    for name in names:
        if values[name]:  # neither None nor 0
            values[name] = float(f"{values[name]:.6g}")
    return values


def made_of(values: dict[str, Any]) -> VariantCall:
    """As `VariantCall(**values)` of all fields in order, without setting each by itself: a study has 325,000 calls."""
    call = object.__new__(VariantCall)
    vars(call).update(values)
    return call


_ENCODER = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":"))


def canonical(values: dict[str, Any]) -> str:
    """The one text of a rounded result (`to_json`); its keys are in the order of the fields."""
    return _ENCODER.encode(values)


def digest(text: str) -> str:
    """SHA-256 of a result's canonical text: the same result on another machine is the same."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Draw:
    """A valid result of one sample; `was_negative`: variants that an earlier version of it had called negative."""

    result: SampleResult
    digest: str
    was_negative: frozenset[str] = frozenset()

    @property
    def collected(self) -> datetime.date:
        """The day of the blood draw; InputError where it is not known."""
        try:
            return datetime.date.fromisoformat(self.result.collected or "")
        except ValueError as error:
            raise InputError(
                f"sample {self.result.sample} has no collection date, so its patient can't be decided",
                field="collected", found=self.result.collected, expected="a date such as 2024-01-31",
            ) from error  # fmt: skip


def draws_of(versions: Iterable[Sequence[tuple[str, SampleResult]]], rule: Rule) -> list[Draw]:
    """Draws from each sample's result versions (digest, result), oldest first; the last version is the valid one."""
    out = []
    for history in versions:
        sha256, valid = history[-1]
        out.append(Draw(valid, sha256, frozenset().union(*(negatives(old, rule) for _, old in history[:-1]))))
    return out


def negatives(result: SampleResult, rule: Rule) -> frozenset[str]:
    """The variants that may trigger and that this result alone calls negative."""
    visit = Visit((Draw(result, ""),), rule)
    return frozenset(v for v, s in visit.statuses.items() if s is CallStatus.NOT_DETECTED)


@dataclass(frozen=True)
class Evidence:
    """What a visit shows of one variant: DNA forms detected in any visit it is compared with, added up.

    Fractions and copies per mL are above background; copies are None where volume or mass is unknown.
    """

    variant: str
    molecules: int
    depth: int
    background: float
    vaf: float
    vaf_low: float
    vaf_high: float
    copies_per_ml: float | None
    copies_per_ml_low: float | None
    copies_per_ml_high: float | None
    forms: tuple[VariantCall, ...]

    @property
    def count(self) -> Count:
        """For the rise test."""
        return Count(self.molecules, self.depth, self.background)


@lru_cache(maxsize=65536)
def components(protein: str, panel_variants: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """(protein change, whether the panel names it) of each change that a haplotype carries."""
    inside = protein.removeprefix("p.").strip("[]").split(";")
    others = [f"p.{c}" for c in inside if f"p.{c}" not in panel_variants]
    return tuple((v, True) for v in panel_variants) + tuple((v, False) for v in others)


@lru_cache(maxsize=65536)
def triggering(rule: Rule, protein: str, panel_variants: tuple[str, ...]) -> tuple[str, ...]:
    """The protein changes that a haplotype carries and that may trigger."""
    return tuple(v for v, listed in components(protein, panel_variants) if rule.may_trigger(v, listed))


@dataclass(frozen=True, eq=False)
class Visit:
    """The draws of one visit, by collection time; those that failed quality control say nothing."""

    draws: tuple[Draw, ...]
    rule: Rule

    @cached_property
    def usable(self) -> tuple[Draw, ...]:
        """Draws whose result may be used."""
        return tuple(d for d in self.draws if d.result.status is not SampleStatus.QC_FAILED)

    @property
    def first(self) -> datetime.date:
        """Collection day of the first draw."""
        return self.draws[0].collected

    @property
    def samples(self) -> tuple[str, ...]:
        """Sample names."""
        return tuple(d.result.sample for d in self.draws)

    @cached_property
    def was_negative(self) -> frozenset[str]:
        """Variants that an earlier version of a draw's result had called negative."""
        return frozenset().union(*(d.was_negative for d in self.draws))

    @cached_property
    def genomes_per_ml(self) -> float | None:
        """Haploid genomes per mL plasma over all usable draws, None where a mass or volume is unknown."""
        ng = ml = 0.0
        for d in self.usable:
            if not d.result.plasma_ml or d.result.cfdna_ng is None:
                return None
            ng, ml = ng + d.result.cfdna_ng, ml + d.result.plasma_ml
        return ng / ml * HGE_PER_NG if ml and ng else None

    @cached_property
    def calls(self) -> dict[Allele, VariantCall]:
        """The calls of usable draws with their true power, pooled."""
        by_allele: dict[Allele, list[VariantCall]] = {}
        for d in self.usable:
            for c in d.result.calls:
                status = self._status(c, d.result.status)
                by_allele.setdefault((c.window, c.haplotype), []).append(
                    c if status is c.status else replace(c, status=status)
                )
        if len(self.usable) == 1:
            return {a: c[0] for a, c in by_allele.items()}
        return {a: self._pooled(c) for a, c in by_allele.items()}

    def _status(self, call: VariantCall, sample: SampleStatus) -> CallStatus:
        """A negative of an indeterminate sample, or without the power that the rule requires, is no negative."""
        if call.status is not CallStatus.NOT_DETECTED:
            return call.status
        powered = call.lod95 is not None and call.lod95 <= self.rule.required_lod
        return call.status if powered and sample is not SampleStatus.INDETERMINATE else CallStatus.NO_CALL

    def _pooled(self, calls: list[VariantCall]) -> VariantCall:
        """One call of several draws' molecules. A draw that does not list the allele showed no molecule of it.

        LoB of a sum of independent counts: background plus the root of the summed squares of each draw's margin.
        """
        window = calls[0].window
        depths = self._depths(window)
        x, n = sum(c.molecules for c in calls), max(sum(depths), sum(c.depth for c in calls))
        b = sum(c.background for c in calls)
        lob = b + math.sqrt(sum((c.lob * c.depth - c.background) ** 2 for c in calls))
        everywhere = len(calls) == len(depths) and all(c.status is CallStatus.DETECTED for c in calls)
        if any(c.status is CallStatus.DETECTED for c in calls) and (everywhere or x > lob):
            status = CallStatus.DETECTED
        elif any(c.status is CallStatus.NOT_DETECTED for c in calls) and x <= lob:
            status = CallStatus.NOT_DETECTED
        else:  # also where draws that are negative alone show more than background together
            status = CallStatus.NO_CALL
        lods = [c.lod95 for c in calls if c.lod95 is not None]
        vaf = sum(c.vaf * c.depth for c in calls) / n if n else 0.0
        low, high = fraction_interval(Count(x, n, b)) if n else (0.0, 1.0)
        copies = [None if self.genomes_per_ml is None else v * self.genomes_per_ml for v in (vaf, low, high)]
        return replace(
            calls[0], molecules=x, depth=n, background=b, lob=lob / n if n else 0.0, vaf=vaf, vaf_low=min(low, vaf),
            vaf_high=max(high, vaf), copies_per_ml=copies[0], copies_per_ml_low=copies[1],
            copies_per_ml_high=copies[2], lod95=min(lods) if lods else None, status=status,
            alt_by_stratum=tuple(map(sum, zip(*(c.alt_by_stratum for c in calls), strict=True))),
            depth_by_stratum=tuple(map(sum, zip(*(c.depth_by_stratum for c in calls), strict=True))),
        )  # fmt: skip

    def _depths(self, window: str) -> list[int]:
        """Molecules over a window in each usable draw that looked at it."""
        depths = []
        for d in self.usable:
            inside = [c.depth for c in d.result.calls if c.window == window]
            if inside:
                depths.append(max(inside))
        return depths

    @cached_property
    def alleles(self) -> dict[str, tuple[Allele, ...]]:
        """Variant that may trigger -> its DNA forms here."""
        found: dict[str, list[Allele]] = {}
        for allele, c in self.calls.items():
            for variant in triggering(self.rule, c.protein, c.panel_variants):
                found.setdefault(variant, []).append(allele)
        return {v: tuple(a) for v, a in found.items()}

    @cached_property
    def statuses(self) -> dict[str, CallStatus]:
        """Variant that may trigger -> status: negative only where every form the panel lists is negative."""
        out = {}
        for variant, alleles in self.alleles.items():
            calls = [self.calls[a] for a in alleles]
            listed = [c for c in calls if c.kind == "panel"] or calls
            if any(c.status is CallStatus.DETECTED for c in calls):
                out[variant] = CallStatus.DETECTED
            elif any(c.status is CallStatus.NO_CALL for c in listed):
                out[variant] = CallStatus.NO_CALL
            else:
                out[variant] = CallStatus.NOT_DETECTED
        return out

    def status_of(self, variant: str, window: str) -> CallStatus:
        """Status of a variant; one not listed was not seen, with the power of its window's panel alleles."""
        if variant in self.statuses:
            return self.statuses[variant]
        beside = [c.status for a, c in self.calls.items() if a[0] == window and c.kind == "panel"]
        return CallStatus.NO_CALL if CallStatus.NO_CALL in beside or not beside else CallStatus.NOT_DETECTED

    @property
    def detected(self) -> list[str]:
        """Variants that may trigger and are detected, in order of name."""
        return sorted(v for v, s in self.statuses.items() if s is CallStatus.DETECTED)

    @property
    def without_power(self) -> list[str]:
        """Variants that may trigger and that this visit could not have seen."""
        return sorted(v for v, s in self.statuses.items() if s is CallStatus.NO_CALL)

    def detected_alleles(self, variant: str) -> frozenset[Allele]:
        """The DNA forms of a variant that are detected here."""
        return frozenset(a for a in self.alleles.get(variant, ()) if self.calls[a].status is CallStatus.DETECTED)

    def evidence(self, variant: str, alleles: frozenset[Allele]) -> Evidence:
        """What this visit shows of `alleles` together; one not listed here has no molecule."""
        forms = tuple(self.calls[a] for a in sorted(alleles) if a in self.calls)
        if len(forms) == 1:
            f = forms[0]
            return Evidence(
                variant, f.molecules, f.depth, f.background, f.vaf, f.vaf_low, f.vaf_high,
                f.copies_per_ml, f.copies_per_ml_low, f.copies_per_ml_high, forms,
            )  # fmt: skip
        depth = max(sum(self._depths(w)) for w in {a[0] for a in alleles})
        count = Count(sum(f.molecules for f in forms), depth, sum(f.background for f in forms))
        vaf = sum(f.vaf for f in forms)
        low, high = fraction_interval(count)
        low, high = min(low, vaf), max(high, vaf)
        g = self.genomes_per_ml
        mid, down, up = (None if g is None else v * g for v in (vaf, low, high))
        return Evidence(variant, count.molecules, depth, count.background, vaf, low, high, mid, down, up, forms)


def visits_of(draws: Iterable[Draw], rule: Rule) -> list[Visit]:
    """Draws grouped to visits, by collection time: a visit is its first draw and those within the rule's window."""
    groups: list[list[Draw]] = []
    for draw in sorted(draws, key=lambda d: (d.collected, d.result.sample)):
        if groups and (draw.collected - groups[-1][0].collected).days <= rule.same_visit_days:
            groups[-1].append(draw)
        else:
            groups.append([draw])
    return [Visit(tuple(g), rule) for g in groups]
