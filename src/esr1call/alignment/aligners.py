"""`bwa mem` on batches of template pairs: as a library (pybwa) or as a program on PATH (bwa, bwa-mem2).

Batches have a fixed number of pairs, because bwa infers the insert size batch by batch: so results do not depend on
the number of threads.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from esr1call.alignment.pairs import TemplatePairs
from esr1call.errors import InputError

BATCH_PAIRS = 32768
ALIGNERS = ("embedded", "bwa", "bwa-mem2")
MAX_INSERT = 1000
"""Longest fragment (bases) that pybwa's mates may span to be flagged as properly paired."""

_INDEX_ENDS = {
    "embedded": (".amb", ".ann", ".bwt", ".pac", ".sa"),
    "bwa": (".amb", ".ann", ".bwt", ".pac", ".sa"),
    "bwa-mem2": (".0123", ".amb", ".ann", ".bwt.2bit.64", ".pac"),
}
# Bases in one of bwa's own batches: in the library above any batch of ours, so that ours are never split.
_CHUNK_BASES = 1_000_000_000
_PROGRAM_CHUNK_BASES = 10_000_000
_PAIRED, _PROPER, _UNMAPPED, _MATE_UNMAPPED, _REVERSE, _MATE_REVERSE = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
_READ1, _READ2, _SECONDARY, _SUPPLEMENTARY = 0x40, 0x80, 0x100, 0x800


class Aligner(Protocol):
    """Maps template pairs to records that carry RX and RG tags."""

    name: str
    version: str

    def sequences(self) -> list[tuple[str, int]]:
        """Names and lengths of the index's reference sequences."""

    def align(self, batches: Iterable[TemplatePairs], read_group: str) -> Iterator[Any]:
        """pysam.AlignedSegment for each alignment, read by read, mates in turn."""


def check_index(prefix: str | Path, aligner: str) -> None:
    """InputError where a file of the aligner's index is missing."""
    for end in _INDEX_ENDS[aligner]:
        if not os.path.isfile(f"{prefix}{end}"):
            raise InputError(
                f"no index for {aligner}: '{Path(f'{prefix}{end}').name}' is missing", file=prefix, field="index",
                hint="make one with 'esr1call index'" if aligner != "bwa-mem2" else "make one with 'bwa-mem2 index'",
            )  # fmt: skip


def open_aligner(name: str, prefix: str | Path, threads: int) -> Aligner:
    """The aligner called `name` (ALIGNERS) on an index; InputError where program or index is missing."""
    check_index(prefix, name)
    return Embedded(prefix, threads) if name == "embedded" else Program(name, prefix, threads)


def read_ann(prefix: str | Path) -> list[tuple[str, int]]:
    """Names and lengths of the sequences in bwa's ``.ann`` file."""
    lines = Path(f"{prefix}.ann").read_text(encoding="utf-8").splitlines()
    try:
        return [
            (a.split()[1], int(b.split()[1])) for a, b in zip(lines[1::2], lines[2::2], strict=True)
        ]  # fmt: skip
    except (IndexError, ValueError) as error:
        raise InputError("damaged bwa index", file=f"{prefix}.ann", hint="make the index again") from error


class Embedded:
    """bwa mem as a library, in this process."""

    def __init__(self, prefix: str | Path, threads: int) -> None:
        try:
            import pybwa
        except ImportError as error:
            raise InputError(
                "the embedded aligner is not installed",
                hint="pip install 'esr1call[align]', or set the aligner to bwa or bwa-mem2",
            ) from error
        from importlib.metadata import version

        self.name, self.version = "bwa mem (pybwa)", version("pybwa")
        self._prefix = prefix
        try:
            # pybwa leaves its .dict open, which is no matter of the user's.
            with quiet_stderr(), warnings.catch_warnings(action="ignore", category=ResourceWarning):
                self._bwa = pybwa.BwaMem(str(prefix))
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"cannot load the index: {error}", file=prefix, field="index",
                hint="make it with 'esr1call index', or 'samtools dict' where only the .dict is missing",
            ) from error  # fmt: skip
        self._options = pybwa.BwaMemOptions(
            interleaved_paired_end=True, threads=threads, chunk_size=_CHUNK_BASES
        ).finalize()

    def sequences(self) -> list[tuple[str, int]]:
        """Names and lengths of the index's reference sequences."""
        return read_ann(self._prefix)

    def align(self, batches: Iterable[TemplatePairs], read_group: str) -> Iterator[Any]:
        """pysam.AlignedSegment for each alignment, read by read, mates in turn."""
        from pysam import FastxRecord

        for batch in batches:
            columns = zip(batch.name, batch.bases_1, batch.quality_1, batch.bases_2, batch.quality_2, strict=True)
            queries = [
                FastxRecord(name=n, sequence=b, quality=q)
                for n, b1, q1, b2, q2 in columns
                for b, q in ((b1, q1), (b2, q2))
            ]
            with quiet_stderr():
                found = self._bwa.align(queries, self._options)
            for i, records in enumerate(found):
                umi, mate = batch.umi[i >> 1], _READ2 if i & 1 else _READ1
                for record in records:
                    record.flag = _flag(record, mate)
                    if umi:
                        record.set_tag("RX", umi, "Z", replace=False)
                    record.set_tag("RG", read_group, "Z", replace=False)
                    yield record


