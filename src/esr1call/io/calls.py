"""From a batch's count files to its result files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from esr1call.background import BackgroundModel, Blank
from esr1call.calling import SampleInfo, call_batch
from esr1call.counts import CountTable
from esr1call.errors import InputError
from esr1call.io.batch import Batch
from esr1call.io.counts_file import read_counts
from esr1call.io.files import sha256_of
from esr1call.io.model_file import read_model, write_model
from esr1call.io.reference import Reference, load_panel
from esr1call.io.results_file import write_calls, write_quality, write_result
from esr1call.io.rule_file import load_rule
from esr1call.io.sheet import Sample
from esr1call.panel import Panel
from esr1call.quality.judge import judge_batch
from esr1call.results import BatchQuality, SampleResult

MODEL = "background.json"


def call_files(batch: Batch, counts_dir: str | Path, out_dir: str | Path) -> tuple[list[SampleResult], BatchQuality]:
    """Read <counts_dir>/<sample>/counts.tsv of every sample, call them, and write the results to `out_dir`.

    Writes samples/<sample>/result.json, calls.tsv, qc.json, and background.json where the model is fitted on the
    batch's blanks. Nothing is written before all of it is known.
    """
    config, out = batch.config, Path(out_dir)
    panel = load_panel(config.panel, Reference(config.reference.path), config.reference.build)
    rule = load_rule(config.trigger.rule)
    samples = [_sample(s, config.batch, Path(counts_dir, s.sample, "counts.tsv"), panel) for s in batch.samples]
    fitted = None
    if config.background is None:
        fitted = _fit(samples, panel, config.batch)
        model = write_model(out / MODEL, fitted)
    else:
        model = read_model(config.background, panel)
    # The power a negative needs is the rule's, so that calls and decisions can't disagree on it.
    settings = replace(config.calling, required_lod=rule.required_lod)
    called = call_batch(samples, panel, model, settings, lambda protein: rule.may_trigger(protein, listed=True))
    results, quality = judge_batch(samples, called, config.qc)
    for result in results:
        write_result(out / "samples" / result.sample / "result.json", result)
    write_calls(out / "calls.tsv", results)
    write_quality(out, quality)
    return results, quality


def _sample(sample: Sample, batch: str, path: Path, panel: Panel) -> tuple[SampleInfo, CountTable]:
    table = read_counts(path, panel)
    info = SampleInfo(
        sample=sample.sample, type=sample.type, batch=batch, patient=sample.patient, visit=sample.visit,
        collected=None if sample.collected is None else sample.collected.isoformat(), plasma_ml=sample.plasma_ml,
        cfdna_ng=sample.cfdna_ng, expected=dict(sample.expected), counts_sha256=sha256_of(path),
    )  # fmt: skip
    return info, table


def _fit(samples: list[tuple[SampleInfo, CountTable]], panel: Panel, batch: str) -> BackgroundModel:
    from esr1call.background_fit import MIN_BLANKS, fit

    blanks = [(Blank(i.sample, i.counts_sha256), t) for i, t in samples if i.type == "blank"]
    if not blanks:
        raise InputError(
            "no blanks to fit the background on", field="background", expected=f"{MIN_BLANKS} samples of type blank",
            hint="add blanks to the sample sheet, or name a model file in the config",
        )  # fmt: skip
    date = max((i.collected or "" for i, _ in samples if i.type == "blank"), default="")
    return fit(panel, blanks, chemistry=f"batch {batch}", lot="", date=date)
