"""Counts and background to calls: p, LoB, LoD95, VAF, copies/mL and a status for every allele of every sample.

Each panel allele (a haplotype of a window) is tested in each sample; Holm's correction is over the panel's alleles, and
half of the sample's `alpha` is theirs (`PANEL_SHARE`). The rest is for all other haplotypes of
all windows, which count as tests whether they are seen or not. LoB and LoD95 are at the first step of Holm (level /
number of alleles), so they hold for an allele that is alone in its sample. A molecule counts for the one haplotype
it shows: a haplotype with two changes adds nothing to the alleles of either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan

import numpy as np
from numpy.typing import NDArray

from esr1call.background import BackgroundModel
from esr1call.counts import STRATA, UNDECIDED, CountTable
from esr1call.fraction import fractions
from esr1call.haplotype import HaplotypeName, describe
from esr1call.lod import Cases, Limits, limits, p_values, steps
from esr1call.panel import Panel
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall
from esr1call.settings import CallingSettings
from esr1call.stats import Floats, holm

Ints = NDArray[np.int64]

HGE_PER_NG = 1000 / 3.3
"""Haploid genome equivalents per ng of DNA (3.3 pg each)."""
KINDS_PER_WINDOW = 11
"""Kinds of change other than a substitution that are tested in each window."""
PANEL_SHARE = 0.5
"""Share of a sample's alpha for the panel's alleles."""
_PARENT_MOLECULES = 20
_NONE = np.zeros(len(STRATA))


@dataclass(frozen=True)
class SampleInfo:
    """What is known of a sample besides its counts; `expected` are a positive control's fractions by protein name, or
    the lowest and the highest fraction."""

    sample: str
    type: str
    batch: str
    patient: str | None = None
    visit: str | None = None
    collected: str | None = None
    plasma_ml: float | None = None
    cfdna_ng: float | None = None
    expected: dict[str, float | tuple[float, float]] = field(default_factory=dict)
    counts_sha256: str = ""


def call_sample(
    info: SampleInfo,
    table: CountTable,
    panel: Panel,
    model: BackgroundModel,
    settings: CallingSettings,
    may_trigger: Callable[[str], bool] = lambda protein: True,
) -> SampleResult:
    """One sample's result; see `call_batch`."""
    return call_batch([(info, table)], panel, model, settings, may_trigger)[0]


def call_batch(
    samples: Sequence[tuple[SampleInfo, CountTable]],
    panel: Panel,
    model: BackgroundModel,
    settings: CallingSettings,
    may_trigger: Callable[[str], bool] = lambda protein: True,
) -> list[SampleResult]:
    """Call every sample on its own counts. `may_trigger`: whether power for a panel protein decides the status.

    A sample that is one of the model's blanks (by its counts' SHA-256) is tested by what the other blanks show.
    """
    blanks = {b.sha256: b.id for b in model.blanks}
    others = [s for s in samples if s[0].counts_sha256 not in blanks]
    found = iter(_call_all(others, panel, model, settings, may_trigger))
    results = []
    for info, table in samples:
        if info.counts_sha256 in blanks:
            rest = model.leaving_out(panel, blanks[info.counts_sha256], table)
            results += _call_all([(info, table)], panel, rest, settings, may_trigger)
        else:
            results.append(next(found))
    return results


def _call_all(
    samples: Sequence[tuple[SampleInfo, CountTable]],
    panel: Panel,
    model: BackgroundModel,
    settings: CallingSettings,
    may_trigger: Callable[[str], bool],
) -> list[SampleResult]:
    if not samples:
        return []
    alleles = [(v.window, v.haplotype) for v in panel.variants]
    index = np.array([panel.window_index[w] for w, _ in alleles])
    depth = np.stack([table.depth() for _, table in samples])
    keys = [(int(i), h) for i, (_, h) in zip(index, alleles, strict=True)]
    observed = np.stack([table.of_all(keys) for _, table in samples])
    m, n = len(alleles), len(samples)
    extra = np.zeros((n, m, len(STRATA)))
    for s, (_, table) in enumerate(samples):
        for parent in _parents(table, panel):
            for a, allele in enumerate(alleles):
                extra[s, a] += _from_parent(parent, allele, observed[s, a], panel, model)
    cases = _cases(model, panel, alleles, np.tile(np.arange(m), n), depth[:, index].reshape(n * m, -1),
                   extra.reshape(n * m, -1), settings)  # fmt: skip
    level = PANEL_SHARE * settings.alpha
    found = _measure(cases, observed.reshape(n * m, -1), level / m, settings)
    named = [describe(panel, panel.windows[i], h) for i, (_, h) in zip(index, alleles, strict=True)]
    digests = {
        "panel": panel.sha256, "background": model.sha256,
        "settings": hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest(),
    }  # fmt: skip
    others = _others(samples, panel, model, settings)
    results = []
    for s, (info, _) in enumerate(samples):
        adjusted = holm(found.limits.p[s * m : (s + 1) * m]).tolist()
        calls = [
            _call("panel", alleles[a], named[a], found, s * m + a, adjusted[a], level, info, settings, panel)
            for a in range(m)
        ]
        calls += others[s]
        results.append(_result(info, panel, calls, settings, may_trigger, {**digests, "counts": info.counts_sha256}))
    return results