def _flag(record: Any, mate: int) -> int:
    """Complete a record's flag: pybwa leaves out which mate it is and whether the mates are properly paired."""
    flag: int = record.flag | mate
    if flag & (_UNMAPPED | _MATE_UNMAPPED) or record.reference_id != record.next_reference_id:
        return flag
    length = -record.template_length if flag & _REVERSE else record.template_length
    facing = bool(flag & _REVERSE) != bool(flag & _MATE_REVERSE)
    return flag | _PROPER if facing and 0 < length <= MAX_INSERT else flag


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: bwa prints insert sizes and progress there whatever its verbosity."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Program:
    """bwa or bwa-mem2 on PATH: interleaved FASTQ on its stdin, SAM on its stdout."""

    def __init__(self, name: str, prefix: str | Path, threads: int) -> None:
        path = shutil.which(name)
        if path is None:
            raise InputError(
                f"the program '{name}' is not on PATH",
                field="aligner",
                hint="install it or set the aligner to embedded",
            )
        self.name, self.version = f"{name} mem", _program_version(path)
        self._prefix = prefix
        # -p interleaved mates, -C the FASTQ comment (RX) as a tag, -K a batch size that does not follow the threads.
        self._command = [path, "mem", "-t", str(threads), "-p", "-C", "-K", str(_PROGRAM_CHUNK_BASES), "-v", "1"]

    def sequences(self) -> list[tuple[str, int]]:
        """Names and lengths of the index's reference sequences."""
        return read_ann(self._prefix)

    def align(self, batches: Iterable[TemplatePairs], read_group: str) -> Iterator[Any]:
        """pysam.AlignedSegment for each alignment, read by read, mates in turn."""
        batches = iter(batches)
        first = next((b for b in batches if b.name), None)
        if first is None:  # bwa-mem2 does not take an empty input
            return
        import tempfile

        from pysam import AlignmentFile

        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [*self._command, "-R", f"@RG\\tID:{read_group}", str(self._prefix), "-"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            feeder = _Feeder(chain([first], batches), process.stdin.write, process.stdin.close)
            feeder.start()
            failed = False
            try:
                with AlignmentFile(process.stdout, "r", check_sq=False) as sam:
                    yield from sam
            except (OSError, ValueError):
                failed = True
            finally:
                process.stdout.close()
                feeder.stop()
                code = process.wait()
            if feeder.error is not None:
                raise feeder.error
            if code or failed:
                errors.seek(0)
                said = errors.read()[-2000:].decode(errors="replace").strip().splitlines()
                raise InputError(
                    f"'{self.name}' failed with exit code {code}", field="aligner", found=said[-1] if said else None,
                    hint="check its index and memory",
                )  # fmt: skip


class _Feeder(threading.Thread):
    """Writes batches as interleaved FASTQ while the SAM is read; keeps the error that stopped it."""

    def __init__(
        self, batches: Iterable[TemplatePairs], write: Callable[[bytes], Any], close: Callable[[], None]
    ) -> None:
        super().__init__(daemon=True)
        self._batches, self._write, self._close = batches, write, close
        self._stopped = False
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for batch in self._batches:
                if self._stopped:
                    break
                self._write(interleaved(batch))
        except BrokenPipeError:
            pass  # the aligner died: its exit code tells
        except Exception as error:  # raised again by the reader of the SAM
            self.error = error
        finally:
            with suppress(BrokenPipeError):
                self._close()

    def stop(self) -> None:
        self._stopped = True
        self.join()


def interleaved(batch: TemplatePairs) -> bytes:
    """FASTQ text of a batch, mates in turn, the UMI as an RX tag in the comment."""
    lines = []
    columns = zip(
        batch.name, batch.umi, batch.bases_1, batch.quality_1, batch.bases_2, batch.quality_2, strict=True
    )  # fmt: skip
    for name, umi, b1, q1, b2, q2 in columns:
        header = f"@{name} RX:Z:{umi}" if umi else f"@{name}"
        lines.append(f"{header}\n{b1}\n+\n{q1}\n{header}\n{b2}\n+\n{q2}\n")
    return "".join(lines).encode()


def _program_version(path: str) -> str:
    """Version a bwa program prints: in its usage text on stderr, or by `version` (bwa-mem2)."""
    for arguments in (["version"], []):
        said = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        match = re.search(r"(?:Version: *)?([0-9]+\.[0-9]+[^\s]*)", said.stdout + said.stderr)
        if match:
            return match[1]
    return "unknown"
