"""The geometry of a batch's quality plots: one strip of samples a measure, fragment lengths, errors. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esr1call.report.numbers import percent, significant, whole
from esr1call.report.scales import Axis, linear_axis, linear_ticks, log_axis, log_ticks
from esr1call.settings import QcSettings

WIDTH = 340
_LEFT, _RIGHT = 12, 328
_DOT = 7
"""Dots nearer than this many pixels are stacked."""
_TALLEST = 60


@dataclass(frozen=True)
class Dot:
    """A sample in a strip."""

    x: float
    y: float
    outcome: str
    title: str


@dataclass(frozen=True)
class Strip:
    """A measure of all samples; `limits` are the x of the thresholds, `unknown` how many samples have no value."""

    label: str
    note: str
    height: float
    base: float
    dots: tuple[Dot, ...]
    limits: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]
    unknown: int


@dataclass(frozen=True)
class Profile:
    """Fragment lengths: the band of the middle 90% of samples, and their median, as polygons and polylines."""

    band: str
    median: str
    ticks: tuple[tuple[float, str], ...]
    height: float
    base: float
    samples: int


@dataclass(frozen=True)
class ErrorMark:
    """One substitution and tier: errors per base as seen (None without any) and as the background model expects."""

    x: float
    seen: float | None
    expected: float | None
    tier: str
    title: str


@dataclass(frozen=True)
class ErrorPlot:
    """Errors by substitution; `labels` are (x, substitution)."""

    height: float
    base: float
    marks: tuple[ErrorMark, ...]
    labels: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class QualityPlots:
    """All plots; a plot is None where there is nothing to show."""

    strips: tuple[Strip, ...]
    profile: Profile | None
    errors: ErrorPlot | None


@dataclass(frozen=True)
class _Measure:
    field: str
    label: str
    note: str
    check: str
    percent: bool = False
    without_ntc: bool = True


_MEASURES = (
    _Measure("molecules", "Molecules", "median of the hotspot windows", "depth", without_ntc=False),
    _Measure("duplex_yield", "Duplex yield", "duplex, of molecules", "duplex_yield", percent=True),
    _Measure("conversion", "Conversion", "molecules per haploid genome of input", "conversion"),
    _Measure("on_target_rate", "On target", "of mapped reads", "on_target", percent=True),
    _Measure("fragment_length", "Fragment length", "median, bp", "fragment_length"),
    _Measure("family_size", "Family size", "read pairs per strand family", ""),
    _Measure("contamination", "Contamination", "molecules of another sample", "contamination", percent=True),
    _Measure("error_ratio", "Errors", "seen over expected by the background", ""),
)


def quality_plots(quality: Mapping[str, Any], settings: QcSettings) -> QualityPlots:
    """Plots of a batch's qc.json."""
    samples = quality.get("samples", ())
    outcomes = {(c["name"], c["sample"]): c["outcome"] for c in quality["checks"]}
    strips = (_strip(m, samples, outcomes, _limits(m, settings)) for m in _MEASURES)
    return QualityPlots(tuple(s for s in strips if s is not None), _profile(samples), _errors(samples))


def _limits(measure: _Measure, settings: QcSettings) -> tuple[float, ...]:
    limits = {
        "molecules": (settings.min_molecules,),
        "duplex_yield": (settings.min_duplex_yield,),
        "conversion": (settings.min_conversion, settings.max_conversion),
        "on_target_rate": (settings.min_on_target,),
        "fragment_length": settings.fragment_length,
        "contamination": (settings.max_contamination,),
        "error_ratio": (settings.max_error_ratio,),
    }
    return tuple(v for v in limits.get(measure.field, ()) if v)


