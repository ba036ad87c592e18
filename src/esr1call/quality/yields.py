"""How much of each sample was seen: molecules, both strands, conversion of the input, fragments, families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from esr1call.calling import HGE_PER_NG
from esr1call.counts import STRATA
from esr1call.molecules.sketch import FRAGMENT_BIN
from esr1call.panel import Panel
from esr1call.quality.evidence import Evidence
from esr1call.results import Check, Outcome, WindowYield
from esr1call.settings import QcSettings

_DUPLEX = STRATA.index("duplex")


def window_yields(sample: Evidence, panel: Panel) -> tuple[WindowYield, ...]:
    """Molecules of each hotspot window."""
    depth, undecided = sample.table.depth().tolist(), sample.table.undecided().tolist()
    return tuple(
        WindowYield(w.name, tuple(depth[i]), tuple(undecided[i]))
        for i, w in enumerate(panel.windows)
        if w.kind == "hotspot"
    )


def measures(sample: Evidence, windows: Sequence[WindowYield]) -> dict[str, Any]:
    """The fields of `results.SampleQuality` that say how much was seen."""
    summary, info = sample.summary, sample.info
    molecules = np.array([w.molecules for w in windows]).reshape(len(windows), len(STRATA))
    undecided = np.array([w.undecided for w in windows]).reshape(len(windows), len(STRATA))
    both = molecules + undecided
    total = int(both.sum())
    families = _family_sizes(summary)
    lengths = tuple(summary.get("fragment_lengths") or ())
    hge = None if info.cfdna_ng is None else info.cfdna_ng * HGE_PER_NG
    median = float(np.median(both.sum(axis=1))) if len(windows) else 0.0
    corrected = [(w["umi_error_rate"], w["templates"]) for w in summary.get("windows", ())]
    known = [(rate, n) for rate, n in corrected if rate is not None]
    return {
        "reads_mapped": summary.get("reads_mapped"),
        "on_target_rate": summary.get("on_target_rate"),
        "molecules": median,
        "duplex_molecules": float(np.median(both[:, _DUPLEX])) if len(windows) else 0.0,
        "duplex_yield": _ratio(int(both[:, _DUPLEX].sum()), total),
        "undecided_rate": _ratio(int(undecided.sum()), total),
        "input_hge": hge,
        "conversion": median / hge if hge else None,
        "family_size": _ratio(float(families @ np.arange(len(families))), int(families.sum())),
        "umi_error_rate": _ratio(sum(r * n for r, n in known), sum(n for _, n in known)),
        "fragment_length": _median_length(lengths),
        "fragment_bin": summary.get("fragment_bin", FRAGMENT_BIN),
        "fragment_lengths": lengths,
        "family_sizes": tuple(families.tolist()),
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _family_sizes(summary: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Strand families of all hotspot windows' and scanned windows' counts, by read pairs from 0."""
    sizes = [w["family_sizes"] for w in summary.get("windows", ())]
    out = np.zeros(max(map(len, sizes), default=1), dtype=np.int64)
    for s in sizes:
        out[: len(s)] += np.array(s, dtype=np.int64)
    return out


def _median_length(lengths: Sequence[int]) -> float | None:
    """Median in bp from counts in bins, taken in the middle of the bin."""
    total = sum(lengths)
    if total == 0:
        return None
    place = int(np.searchsorted(np.cumsum(lengths), total / 2))
    return (place + 0.5) * FRAGMENT_BIN


def judge_yield(
    sample: Evidence, windows: Sequence[WindowYield], measured: Mapping[str, Any], settings: QcSettings
) -> Iterator[Check]:
    """Warnings where less was seen than a lab expects. What power is left to a negative is said by its LoD."""
    name = sample.info.sample
    lowest = min(windows, key=lambda w: sum(w.molecules), default=None)
    if lowest is not None:
        found, limit = sum(lowest.molecules), settings.min_molecules
        told = f"{found} decided molecules in window {lowest.window}, the fewest of any; at least {limit} expected"
        step = "see the LoD: what it can't exclude is NO_CALL; sequence deeper where families are small"
        yield _within("depth", name, found, limit, None, told, step)
    value, limits = measured["duplex_yield"], settings.min_duplex_yield
    if value is None:
        yield Check("duplex_yield", name, Outcome.NOT_ASSESSED, "no molecules", None, limits)
    elif limits == 0 or measured["umi_error_rate"] is None:
        told = "no limit is set" if limits == 0 else "no UMIs that tell a molecule's strands"
        yield Check("duplex_yield", name, Outcome.NOT_ASSESSED, told, value, limits)
    else:
        told = f"{value:.1%} of molecules seen on both strands, at least {limits:.1%} expected"
        yield _within("duplex_yield", name, value, limits, None, told, "check ligation and sequencing depth")
    yield _conversion(name, measured, settings)
    yield _on_target(name, measured, settings)
    yield _fragments(name, measured, settings)


def _within(check: str, sample: str, value: float, low: float, high: float | None, told: str, next_step: str) -> Check:
    bad = value < low or (high is not None and value > high)
    limit = high if high is not None and value > high else low
    outcome = Outcome.WARNING if bad else Outcome.PASSED
    return Check(check, sample, outcome, told, value, limit, next_step if bad else "")


def _conversion(name: str, measured: Mapping[str, Any], settings: QcSettings) -> Check:
    value, low, high = measured["conversion"], settings.min_conversion, settings.max_conversion
    if value is None:
        told = "the mass of cfDNA is not known"
        return Check("conversion", name, Outcome.NOT_ASSESSED, told, None, low, "give cfdna_ng in the sample sheet")
    told = (
        f"{measured['molecules']:.0f} molecules of {measured['input_hge']:.0f} haploid genomes ({value:.0%}); "
        f"{low:.0%} to {high:.0%} expected"
    )
    step = "check the mass in the sample sheet" + ("; look for lost material" if value < low else " and the UMIs")
    return _within("conversion", name, value, low, high, told, step)


def _on_target(name: str, measured: Mapping[str, Any], settings: QcSettings) -> Check:
    value, low = measured["on_target_rate"], settings.min_on_target
    if value is None or low == 0:
        told = "no limit is set" if value is not None else "how many reads are mapped is not known"
        return Check("on_target", name, Outcome.NOT_ASSESSED, told, value, low)
    told = f"{value:.1%} of mapped reads over the panel, at least {low:.1%} expected"
    return _within("on_target", name, value, low, None, told, "check the capture")


def _fragments(name: str, measured: Mapping[str, Any], settings: QcSettings) -> Check:
    value, (low, high) = measured["fragment_length"], settings.fragment_length
    if value is None:
        return Check("fragment_length", name, Outcome.NOT_ASSESSED, "no fragments with both ends known", None, low)
    told = f"fragments of {value:.0f} bp (median), {low} to {high} expected"
    step = "DNA of blood cells dilutes the tumour's: check the time to plasma" if value > high else "check the cfDNA"
    return _within("fragment_length", name, value, low, high, told, step)
