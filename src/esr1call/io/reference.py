"""Reference FASTA in genome coordinates, whether it holds whole chromosomes or slices named by their region."""

from __future__ import annotations

import os
import tempfile
from functools import cached_property
from pathlib import Path

import pysam
from pysam.utils import SamtoolsError

from esr1call.contigs import Slice, build_of, place
from esr1call.errors import InputError
from esr1call.io.files import read_text, require_file
from esr1call.panel import Panel
from esr1call.panel_file import parse, resolve

_LETTERS = frozenset("ACGTUNRYSWKMBDHV")
"""Bases as references have them, with the ambiguous ones of IUPAC."""


class Reference:
    """An indexed FASTA; `fetch` takes genome positions and canonical contig names."""

    def __init__(self, path: str | Path) -> None:
        """Open `path`. Without an index beside it, or with one older than the FASTA, one is made in a temporary
        folder: inputs are never changed.

        Raises InputError where it is no FASTA.
        """
        self.path = require_file(path, hint="give a reference FASTA in the config")
        told = pysam.set_verbosity(0)  # htslib writes lines of its own to stderr
        try:
            self._fasta = _open(str(path))
        except (OSError, ValueError, SamtoolsError) as error:
            raise InputError("cannot be opened as FASTA", file=path, expected="FASTA, plain or bgzipped") from error
        finally:
            pysam.set_verbosity(told)

    @cached_property
    def slices(self) -> tuple[Slice, ...]:
        """Every sequence of the file and where it lies on the genome."""
        return tuple(place(n, k) for n, k in zip(self._fasta.references, self._fasta.lengths, strict=True))

    @cached_property
    def build(self) -> str | None:
        """The genome build that names and lengths show, or None for slices."""
        return build_of([(s.name, s.length) for s in self.slices])

    def fetch(self, contig: str, start: int, end: int) -> str:
        """Upper-case bases of [start, end), 'N' where the file has none."""
        bases = ["N"] * (end - start)
        for s in self.slices:
            low, high = max(start, s.offset), min(end, s.end)
            if s.contig == contig and low < high:
                bases[low - start : high - start] = self._read(s.name, low - s.offset, high - s.offset)
        return "".join(bases)

    def _read(self, name: str, start: int, end: int) -> str:
        told = pysam.set_verbosity(0)
        try:
            found: str = self._fasta.fetch(name, start, end)
        except (OSError, ValueError) as error:
            raise self._unfit(name) from error
        finally:
            pysam.set_verbosity(told)
        if len(found) != end - start:
            raise self._unfit(name)
        found = found.upper()
        if strange := set(found) - _LETTERS:
            raise InputError(
                "a letter that is no base", file=self.path, found=f"{min(strange)} in {name}",
                expected="A, C, G, T or N", hint="copy or write the reference again",
            )  # fmt: skip
        return found

    def _unfit(self, name: str) -> InputError:
        return InputError(
            "the FASTA does not fit its index", file=self.path, found=name, expected="as many bases as indexed",
            hint="index it again with samtools faidx",
        )  # fmt: skip

    def close(self) -> None:
        """Close the file."""
        self._fasta.close()


def _open(path: str) -> pysam.FastaFile:
    beside = [Path(f"{path}.fai")]
    with Path(path).open("rb") as handle:
        zipped = handle.read(2) == b"\x1f\x8b"
    if zipped:
        beside.append(Path(f"{path}.gzi"))
    if all(os.path.exists(i) and i.stat().st_mtime >= Path(path).stat().st_mtime for i in beside):
        return pysam.FastaFile(path)
    with tempfile.TemporaryDirectory() as folder:
        fai, gzi = str(Path(folder, "fai")), str(Path(folder, "gzi"))
        pysam.faidx("--fai-idx", fai, "--gzi-idx", gzi, path)
        return pysam.FastaFile(path, filepath_index=fai, filepath_index_compressed=gzi if zipped else None)


def load_panel(path: str | Path, reference: Reference, build: str) -> Panel:
    """Read a panel and check it against the reference; InputError names the row that disagrees."""
    if reference.build is not None and reference.build != build:
        raise InputError(
            "the reference is of another build", file=reference.path, field="reference.build",
            found=reference.build, expected=build, hint="mend the config or give the other reference",
        )  # fmt: skip
    return resolve(parse(read_text(path).splitlines(), str(path)), build, reference.fetch)
