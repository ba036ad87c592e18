"""One sample as a page shows it: status, every panel variant with its molecules, checks, what it can't say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esr1call.report.numbers import (
    UNKNOWN,
    interval,
    percent,
    probability,
    sentence_list,
    significant,
    whole,
    words,
)
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall
from esr1call.rule import Rule
from esr1call.timeline import HGE_PER_NG

TIER_HEADS = (("singleton", "F1R2 / F2R1"), ("simplex", "F1R2 / F2R1"), ("duplex", "both"))
"""Tier and strands of each column of molecules."""


@dataclass(frozen=True)
class VariantRow:
    """One allele. `cells`: molecules by tier and strand (empty for none); `relevant`: it may trigger by the rule."""

    protein: str
    cdna: str
    status: str
    relevant: bool
    molecules: int
    cells: tuple[str, ...]
    vaf: str
    vaf_interval: str
    copies: str
    copies_interval: str
    lob: str
    lod95: str
    p: str


@dataclass(frozen=True)
class WindowGroup:
    """A window's alleles under its own molecules, in all and by tier and strand."""

    name: str
    depth: str
    cells: tuple[str, ...]
    rows: tuple[VariantRow, ...]


@dataclass(frozen=True)
class CheckRow:
    """A quality check in words; `key` is one of `results.CHECKS`."""

    key: str
    name: str
    sample: str
    outcome: str
    explanation: str
    next_step: str
    value: str
    threshold: str


@dataclass(frozen=True)
class TierBar:
    """A window's molecules by tier as lengths in percent of the longest bar."""

    name: str
    total: str
    shares: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True)
class SampleView:
    """Everything shown of one sample; `facts` are (name, value) pairs."""

    sample: str
    patient: str
    visit: str
    collected: str
    kind: str
    is_patient: bool
    status: str
    conclusion: str
    found: tuple[str, ...]
    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    windows: tuple[WindowGroup, ...]
    others: tuple[VariantRow, ...]
    checks: tuple[CheckRow, ...]
    bars: tuple[TierBar, ...]
    measures: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]
    highest_vaf: float | None
    highest_copies: float | None
    fewest_molecules: int | None
    worst_lod: float | None


def sample_view(
    result: SampleResult,
    rule: Rule,
    checks: Sequence[Mapping[str, Any]],
    measured: Mapping[str, Any],
    reads: Mapping[str, Any],
) -> SampleView:
    """The view of a result. `checks` are all of the batch's, `measured` its own of qc.json, `reads` its align.json."""
    panel = [c for c in result.calls if c.kind == "panel"]
    relevant = [c for c in panel if _relevant(c, rule)] or panel
    detected = [c for c in result.calls if c.status is CallStatus.DETECTED]
    lods = [c.lod95 for c in relevant if c.lod95 is not None]
    worst = max(lods) if lods and len(lods) == len(relevant) else None
    copies = [c.copies_per_ml for c in detected if c.copies_per_ml is not None]
    own = [check_row(c) for c in checks if c["sample"] == result.sample or (c["sample"] is None and _told(c))]
    return SampleView(
        sample=result.sample,
        patient=result.patient or "",
        visit=result.visit or "",
        collected=result.collected or "",
        kind=words(result.sample_type),
        is_patient=result.patient is not None,
        status=str(result.status),
        conclusion=_conclusion(result, detected, relevant, worst, rule),
        found=tuple(f"{c.protein} {percent(c.vaf)}" for c in detected),
        reasons=result.reasons,
        facts=_facts(result),
        windows=_windows(panel, rule),
        others=tuple(_variant_row(c, rule) for c in result.calls if c.kind != "panel"),
        checks=tuple(own),
        bars=_bars(panel),
        measures=_measures(measured, reads),
        limits=_limits(result, relevant, worst, own, rule),
        inputs=tuple(sorted(result.inputs.items())),
        highest_vaf=max((c.vaf for c in detected), default=None),
        highest_copies=max(copies, default=None),
        fewest_molecules=min((c.depth for c in panel), default=None),
        worst_lod=worst,
    )


