"""Looking at everything a batch names before a run: each thing is opened and checked against the others."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from esr1call.errors import InputError
from esr1call.io.batch import Batch, Config, check_output
from esr1call.io.inputs import check_not_of_the_future
from esr1call.io.model_file import read_model
from esr1call.io.reference import Reference, load_panel
from esr1call.io.rule_file import load_rule
from esr1call.io.sample_counts import load_snps
from esr1call.io.sheet import Sample
from esr1call.panel import Panel
from esr1call.provenance import input_files

_PAIRS_LOOKED_AT = 1000

T = TypeVar("T")
Found = tuple[str, str, str]
"""(what, where, what it is)."""


class _Problems(list[InputError]):
    """What is wrong: each check is tried, so that one look tells of all."""

    def of(self, check: Callable[..., T], *arguments: Any) -> T | None:
        """What a check returns, None where it finds something wrong."""
        try:
            return check(*arguments)
        except InputError as error:
            self.append(error)
            return None


def check_batch(batch: Batch) -> tuple[list[Found], list[InputError]]:
    """What a loaded batch consists of, and everything that is wrong with it."""
    config, wrong = batch.config, _Problems()
    found = [wrong.of(_samples, batch)]
    reference = wrong.of(Reference, config.reference.path)
    panel = None
    if reference is not None:
        build = config.reference.build
        found.append(("reference", str(config.reference.path), f"{build}, {len(reference.slices)} sequences"))
        panel = wrong.of(load_panel, config.panel, reference, build)
        snps = wrong.of(load_snps, config.qc.snps, reference, build)
        if snps is not None:
            found.append(("snps", config.qc.snps or "none", f"{len(snps)} that tell people apart"))
        found.append(wrong.of(_space, batch, reference))
    if panel is not None:
        what = f"{panel.name} {panel.version}, {len(panel.variants)} alleles of {panel.gene}"
        found.append(("panel", str(config.panel), what))
        wrong.of(_check_expected, batch, panel)
        found.append(wrong.of(_background, batch, panel))
    wrong.of(_check_aligner, config)
    wrong.of(check_not_of_the_future, input_files(batch), time.time())
    for sample in batch.samples:
        wrong.of(_check_reads, sample, config, panel)
    found += [wrong.of(_rule, config), wrong.of(_ledger, config)]
    return [f for f in found if f is not None], wrong


def _samples(batch: Batch) -> Found:
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(s.type for s in batch.samples).items())
    patients = len({s.patient for s in batch.samples if s.patient})
    files = [f for s in batch.samples for f in s.files]
    size = _bytes(sum(f.stat().st_size for f in files))
    what = f"{len(batch.samples)} ({kinds}) of {patients} patients; {len(files)} files, {size}"
    return "samples", str(batch.config.samples), what


def _rule(config: Config) -> Found:
    rule = load_rule(config.trigger.rule)
    return "rule", str(config.trigger.rule), f"{rule.name} {rule.version}, required LoD {rule.required_lod:g}"


def _space(batch: Batch, reference: Reference) -> Found:
    check_output(batch.config)
    folder = _check_writable(batch.config.folder, "output")
    free, needed = shutil.disk_usage(folder).free, space_needed(batch, reference)
    if free < needed:
        raise InputError(
            "not enough space for the results", file=folder, field="output", found=f"{_bytes(free)} free",
            expected=f"at least {_bytes(needed)}", hint="free some, give another place, or do not keep_bam",
        )  # fmt: skip
    return "results", str(batch.config.folder), f"{_bytes(free)} free, at least {_bytes(needed)} needed"


def _ledger(config: Config) -> Found:
    """A new one where the study has one already would begin every patient's history anew, so it is told of."""
    where = config.trigger.ledger
    if "://" in where:
        return "ledger", where.split("://")[0], "a database"  # the rest may hold a password
    _check_writable(Path(where), "trigger.ledger")
    if not Path(where).exists():
        return "ledger", where, f"new: as if no batch of study {config.study} was decided yet"
    from esr1call.io.ledger import Ledger

    with Ledger(where, create=False) as ledger, ledger.reading(config.study) as reader:
        return "ledger", where, f"{len(reader.patients())} patients of study {config.study}"


