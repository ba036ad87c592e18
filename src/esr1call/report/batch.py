"""A batch as a page shows it: summary rows, checks, quality plots, patients, samples, versions and hashes. Pure."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from esr1call.history import History
from esr1call.report.numbers import interval, percent, significant, whole, words
from esr1call.report.patients import PatientView, patient_view
from esr1call.report.quality_plots import QualityPlots, quality_plots
from esr1call.report.samples import CheckRow, SampleView, check_row, sample_view
from esr1call.report.text import control_notes, event_notes
from esr1call.results import CHECKS, SampleResult, SampleStatus
from esr1call.rule import Rule
from esr1call.settings import CallingSettings, QcSettings


@dataclass(frozen=True)
class Material:
    """All that a batch's pages are made of.

    `quality` is its qc.json; `reads` each sample's align.json (empty where there is none); `events` the published
    events, oldest first; `histories` each patient's state in the ledger, this batch's results included; `provenance`
    its provenance.json, of which nothing that tells time or machine is shown.
    """

    study: str
    batch: str
    laboratory: str | None
    results: tuple[SampleResult, ...]
    quality: Mapping[str, Any]
    reads: Mapping[str, Mapping[str, Any]]
    events: tuple[Mapping[str, Any], ...]
    histories: Mapping[str, History]
    rule: Rule
    calling: CallingSettings
    limits: QcSettings
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class SummaryRow:
    """A sample in the summary table. `number` is its place among `BatchView.samples`; `link` leads to its own page."""

    number: int
    sample: str
    link: str
    who: str
    is_patient: bool
    visit: str
    collected: str
    kind: str
    status: str
    found: tuple[str, ...]
    vaf: float | None
    vaf_text: str
    copies: float | None
    copies_text: str
    molecules: int | None
    molecules_text: str
    lod: float | None
    lod_text: str
    notes: tuple[str, ...]
    failed: int
    warnings: int


@dataclass(frozen=True)
class CheckGroup:
    """All of a batch's checks of one name: how many came out how, and those to look at.

    `unjudged`: (number, explanation, next step) of those that could not be assessed, put together.
    """

    name: str
    counts: tuple[tuple[str, int], ...]
    shown: tuple[CheckRow, ...]
    unjudged: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class BatchView:
    """Everything shown of a batch; `samples` and `patients` are in the order of the summary."""

    study: str
    batch: str
    laboratory: str
    rule: str
    tiles: tuple[tuple[str, str, str], ...]
    rows: tuple[SummaryRow, ...]
    statuses: tuple[str, ...]
    kinds: tuple[str, ...]
    controls: tuple[CheckRow, ...]
    checks: tuple[CheckGroup, ...]
    hopping: str
    passed: bool
    plots: QualityPlots
    patients: tuple[PatientView, ...]
    samples: tuple[SampleView, ...]
    settings: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    inputs: tuple[tuple[str, str], ...]


_OUTCOMES = ("failed", "warning", "not_assessed", "passed")
_CONTROLS = ("ntc", "wild_type", "positive_control")


def batch_view(material: Material) -> BatchView:
    """The view of a whole batch."""
    results = sorted(
        material.results, key=lambda r: (r.patient is None, r.patient or r.sample_type, r.collected or "", r.sample)
    )
    checks = material.quality["checks"]
    measured = {s["sample"]: s for s in material.quality.get("samples", ())}
    samples = tuple(
        sample_view(
            r, material.rule, _own(checks, r.sample), measured.get(r.sample, {}), material.reads.get(r.sample, {})
        )
        for r in results
    )
    rows = _rows(results, samples, material, checks)
    return BatchView(
        study=material.study,
        batch=material.batch,
        laboratory=material.laboratory or "",
        rule=f"{material.rule.name} {material.rule.version}",
        tiles=_tiles(results, rows, material),
        rows=rows,
        statuses=tuple(dict.fromkeys(r.status for r in rows)),
        kinds=tuple(dict.fromkeys(r.kind for r in rows)),
        controls=tuple(check_row(c) for c in checks if c["name"] in _CONTROLS),
        checks=_groups(checks),
        hopping=_hopping(material.quality),
        passed=all(c["outcome"] != "failed" for c in checks),
        plots=quality_plots(material.quality, material.limits),
        patients=_patients(results, material),
        samples=samples,
        settings=(
            ("trigger rule", f"{material.rule.name} {material.rule.version}, SHA-256 {material.rule.sha256}"),
            ("required LoD", percent(material.rule.required_lod)),
            ("alpha, over all haplotypes of a sample", significant(material.calling.alpha)),
            ("least molecules of a call", str(material.calling.min_molecules)),
        ),
        versions=tuple(sorted(material.provenance.get("versions", {}).items())),
        inputs=tuple((name, i["sha256"]) for name, i in sorted(material.provenance.get("inputs", {}).items())),
    )


def _own(checks: Sequence[Mapping[str, Any]], sample: str) -> list[Mapping[str, Any]]:
    return [c for c in checks if c["sample"] in (sample, None)]


def _rows(
    results: Sequence[SampleResult],
    samples: Sequence[SampleView],
    material: Material,
    checks: Sequence[Mapping[str, Any]],
) -> tuple[SummaryRow, ...]:
    events = event_notes(material.events)
    controls = control_notes(checks)
    outcomes = Counter((c["sample"], c["outcome"]) for c in checks)
    told: dict[str, list[str]] = {}
    for (sample, variant), notes in events.items():
        told.setdefault(sample, []).extend(f"{variant}: {n}" if variant else n for n in notes)
    for sample, passed in controls.items():
        told.setdefault(sample, []).append("control passed" if passed else "control failed")
    return tuple(
        SummaryRow(
            number=i, sample=r.sample, link=f"samples/{quote(r.sample, safe='')}/report.html",
            who=r.patient or words(r.sample_type), is_patient=r.patient is not None, visit=r.visit or "",
            collected=r.collected or "",
            kind=words(r.sample_type), status=str(r.status), found=s.found,
            vaf=s.highest_vaf, vaf_text="" if s.highest_vaf is None else percent(s.highest_vaf),
            copies=s.highest_copies, copies_text="" if s.highest_copies is None else significant(s.highest_copies),
            molecules=s.fewest_molecules, molecules_text=whole(s.fewest_molecules),
            lod=s.worst_lod, lod_text=percent(s.worst_lod, 2), notes=tuple(dict.fromkeys(told.get(r.sample, ()))),
            failed=outcomes[r.sample, "failed"], warnings=outcomes[r.sample, "warning"],
        )
        for i, (r, s) in enumerate(zip(results, samples, strict=True))
    )  # fmt: skip


def _tiles(
    results: Sequence[SampleResult], rows: Sequence[SummaryRow], material: Material
) -> tuple[tuple[str, str, str], ...]:
    """(figure, what it counts, style) at the head of the page."""
    of = Counter(r.status for r in results if r.sample_type == "patient")
    kinds = Counter(e["type"].split(".")[-2] for e in material.events)
    controls = control_notes(material.quality["checks"])
    bad = sum(not passed for passed in controls.values())
    patients = len({r.patient for r in results if r.patient is not None})
    return (
        (str(of.total()), f"samples of {patients} patient{'' if patients == 1 else 's'}", ""),
        (str(of[SampleStatus.DETECTED]), "detected", "DETECTED"),
        (str(of[SampleStatus.NOT_DETECTED]), "not detected", "NOT_DETECTED"),
        (str(of[SampleStatus.INDETERMINATE]), "indeterminate", "INDETERMINATE"),
        (str(of[SampleStatus.QC_FAILED]), "failed quality control", "QC_FAILED"),
        (str(kinds["raised"] + kinds["amended"]), "triggers raised or amended", "event"),
        (f"{len(controls) - bad} of {len(controls)}", "controls passed", "QC_FAILED" if bad else ""),
    )


_MANY = 12
"""A check's outcomes for each sample are listed where they are few, or not plain."""


