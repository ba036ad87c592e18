from __future__ import annotations

import gzip
import os
from pathlib import Path

import pysam
import pytest

from esr1call.contigs import refseq
from esr1call.errors import InputError
from esr1call.io.reference import Reference, load_panel
from tests.builders import (
    GRCH37_SHIFT,
    PANEL_TSV,
    REFERENCE_FASTA,
    esr1_panel,
    moved_slices,
    slices,
    write_fasta,
)

CHR6 = {"GRCh38": 170805979, "GRCh37": 171115067}


def test_slices_are_read_in_genome_coordinates() -> None:
    reference = Reference(REFERENCE_FASTA)
    assert reference.build is None
    assert reference.slices[-1].name == "chr6:152098682-152099500"
    assert reference.fetch("chr6", 152098783, 152098792) == "CTCTATGAC"
    # Before a slice, across two and after the last there is nothing to read.
    assert reference.fetch("chr6", 152098679, 152098684) == "NNGGG"
    assert reference.fetch("chr6", 152099498, 152099502) == "AANN"
    assert reference.fetch("chr7", 152098783, 152098786) == "NNN"
    assert reference.fetch("chr6", -5, 0) == "NNNNN"
    across = reference.fetch("chr6", 152011606, 152061000)
    assert across == across[:238] + "N" * (152060940 - 152011844) + across[-60:]
    assert "N" not in across[:238] + across[-60:]


def test_the_input_folder_is_left_as_it_was(tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "x.fa", slices())
    zipped = tmp_path / "x.fa.gz"
    pysam.tabix_compress(str(fasta), str(zipped))
    before = sorted(os.listdir(tmp_path))
    assert Reference(fasta).fetch("chr6", 152098783, 152098792) == "CTCTATGAC"
    assert Reference(zipped).fetch("chr6", 152098783, 152098792) == "CTCTATGAC"
    assert sorted(os.listdir(tmp_path)) == before


def test_an_index_beside_the_fasta_is_used_unless_it_is_older(tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "x.fa", {"chr1": "ACGTACGT"})
    pysam.faidx(str(fasta))
    assert Reference(fasta).fetch("chr1", 0, 8) == "ACGTACGT"
    write_fasta(fasta, {"chr0": "TTTT", "chr1": "GGGGGGGGGG"})
    os.utime(f"{fasta}.fai", (1, 1))
    assert Reference(fasta).fetch("chr1", 0, 10) == "GGGGGGGGGG"


@pytest.mark.parametrize("left", [10, 200, 400])
def test_a_fasta_that_is_shorter_than_its_index_is_refused(
    tmp_path: Path, left: int, capfd: pytest.CaptureFixture[str]
) -> None:
    fasta = write_fasta(tmp_path / "x.fa", {"chr1": "ACGT" * 100})
    pysam.faidx(str(fasta))
    fasta.write_text(fasta.read_text()[:left])
    os.utime(fasta, (1, 1))
    with pytest.raises(InputError, match=r"x\.fa: the FASTA does not fit its index: found 'chr1'"):
        Reference(fasta).fetch("chr1", 0, 400)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("letter", [">", "*", "1", "-"])
def test_a_letter_that_is_no_base_is_refused_where_it_is_read(tmp_path: Path, letter: str) -> None:
    fasta = write_fasta(tmp_path / "x.fa", {"chr1": "ACGT" * 5})
    fasta.write_bytes(fasta.read_bytes().replace(b"GTAC", b"GT" + letter.encode() + b"C", 1))
    opened = Reference(fasta)
    assert opened.fetch("chr1", 10, 20) == "GTACGTACGT"
    with pytest.raises(InputError, match=r"x\.fa: a letter that is no base: found .* in chr1', expected A, C,"):
        opened.fetch("chr1", 0, 10)


def test_lower_case_and_any_line_length(tmp_path: Path) -> None:
    (tmp_path / "x.fa").write_text(">chr1 a description\nacgtn\nACG\n")
    assert Reference(tmp_path / "x.fa").fetch("chr1", 1, 8) == "CGTNACG"


@pytest.mark.parametrize(
    "content",
    [
        b"hello\nworld\n",
        b">\n",
        b">a\n",
        b"\x00\x01\x02",
        b"BAM\x01",
        gzip.compress(b">a\nACGT\n", mtime=0),
        b"\x1f\x8b",
    ],
)
def test_what_is_no_fasta_is_one_line(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.fa").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.fa: (cannot be opened as FASTA|no sequence in the FASTA)"):
        Reference(tmp_path / "x.fa")
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == ["x.fa"]


