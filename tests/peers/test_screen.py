"""`esr1call screen` in front of the bwa program, as labs use it: the panel gets the reads that it got without."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from esr1call.cli import run
from esr1call.io.reference import Reference, load_panel
from tests.alignment.library import cut_pairs, random_bases, write_gz, write_pairs
from tests.builders import PANEL_TSV, slices, write_fasta
from tests.tools import ask, need

pytestmark = [pytest.mark.peers, pytest.mark.slow]

PROGRAM = str(Path(sys.executable).with_name("esr1call"))
Record = tuple[str, ...]


def over_panel(sam: str, reference: Path) -> set[Record]:
    """Primary records of MAPQ >= 20 over a window of the panel: name, flag but for the pair's, place, CIGAR, bases."""
    panel = load_panel(PANEL_TSV, Reference(reference), "GRCh38")
    homes = {s.name: s.offset for s in Reference(reference).slices}
    found = set()
    for line in sam.splitlines():
        cells = line.split("\t")
        if line.startswith("@") or int(cells[1]) & 0x904 or int(cells[4]) < 20:
            continue
        start = int(cells[3]) - 1 + homes[cells[2]]
        if any(start < w.end and w.start < start + len(cells[9]) for w in panel.windows):
            found.add((cells[0], str(int(cells[1]) & ~0x2), *cells[2:4], cells[5], cells[9]))
    return found


@pytest.mark.parametrize("form", ["pair", "lanes", "interleaved"])
def test_bwa_mem_places_the_same_reads_over_the_panel(tmp_path: Path, form: str) -> None:
    need("bwa")
    rng = np.random.default_rng(6)
    other = random_bases(rng, 30_000)
    fasta = write_fasta(tmp_path / "reference.fa", slices() | {"chr7:1001-31000": other})
    ask("bwa", "index", fasta)
    own = [p for i, bases in enumerate(slices().values()) for p in named(cut_pairs(bases[:560], 300, rng, False), i)]
    pairs = own + named(cut_pairs(other, 6000, rng, False), 9)
    pairs = [pairs[i] for i in rng.permutation(len(pairs))]
    one, two = write_pairs(tmp_path, pairs)
    given = [str(one), str(two)]
    if form == "lanes":
        lanes = [write_pairs(tmp_path, pairs[i::2], f"l{i}") for i in (0, 1)]
        given = [";".join(str(lane[mate]) for lane in lanes) for mate in (0, 1)]
    elif form == "interleaved":
        text = "".join(f"@{n}\n{b}\n+\n{'F' * len(b)}\n" for n, *reads in pairs for b in reads)
        given = [str(write_gz(tmp_path / "both.fastq.gz", text))]
    screen = [PROGRAM, "screen", *given, "--panel", str(PANEL_TSV), "--reference", str(fasta)]
    pipe = f"set -o pipefail; {shlex.join(screen)} | bwa mem -v 1 -p {shlex.quote(str(fasta))} -"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    all_ = ask("bwa", "mem", "-v", "1", fasta, one, two)
    assert over_panel(done.stdout, fasta) == over_panel(all_, fasta)
    assert len(over_panel(all_, fasta)) > 1500
    kept = int(done.stderr.split("kept ")[1].split()[0])
    assert len(own) * 0.95 < kept < len(own) + 50


def named(pairs: list[tuple[str, str, str]], number: int) -> list[tuple[str, str, str]]:
    return [(f"{number}:{n}", a, b) for n, a, b in pairs]


def test_a_broken_file_fails_the_pipe(tmp_path: Path) -> None:
    need("bwa")
    fasta = write_fasta(tmp_path / "reference.fa", slices())
    ask("bwa", "index", fasta)
    one, two = write_pairs(tmp_path, cut_pairs(next(iter(slices().values())), 200, np.random.default_rng(1), False))
    two.write_bytes(two.read_bytes()[:-20])
    given = ["screen", str(one), str(two), "--panel", str(PANEL_TSV), "--reference", str(fasta)]
    screen = shlex.join([PROGRAM, *given])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {screen} | bwa mem -v 1 -p {shlex.quote(str(fasta))} - > /dev/null"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "truncated gzip file" in done.stderr
    assert run([*given, "--out", str(tmp_path / "x.fq")]) == 2
