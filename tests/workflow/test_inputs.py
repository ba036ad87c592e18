"""One sample's reads in every form that a laboratory may have them in, through the whole workflow."""

from __future__ import annotations

import csv
import gzip
import json
from itertools import islice
from pathlib import Path

import pysam
import pytest

from esr1call.alignment.indexing import build_index
from esr1call.cli import run
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT
from tests.workflow.conftest import DEMO, Project

Read = tuple[str, str, str]
"""(name, bases, qualities)"""
FORMS = ("pair", "lanes", "interleaved", "unaligned", "cram")
PAIRS = 4000


def reads_of(mate: int) -> list[Read]:
    with gzip.open(ROOT / "test_data" / "fastq" / f"P002-V2_R{mate}.fastq.gz", "rt") as file:
        lines = [line.rstrip("\n") for line in islice(file, 4 * PAIRS)]
    return [(n[1:].split()[0], b, q) for n, b, q in zip(lines[0::4], lines[1::4], lines[3::4], strict=True)]


def write_gz(path: Path, reads: list[Read]) -> Path:
    path.write_bytes(gzip.compress("".join(f"@{n}\n{b}\n+\n{q}\n" for n, b, q in reads).encode(), 1, mtime=0))
    return path


def write_unaligned(path: Path, one: list[Read], two: list[Read]) -> Path:
    """As a tool that takes UMIs off writes them: 3 bases of UMI and 2 of spacer are gone from each read."""
    with pysam.AlignmentFile(str(path), "wb", header={"HD": {"VN": "1.6", "SO": "unsorted", "GO": "query"}}) as bam:
        for mates in zip(one, two, strict=True):
            for flag, (name, bases, qualities) in zip((77, 141), mates, strict=True):
                record = pysam.AlignedSegment()
                record.query_name, record.flag, record.query_sequence = name, flag, bases[5:]
                record.query_qualities = pysam.qualitystring_to_array(qualities[5:])
                record.set_tag("RX", f"{mates[0][1][:3]}-{mates[1][1][:3]}")
                bam.write(record)
    return path


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a batch with a sample for each form, whose alignments are kept as CRAM."""
    project = Project.at(tmp_path_factory.mktemp("inputs"))
    folder = project.folder / "reads"
    folder.mkdir()
    one, two = reads_of(1), reads_of(2)
    for mate, reads in (("R1", one), ("R2", two)):
        write_gz(folder / f"all_{mate}.fastq.gz", reads)
        write_gz(folder / f"L001_{mate}.fastq.gz", reads[:1500])
        write_gz(folder / f"L002_{mate}.fastq.gz", reads[1500:])
    write_gz(folder / "both.fastq.gz", [r for pair in zip(one, two, strict=True) for r in pair])
    write_unaligned(folder / "unaligned.bam", one, two)
    given = ["--sample", "cram", "--fastq-1", f"{folder}/all_R1.fastq.gz", "--fastq-2", f"{folder}/all_R2.fastq.gz"]
    given += ["--read-structure", "3M2S+T 3M2S+T", "--reference", str(REFERENCE_FASTA), "--panel", str(PANEL_TSV)]
    given += ["--index", str(build_index(REFERENCE_FASTA, folder / "index")), "--stats", f"{folder}/x.json"]
    assert run(["align", *given, "--out", f"{folder}/aligned.cram"]) == 0
    files = {
        "pair": ("reads/all_R1.fastq.gz", "reads/all_R2.fastq.gz", ""),
        "lanes": (
            "reads/L001_R1.fastq.gz;reads/L002_R1.fastq.gz", "reads/L001_R2.fastq.gz;reads/L002_R2.fastq.gz", ""
        ),
        "interleaved": ("reads/both.fastq.gz", "interleaved", ""),
        "unaligned": ("", "", "reads/unaligned.bam"),
        "cram": ("", "", "reads/aligned.cram"),
    }  # fmt: skip
    with (ROOT / "test_data" / "samples.tsv").open(encoding="utf-8") as sheet:
        head, row = next(rows := csv.reader(sheet, delimiter="\t")), next(r for r in rows if r[0] == "P002-V2")
    with (project.folder / "some.tsv").open("w", encoding="utf-8", newline="") as sheet:
        write = csv.DictWriter(sheet, [*head, "bam"], delimiter="\t", lineterminator="\n")
        write.writeheader()
        for i, (form, (fastq_1, fastq_2, bam)) in enumerate(files.items()):
            own = {"sample": form, "patient": f"P{i}", "fastq_1": fastq_1, "fastq_2": fastq_2, "bam": bam}
            write.writerow({**dict(zip(head, row, strict=True)), **own})
    done = project.snakemake(*DEMO, "--config", "samples=some.tsv", "alignment={format: cram}", "export={formats: []}")
    assert done.returncode == 0, done.stderr
    return project.folder / "results" / "demo"


def counts(batch: Path, form: str) -> str:
    return (batch / "samples" / form / "counts.tsv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_counts(batch: Path, form: str) -> None:
    assert counts(batch, form) == counts(batch, "pair")
    stats = json.loads((batch / "samples" / form / "align.json").read_text())
    assert stats.get("pairs_read", PAIRS) == PAIRS


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_alignments_are_kept_as_cram(batch: Path, form: str) -> None:
    assert not list((batch / "samples" / form).glob("*.bam*"))
    with pysam.AlignmentFile(str(batch / "samples" / form / "aligned.cram")) as cram:
        assert cram.is_cram
        assert sum(1 for _ in cram.fetch(until_eof=True)) > 2 * PAIRS * 0.95