def check_row(check: Mapping[str, Any]) -> CheckRow:
    """A check of qc.json in words."""
    return CheckRow(
        check["name"], words(check["name"]), check["sample"] or "", check["outcome"], check["explanation"],
        check.get("next_step", ""), significant(check.get("value")), significant(check.get("threshold")),
    )  # fmt: skip


def _told(check: Mapping[str, Any]) -> bool:
    """Whether a check of the whole batch is told of at each sample."""
    return str(check["outcome"]) != "passed"


def _relevant(call: VariantCall, rule: Rule) -> bool:
    listed = call.kind == "panel"
    return any(rule.may_trigger(v, listed) for v in call.panel_variants or (call.protein,))


def _conclusion(
    result: SampleResult,
    detected: Sequence[VariantCall],
    relevant: Sequence[VariantCall],
    worst: float | None,
    rule: Rule,
) -> str:
    """The result in a sentence or two."""
    if result.status is SampleStatus.QC_FAILED:
        return "Quality control failed: this result must not be used."
    told = [_found(c) for c in detected]
    blind = _blind(relevant)
    if result.status is SampleStatus.DETECTED:
        rest = f" No power to see {sentence_list(blind)} at {percent(rule.required_lod)}." if blind else ""
        return f"{'; '.join(told)}.{rest}"
    if result.status is SampleStatus.INDETERMINATE:
        what = f" to see {sentence_list(blind)} at {percent(rule.required_lod)}" if blind else ""
        return f"Nothing detected, but the sample had no power{what}: this is no negative result."
    least = f" One at {percent(worst)} of molecules would have been seen in 95 of 100 such samples." if worst else ""
    return f"No variant of the panel detected.{least}"


def _found(call: VariantCall) -> str:
    copies = "" if call.copies_per_ml is None else f", {significant(call.copies_per_ml)} copies/mL"
    return f"{call.protein} ({call.cdna}) {percent(call.vaf)}{copies}"


def _blind(calls: Iterable[VariantCall]) -> list[str]:
    """Protein changes among `calls` that the sample could not have seen."""
    found = {v: None for c in calls if c.status is CallStatus.NO_CALL for v in c.panel_variants or (c.protein,)}
    return list(found)


def _facts(result: SampleResult) -> tuple[tuple[str, str], ...]:
    genomes = None
    if result.cfdna_ng is not None and result.plasma_ml:
        genomes = result.cfdna_ng / result.plasma_ml * HGE_PER_NG
    return (
        ("Plasma", f"{significant(result.plasma_ml)} mL" if result.plasma_ml is not None else UNKNOWN),
        ("cfDNA", f"{significant(result.cfdna_ng)} ng" if result.cfdna_ng is not None else UNKNOWN),
        ("Genomes per mL plasma", whole(genomes)),
        ("Genome build", result.build),
        ("Genotypes", ", ".join(f"{n} {g}" for n, g in sorted(result.genotypes.items())) or UNKNOWN),
    )


def _windows(panel: Sequence[VariantCall], rule: Rule) -> tuple[WindowGroup, ...]:
    by_window: dict[str, list[VariantCall]] = {}
    for call in panel:
        by_window.setdefault(call.window, []).append(call)
    return tuple(
        WindowGroup(
            name, whole(calls[0].depth), _by_tier(calls[0].depth_by_stratum),
            tuple(_variant_row(c, rule) for c in calls),
        )
        for name, calls in sorted(by_window.items(), key=lambda item: min(c.pos for c in item[1]))
    )  # fmt: skip


def _by_tier(molecules: Sequence[int]) -> tuple[str, ...]:
    """The cells of `TIER_HEADS` from molecules in the order of `counts.STRATA`."""
    a, b, c, d, duplex = molecules
    pairs = (f"{whole(x)} / {whole(y)}" if x or y else "" for x, y in ((a, b), (c, d)))
    return (*pairs, whole(duplex) if duplex else "")


