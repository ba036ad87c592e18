"""Counts and background to calls: p, LoB, LoD95, VAF, copies/mL and a status for every allele of every sample.

Each panel allele (a haplotype of a window) is tested in each sample; Holm's correction is over the panel's alleles, and
half of the sample's `alpha` is theirs. The other half is for all other haplotypes of all windows, which count as tests
whether they are seen or not. LoB and LoD95 are at the first step of Holm (level / number of alleles), so they hold for
an allele that is alone in its sample. A molecule counts for the one haplotype it shows: a haplotype with two changes
adds nothing to the alleles of either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from esr1call.background import BackgroundModel, Predictive
from esr1call.counts import STRATA, UNDECIDED, CountTable
from esr1call.haplotype import HaplotypeName, describe
from esr1call.lod import Cases, Limits, fractions, limits, steps
from esr1call.panel import Panel
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall
from esr1call.settings import CallingSettings
from esr1call.stats import Floats, holm

Ints = NDArray[np.int64]

HGE_PER_NG = 1000 / 3.3
"""Haploid genome equivalents per ng of DNA (3.3 pg each)."""
KINDS_PER_WINDOW = 11
"""Kinds of change other than a substitution that are tested in each window."""
_PARENT_MOLECULES = 20


@dataclass(frozen=True)
class SampleInfo:
    """What is known of a sample besides its counts; `expected` are a positive control's fractions by protein name."""

    sample: str
    type: str
    batch: str
    patient: str | None = None
    visit: str | None = None
    collected: str | None = None
    plasma_ml: float | None = None
    cfdna_ng: float | None = None
    expected: dict[str, float] = field(default_factory=dict)
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
    """Call every sample on its own counts. `may_trigger`: whether power for a panel protein decides the status."""
    if not samples:
        return []
    alleles = [(v.window, v.haplotype) for v in panel.variants]
    index = np.array([panel.window_index[w] for w, _ in alleles])
    depth = np.stack([table.depth() for _, table in samples])
    observed = np.stack(
        [[table.of(int(i), h) for i, (_, h) in zip(index, alleles, strict=True)] for _, table in samples]
    )
    m, n = len(alleles), len(samples)
    extra = np.zeros((n, m, len(STRATA)))
    for s, (_, table) in enumerate(samples):
        for parent in _parents(table, panel):
            for a, allele in enumerate(alleles):
                extra[s, a] += _from_parent(parent, allele, observed[s, a], panel, model)
    cases = _cases(model.predict(panel, alleles), np.tile(np.arange(m), n), depth[:, index].reshape(n * m, -1),
                   extra.reshape(n * m, -1), settings)  # fmt: skip
    x = observed.reshape(n * m, -1)
    level = settings.alpha / 2
    found = _measure(cases, x, level / m, settings)
    digests = {
        "panel": panel.sha256, "background": model.sha256,
        "settings": hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest(),
    }  # fmt: skip
    scan = _Scan(panel, model, settings)
    results = []
    for s, (info, table) in enumerate(samples):
        rows = slice(s * m, (s + 1) * m)
        adjusted = holm(found.limits.p[rows])
        calls = [
            _call("panel", alleles[a], describe(panel, panel.windows[index[a]], alleles[a][1]), found, s * m + a,
                  float(adjusted[a]), level, info, settings, panel)
            for a in range(m)
        ]  # fmt: skip
        calls += scan.others(info, table, depth[s])
        results.append(_result(info, panel, calls, settings, may_trigger, {**digests, "counts": info.counts_sha256}))
    return results


# ---------------------------------------------------------------- measuring


@dataclass(frozen=True, eq=False)
class _Measured:
    """What was computed for n alleles."""

    cases: Cases
    observed: Ints
    limits: Limits
    vaf: tuple[Floats, Floats, Floats]


def _measure(cases: Cases, observed: Ints, alpha: float, settings: CallingSettings) -> _Measured:
    return _Measured(
        cases, observed, limits(cases, observed, alpha, settings.min_molecules), fractions(cases, observed)
    )


def _cases(predictive: Predictive, rows: Ints, depth: Ints, extra: Floats, settings: CallingSettings) -> Cases:
    step = steps(predictive.weight, predictive.rate, settings.reference_vaf)
    return Cases(depth, predictive.weight[rows], predictive.rate[rows], predictive.size[rows], extra, step[rows])


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
    none = np.zeros(len(STRATA))
    if panel.windows[window].name != name or len(child) != len(haplotype) or molecules.sum() <= observed.sum():
        return none
    if sum(a != b for a, b in zip(haplotype, child, strict=True)) != 1:
        return none
    return molecules * model.error_rate(panel, panel.windows[window], haplotype, child)


