"""A batch as the user describes it: the config file and its sample sheet, checked and frozen.

Paths in the config are relative to the folder the command runs in, as everywhere in Snakemake (and so are paths
given by ``--config``); paths in the sample sheet are relative to the sheet's folder, so that a run folder can move.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from esr1call.alignment.pairs import ILLUMINA_ADAPTERS
from esr1call.alignment.read_structure import parse_structures
from esr1call.errors import InputError
from esr1call.io.files import require_file
from esr1call.io.schema import read_yaml, schema, validate, with_numbers
from esr1call.io.sheet import Sample, load_sheet
from esr1call.settings import CallingSettings, CountSettings, ExportSettings, QcSettings

__all__ = [
    "AlignmentSettings",
    "Batch",
    "CallingSettings",
    "Config",
    "CountSettings",
    "ExportSettings",
    "QcSettings",
    "Sample",
    "check_output",
    "check_path",
    "load_batch",
]

FIT = "fit"


@dataclass(frozen=True)
class ReferenceSettings:
    """The reference FASTA, its genome build, and the prefix of an existing aligner index (None: make one)."""

    path: Path
    build: str
    index: Path | None = None


@dataclass(frozen=True)
class AlignmentSettings:
    """How FASTQ becomes BAM. `umi` says where UMIs are; a sample's own `read_structure` goes before this one.

    `adapters` end R1 and R2; templates shorter than `min_length` bases are dropped; `threads` are per sample.
    With `screen` only pairs that could come from the panel's exons are aligned.
    Without `keep_bam` an alignment is removed once its reads are counted; `format`, bam or cram, is that of a kept one.
    """

    aligner: str = "embedded"
    umi: str = "read_structure"
    umi_delimiter: str = ":"
    read_structure: str | None = None
    adapters: tuple[str, str] = ILLUMINA_ADAPTERS
    min_length: int = 20
    threads: int = 1
    keep_bam: bool = True
    format: str = "bam"
    screen: bool = True


@dataclass(frozen=True)
class TriggerSettings:
    """The rule file that decides, the study's ledger (a file, or a database URL; one for all its batches), and the
    private key to sign events with, None where they are not signed."""

    rule: Path
    ledger: str
    signing_key: Path | None = None


@dataclass(frozen=True)
class Config:
    """A batch's configuration. `background` is a model file, or None to fit one on the blanks of this batch."""

    batch: str
    study: str
    samples: Path
    reference: ReferenceSettings
    panel: Path
    background: Path | None
    trigger: TriggerSettings
    output: Path = Path("results")
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    counting: CountSettings = field(default_factory=CountSettings)
    calling: CallingSettings = field(default_factory=CallingSettings)
    qc: QcSettings = field(default_factory=QcSettings)
    export: ExportSettings = field(default_factory=ExportSettings)

    @property
    def folder(self) -> Path:
        """Where this batch's results go."""
        return self.output / self.batch


@dataclass(frozen=True)
class Batch:
    """The config, its samples in the sheet's order, and the merged settings as they were given."""

    config: Config
    samples: tuple[Sample, ...]
    settings: dict[str, Any]

    def of_type(self, kind: str) -> tuple[Sample, ...]:
        """The samples of one type."""
        return tuple(s for s in self.samples if s.type == kind)


def load_batch(
    config_path: str | Path | None,
    overrides: Mapping[str, Any] | None = None,
    *,
    check_files: bool = True,
    name: str = "config",
) -> Batch:
    """Load and check a config and its sample sheet.

    `overrides` (of Snakemake's ``--config``, say) are merged over the file, key by key at every depth; without a file
    they are the whole config, which errors then call `name`. With `check_files` every input must be there, not empty.
    Raises InputError for the first thing that is wrong.
    """
    file = name if config_path is None else config_path
    settings = _merge({} if config_path is None else read_yaml(config_path), overrides or {})
    settings = with_numbers(settings, schema("config"))
    validate(settings, "config", file=file)
    config = _build(Config, settings)
    if check_files:
        for key, path in _inputs(config):
            require_file(path, field=key, hint=f"paths in {file} are relative to the folder you run in")
    samples = load_sheet(config.samples, check_files=check_files)
    batch = Batch(config, samples, settings)
    _check_together(batch, file)
    return batch


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out


def _build(cls: Any, values: Mapping[str, Any]) -> Any:
    """A settings dataclass from a validated mapping; fields typed as paths become paths, lists tuples."""
    out: dict[str, Any] = {}
    for f in fields(cls):
        if f.name not in values:
            continue
        value = values[f.name]
        nested = SECTIONS.get(f.name)
        if nested is not None and cls is Config:
            value = _build(nested, value)
        elif "Path" in str(f.type) and value is not None:
            value = None if (f.name, value) == ("background", FIT) else Path(value)
        elif isinstance(value, list):
            value = tuple(value)
        out[f.name] = value
    return cls(**out)


