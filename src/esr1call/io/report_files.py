"""A batch's HTML pages: what they are made of is read, and they are written. docs/report.md describes them."""

from __future__ import annotations

from pathlib import Path

from esr1call import __version__
from esr1call.errors import InputError
from esr1call.history import Entry, History, fold
from esr1call.io.batch import Batch, load_batch
from esr1call.io.decisions import read_result
from esr1call.io.files import atomic_open, read_json
from esr1call.io.rule_file import load_rule
from esr1call.io.schema import validate
from esr1call.io.step_files import read_align_summary, read_events, read_inputs_used
from esr1call.report.batch import Material, batch_view
from esr1call.report.render import batch_html, sample_html
from esr1call.results import SampleResult
from esr1call.timeline import canonical, digest, rounded, to_json

_AT_ONCE = 200
"""Patients asked of the ledger in one query: databases limit the values of one."""
PAGE = "report.html"


def write_reports(folder: str | Path, out: str | Path | None = None) -> list[Path]:
    """Write the page of the batch in `folder` and one for each sample, to `out` (by default the folder itself).

    Raises InputError where something of the batch is missing. Nothing is written before all of it is known.
    """
    view = batch_view(read_material(Path(folder)))
    target = Path(folder if out is None else out)
    patients = {p.patient: p for p in view.patients}
    pages = {target / PAGE: batch_html(view, __version__)}
    for sample in view.samples:
        page = sample_html(sample, patients.get(sample.patient), view, __version__)
        pages[target / "samples" / sample.sample / PAGE] = page
    for path, page in pages.items():
        with atomic_open(path) as file:
            file.write(page)
    return list(pages)


def read_material(folder: Path) -> Material:
    """All of a finished batch that its pages show, from its folder and from the study's ledger."""
    batch = load_batch(folder / "config.json", check_files=False)
    config = batch.config
    places = {s.sample: folder / "samples" / s.sample for s in batch.samples}
    results = tuple(_result(name, place / "result.json") for name, place in places.items())
    quality = read_json(folder / "qc.json")
    validate(quality, "qc", file=folder / "qc.json")
    reads = {name: read_align_summary(p / "align.json") for name, p in places.items() if (p / "align.json").exists()}
    return Material(
        study=config.study, batch=config.batch, laboratory=config.export.laboratory, results=results, quality=quality,
        reads=reads, events=tuple(read_events(folder / "triggers")), histories=_histories(batch, results),
        rule=load_rule(config.trigger.rule), calling=config.calling, limits=config.qc,
        provenance=read_inputs_used(folder / "provenance.json"),
    )  # fmt: skip


def _result(sample: str, path: Path) -> SampleResult:
    """A result that is of this sample: its name names files."""
    result = read_result(path)
    if result.sample != sample:
        raise InputError(
            "the result is of another sample", file=path, field="sample", found=result.sample, expected=sample,
            hint="call the batch again",
        )  # fmt: skip
    return result


def _histories(batch: Batch, results: tuple[SampleResult, ...]) -> dict[str, History]:
    """Each patient's state in the ledger; results of the batch that it does not have yet count too."""
    own: dict[str, list[SampleResult]] = {}
    for r in results:
        if r.patient is not None:
            own.setdefault(r.patient, []).append(r)
    histories = {patient: fold(entries) for patient, entries in _entries(batch, sorted(own)).items()}
    for patient, found in own.items():
        history = histories.setdefault(patient, History())
        for result in found:
            if result.sample not in history.versions and result.collected:
                kept = rounded(result)
                history.add_result(result.sample, digest(canonical(to_json(kept))), kept)
    return histories


def _entries(batch: Batch, patients: list[str]) -> dict[str, list[Entry]]:
    where = batch.config.trigger.ledger
    found: dict[str, list[Entry]] = {}
    if not patients or ("://" not in where and not Path(where).exists()):
        return found
    from esr1call.io.ledger import Ledger

    with Ledger(where, create=False) as ledger, ledger.reading(batch.config.study) as reader:
        for start in range(0, len(patients), _AT_ONCE):
            for entry in reader.entries(patient=patients[start : start + _AT_ONCE]):
                found.setdefault(entry.patient, []).append(entry)
    return found