# ---------------------------------------------------------------- measuring


@dataclass(frozen=True, eq=False)
class _Measured:
    """What was computed for n alleles; lists hold Python numbers, `vaf` those of (estimate, low, high)."""

    limits: Limits
    observed: list[list[int]]
    depth: list[list[int]]
    p: list[float]
    lob: list[float]
    lod95: list[float]
    vaf: list[tuple[float, float, float]]
    expected: list[float]


def _measure(cases: Cases, observed: Ints, alpha: float, settings: CallingSettings) -> _Measured:
    found = limits(cases, observed, alpha, settings.min_molecules)
    vaf = zip(*(v.tolist() for v in fractions(cases, observed)), strict=True)
    return _Measured(
        found, observed.tolist(), cases.depth.tolist(), found.p.tolist(), found.lob.tolist(), found.lod95.tolist(),
        list(vaf), cases.expected.sum(axis=1).tolist(),
    )  # fmt: skip


def _cases(
    model: BackgroundModel,
    panel: Panel,
    haplotypes: Sequence[tuple[str, str]],
    rows: Ints,
    depth: Ints,
    extra: Floats,
    settings: CallingSettings,
) -> Cases:
    background = model.predict(panel, haplotypes)
    return Cases(depth, rows, background, extra, steps(background, settings.reference_vaf))


def _parents(table: CountTable, panel: Panel) -> list[tuple[int, str, Ints]]:
    """(window index, haplotype, molecules [5]) of haplotypes so abundant that errors on their molecules matter."""
    many = np.flatnonzero(table.molecules.sum(axis=1) >= _PARENT_MOLECULES)
    return [
        (int(table.window[i]), table.haplotype[i], table.molecules[i])
        for i in many
        if table.haplotype[i] not in (UNDECIDED, panel.windows[table.window[i]].reference)
    ]


def _from_parent(
    parent: tuple[int, str, Ints], allele: tuple[str, str], observed: Ints, panel: Panel, model: BackgroundModel
) -> Floats:
    """Molecules [5] of `allele` expected from one-base errors on the parent haplotype's molecules."""
    window, haplotype, molecules = parent
    name, child = allele
    if panel.windows[window].name != name or len(child) != len(haplotype) or molecules.sum() <= observed.sum():
        return _NONE
    if sum(a != b for a, b in zip(haplotype, child, strict=True)) != 1:
        return _NONE
    return molecules * model.error_rate(panel, panel.windows[window], haplotype, child)


def _others(
    samples: Sequence[tuple[SampleInfo, CountTable]], panel: Panel, model: BackgroundModel, settings: CallingSettings
) -> list[list[VariantCall]]:
    """Each sample's non-synonymous haplotypes beyond the panel that are detected, most significant first."""
    calls: list[list[VariantCall]] = [[] for _ in samples]
    where, keys, observed, depth, extra = [], [], [], [], []
    for s, (_, table) in enumerate(samples):
        of_window, parents = table.depth(), _parents(table, panel)
        for i in np.flatnonzero(table.molecules.sum(axis=1) >= settings.min_molecules).tolist():
            window, haplotype = int(table.window[i]), table.haplotype[i]
            key = (table.windows[window], haplotype)
            if haplotype in (UNDECIDED, panel.windows[window].reference) or key in panel.variants_by_haplotype:
                continue
            where.append(s)
            keys.append(key)
            observed.append(table.molecules[i])
            depth.append(of_window[window])
            extra.append(sum((_from_parent(q, key, table.molecules[i], panel, model) for q in parents), _NONE))
    if not where:
        return calls
    number = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    cases = _cases(
        model, panel, list(number), np.array([number[k] for k in keys]), np.stack(depth), np.stack(extra), settings
    )
    near = np.flatnonzero(_unusual(cases, np.stack(observed)))
    if not len(near):
        return calls
    level, tests = (1 - PANEL_SHARE) * settings.alpha, other_tests(panel)
    p = p_values(cases.take(near), np.stack(observed)[near])
    sample = np.array(where)[near]
    adjusted = np.ones(len(near))
    for s in np.unique(sample):
        adjusted[sample == s] = holm(p[sample == s], tests)
    kept = np.flatnonzero(adjusted <= level)
    if not len(kept):
        return calls
    kept = kept[np.lexsort((p[kept], sample[kept]))]
    rows = near[kept]
    found = _measure(cases.take(rows), np.stack(observed)[rows], level / tests, settings)
    for row, (i, a) in enumerate(zip(rows.tolist(), adjusted[kept].tolist(), strict=True)):
        key = keys[i]
        name = describe(panel, panel.windows[panel.window_index[key[0]]], key[1])
        if name.nonsynonymous:
            info = samples[where[i]][0]
            calls[where[i]].append(_call("other", key, name, found, row, a, level, info, settings, panel))
    return calls