def _background(batch: Batch, panel: Panel) -> Found:
    config = batch.config
    if config.background is not None:
        model = read_model(config.background, panel)
        return "background", str(config.background), f"{len(model.blanks)} blanks, {model.chemistry}"
    from esr1call.background_fit import MIN_BLANKS

    blanks = batch.of_type("blank")
    if len(blanks) < MIN_BLANKS:
        raise InputError(
            "too few blanks to fit the background", file=config.samples, field="type", found=len(blanks),
            expected=f"at least {MIN_BLANKS} samples of type blank", hint="add blanks, or name a model file",
        )  # fmt: skip
    return "background", str(config.samples), f"to be fitted on {len(blanks)} blanks"


def _check_expected(batch: Batch, panel: Panel) -> None:
    """A positive control's variants are known to the panel by these names."""
    known = {v.protein for v in panel.variants}
    for sample in batch.samples:
        for name in sample.expected:
            if name not in known:
                raise InputError(
                    f"sample {sample.sample}: the panel has no such variant", file=batch.config.samples,
                    line=sample.line, field="expected", found=name, expected="a protein name of the panel",
                    hint=f"see esr1call panel --panel {batch.config.panel}",
                )  # fmt: skip


def _check_aligner(config: Config) -> None:
    aligner = config.alignment.aligner
    if aligner != "embedded" and shutil.which(aligner) is None:
        raise InputError(
            "the aligner is not on PATH", field="alignment.aligner", found=aligner, expected="an installed program",
            hint="install it, or use the embedded one",
        )  # fmt: skip

    if config.reference.index is not None:
        from esr1call.alignment.aligners import check_index

        check_index(config.reference.index, aligner)


def _check_reads(sample: Sample, config: Config, panel: Panel | None) -> None:
    """A sample's files begin as they should: FASTQ with mates that fit, a BAM on the config's reference."""
    from esr1call.alignment.bam_input import BamRequest, check_bam
    from esr1call.alignment.fastq import chunks_of, kept_pairs, lanes_of
    from esr1call.alignment.sources import INTERLEAVED
    from esr1call.alignment.ubam import is_unaligned

    pairs = sample.fastq_options
    if sample.bam is not None and is_unaligned(sample.bam):
        pairs = str(sample.bam), INTERLEAVED
    if sample.bam is not None and pairs[1] != INTERLEAVED:
        contig = None if panel is None else panel.contig
        needs_rx = config.alignment.umi != "none"
        check_bam(sample.bam, BamRequest(config.reference.build, config.reference.path, contig, needs_rx))
        return
    for lane in lanes_of(*pairs):
        next(chunks_of(kept_pairs([lane], sample.type == "ntc", None), _PAIRS_LOOKED_AT), None)


def space_needed(batch: Batch, reference: Reference) -> int:
    """Bytes that a run needs at the least, from the size of its inputs.

    Alignments are no smaller than the FASTQ they come from (on the demo batch 2.2 times as large), and while a large
    one is sorted it lies there uncompressed (there 29 times; 5 is what reads with varied qualities come to). bwa's
    index takes 1.75 bytes a base.
    """
    config = batch.config
    sizes = [sum(f.stat().st_size for f in s.files) for s in batch.samples if s.bam is None]
    bases = 0 if config.reference.index is not None else sum(s.length for s in reference.slices)
    kept = sum(sizes) if config.alignment.keep_bam else 0
    return kept + 5 * max(sizes, default=0) + int(1.75 * bases)


def _check_writable(path: Path, field: str) -> Path:
    """The nearest folder at or above `path` that exists; InputError where nothing can be made in it."""
    folder = path
    while not os.path.lexists(folder):
        folder = folder.parent
    if path == folder and path.is_file():
        writable, folder = os.access(path, os.W_OK), path.parent
    else:
        writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    if not writable:
        raise InputError("no permission to write", file=path, field=field, hint="give a place that is yours")
    return folder


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
