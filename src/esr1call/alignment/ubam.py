"""An unaligned BAM as FASTQ text, mates in turn, the UMI of its RX tag in the comment."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from esr1call.errors import InputError
from esr1call.io.bam_header import read_header
from esr1call.io.bgzf import BgzfFile

_BLOCK = 1 << 19
# Samtools as pysam has it, in a process of its own, so that its output is a pipe. With /1 and /2 (-N) a read that says
# it is neither cannot pass for a mate.
_PROGRAM = "import sys, pysam; pysam.fastq('-N', '-T', 'RX', sys.argv[1], catch_stdout=False)"


def is_bam(path: Path) -> bool:
    """Whether a file is a BAM, by what it starts with."""
    try:
        with path.open("rb") as raw:
            if raw.read(4) != b"\x1f\x8b\x08\x04":
                return False
        with gzip.open(path) as handle:
            return handle.read(4) == b"BAM\1"
    except (OSError, EOFError, zlib.error):
        return False


def is_unaligned(path: str | Path) -> bool:
    """Whether a BAM has no reference sequence in its header: reads as they were sequenced."""
    try:
        return is_bam(Path(path)) and not read_header(path).references
    except InputError:  # whoever takes it says what is wrong
        return False


def ubam_bytes(path: Path) -> Iterator[bytes]:
    """FASTQ text of an unaligned BAM, in blocks; InputError where it cannot be read to its end, or has none."""
    with BgzfFile(path) as file:
        if not file.has_eof_block():  # samtools goes on, as if the reads that are missing had never been
            raise InputError("truncated: the end-of-file block is missing", file=path, hint="copy the file again")
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdout is not None
        try:
            while block := process.stdout.read(_BLOCK):
                yield block
            code = process.wait()
        finally:
            process.stdout.close()
            process.kill()
            process.wait()
        if code:
            errors.seek(0)
            said = errors.read()[-2000:].decode(errors="replace").strip().splitlines()
            raise InputError(
                "cannot be read to its end as BAM", file=path, found=said[-1] if said else None,
                hint="copy the file again",
            )  # fmt: skip
