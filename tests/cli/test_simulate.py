from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from esr1call.cli import run
from tests.builders import PANEL_TSV, REFERENCE_FASTA


def simulate(prefix: Path, *options: str) -> int:
    return run([
        "simulate", "--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA), "--out-prefix", str(prefix),
        "--seed", "7", "--molecules", "100", "--read-length", "80", *options,
    ])  # fmt: skip


def test_writes_reads_and_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--variant", "p.D538G=0.5", "--exact", "--targets", "hotspots", "--molecule-table", "--tag-names")
    assert simulate(tmp_path / "out" / "a", *options) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a.molecules.tsv", "a.truth.json", "a_R1.fastq.gz", "a_R2.fastq.gz",
    ]  # fmt: skip
    truth = json.loads((tmp_path / "out" / "a.truth.json").read_text())
    assert truth["seed"] == 7
    assert truth["parameters"]["molecules"] == 100
    made = truth["spikes"][0]["windows"]["536-538"]
    assert made["mutant"] == round(made["molecules"] / 2)
    lines = gzip.decompress((tmp_path / "out" / "a_R1.fastq.gz").read_bytes()).splitlines()
    assert len(lines) == 4 * truth["read_pairs"]
    assert len(lines[1]) == 80
    assert f"p.D538G\t536-538\t{made['mutant']}/{made['molecules']} molecules" in capsys.readouterr().err


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert simulate(tmp_path / name) == 0
    for end in ("_R1.fastq.gz", "_R2.fastq.gz", ".truth.json"):
        assert (tmp_path / f"a{end}").read_bytes() == (tmp_path / f"b{end}").read_bytes()


def test_amplicons_and_targets_from_bed(tmp_path: Path) -> None:
    bed = tmp_path / "amplicons.bed"
    bed.write_text("# one\n6\t152098740\t152098860\tESR1\n\n")
    assert simulate(tmp_path / "a", "--amplicons", str(bed), "--molecule-table") == 0
    rows = [r.split("\t") for r in (tmp_path / "a.molecules.tsv").read_text().splitlines()[1:]]
    assert {tuple(r[1:4]) for r in rows} == {("chr6", "152098740", "152098860")}
    assert simulate(tmp_path / "b", "--targets", str(bed)) == 0


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--variant", "p.D538X=0.1"], "unknown variant"),
        (["--variant", "p.D538G"], "bad variant"),
        (["--variant", "p.D538G=0.6", "--variant", "p.Y537S=0.6"], "add up"),
        (["--snp", "1:A>C:both"], "bad SNP"),
        (["--snp", "152098800:N>C:het"], "bad SNP"),
        (["--read-structure", "3M"], "read_structure"),
        (["--recovery", "2"], "recovery"),
        (["--molecules", "nan"], "molecules"),
        (["--molecules", "many"], "--molecules"),
        (["--targets", "missing.bed"], "missing.bed"),
        (["--amplicons", str(PANEL_TSV)], "not a BED line"),
        (["--reference", "missing.fa"], "no such file"),
        (["--build", "GRCh37"], "reference"),
        (["--fragment-mode", "3"], "fragment_mode"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], found: str
) -> None:
    assert simulate(tmp_path / "a", *options) == 2
    error = capsys.readouterr().err
    assert found in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_empty_bed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bed = tmp_path / "empty.bed"
    bed.write_text("# nothing\n")
    assert simulate(tmp_path / "a", "--targets", str(bed)) == 2
    assert "no interval" in capsys.readouterr().err
