"""An unaligned BAM as FASTQ text, mates in turn, the UMI of its RX tag in the comment."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from esr1call.errors import InputError

_BLOCK = 1 << 19
# Samtools as pysam has it, in a process of its own, so that its output is a pipe.
_PROGRAM = "import sys, pysam; pysam.fastq('-n', '-T', 'RX', sys.argv[1], catch_stdout=False)"


def is_bam(path: Path) -> bool:
    """Whether a file is a BAM, by what it starts with."""
    try:
        with path.open("rb") as raw:
            if raw.read(4) != b"\x1f\x8b\x08\x04":
                return False
        with gzip.open(path) as handle:
            return handle.read(4) == b"BAM\1"
    except (OSError, EOFError):
        return False


def is_unaligned(path: str | Path) -> bool:
    """Whether a BAM has no reference sequence in its header: reads as they were sequenced."""
    import pysam

    if not is_bam(Path(path)):
        return False
    told = pysam.set_verbosity(0)
    try:
        with pysam.AlignmentFile(str(path), check_sq=False) as bam:
            return bam.nreferences == 0
    except (OSError, ValueError):
        return False
    finally:
        pysam.set_verbosity(told)


def ubam_bytes(path: Path) -> Iterator[bytes]:
    """FASTQ text of an unaligned BAM, in blocks; InputError where it cannot be read to its end."""
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