class _Scan:
    """Tests of all haplotypes that the panel does not name."""

    def __init__(self, panel: Panel, model: BackgroundModel, settings: CallingSettings) -> None:
        self.panel, self.model, self.settings = panel, model, settings
        bases = sum(len(w.reference) for w in panel.windows)
        self.tests = 3 * bases + KINDS_PER_WINDOW * len(panel.windows)

    def others(self, info: SampleInfo, table: CountTable, depth: Ints) -> list[VariantCall]:
        """Non-synonymous haplotypes beyond the panel that are detected, most significant first."""
        panel, settings = self.panel, self.settings
        total = table.molecules.sum(axis=1)
        rows = [
            int(i)
            for i in np.flatnonzero(total >= settings.min_molecules)
            if table.haplotype[i] not in (UNDECIDED, panel.windows[table.window[i]].reference)
            and (table.windows[table.window[i]], table.haplotype[i]) not in panel.variants_by_haplotype
        ]
        if not rows:
            return []
        keys = [(table.windows[table.window[i]], table.haplotype[i]) for i in rows]
        observed = table.molecules[rows]
        extra = np.zeros((len(rows), len(STRATA)))
        for parent in _parents(table, panel):
            for k, key in enumerate(keys):
                extra[k] += _from_parent(parent, key, observed[k], panel, self.model)
        cases = _cases(
            self.model.predict(panel, keys), np.arange(len(rows)), depth[table.window[rows]], extra, settings
        )
        near = np.flatnonzero(_unusual(cases, observed))
        if not len(near):
            return []
        level = settings.alpha / 2
        found = _measure(cases.take(near), observed[near], level / self.tests, settings)
        adjusted = holm(found.limits.p, self.tests)
        calls = []
        for k in np.argsort(found.limits.p, kind="stable"):
            key = keys[near[k]]
            name = describe(panel, panel.windows[panel.window_index[key[0]]], key[1])
            if adjusted[k] <= level and name.nonsynonymous:
                calls.append(_call("other", key, name, found, int(k), float(adjusted[k]), level, info, settings, panel))
        return calls


def _unusual(cases: Cases, observed: Ints) -> NDArray[np.bool_]:
    """Where T lies 3 standard deviations above its background's mean: nothing nearer can be significant among so many
    tests, since the background's distribution has a longer upper tail than a normal one."""
    mean = cases.depth[..., None] * cases.rate + cases.extra[..., None]
    first = (cases.weight * mean).sum(axis=-1)
    second = (cases.weight * (mean + mean**2 * (1 + 1 / cases.size))).sum(axis=-1)
    expected = (cases.step * first).sum(axis=1)
    variance = (cases.step**2 * (second - first**2)).sum(axis=1)
    out: NDArray[np.bool_] = (cases.step * observed).sum(axis=1) > expected + 3 * np.sqrt(variance)
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
    x, depth = found.observed[row], found.cases.depth[row]
    lob, lod = float(found.limits.lob[row]), float(found.limits.lod95[row])
    lod95 = None if np.isnan(lod) else lod
    seen = bool(depth.any())
    vaf, low, high = (float(v[row]) for v in found.vaf) if seen else (0.0, 0.0, 1.0)
    copies = (
        info.cfdna_ng / info.plasma_ml * HGE_PER_NG if seen and info.cfdna_ng is not None and info.plasma_ml else None
    )
    if adjusted <= level and x.sum() >= settings.min_molecules:
        status = CallStatus.DETECTED
    elif lod95 is not None and lod95 <= settings.required_lod:
        status = CallStatus.NOT_DETECTED
    else:
        status = CallStatus.NO_CALL
    return VariantCall(
        window=key[0], haplotype=key[1], kind=kind, protein=name.protein, cdna=name.cdna,
        consequence=name.consequence, panel_variants=name.panel_variants, contig=panel.contig, pos=name.pos,
        ref=name.ref, alt=name.alt, molecules=int(x.sum()), depth=int(depth.sum()),
        alt_by_stratum=tuple(int(v) for v in x), depth_by_stratum=tuple(int(v) for v in depth),
        p=float(found.limits.p[row]), p_adjusted=adjusted, lob=1.0 if np.isnan(lob) else lob,
        lod95=lod95, vaf=vaf, vaf_low=low, vaf_high=high,
        copies_per_ml=None if copies is None else vaf * copies,
        copies_per_ml_low=None if copies is None else low * copies,
        copies_per_ml_high=None if copies is None else high * copies,
        status=status, background=float(found.cases.expected[row].sum()),
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
