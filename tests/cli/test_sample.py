from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esr1call.alignment.indexing import build_index
from esr1call.cli import run
from tests.alignment.library import cut_pairs, write_pairs
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT, ReadBuilder, slices

PLACE = ["--reference", str(REFERENCE_FASTA), "--panel", str(PANEL_TSV)]
SNPS = ["--snps", str(ROOT / "config" / "panels" / "esr1_snps.tsv")]
NAMES = ["align.json", "aligned.bam", "aligned.bam.bai", "counts.json", "counts.tsv", "molecules.npz"]


@pytest.fixture(scope="module")
def fastq(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name 300 read pairs over the hotspots and an index to align them to."""
    folder = tmp_path_factory.mktemp("reads")
    name = max(slices(), key=lambda n: len(slices()[n]))
    one, two = write_pairs(folder, cut_pairs(slices()[name], 300, np.random.default_rng(3)))
    index = build_index(REFERENCE_FASTA, folder / "index")
    given = ["--sample", "S1", "--fastq-1", str(one), "--fastq-2", str(two), "--index", str(index)]
    return [*given, "--read-structure", "3M2S+T 3M2S+T", *PLACE]


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def in_two_steps(folder: Path, *given: str) -> dict[str, bytes]:
    """What `align` and `count` make of the same."""
    bam = str(folder / "aligned.bam")
    assert run(["align", *given, "--out", bam, "--stats", str(folder / "align.json")]) == 0
    counts = ["--out", str(folder / "counts.tsv"), "--stats", str(folder / "counts.json"), *SNPS]
    counts += ["--molecules", str(folder / "molecules.npz")]
    assert run(["count", "--bam", bam, *PLACE, *counts, "--min-base-quality", "20"]) == 0
    return files(folder)


@pytest.mark.parametrize("keep", [True, False])
def test_it_makes_what_two_steps_make(keep: bool, tmp_path: Path, fastq: list[str]) -> None:
    expected = in_two_steps(tmp_path / "two", *fastq)
    assert list(expected) == NAMES
    out = tmp_path / "one"
    out.mkdir()
    (out / "aligned.bam").write_text("of an earlier run")
    options = ["--out-dir", str(out), *SNPS, "--min-base-quality", "20", *(["--keep-bam"] if keep else [])]
    assert run(["sample", *fastq, *options]) == 0
    assert files(out) == {n: v for n, v in expected.items() if keep or "bam" not in n}
    assert b"simplex" in expected["counts.tsv"]


def test_an_alignment_kept_as_cram(tmp_path: Path, fastq: list[str]) -> None:
    expected = in_two_steps(tmp_path / "two", *fastq)
    out = tmp_path / "one"
    given = [*fastq, "--out-dir", str(out), *SNPS, "--min-base-quality", "20"]
    assert run(["sample", *given, "--keep-bam"]) == 0
    assert run(["sample", *given, "--keep-cram"]) == 0
    assert sorted(files(out)) == [n.replace("bam.bai", "cram.crai").replace(".bam", ".cram") for n in NAMES]
    assert {n: v for n, v in files(out).items() if "cram" not in n} == {
        n: v for n, v in expected.items() if "bam" not in n
    }
    assert run(["align", *fastq, "--out", str(tmp_path / "x.cram"), "--stats", str(tmp_path / "x.json")]) == 0
    assert (tmp_path / "x.cram").read_bytes() == files(out)["aligned.cram"]
    assert (tmp_path / "x.json").read_bytes() == expected["align.json"]
    assert run(["sample", *given]) == 0
    assert not [n for n in files(out) if "aligned" in n]


@pytest.mark.parametrize("keep", [True, False])
def test_a_bam_is_counted_as_it_is(keep: bool, tmp_path: Path) -> None:
    reads = ReadBuilder()
    reads.pair(152098700, 152098860, copies=5)
    bam = reads.write(tmp_path / "in.bam")
    given = ["--sample", "S1", "--bam", str(bam), *PLACE]
    expected = in_two_steps(tmp_path / "two", *given)
    out = tmp_path / "one"
    options = ["--out-dir", str(out), *SNPS, "--min-base-quality", "20", *(["--keep-bam"] if keep else [])]
    assert run(["sample", *given, *options]) == 0
    assert files(out) == {n: v for n, v in expected.items() if keep or "bam" not in n}
    assert bam.exists()


def test_nothing_of_a_sample_that_cannot_be_counted(
    tmp_path: Path, fastq: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "one"
    assert run(["sample", *fastq, "--umi", "none", "--read-structure", "+T +T", "--out-dir", str(out)]) == 2
    assert "not one read over the panel's windows has a UMI" in capsys.readouterr().err
    assert files(out) == {}
