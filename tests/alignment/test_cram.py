from __future__ import annotations

import hashlib
import os
from itertools import groupby
from pathlib import Path

import pysam
import pytest

from esr1call.alignment.bam_input import BamRequest, take_bam
from esr1call.alignment.cram import write_cram
from esr1call.cli import run
from esr1call.errors import InputError
from tests.awkward_reads import awkward_bam
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ReadBuilder


def records(path: Path) -> list[tuple[object, ...]]:
    """Every record as CRAM keeps it: = and X in a CIGAR are M, and tags have another order."""
    found = []
    with pysam.AlignmentFile(str(path), check_sq=False) as file:
        for r in file.fetch(until_eof=True):
            placed = r.flag, r.reference_id, r.reference_start, r.mapping_quality, r.next_reference_start
            operations = [(0 if op in (7, 8) else op, n) for op, n in r.cigartuples]
            cigar = [(op, sum(n for _, n in part)) for op, part in groupby(operations, key=lambda o: o[0])]
            tags = sorted(r.get_tags(), key=lambda t: t[0])
            found.append((r.query_name, placed, cigar, r.query_sequence, r.qual, r.template_length, tags))
    return found


@pytest.fixture
def bam(tmp_path: Path) -> Path:
    return awkward_bam(tmp_path / "x.bam", 3, sloppy=False)


def test_it_holds_the_reads_and_needs_no_reference(tmp_path: Path, bam: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cram(bam, tmp_path / "out" / "x.cram", 2)
    for name in ("REF_PATH", "REF_CACHE"):
        monkeypatch.setenv(name, os.devnull)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["x.cram", "x.cram.crai"]
    assert records(tmp_path / "out" / "x.cram") == records(bam)
    with pysam.AlignmentFile(str(tmp_path / "out" / "x.cram")) as file, pysam.AlignmentFile(str(bam)) as was:
        name = file.references[-1]
        assert file.count(name, 100, 120) == was.count(name, 100, 120) > 0


def test_the_same_reads_give_the_same_bytes_and_tell_no_path(tmp_path: Path, bam: Path) -> None:
    made = []
    for folder, threads in (("one", 1), ("a longer folder's name", 2)):
        write_cram(bam, tmp_path / folder / "x.cram", threads)
        made.append(hashlib.sha256((tmp_path / folder / "x.cram").read_bytes()).hexdigest())
    assert made[0] == made[1]
    with pysam.AlignmentFile(str(tmp_path / "one" / "x.cram")) as file:
        assert "UR:" not in str(file.header)
        assert str(tmp_path) not in str(file.header)


def test_back_to_bam_the_counts_are_the_same(tmp_path: Path, bam: Path) -> None:
    write_cram(bam, tmp_path / "x.cram", 1)
    assert (
        take_bam(tmp_path / "x.cram", tmp_path / "b.bam", BamRequest("GRCh38", REFERENCE_FASTA), 1).action
        == "converted"
    )
    given = ["--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA)]
    for name, source in (("a", bam), ("b", tmp_path / "b.bam")):
        assert run(["count", "--bam", str(source), *given, "--out", str(tmp_path / f"{name}.tsv")]) == 0
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


def test_no_reads(tmp_path: Path) -> None:
    write_cram(ReadBuilder().write(tmp_path / "x.bam"), tmp_path / "x.cram", 1)
    assert records(tmp_path / "x.cram") == []


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, bam: Path) -> None:
    bam.write_bytes(bam.read_bytes()[:-500])
    with pytest.raises(InputError, match="cannot be written as CRAM"):
        write_cram(bam, tmp_path / "out" / "x.cram", 1)
    assert list((tmp_path / "out").iterdir()) == []