def _groups(checks: Sequence[Mapping[str, Any]]) -> tuple[CheckGroup, ...]:
    out = []
    for name in CHECKS:
        own = [c for c in checks if c["name"] == name]
        if own:
            counts = Counter(c["outcome"] for c in own)
            few = len(own) <= _MANY and name in _CONTROLS
            shown = [c for c in own if few or c["outcome"] in ("failed", "warning")]
            unjudged = Counter(
                (c["explanation"], c["next_step"]) for c in own if c["outcome"] == "not_assessed" and c not in shown
            )
            out.append(
                CheckGroup(
                    words(name), tuple((o, counts[o]) for o in _OUTCOMES if counts[o]), tuple(map(check_row, shown)),
                    tuple((n, told, step) for (told, step), n in unjudged.items()),
                )
            )  # fmt: skip
    return tuple(out)


def _hopping(quality: Mapping[str, Any]) -> str:
    """The rate of index hopping and carry-over of read pairs, as measured in the batch."""
    if quality.get("hop_rate") is None:
        return ""
    ends = interval(quality["hop_rate_low"], quality["hop_rate_high"], as_percent=True)
    return f"{percent(quality['hop_rate'], 2)} ({ends})"


def _patients(results: Sequence[SampleResult], material: Material) -> tuple[PatientView, ...]:
    days: dict[str, list[str]] = {}
    for r in results:
        if r.patient is not None:
            days.setdefault(r.patient, []).append(r.collected or "")
    out = []
    for patient, dates in days.items():
        history = material.histories[patient]
        last = max(dates)
        day = datetime.date.fromisoformat(last) if last else None
        out.append(patient_view(patient, history, material.rule, day, material.study, material.batch))
    return tuple(out)