SECTIONS = {
    "reference": ReferenceSettings, "trigger": TriggerSettings, "alignment": AlignmentSettings,
    "counting": CountSettings, "calling": CallingSettings, "qc": QcSettings,
    "export": ExportSettings,
}  # fmt: skip


def _inputs(config: Config) -> list[tuple[str, Path]]:
    """(key, path) of every file the config names that must be there."""
    named = [
        ("samples", config.samples), ("reference.path", config.reference.path), ("panel", config.panel),
        ("trigger.rule", config.trigger.rule),
    ]  # fmt: skip
    optional = [("background", config.background), ("trigger.signing_key", config.trigger.signing_key)]
    optional.append(("qc.snps", None if config.qc.snps is None else Path(config.qc.snps)))
    return named + [(key, path) for key, path in optional if path is not None]


def check_path(path: str | Path, *, shown: bool = True, **place: Any) -> None:
    """InputError, told of `place`, for a path that no file can have or that Snakemake takes for something else; all
    other names are quoted."""
    text = str(path)
    if "://" not in text and not all(_is_name(name) for name in text.split("/")):
        raise InputError("a name that no file can have", **place, expected="text of at most 255 bytes between two '/'")
    if re.search("[{}]", text) or text.startswith("-"):
        raise InputError(
            "a path that Snakemake can't hold", **place, found=path if shown else None,
            expected="no '{' or '}' (its wildcards), no '-' at the start", hint="rename it",
        )  # fmt: skip


def _is_name(name: str) -> bool:
    try:
        return len(os.fsencode(name)) <= 255
    except UnicodeEncodeError:  # half a character
        return False


def check_output(config: Config) -> None:
    """The folders for results are there, or nothing is: InputError for a file, and a link to nothing or in a loop."""
    for folder in (config.output, config.folder):
        if os.path.lexists(folder) and not folder.is_dir():
            raise InputError("is no folder", file=folder, field="output", expected="a folder, or a place for a new one")


def _check_paths(batch: Batch, file: str | Path) -> None:
    config = batch.config
    named = [*_inputs(config), ("output", config.output)]
    if config.reference.index is not None:
        named.append(("reference.index", config.reference.index))
    for key, path in named:
        check_path(path, file=file, field=key)
    check_path(config.trigger.ledger, shown="://" not in config.trigger.ledger, file=file, field="trigger.ledger")
    for sample in batch.samples:
        for path in sample.files:
            check_path(path, file=config.samples, line=sample.line)


def _check_together(batch: Batch, file: str | Path) -> None:
    """What config and sample sheet say about each other."""
    _check_paths(batch, file)
    config = batch.config
    if config.background is None and not batch.of_type("blank"):
        raise InputError(
            "the background is to be fitted, but the batch has no blanks", file=config.samples, field="type",
            expected="samples of type blank", hint=f"add blanks, or name a model file as 'background' in {file}",
        )  # fmt: skip
    if config.alignment.aligner == "bwa-mem2" and config.reference.index is None:
        raise InputError(
            "bwa-mem2 needs an index of its own", file=file, field="reference.index", expected="the prefix of one",
            hint="make it with 'bwa-mem2 index', or use another aligner",
        )  # fmt: skip
    if (config.alignment.umi == "none") != (config.counting.umi == "none"):
        raise InputError(
            "one says there are UMIs, the other that there are none", file=file, field="alignment.umi, counting.umi",
            found=f"{config.alignment.umi}, {config.counting.umi}", expected="none in both, or in neither",
        )  # fmt: skip
    if config.alignment.umi == "read_structure":
        _check_structures(batch, file)


def _check_structures(batch: Batch, file: str | Path) -> None:
    """Every sample with FASTQ has a read structure, and one that holds the UMIs that counting relies on."""
    config = batch.config
    for sample in batch.samples:
        text = sample.read_structure or config.alignment.read_structure
        own = sample.read_structure is not None
        place: dict[str, Any] = {"file": config.samples if own else file, "line": sample.line if own else None}
        place["field"] = "read_structure" if own else "alignment.read_structure"
        if sample.bam is not None:
            continue
        if text is None:
            raise InputError(
                f"no read structure for sample {sample.sample}", **place, expected="such as '3M2S+T 3M2S+T'",
                hint="give it there or in the sample sheet, or set alignment.umi",
            )  # fmt: skip
        try:
            reads_with_umi = sum(bool(s.umi) for s in parse_structures(text))
        except InputError as error:
            raise InputError(
                error.problem, **place, found=text, expected="the structure of R1 and of R2, such as '3M2S+T 3M2S+T'"
            ) from error
        if reads_with_umi < (2 if config.counting.umi == "duplex" else 1):
            raise InputError(
                f"no UMI in {'one' if reads_with_umi else 'both'} of the reads, while counting.umi is "
                f"{config.counting.umi}", **place, found=text, expected="an M segment, such as in '3M2S+T 3M2S+T'",
                hint="set counting.umi to simplex for a UMI on one read, and to none for reads without",
            )  # fmt: skip
