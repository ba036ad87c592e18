"""Builds the bwa index of a reference in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from esr1call.errors import InputError
from esr1call.io.reference import Reference

_SPACE = "is the disk full?"
_PROGRAM = "import sys; from pybwa.libbwaindex import BwaIndex; BwaIndex.index(sys.argv[1], prefix=sys.argv[2])"
PREFIX = "reference"
"""Name of the index in its folder: the files are ``<folder>/reference.bwt`` and so on."""


def build_index(reference: str | Path, folder: str | Path) -> Path:
    """Index `reference` (FASTA, plain or gzipped) and return the index's prefix; raises InputError.

    The files take their names only when all are complete. They depend on the reference's content alone, and on that of
    bwa's list of ALT contigs, ``<reference>.alt``, where there is one: a read that fits one of these too is the
    chromosome's.
    """
    if find_spec("pybwa") is None:
        raise InputError(
            "the embedded aligner is not installed",
            hint="pip install 'esr1call[align]', or index the reference with the aligner of the config",
        )
    with closing(Reference(reference)) as opened:
        sequences = len(opened.slices)
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".index.", suffix=".tmp") as made:
            prefix = Path(made, PREFIX)
            _index(reference, prefix, target)
            if (alternatives := Path(f"{reference}.alt")).is_file():
                shutil.copyfile(alternatives, f"{prefix}.alt")
            else:
                (target / f"{PREFIX}.alt").unlink(missing_ok=True)
            dictionary = prefix.with_suffix(".dict")
            text = _without_paths(dictionary.read_text(encoding="utf-8"))
            if text.count("\n@SQ\t") != sequences or not text.endswith("\n"):  # it is written without a check
                raise InputError("cannot write the index: reference.dict is cut short", file=folder, hint=_SPACE)
            dictionary.write_text(text, encoding="utf-8")
            # The .dict last: with it the index counts as complete.
            for file in sorted(Path(made).iterdir(), key=lambda f: (f.suffix == ".dict", f.name)):
                file.replace(target / file.name)
    except OSError as error:
        raise InputError(f"cannot write the index: {error.strerror or error}", file=folder) from error
    return target / PREFIX


def _index(reference: str | Path, prefix: Path, folder: Path) -> None:
    """Run bwa in a process of its own: where it can't write it ends its process."""
    command = [sys.executable, "-c", _PROGRAM, str(reference), str(prefix)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        found = said[-1].rpartition("] ")[2] if said else f"exit code {done.returncode}"
        raise InputError(f"cannot write the index: {found}", file=folder, hint=_SPACE)


def _without_paths(dictionary: str) -> str:
    """Drop the UR fields, which hold the reference's place on this machine."""
    return "".join(
        "\t".join(f for f in line.split("\t") if not f.startswith("UR:")) + "\n" for line in dictionary.splitlines()
    )