def _variant_row(call: VariantCall, rule: Rule) -> VariantRow:
    known = call.depth > 0
    seen = call.status is CallStatus.DETECTED or call.molecules > 0
    return VariantRow(
        protein=call.protein, cdna=call.cdna, status=str(call.status), relevant=_relevant(call, rule),
        molecules=call.molecules, cells=_by_tier(call.alt_by_stratum),
        vaf=percent(call.vaf) if known else UNKNOWN,
        vaf_interval=interval(call.vaf_low, call.vaf_high, as_percent=True) if known else UNKNOWN,
        copies=significant(call.copies_per_ml) if known else UNKNOWN,
        copies_interval=interval(call.copies_per_ml_low, call.copies_per_ml_high) if known and seen else "",
        lob=percent(call.lob) if known else UNKNOWN, lod95=percent(call.lod95),
        p=probability(call.p) if known else UNKNOWN,
    )  # fmt: skip


def _bars(panel: Sequence[VariantCall]) -> tuple[TierBar, ...]:
    depths = {c.window: c.depth_by_stratum for c in panel}
    places = {c.window: c.pos for c in reversed(panel)}
    longest = max((sum(d) for d in depths.values()), default=0)
    if not longest:
        return ()
    out = []
    for name, (a, b, c, d, duplex) in sorted(depths.items(), key=lambda item: places[item[0]]):
        tiers = (("duplex", duplex), ("simplex", c + d), ("singleton", a + b))
        shares = tuple((tier, round(100 * n / longest, 2), f"{whole(n)} {tier}") for tier, n in tiers)
        out.append(TierBar(name, whole(a + b + c + d + duplex), shares))
    return tuple(out)


def _measures(measured: Mapping[str, Any], reads: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Figures of the laboratory's work on this sample."""
    out = [("Read pairs", whole(reads.get("pairs_read")))] if "pairs_read" in reads else []
    if not measured:
        return tuple(out)
    contamination = percent(measured["contamination"])
    if measured["contamination"] is not None:
        ends = interval(measured["contamination_low"], measured["contamination_high"], as_percent=True)
        contamination += f" ({ends})"
    return (
        *out,
        ("On target", percent(measured["on_target_rate"])),
        ("Molecules, median of windows", whole(measured["molecules"])),
        ("Duplex, of molecules", percent(measured["duplex_yield"])),
        ("Molecules per genome of input", significant(measured["conversion"], 2)),
        ("Read pairs per strand family", significant(measured["family_size"], 2)),
        ("Fragment length, median, bp", whole(measured["fragment_length"])),
        ("From another sample of the batch", contamination),
        ("Errors, seen over expected", significant(measured["error_ratio"], 2)),
    )  # fmt: skip


_FIGURES = ("depth", "duplex_yield", "conversion", "on_target", "fragment_length")
"""Checks of how the laboratory's work went: without them a result says no less."""


def _limits(
    result: SampleResult, relevant: Sequence[VariantCall], worst: float | None, checks: Sequence[CheckRow], rule: Rule
) -> tuple[str, ...]:  # fmt: skip
    """What this result can't say, in words."""
    if result.status is SampleStatus.QC_FAILED:
        return ("Anything of the patient: quality control failed, and the table is for the laboratory to look at.",)
    out = []
    blind = _blind(relevant)
    if blind:
        out.append(
            f"Whether {sentence_list(blind)} {'is' if len(blind) == 1 else 'are'} absent: the sample had no power to "
            f"see {percent(rule.required_lod)}."
        )
    if worst is not None:
        out.append(
            f"Whether a variant below its LoD95 (up to {percent(worst)}) is there: it may be seen, or be missed."
        )
    if result.patient is not None and not (result.plasma_ml and result.cfdna_ng):
        out.append("Copies per mL: plasma volume or cfDNA mass is unknown.")
    unjudged = [c.name for c in checks if c.outcome == "not_assessed" and c.key not in _FIGURES]
    if unjudged:
        out.append(f"Anything on {sentence_list(unjudged)}: not assessed, which is not passed.")
    out.append("Whether a variant comes from the tumour, from blood cells or the germline: cfDNA alone does not tell.")
    out.append("Anything outside the windows looked at: other genes, copy number, fusions.")
    if result.patient is not None:
        out.append("Progression, eligibility or treatment: this is a laboratory signal and knows of none of them.")
    return tuple(out)
