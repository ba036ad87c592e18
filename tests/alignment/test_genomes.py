"""The same reads on references of both builds, whatever their sequences are called, and with ALT contigs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pysam
import pytest

from esr1call.alignment.indexing import build_index
from esr1call.cli import run
from tests.alignment.library import Pair, cut_pairs, random_bases, with_errors, write_pairs
from tests.builders import GRCH37_SHIFT, PANEL_TSV, moved_slices, slices, write_fasta

ALT = "chr6_KI270801v1_alt"
LARGEST = max(slices(), key=lambda n: len(slices()[n]))
SITE = slices()[LARGEST].index("CTCTATGAC")


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Pairs of the largest slice, one in five with D538G, each read twice; and pairs of elsewhere."""
    rng = np.random.default_rng(9)
    text = slices()[LARGEST]
    mutant = text[: SITE + 7] + "G" + text[SITE + 8 :]
    assert text[SITE + 7] == "A"
    some = [(f"w{n}", a, b) for n, a, b in cut_pairs(text[:450], 320, rng)]
    some += [(f"m{n}", a, b) for n, a, b in cut_pairs(mutant[:450], 80, rng)]
    elsewhere = [(f"e{n}", a, b) for n, a, b in cut_pairs(random_bases(rng, 5000), 300, rng)]
    return [(f"{n}:{copy}", a, b) for n, a, b in some + elsewhere for copy in (1, 2)]


def sample(folder: Path, sequences: dict[str, str], pairs: list[Pair], build: str, alt: str = "") -> Path:
    """Results of a sample on a reference of these sequences."""
    folder.mkdir()
    fasta = write_fasta(folder / "reference.fa", sequences)
    if alt:
        Path(f"{fasta}.alt").write_text(alt)
    one, two = write_pairs(folder, pairs)
    given = ["--sample", "s", "--fastq-1", str(one), "--fastq-2", str(two), "--read-structure", "3M2S+T 3M2S+T"]
    given += ["--reference", str(fasta), "--index", str(build_index(fasta, folder / "index")), "--build", build]
    assert run(["sample", *given, "--panel", str(PANEL_TSV), "--out-dir", str(folder / "out"), "--keep-bam"]) == 0
    return folder / "out"


def counts(out: Path, shift: int = 0) -> list[tuple[str, ...]]:
    """Rows of the counts, their places moved to the left."""
    rows = [line.split("\t") for line in (out / "counts.tsv").read_text().splitlines() if not line.startswith("#")]
    return [(w, c, str(int(s) - shift), str(int(e) - shift), *rest) for w, c, s, e, *rest in rows[1:]]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, pairs: list[Pair]) -> Path:
    out = sample(tmp_path_factory.mktemp("genomes") / "GRCh38", slices(), pairs, "GRCh38")
    assert sum(row[4] == "CTCTATGGC" for row in counts(out)) == 1
    return out


@pytest.mark.parametrize(
    ("build", "contig"),
    [("GRCh38", "6"), ("GRCh38", "NC_000006.12"), ("GRCh37", "chr6"), ("GRCh37", "6"), ("GRCh37", "NC_000006.11")],
)
def test_both_builds_by_any_name(tmp_path: Path, pairs: list[Pair], expected: Path, build: str, contig: str) -> None:
    shift = GRCH37_SHIFT if build == "GRCh37" else 0
    out = sample(tmp_path / "x", moved_slices(shift, contig), pairs, build)
    assert counts(out, shift) == counts(expected)
    found, was = (json.loads((o / "align.json").read_text()) for o in (out, expected))
    assert found == {**was, "build": build}
    assert was["dropped_by_screen"] > 500


def test_alt_contigs_take_no_reads_where_the_reference_names_them(
    tmp_path: Path, pairs: list[Pair], expected: Path
) -> None:
    """An ALT contig that holds the locus too: with bwa's .alt file beside the reference, reads are the chromosome's."""
    locus = with_errors(np.random.default_rng(2), slices()[LARGEST], 0.002)
    both = slices() | {ALT: random_bases(np.random.default_rng(3), 700) + locus}
    mapq = {}
    for name, alt in (("without", ""), ("with", f"{ALT}\t0\tchr6\t1\t60\t1M\t*\t0\t0\t*\t*\n")):
        out = sample(tmp_path / name, both, pairs, "GRCh38", alt)
        with pysam.AlignmentFile(str(out / "aligned.bam")) as bam:
            mapq[name] = [r.mapping_quality for r in bam.fetch(LARGEST) if not r.flag & 0x900]
        if alt:
            assert counts(out) == counts(expected)
        # Indexed anew in the same folder without it, nothing of it is left.
        Path(f"{tmp_path / name / 'reference.fa'}.alt").unlink(missing_ok=True)
        assert not Path(f"{build_index(tmp_path / name / 'reference.fa', tmp_path / name / 'index')}.alt").exists()
    assert np.mean(np.array(mapq["without"]) < 20) > 0.1
    assert np.mean(np.array(mapq["with"]) < 20) < 0.01
