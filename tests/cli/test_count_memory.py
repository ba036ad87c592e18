"""What the command does with a crowd at one position: right, and within its memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from esr1call.io.counts_file import read_counts
from esr1call.panel import Panel
from tests import bam_bytes
from tests.bam_bytes import EOF_BLOCK, Record, tag
from tests.builders import PANEL_TSV, REFERENCE_FASTA

# VmHWM, since ru_maxrss of a new process begins at what the test's own process held when it started it.
_REPORT = (
    "import re, sys\nfrom pathlib import Path\nfrom esr1call.cli import run\ncode = run(sys.argv[1:])\n"
    "print(int(re.search(r'VmHWM:\\s*(\\d+) kB', Path('/proc/self/status').read_text())[1]) // 1024)\nsys.exit(code)"
)


def count(bam: Path) -> int:
    """Count in a process of its own; its peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", _REPORT, "count", "--bam", str(bam), "--panel", str(PANEL_TSV), "--reference",
         str(REFERENCE_FASTA), "--out", str(bam.with_suffix(".tsv"))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def crowd(path: Path, reads: int, distinct: bool, length: int) -> Path:
    """Reads of one place, all with one UMI or each with its own of 20 bases."""
    umi = "A" * 10 + "-" + "A" * 10
    tags = [tag("RX", "Z", umi)]
    record = Record("r0000000", 0, 0, 152098780, 60, f"{length}M", "ACGTA" * (length // 5), [37] * length, tags=tags)
    raw = np.frombuffer(record.encode(), dtype=np.uint8)
    rng, blocks = np.random.default_rng(1), [bam_bytes.block(bam_bytes.header([("chr6", 170805979)]))]
    per_block = 65280 // len(raw)
    for start in range(0, reads, per_block):
        lot = np.tile(raw, (min(per_block, reads - start), 1))
        number = np.arange(start, start + len(lot))
        for digit in range(7):
            lot[:, 36 + 7 - digit] = ord("0") + number // 10**digit % 10
        if distinct:  # ten bases tell the number, the others are random
            letters = np.frombuffer(b"ACGT", dtype=np.uint8)
            at = len(raw) - 22
            for digit in range(10):
                lot[:, at + digit] = letters[number >> 2 * digit & 3]
            lot[:, at + 11 : at + 21] = letters[rng.integers(0, 4, size=(len(lot), 10))]
        blocks.append(bam_bytes.block(lot.tobytes()))
    path.write_bytes(b"".join(blocks) + EOF_BLOCK)
    return path


@pytest.mark.slow
def test_a_million_reads_of_one_molecule(tmp_path: Path, panel: Panel) -> None:
    assert count(crowd(tmp_path / "x.bam", 1_000_000, distinct=False, length=100)) < 500
    table = read_counts(tmp_path / "x.tsv", panel)
    assert table.molecules.sum(axis=1).tolist() == [1] * len(table.haplotype)
    assert table.molecules[:, 2].tolist() == [1] * len(table.haplotype)
    start = 152098780
    inside = [i for i, w in enumerate(panel.windows) if start <= w.start and w.end <= start + 100]
    assert table.window.tolist() == inside
    assert len(inside) == 4


@pytest.mark.slow
def test_a_million_umis_at_one_position(tmp_path: Path, panel: Panel) -> None:
    assert count(crowd(tmp_path / "x.bam", 1_000_000, distinct=True, length=25)) < 1000
    table = read_counts(tmp_path / "x.tsv", panel)
    assert table.depth().sum(axis=1).max() > 999_000