@pytest.mark.parametrize(
    ("name", "problem"), [("gone.fa", "no such file"), (".", "is a folder"), ("empty.fa", "empty")]
)
def test_no_file_no_reference(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "empty.fa").touch()
    with pytest.raises(InputError, match=problem):
        Reference(tmp_path / name)


# ---------------------------------------------------------------- panels on references of every naming


@pytest.mark.parametrize("contig", ["6", "chr6", "NC_000006.12"])
def test_slices_named_any_way_carry_the_panel(tmp_path: Path, contig: str) -> None:
    fasta = write_fasta(tmp_path / "x.fa", moved_slices(0, contig))
    panel = load_panel(PANEL_TSV, Reference(fasta), "GRCh38")
    assert panel.variants == esr1_panel().variants
    assert panel.windows == esr1_panel().windows


@pytest.mark.parametrize("contig", ["6", "chr6", "NC_000006.11"])
def test_slices_of_grch37_carry_the_panel(tmp_path: Path, contig: str) -> None:
    reference = Reference(write_fasta(tmp_path / "x.fa", moved_slices(contig=contig)))
    panel = load_panel(PANEL_TSV, reference, "GRCh37")
    assert [v.pos for v in panel.variants] == [v.pos + GRCH37_SHIFT for v in esr1_panel().variants]


@pytest.mark.parametrize("build", ["GRCh38", "GRCh37"])
@pytest.mark.parametrize("style", ["6", "chr6", "NC"])
def test_a_whole_chromosome_carries_the_panel(tmp_path: Path, build: str, style: str) -> None:
    """A chromosome of full length on one line, of which the file system keeps only the bases that are there."""
    name = refseq("chr6", build) if style == "NC" else style
    assert name is not None
    length, shift = CHR6[build], GRCH37_SHIFT * (build == "GRCh37")
    fasta = tmp_path / "genome.fa"
    head = f">{name}\n".encode()
    with fasta.open("wb") as out:
        out.write(head)
        for region, bases in slices().items():
            out.seek(len(head) + int(region.split(":")[1].split("-")[0]) - 1 + shift)
            out.write(bases.encode())
        out.seek(len(head) + length)
        out.write(b"\n")
    # Written here, since reading the gaps (zero bytes, not N) to make it would be the slow part of the test.
    Path(f"{fasta}.fai").write_text(f"{name}\t{length}\t{len(head)}\t{length}\t{length + 1}\n")
    reference = Reference(fasta)
    assert reference.build == build
    panel = load_panel(PANEL_TSV, reference, build)
    assert [v.pos for v in panel.variants] == [v.pos + shift for v in esr1_panel().variants]
    assert [w.reference for w in panel.windows] == [w.reference for w in esr1_panel().windows]
    other = {"GRCh38": "GRCh37", "GRCh37": "GRCh38"}[build]
    with pytest.raises(InputError, match=f"the reference is of another build: found '{build}', expected {other}"):
        load_panel(PANEL_TSV, reference, other)


def test_accessions_of_slices_tell_the_build(tmp_path: Path) -> None:
    reference = Reference(write_fasta(tmp_path / "x.fa", moved_slices(contig="NC_000006.11")))
    with pytest.raises(InputError, match=r"field 'reference.build'.*found 'GRCh37', expected GRCh38"):
        load_panel(PANEL_TSV, reference, "GRCh38")


def test_slices_of_another_build_do_not_hold_the_exons(tmp_path: Path) -> None:
    reference = Reference(write_fasta(tmp_path / "x.fa", moved_slices()))
    with pytest.raises(InputError, match=r"exon 4 is not in the reference.*is the reference GRCh38"):
        load_panel(PANEL_TSV, reference, "GRCh38")


def test_a_reference_without_the_chromosome_is_refused(tmp_path: Path) -> None:
    reference = Reference(write_fasta(tmp_path / "x.fa", {"chr1": "ACGT" * 100}))
    with pytest.raises(InputError, match=r"exon 4 is not in the reference: found 'chr6:151944172-151944508'"):
        load_panel(PANEL_TSV, reference, "GRCh38")


def test_a_reference_that_lacks_one_exon_is_refused(tmp_path: Path) -> None:
    kept = {name: bases for name, bases in slices().items() if "152060941" not in name}
    with pytest.raises(InputError, match="exon 6 is not in the reference"):
        load_panel(PANEL_TSV, Reference(write_fasta(tmp_path / "x.fa", kept)), "GRCh38")


def test_a_panel_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.tsv: cannot read"):
        load_panel(tmp_path / "gone.tsv", Reference(REFERENCE_FASTA), "GRCh38")
