"""A batch's results: one JSON file per sample, one table of all calls, and what quality control said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

from esr1call.cells import spreadsheet_safe
from esr1call.io.files import atomic_open, write_json
from esr1call.results import BatchQuality, SampleResult, VariantCall
from esr1call.stats import benjamini_hochberg
from esr1call.timeline import to_json

SAMPLE_COLUMNS = ("sample", "patient", "visit", "collected", "sample_type", "batch", "sample_status")
CALL_COLUMNS = (*SAMPLE_COLUMNS, *(f.name for f in fields(VariantCall)), "q_batch")
"""Columns of calls.tsv: the sample's, then the fields of `results.VariantCall`, where they are described, and the false
discovery rate among the batch's patients (Benjamini-Hochberg over all their panel alleles; empty for other rows). It
depends on what else is in the batch, so it is reported, not decided on, and no part of a sample's own result."""


def write_result(path: str | Path, result: SampleResult) -> None:
    """One sample's result as JSON."""
    write_json(path, to_json(result))


def write_calls(path: str | Path, results: Iterable[SampleResult]) -> None:
    """All calls of all samples: a header and one row a call; lists joined by commas, unknown values empty."""
    results = list(results)
    rates = _false_discovery_rates(results)
    with atomic_open(path) as out:
        out.write("\t".join(CALL_COLUMNS) + "\n")
        for r in results:
            sample = (r.sample, r.patient, r.visit, r.collected, r.sample_type, r.batch, str(r.status))
            for call in r.calls:
                values = (getattr(call, f.name) for f in fields(VariantCall))
                out.write("\t".join(_cell(v) for v in (*sample, *values, rates.get(id(call)))) + "\n")


def _false_discovery_rates(results: Iterable[SampleResult]) -> dict[int, float]:
    """By the identity of each patient's panel calls with molecules to look at."""
    calls = [c for r in results if r.sample_type == "patient" for c in r.calls if c.kind == "panel" and c.depth]
    return dict(zip(map(id, calls), benjamini_hochberg([c.p for c in calls]).tolist(), strict=True))


QC_COLUMNS = ("batch", "sample", "kind", "name", "outcome", "value", "threshold", "explanation", "next_step")
"""Columns of qc.tsv: a row for each check (`results.Check`), then one for each measure of each sample (the single
values of `results.SampleQuality`, with only `value`)."""
_NO_MEASURES = ("sample", "fragment_bin")


def write_quality(folder: str | Path, quality: BatchQuality) -> None:
    """The batch's checks and measures: qc.json (`schemas/qc.schema.json`) and qc.tsv (`QC_COLUMNS`) in `folder`."""
    write_json(Path(folder, "qc.json"), {"batch": quality.batch, "passed": quality.passed, **asdict(quality)})
    with atomic_open(Path(folder, "qc.tsv")) as out:
        out.write("\t".join(QC_COLUMNS) + "\n")
        for c in quality.checks:
            row = (c.sample, "check", c.name, str(c.outcome), c.value, c.threshold, c.explanation, c.next_step)
            out.write("\t".join(_cell(v) for v in (quality.batch, *row)) + "\n")
        for s in quality.samples:
            for name, value in vars(s).items():
                if name not in _NO_MEASURES and not isinstance(value, tuple | dict):
                    out.write(
                        "\t".join((quality.batch, s.sample, "measure", name, "", _cell(value), "", "", "")) + "\n"
                    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return str(value)
    return spreadsheet_safe(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
