from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pysam
import pytest

from esr1call.alignment.bam_input import BamRequest, take_bam
from esr1call.errors import InputError
from tests import bam_bytes
from tests.builders import REFERENCE_FASTA, ReadBuilder, slices, write_fasta

REQUEST = BamRequest("GRCh38", REFERENCE_FASTA, "chr6", needs_rx=True)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A folder of inputs that may not be written to."""
    folder = tmp_path / "given"
    folder.mkdir()
    return folder


def some_reads(umi: str | None = "ACG-TTA") -> ReadBuilder:
    reads = ReadBuilder()
    for i in range(200):
        start = 152099200 - i
        reads.pair(start, start + 160, umi=umi)
    return reads


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir()}


def check_output(out: Path, count: int = 400) -> None:
    with pysam.AlignmentFile(str(out)) as bam:
        assert bam.is_bam
        assert bam.mapped == count
        assert len(list(bam.fetch(list(slices())[-1]))) == count
        starts = [r.reference_start for r in bam.fetch(until_eof=True)]
    assert starts == sorted(starts)


def as_cram(bam: Path, reference: Path, index: bool) -> Path:
    cram = bam.with_suffix(".cram")
    pysam.view("-C", "-T", str(reference), "-o", str(cram), str(bam), catch_stdout=False)
    if index:
        pysam.index(str(cram))
    bam.unlink()
    return cram


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("sorted and indexed", "linked"),
        ("sorted", "indexed"),
        ("sorted, header silent", "indexed"),
        ("unsorted", "sorted"),
        ("unsorted, header silent", "sorted"),
        ("unsorted, header lies", "sorted"),
        ("by name", "sorted"),
        ("old index", "indexed"),
        ("csi", "linked"),
        ("cram", "converted"),
        ("unsorted cram", "converted"),
    ],
)
def test_what_a_bam_lacks_is_made(given: Path, tmp_path: Path, kind: str, action: str) -> None:
    reads = some_reads()
    header = reads.header.to_dict()
    if "silent" in kind:
        del header["HD"]["SO"]
    if kind in ("unsorted", "unsorted cram"):
        header["HD"]["SO"] = "unsorted"
    bam = reads.write(
        given / "in.bam", sort="unsorted" not in kind, index=kind in ("sorted and indexed", "old index"), header=header
    )
    if kind == "by name":
        pysam.sort("-n", "-o", str(given / "named.bam"), str(bam))
        bam = (given / "named.bam").replace(bam)
    if kind == "old index":
        os.utime(f"{bam}.bai", (1, 1))
    if kind == "csi":
        pysam.index("-c", str(bam))
    reference = shutil.copy(REFERENCE_FASTA, tmp_path / "reference.fa")
    if "cram" in kind:
        bam = as_cram(bam, reference, index=kind == "cram")
        Path(f"{reference}.fai").unlink()
    before = listing(given)
    out = tmp_path / "out" / "aligned.bam"
    taken = take_bam(bam, out, BamRequest("GRCh38", reference, "chr6", needs_rx=True), 2)
    assert (taken.action, taken.reads_mapped, taken.reads_unmapped) == (action, 400, 0)
    check_output(out)
    assert out.is_symlink() == (action in ("linked", "indexed"))
    assert listing(given) == before
    assert not Path(f"{reference}.fai").exists()
    assert len(list(out.parent.iterdir())) == 2
    assert take_bam(bam, out, BamRequest("GRCh38", reference, "chr6", needs_rx=True), 1) == taken
    check_output(out)


def header_of(sequences: dict[str, int]) -> dict[str, object]:
    return {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": n, "LN": k} for n, k in sequences.items()]}


def empty_bam(path: Path, sequences: dict[str, int]) -> Path:
    pysam.AlignmentFile(str(path), "wb", header=header_of(sequences)).close()
    return path


@pytest.mark.parametrize(
    ("sequences", "said"),
    [
        ({"chr6": 171115067}, r"BAM is on GRCh37 while the config says GRCh38; set the build"),
        ({"1": 249250621, "6": 171115067}, "BAM is on GRCh37"),
        ({"NC_000006.11": 171115067}, "BAM is on GRCh37"),
        ({"chr3": 198295559}, "no sequence of the panel's chromosome: found 'chr3', expected chr6"),
        ({"chr3:179147514-179240693": 93180}, "no sequence of the panel's chromosome"),
        ({}, "no sequence of the panel's chromosome: found 'no reference sequence'"),
    ],
)
def test_bam_that_does_not_fit(given: Path, tmp_path: Path, sequences: dict[str, int], said: str) -> None:
    bam = empty_bam(given / "in.bam", sequences)
    with pytest.raises(InputError, match=said) as caught:
        take_bam(bam, tmp_path / "out" / "x.bam", REQUEST, 1)
    assert "in.bam" in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("sequences", [{"chr6": 170805979}, {"6": 170805979}, {"NC_000006.12": 170805979}])
def test_whole_chromosomes_fit_by_any_name(given: Path, tmp_path: Path, sequences: dict[str, int]) -> None:
    taken = take_bam(empty_bam(given / "in.bam", sequences), tmp_path / "x.bam", REQUEST, 1)
    assert (taken.action, taken.reads_mapped) == ("indexed", 0)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda b: b[:-28], "truncated"),
        (lambda b: b[: len(b) // 2], "truncated"),
        (lambda b: b"", "the file is empty"),
        (lambda b: b"@r1\nACGT\n+\nFFFF\n", "is neither BAM nor CRAM"),
        (lambda b: b"@HD\tVN:1.6\n@SQ\tSN:chr6\tLN:170805979\n", "is neither BAM nor CRAM"),
        (lambda b: b"\0" * 5000, "cannot be read as BAM or CRAM"),
    ],
)
def test_damaged(given: Path, tmp_path: Path, damage: object, said: str) -> None:
    assert callable(damage)
    bam = some_reads().write(given / "in.bam")
    bam.write_bytes(damage(bam.read_bytes()))
    with pytest.raises(InputError, match=said) as caught:
        take_bam(bam, tmp_path / "out" / "x.bam", REQUEST, 1)
    assert "\n" not in str(caught.value)


def test_gzip_that_is_no_bgzf_is_no_bam(given: Path, tmp_path: Path) -> None:
    bam = given / "in.bam"
    whole = some_reads().write(bam).read_bytes()
    bam.write_bytes(whole[:12] + b"XY" + whole[14:])  # the name of the field that tells of BGZF
    with pytest.raises(InputError, match="cannot be read as BAM or CRAM"):
        take_bam(bam, tmp_path / "out" / "x.bam", REQUEST, 1)


def test_a_header_that_cannot_be_read_is_told_of_once(
    given: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """pysam told of it a second time, with a traceback, when it freed the file."""
    bam = given / "in.bam"
    bam.write_bytes(bam_bytes.block(bam_bytes.header([("chr6", 1000)]), crc=5) + bam_bytes.EOF_BLOCK)
    with pytest.raises(InputError, match="cannot be read as BAM or CRAM"):
        take_bam(bam, tmp_path / "out" / "x.bam", REQUEST, 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("old", "new"), [(b"@RG\t", b"@SG\t"), (b"@RG\tID:", b"@RG\tI\0:"), (b"@RG\tID:", b"@RG ID:\t")]
)
def test_a_header_with_an_unknown_or_broken_line(given: Path, tmp_path: Path, old: bytes, new: bytes) -> None:
    """Names and lengths of sequences are read all the same: whatever needs the text stumbled over it later."""
    bam = some_reads().write(given / "in.bam")
    with gzip.open(bam) as file:
        plain = file.read()
    assert plain.count(old) == 1
    blocks = [
        bam_bytes.block(part) for part in (plain.replace(old, new)[i : i + 60000] for i in range(0, len(plain), 60000))
    ]
    bam.write_bytes(b"".join(blocks) + bam_bytes.EOF_BLOCK)
    with pytest.raises(InputError, match="cannot be read as BAM or CRAM"):
        take_bam(bam, tmp_path / "out" / "x.bam", REQUEST, 1)


def test_missing_file_and_output_over_input(given: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        take_bam(given / "none.bam", tmp_path / "x.bam", REQUEST, 1)
    bam = some_reads().write(given / "in.bam")
    with pytest.raises(InputError, match="the output is the input"):
        take_bam(bam, bam, REQUEST, 1)


def test_bam_without_umis(given: Path, tmp_path: Path) -> None:
    bam = some_reads(umi=None).write(given / "in.bam")
    with pytest.raises(InputError, match="none of the first 400 reads has an RX tag"):
        take_bam(bam, tmp_path / "x.bam", REQUEST, 1)
    assert take_bam(bam, tmp_path / "x.bam", BamRequest("GRCh38", REFERENCE_FASTA, "chr6"), 1).action == "linked"


def test_cram_of_another_reference(given: Path, tmp_path: Path) -> None:
    cram = as_cram(some_reads().write(given / "in.bam"), Path(shutil.copy(REFERENCE_FASTA, tmp_path / "r.fa")), True)
    other = write_fasta(tmp_path / "other.fa", {n: s[::-1] for n, s in slices().items()})
    with pytest.raises(InputError, match="cannot be"):
        take_bam(cram, tmp_path / "out" / "x.bam", BamRequest("GRCh38", other, "chr6"), 1)
    assert list((tmp_path / "out").iterdir()) == []


def test_truncated_cram(given: Path, tmp_path: Path) -> None:
    reference = Path(shutil.copy(REFERENCE_FASTA, tmp_path / "r.fa"))
    cram = as_cram(some_reads().write(given / "in.bam"), reference, True)
    cram.write_bytes(cram.read_bytes()[:-38])
    with pytest.raises(InputError, match="truncated"):
        take_bam(cram, tmp_path / "out" / "x.bam", BamRequest("GRCh38", reference, "chr6"), 1)


@pytest.mark.parametrize("kind", ["sorted and indexed", "sorted", "unsorted"])
def test_an_index_of_an_earlier_alignment_goes(given: Path, tmp_path: Path, kind: str) -> None:
    """htslib would look for the reads where the old .csi has them."""
    bam = some_reads().write(given / "in.bam")
    if kind == "unsorted":
        pysam.sort("-n", "-o", str(given / "n.bam"), str(bam))
        (given / "n.bam").replace(bam)
    elif kind == "sorted and indexed":
        pysam.index(str(bam))
    out = tmp_path / "out" / "x.bam"
    out.parent.mkdir()
    Path(f"{out}.csi").write_bytes(b"of another BAM")
    take_bam(bam, out, REQUEST, 1)
    assert sorted(p.name for p in out.parent.iterdir()) == ["x.bam", "x.bam.bai"]
    check_output(out)
