"""Builds the bwa index of a reference in a folder of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from esr1call.errors import InputError
from esr1call.io.reference import Reference

PREFIX = "reference"
"""Name of the index in its folder: the files are ``<folder>/reference.bwt`` and so on."""


def build_index(reference: str | Path, folder: str | Path) -> Path:
    """Index `reference` (FASTA, plain or gzipped) and return the index's prefix; raises InputError.

    The files take their names only when all are complete. They depend on the reference's content alone.
    """
    try:
        from pybwa.libbwaindex import BwaIndex
    except ImportError as error:
        raise InputError(
            "the embedded aligner is not installed",
            hint="pip install 'esr1call[align]', or index the reference with the aligner of the config",
        ) from error
    from esr1call.alignment.aligners import quiet_stderr

    Reference(reference).close()
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".index.", suffix=".tmp") as made:
            prefix = Path(made, PREFIX)
            with quiet_stderr():
                BwaIndex.index(str(reference), prefix=str(prefix))
            dictionary = prefix.with_suffix(".dict")
            dictionary.write_text(_without_paths(dictionary.read_text(encoding="utf-8")), encoding="utf-8")
            # The .dict last: with it the index counts as complete.
            for file in sorted(Path(made).iterdir(), key=lambda f: (f.suffix == ".dict", f.name)):
                file.replace(target / file.name)
    except OSError as error:
        raise InputError(f"cannot write the index: {error.strerror or error}", file=folder) from error
    return target / PREFIX


def _without_paths(dictionary: str) -> str:
    """Drop the UR fields, which hold the reference's place on this machine."""
    return "".join(
        "\t".join(f for f in line.split("\t") if not f.startswith("UR:")) + "\n" for line in dictionary.splitlines()
    )