def other_tests(panel: Panel) -> int:
    """How many haplotypes beyond the panel's alleles are tested, seen or not."""
    return 3 * sum(len(w.reference) for w in panel.windows) + KINDS_PER_WINDOW * len(panel.windows)


def _unusual(cases: Cases, observed: Ints) -> NDArray[np.bool_]:
    """Where T lies 3 standard deviations above its background's mean: nothing nearer can be significant among so many
    tests, since the background's distribution has a longer upper tail than a normal one."""
    b, row = cases.background, cases.row
    square = (b.weight * b.rate**2).sum(axis=-1)[row]
    first = cases.expected
    second = first + cases.depth**2 * square * (1 + 1 / b.size[row]) + cases.extra * (first + first - cases.extra)
    expected = (cases.steps * first).sum(axis=1)
    variance = (cases.steps**2 * np.maximum(second - first**2, 0.0)).sum(axis=1)
    out: NDArray[np.bool_] = (cases.steps * observed).sum(axis=1) > expected + 3 * np.sqrt(variance)
    return out


# ---------------------------------------------------------------- results


def _call(
    kind: str,
    key: tuple[str, str],
    name: HaplotypeName,
    found: _Measured,
    row: int,
    adjusted: float,
    level: float,
    info: SampleInfo,
    settings: CallingSettings,
    panel: Panel,
) -> VariantCall:
    x, depth, lob = found.observed[row], found.depth[row], found.lob[row]
    lod95 = None if isnan(found.lod95[row]) else found.lod95[row]
    seen, molecules = any(depth), sum(x)
    vaf, low, high = found.vaf[row] if seen else (0.0, 0.0, 1.0)
    copies = (
        info.cfdna_ng / info.plasma_ml * HGE_PER_NG if seen and info.cfdna_ng is not None and info.plasma_ml else None
    )
    if adjusted <= level and molecules >= settings.min_molecules:
        status = CallStatus.DETECTED
    elif lod95 is not None and lod95 <= settings.required_lod:
        status = CallStatus.NOT_DETECTED
    else:
        status = CallStatus.NO_CALL
    return VariantCall(
        window=key[0], haplotype=key[1], kind=kind, protein=name.protein, cdna=name.cdna,
        consequence=name.consequence, panel_variants=name.panel_variants, contig=panel.contig, pos=name.pos,
        ref=name.ref, alt=name.alt, molecules=molecules, depth=sum(depth),
        alt_by_stratum=tuple(x), depth_by_stratum=tuple(depth),
        p=found.p[row], p_adjusted=adjusted, lob=1.0 if isnan(lob) else lob,
        lod95=lod95, vaf=vaf, vaf_low=low, vaf_high=high,
        copies_per_ml=None if copies is None else vaf * copies,
        copies_per_ml_low=None if copies is None else low * copies,
        copies_per_ml_high=None if copies is None else high * copies,
        status=status, background=found.expected[row],
    )  # fmt: skip


def _result(
    info: SampleInfo,
    panel: Panel,
    calls: list[VariantCall],
    settings: CallingSettings,
    may_trigger: Callable[[str], bool],
    inputs: dict[str, str],
) -> SampleResult:
    """Status of the sample: a panel change in any haplotype makes it DETECTED, no power for one INDETERMINATE."""
    detected = [c for c in calls if c.status is CallStatus.DETECTED]
    blind = [
        c for c in calls
        if c.kind == "panel" and c.status is CallStatus.NO_CALL and any(may_trigger(v) for v in c.panel_variants)
    ]  # fmt: skip
    reasons = []
    if any(c.panel_variants for c in detected):
        status = SampleStatus.DETECTED
    elif blind:
        status = SampleStatus.INDETERMINATE
        names = ", ".join(dict.fromkeys(c.protein for c in blind))
        shown = [c.lod95 for c in blind if c.lod95 is not None]
        lod = f"LoD95 up to {100 * max(shown):.2g}%" if len(shown) == len(blind) else "no LoD95"
        reasons.append(f"too little power at {100 * settings.required_lod:.3g}% for {names} ({lod})")
    else:
        status = SampleStatus.NOT_DETECTED
    others = [c.protein for c in detected if not c.panel_variants]
    if others:
        reasons.append(f"variants beyond the panel: {', '.join(others)}")
    return SampleResult(
        sample=info.sample, patient=info.patient, visit=info.visit, collected=info.collected, sample_type=info.type,
        batch=info.batch, build=panel.build, status=status, reasons=tuple(reasons), plasma_ml=info.plasma_ml,
        cfdna_ng=info.cfdna_ng, calls=tuple(calls), inputs=inputs,
    )  # fmt: skip