def _strip(
    measure: _Measure, samples: Sequence[Mapping[str, Any]], outcomes: Mapping[Any, str], limits: Sequence[float]
) -> Strip | None:
    shown = [s for s in samples if not (measure.without_ntc and s["sample_type"] == "ntc")]
    known = [(float(s[measure.field]), s["sample"]) for s in shown if s[measure.field] is not None]
    if not known:
        return None
    axis = linear_axis([v for v, _ in known] + list(limits), _LEFT, _RIGHT)
    stacked: dict[int, int] = {}
    places = []
    for value, sample in sorted(known):
        x = axis(value)
        column = round(x / _DOT)
        places.append((x, stacked.get(column, 0), value, sample))
        stacked[column] = stacked.get(column, 0) + 1
    step = min(float(_DOT), _TALLEST / max(stacked.values()))
    base = 12 + step * (max(stacked.values()) - 1) + 8
    form = percent if measure.percent else significant
    dots = tuple(
        Dot(x, round(base - 6 - step * level, 1), outcomes.get((measure.check, sample), ""), f"{sample}: {form(value)}")
        for x, level, value, sample in places
    )
    return Strip(
        measure.label, measure.note, round(base + 20, 1), round(base, 1), dots,
        tuple((axis(v), form(v)) for v in limits),
        tuple((axis(t), form(t)) for t in linear_ticks(axis)), len(shown) - len(known),
    )  # fmt: skip


def _profile(samples: Sequence[Mapping[str, Any]]) -> Profile | None:
    """Each sample's fragments by length as shares, then quantiles over samples, bin by bin."""
    known = [s for s in samples if sum(s["fragment_lengths"]) >= 100]
    if not known:
        return None
    size = known[0]["fragment_bin"]
    bins = max(len(s["fragment_lengths"]) for s in known)
    shares = [[n / sum(s["fragment_lengths"]) for n in s["fragment_lengths"]] for s in known]
    columns = [sorted(row[b] if b < len(row) else 0.0 for row in shares) for b in range(bins)]
    low, middle, high = ([c[round(q * (len(c) - 1))] for c in columns] for q in (0.05, 0.5, 0.95))
    base, height = 96, 118
    y = Axis(0.0, max(high), base, 8)
    x = Axis(0, bins * size, _LEFT, _RIGHT)
    at = [x((b + 0.5) * size) for b in range(bins)]
    upper = [f"{a:g},{y(v):g}" for a, v in zip(at, high, strict=True)]
    lower = [f"{a:g},{y(v):g}" for a, v in zip(at, low, strict=True)]
    median = " ".join(f"{a:g},{y(v):g}" for a, v in zip(at, middle, strict=True))
    ticks = tuple((x(t), f"{t:.0f}") for t in linear_ticks(x, 6))
    return Profile(" ".join([*upper, *lower[::-1]]), median, ticks, height, base, len(known))


def _errors(samples: Sequence[Mapping[str, Any]]) -> ErrorPlot | None:
    total: dict[tuple[str, str], list[float]] = {}
    for s in samples:
        for e in s["errors"] if s["sample_type"] != "ntc" else ():
            sums = total.setdefault((e["substitution"], e["tier"]), [0.0, 0.0, 0.0])
            for i, name in enumerate(("molecules", "expected", "bases")):
                sums[i] += e[name]
    rates = {k: (m / b, x / b, m, x) for k, (m, x, b) in total.items() if b}
    shown = [v for seen, expected, _, _ in rates.values() for v in (seen, expected) if v > 0]
    if not shown:
        return None
    base = 116
    y = log_axis(shown, base, 8, (1e-5, 1e-4))
    substitutions = sorted({s for s, _ in rates})
    x = Axis(0, len(substitutions), 58, 2 * WIDTH + 20)
    offset = {"singleton": 0.25, "simplex": 0.5, "duplex": 0.75}
    marks = []
    for (substitution, tier), (seen, expected, molecules, count) in sorted(rates.items()):
        title = (
            f"{substitution}, {tier}: {whole(molecules)} molecules, {whole(count)} expected "
            f"({percent(seen, 2)} and {percent(expected, 2)} of bases)"
        )
        marks.append(
            ErrorMark(
                x(substitutions.index(substitution) + offset[tier]), y(seen) if seen else None,
                y(expected) if expected else None, tier, title,
            )
        )  # fmt: skip
    labels = tuple((x(i + 0.5), s) for i, s in enumerate(substitutions))
    return ErrorPlot(base + 22, base, tuple(marks), labels, tuple((y(t), percent(t)) for t in log_ticks(y)))
