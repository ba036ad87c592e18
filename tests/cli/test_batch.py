from __future__ import annotations

import os
import shutil
from pathlib import Path

import pysam
import pytest

from esr1call.cli import run
from esr1call.history import Kind
from esr1call.io.batch import load_batch
from esr1call.io.check import space_needed
from esr1call.io.ledger import Ledger
from esr1call.io.reference import Reference
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT
from tests.io.test_batch import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A batch that passes: real panel, reference and rule, and three blanks to fit the background on."""
    lab = Lab(tmp_path)
    lab.settings |= {
        "output": str(tmp_path / "results"), "panel": str(PANEL_TSV), "background": "fit",
        "reference": {"path": str(REFERENCE_FASTA), "build": "GRCh38"},
        "trigger": {"rule": str(ROOT / "config" / "rules" / "pada1.yaml"), "ledger": str(tmp_path / "l" / "x.sqlite")},
    }  # fmt: skip
    for name in ("b1", "b2", "b3"):
        lab.row(name, type="blank")
    lab.row("s1")
    for file in tmp_path.glob("*.fq"):
        file.write_text("@r\nACGTACGTAC\n+\nIIIIIIIIII\n")
    return lab


def write_bam(path: Path, sequences: list[tuple[str, int]]) -> None:
    """A BAM without reads."""
    head = {"HD": {"SO": "coordinate"}, "SQ": [{"SN": name, "LN": length} for name, length in sequences]}
    pysam.AlignmentFile(str(path), "wb", header=head).close()


def check(lab: Lab) -> int:
    lab.sheet()
    return run(["batch", "check", str(lab.config())])


def test_a_ledger_is_told_of(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(lab.settings["trigger"]["ledger"])
    with Ledger(path) as ledger, ledger.writing("S1") as writer:
        writer.append("P01", Kind.VOID, "a", "{}", "b1")
    assert check(lab) == 0
    assert "1 patients of study S1" in capsys.readouterr().out
    lab.settings["trigger"] |= {"ledger": "postgresql+psycopg://lab:secret@host/x"}
    assert check(lab) == 0
    assert "secret" not in capsys.readouterr().out


def test_a_good_batch(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(lab.folder.rglob("*"))
    assert check(lab) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert list(lines) == [
        "config", "samples", "reference", "snps", "results", "panel", "background", "rule", "ledger", "ok",
    ]  # fmt: skip
    assert "batch B1 of study S1" in lines["config"]
    assert "4 (3 blank, 1 patient) of 1 patients; 8 files, 216 B" in lines["samples"]
    assert "GRCh38, 5 sequences" in lines["reference"]
    assert "esr1_lbd" in lines["panel"]
    assert "to be fitted on 3 blanks" in lines["background"]
    assert "pada1" in lines["rule"]
    assert "new: as if no batch of study S1 was decided yet" in lines["ledger"]
    assert {p for p in lab.folder.rglob("*") if p not in before} == {
        lab.folder / "samples.tsv",
        lab.folder / "config.yaml",
    }


def spoiled(lab: Lab, what: str) -> None:
    settings = lab.settings
    match what:
        case "build":
            settings["reference"]["build"] = "GRCh37"
        case "reference":
            (lab.folder / "ref.fa").write_text("not a FASTA")
            settings["reference"]["path"] = str(lab.folder / "ref.fa")
        case "panel":
            text = PANEL_TSV.read_text().replace("152098791\t152419926\tA\tG", "152098791\t152419926\tC\tG")
            (lab.folder / "panel.tsv").write_text(text)
            settings["panel"] = str(lab.folder / "panel.tsv")
        case "rule":
            (lab.folder / "rule.yaml").write_text("name: x\n")
            settings["trigger"]["rule"] = str(lab.folder / "rule.yaml")
        case "model":
            settings["background"] = str(lab.folder / "model.json")
        case "blanks":
            del lab.rows[0]
        case "expected":
            lab.row("pc", type="positive_control", expected="p.D538X=0.1")
            for mate in (1, 2):
                shutil.copy(lab.folder / f"b1_{mate}.fq", lab.folder / f"pc_{mate}.fq")
        case "aligner":
            settings["alignment"]["aligner"] = "bwa"
        case "index":
            settings["reference"]["index"] = str(lab.folder / "genome")
        case "fastq":
            (lab.folder / "s1_2.fq").write_text("@r\nACGT\n+\nIII\n")
        case "mates":
            (lab.folder / "s1_2.fq").write_text("@other\nACGT\n+\nIIII\n")
        case "bam":
            lab.row("s2", fastq_1="", fastq_2="", bam="s.bam", visit="V2")
            write_bam(lab.folder / "s.bam", [("chr6", 171115067)])
        case "contig":
            lab.row("s2", fastq_1="", fastq_2="", bam="s.bam", visit="V2")
            write_bam(lab.folder / "s.bam", [("chr7", 159345973)])
        case "output":
            (lab.folder / "results").write_text("a file")
        case "ledger":
            settings["trigger"]["ledger"] = str(lab.folder / "ref.fa" / "x.sqlite")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("build", ["not in the reference", "GRCh37"]),
        ("reference", ["ref.fa", "FASTA"]),
        ("panel", ["panel.tsv, line", "p.D538G", "disagrees with the reference"]),
        ("rule", ["rule.yaml", "missing"]),
        ("model", ["model.json"]),
        ("blanks", ["too few blanks", "found '2'", "at least 3"]),
        ("expected", ["sample pc", "line 6", "'expected'", "found 'p.D538X'"]),
        ("aligner", ["not on PATH", "found 'bwa'"]),
        ("index", ["no index for embedded", "genome"]),
        ("fastq", ["s1_2.fq: read 1", "differ in length"]),
        ("mates", ["s1_2.fq", "other"]),
        ("bam", ["s.bam", "GRCh37", "GRCh38"]),
        ("contig", ["s.bam", "chr7", "expected"]),
        ("output", ["results", "'output'"]),
        ("ledger", ["x.sqlite", "'trigger.ledger'"]),
    ],
)
def test_what_is_wrong_is_one_line(
    lab: Lab, what: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    spoiled(lab, what)
    assert check(lab) == 2
    out, err = capsys.readouterr()
    assert not out.endswith("ok\n")
    (line,) = err.splitlines()
    assert all(word in line for word in words), line


def test_one_look_tells_of_everything(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("fastq", "bam", "rule", "model", "output", "expected"):
        spoiled(lab, what)
    assert check(lab) == 2
    files = ["results", "samples.tsv", "model.json", "s1_2.fq", "s.bam", "rule.yaml"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(files)
    for line, file in zip(lines, files, strict=True):
        assert line.startswith(f"esr1call: error: {lab.folder / file}"), line


def test_too_little_space(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(lab.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert check(lab) == 2
    err = capsys.readouterr().err
    assert "not enough space" in err
    assert "1 kB free" in err


@pytest.mark.parametrize(("keep", "kept"), [(True, 8 * 27), (False, 0)])
def test_space_needed(lab: Lab, keep: bool, kept: int) -> None:
    lab.settings["alignment"]["keep_bam"] = keep
    lab.sheet()
    bases = sum(len(line) for line in REFERENCE_FASTA.read_text().splitlines() if not line.startswith(">"))
    assert space_needed(load_batch(lab.config()), Reference(REFERENCE_FASTA)) == kept + 5 * 2 * 27 + int(1.75 * bases)
