"""From a batch's count files to its result files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from esr1call.background import BackgroundModel, Blank
from esr1call.calling import SampleInfo, call_batch
from esr1call.counts import CountTable
from esr1call.errors import InputError
from esr1call.io.batch import Batch
from esr1call.io.counts_file import read_counts
from esr1call.io.earlier import Earlier, from_ledger
from esr1call.io.files import sha256_of
from esr1call.io.model_file import read_model, write_model
from esr1call.io.molecules_file import read_molecules
from esr1call.io.reference import Reference, load_panel
from esr1call.io.results_file import write_calls, write_quality, write_result
from esr1call.io.rule_file import load_rule
from esr1call.io.sample_counts import load_snps
from esr1call.io.sheet import Sample
from esr1call.io.step_files import read_counts_summary
from esr1call.panel import Panel
from esr1call.quality.evidence import Evidence
from esr1call.quality.judge import judge_batch
from esr1call.results import BatchQuality, SampleResult
from esr1call.snps import AlleleCounts, Snp

MODEL = "background.json"
_USED = ("templates", "umi_error_rate", "family_sizes")


def call_files(
    batch: Batch, counts_dir: str | Path, out_dir: str | Path, earlier: Earlier | None = None
) -> tuple[list[SampleResult], BatchQuality]:
    """Call every sample by its files in <counts_dir>/<sample>/, judge the batch, and write the results to `out_dir`.

    Reads counts.tsv, and counts.json and molecules.npz where they are there; `earlier` are the patients' results of
    earlier batches, by default those in the study's ledger. Writes samples/<sample>/result.json, calls.tsv, qc.json,
    qc.tsv, and background.json where the model is fitted on the batch's blanks. Nothing is written before all of it is
    known.
    """
    config, out = batch.config, Path(out_dir)
    reference = Reference(config.reference.path)
    panel = load_panel(config.panel, reference, config.reference.build)
    snps = load_snps(config.qc.snps, reference, config.reference.build)
    rule = load_rule(config.trigger.rule)
    folders = [Path(counts_dir, s.sample) for s in batch.samples]
    samples = [_sample(s, config.batch, f / "counts.tsv", panel) for s, f in zip(batch.samples, folders, strict=True)]
    fitted = None
    if config.background is None:
        fitted = _fit(samples, panel, config.batch)
        model = write_model(out / MODEL, fitted)
    else:
        model = read_model(config.background, panel)
    # The power a negative needs is the rule's, so that calls and decisions can't disagree on it.
    settings = replace(config.calling, required_lod=rule.required_lod)
    called = call_batch(samples, panel, model, settings, lambda protein: rule.may_trigger(protein, listed=True))
    evidence = [
        _evidence(info, table, result, folder, panel, snps)
        for (info, table), result, folder in zip(samples, called, folders, strict=True)
    ]
    # Where strands are not told apart there is no duplex molecule to ask for.
    limits = config.qc if config.counting.umi == "duplex" else replace(config.qc, min_duplex_yield=0.0)
    results, quality = judge_batch(
        evidence, panel, model, limits, snps, from_ledger(batch) if earlier is None else earlier
    )
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


def _evidence(
    info: SampleInfo, table: CountTable, result: SampleResult, folder: Path, panel: Panel, snps: Sequence[Snp]
) -> Evidence:
    """What lies beside a sample's counts for quality control, where it is there."""
    stats, molecules = folder / "counts.json", folder / "molecules.npz"
    summary = read_counts_summary(stats, (), _USED) if stats.exists() else {}
    shown = {(s["name"], s["pos"]): s for s in summary.get("snps", ())}
    alleles = [
        AlleleCounts(snp, s["ref_molecules"], s["alt_molecules"], s["other_molecules"])
        for snp in snps
        if (s := shown.get((snp.name, snp.position + 1))) is not None
    ]
    sketches = (read_molecules(molecules, panel) or None) if molecules.exists() else None
    return Evidence(info, table, result, summary, tuple(alleles), sketches)


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
