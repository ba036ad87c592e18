"""What a run rests on: versions, the merged config, and the size and SHA-256 of every input file.

The only output that carries a time and a machine; everything else a run writes is the same wherever it runs.
"""

from __future__ import annotations

import datetime
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from esr1call import __version__
from esr1call.io.batch import Batch
from esr1call.io.files import sha256_of
from esr1call.io.inputs import unchanged


def input_files(batch: Batch) -> list[Path]:
    """Every file the batch names, in a fixed order, each once."""
    config = batch.config
    snps = None if config.qc.snps is None else Path(config.qc.snps)
    named = [config.samples, config.reference.path, config.panel, config.background, config.trigger.rule, snps]
    files = [p for p in named if p is not None] + [p for s in batch.samples for p in s.files]
    return list(dict.fromkeys(files))


def checksums(files: list[Path], known: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Path -> bytes, mtime_ns and sha256; a file of the same size and time as in `known` is not read again."""
    out = {}
    for file in files:
        stat = file.stat()
        old = known.get(str(file), {})
        same = (old.get("bytes"), old.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns)
        digest = old["sha256"] if same and "sha256" in old else _sha256_of(file)
        out[str(file)] = {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest}
    return out


def _sha256_of(file: Path) -> str:
    with unchanged(file):
        return sha256_of(file)


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of the installed packages it names (and Snakemake)."""
    found = {"python": platform.python_version(), "esr1call": __version__}
    for requirement in metadata.requires("esr1call") or []:
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)
        if name and (";" not in requirement or name[0] == "snakemake"):
            try:
                found[name[0]] = metadata.version(name[0])
            except metadata.PackageNotFoundError:
                continue
    return found


def record(batch: Batch, inputs: Mapping[str, Any], started: datetime.datetime) -> dict[str, Any]:
    """The content of provenance.json; `started` must be aware of its time zone."""
    return {
        "batch": batch.config.batch,
        "study": batch.config.study,
        "started": started.astimezone(datetime.UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "versions": versions(),
        "config": batch.settings,
        "inputs": dict(inputs),
    }
