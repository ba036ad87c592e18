from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pysam
import pytest

from esr1call.cli import run
from esr1call.io.counts_file import read_counts
from esr1call.panel import Panel
from tests import bam_bytes
from tests.bam_bytes import EOF_BLOCK, Record, tag
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ReadBuilder, slices

CHR6 = [("chr6", 170805979)]
HERE = 152098700


def count(bam: Path, folder: Path, *more: str) -> int:
    return run(
        ["count", "--bam", str(bam), "--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA),
         "--out", str(folder / "out" / "counts.tsv"), "--stats", str(folder / "out" / "counts.json"), *more]
    )  # fmt: skip


def good_reads() -> ReadBuilder:
    builder = ReadBuilder()
    builder.pair(HERE, HERE + 160, umi="AAA-CCC", changes=[(152098791, "A", "G")], copies=2)
    builder.pair(HERE, HERE + 160, umi="CCC-AAA", changes=[(152098791, "A", "G")], orientation="F2R1")
    builder.pair(HERE + 3, HERE + 170, umi="GGG-TTT", copies=3)
    return builder


def raw_records(count: int = 40) -> list[Record]:
    return [
        Record(f"r{i}", 0, 0, HERE + i, 60, "120M", "ACGT" * 30, [37] * 120, tags=[tag("RX", "Z", "AAA")])
        for i in range(count)
    ]


def raw_bam(records: list[bytes] | None = None) -> bytes:
    return bam_bytes.bam(bam_bytes.header(CHR6), records or [r.encode() for r in raw_records()], per_block=5)


def test_a_run(tmp_path: Path, panel: Panel, capsys: pytest.CaptureFixture[str]) -> None:
    bam = good_reads().write(tmp_path / "x.bam")
    assert count(bam, tmp_path) == 0
    assert capsys.readouterr() == ("", "")
    table = read_counts(tmp_path / "out" / "counts.tsv", panel)
    w = panel.window_index["536-538"]
    assert table.of(w, "CTCTATGGC").tolist() == [0, 0, 0, 0, 1]
    assert table.of(w, "CTCTATGAC").tolist() == [0, 0, 1, 0, 0]
    stats = json.loads((tmp_path / "out" / "counts.json").read_text())
    assert sum(stats["reads"].values()) == stats["reads_scanned"] == 12
    (window,) = [s for s in stats["windows"] if s["window"] == "536-538"]
    assert window["family_sizes"] == [0, 1, 1, 1]
    assert window["templates"] == 6


def test_options_reach_the_counter(tmp_path: Path, panel: Panel) -> None:
    bam = good_reads().write(tmp_path / "x.bam")
    w = panel.window_index["536-538"]
    assert count(bam, tmp_path, "--umi", "simplex", "--threads", "2", "--umi-correction", "none") == 0
    table = read_counts(tmp_path / "out" / "counts.tsv", panel)
    assert table.of(w, "CTCTATGGC").tolist() == [0, 1, 1, 0, 0]
    assert count(bam, tmp_path, "--min-mapq", "61") == 0
    assert read_counts(tmp_path / "out" / "counts.tsv", panel).molecules.sum() == 0


def explain(bam: Path, *more: str) -> int:
    return run(
        ["count", "--bam", str(bam), "--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA), "--explain", *more]
    )


def test_every_molecule_of_a_window_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bam = good_reads().write(tmp_path / "x.bam")
    assert explain(bam, "152098791") == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[:4] for line in out] == [
        ["window", "haplotype", "protein", "stratum"],
        ["536-538", "CTCTATGAC", "p.=", "simplex_F1R2"],
        ["536-538", "CTCTATGGC", "p.D538G", "duplex"],
    ]
    assert out[2].endswith("\tr000001,r000002,r000003")
    assert explain(bam, "536-538", "--variant", "p.D538G", "--threads", "2") == 0
    assert capsys.readouterr().out.splitlines() == [out[0], out[2]]
    assert explain(bam, "536-538", "--haplotype", "CTCTATGAC") == 0
    assert capsys.readouterr().out.splitlines() == out[:2]
    assert explain(bam, "380") == 0
    assert capsys.readouterr().out.splitlines() == out[:1]
    assert sorted(tmp_path.iterdir()) == [bam, Path(f"{bam}.bai")]


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    builder = ReadBuilder()
    for i in range(1500):
        umi = "".join("ACGT"[i >> 2 * k & 3] for k in range(6))
        builder.pair(HERE, HERE + 160, umi=f"{umi}-TTT", name=f"r{i}" + "x" * 200)
    bam = builder.write(tmp_path / "x.bam")
    command = (
        f"{sys.executable} -c 'from esr1call.cli import main; main()' count --bam {bam} --panel {PANEL_TSV} "
        f"--reference {REFERENCE_FASTA} --explain 536-538 --umi-correction none | head -1"
    )
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("window\t")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["--out", "x", "--explain", "380"], ["--explain", "380", "--stats", "x"],
        ["--out", "x", "--haplotype", "A"],
        ["--out", "x", "--variant", "p.D538G"], ["--explain", "1"], ["--explain", "380", "--variant", "p.A1A"],
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bam = good_reads().write(tmp_path / "x.bam")
    given = ["count", "--bam", str(bam), "--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA), *arguments]
    assert run(given) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert not Path("x").exists()


# ---------------------------------------------------------------- right answers


def no_reads(path: Path) -> None:
    ReadBuilder().write(path)


def header_only(path: Path) -> None:
    path.write_bytes(bam_bytes.bam(bam_bytes.header(CHR6), []))


def only_unplaced(path: Path) -> None:
    lost = Record("lost", 77, -1, -1, 0, "", "ACGT", [30] * 4).encode()
    path.write_bytes(bam_bytes.bam(bam_bytes.header(CHR6), [lost, lost]))


def nothing_usable(path: Path) -> None:
    bad = [r.with_(flag=512) for r in raw_records()]
    path.write_bytes(raw_bam([r.encode() for r in bad]))


@pytest.mark.parametrize("make", [no_reads, header_only, only_unplaced, nothing_usable])
def test_a_bam_without_reads_to_count_counts_nothing(
    tmp_path: Path, panel: Panel, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "x.bam")
    assert count(tmp_path / "x.bam", tmp_path) == 0
    assert read_counts(tmp_path / "out" / "counts.tsv", panel).molecules.sum() == 0


# ---------------------------------------------------------------- bad input


def absent(path: Path) -> None:
    pass


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("@HD\tVN:1.6\tSO:coordinate\n")


def gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(b"@r1\nACGT\n+\nIIII\n" * 100))


def other_bgzf(path: Path) -> None:
    path.write_bytes(bam_bytes.bgzf(b"##fileformat=VCFv4.2\n"))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def cram(path: Path) -> None:
    builder = good_reads()
    builder.write(path.with_suffix(".source.bam"), index=False)
    with (
        pysam.AlignmentFile(str(path.with_suffix(".source.bam"))) as source,
        pysam.AlignmentFile(str(path), "wc", template=source, format_options=[b"no_ref=1"]) as out,
    ):
        for read in source:
            out.write(read)


def no_end(path: Path) -> None:
    path.write_bytes(raw_bam()[: -len(EOF_BLOCK)])


def cut_block(path: Path) -> None:
    path.write_bytes(raw_bam()[:-200] + EOF_BLOCK)


def cut_record(path: Path) -> None:
    whole = bam_bytes.header(CHR6) + b"".join(r.encode() for r in raw_records())
    path.write_bytes(bam_bytes.bgzf(whole[:-50]))


def flipped_bit(path: Path) -> None:
    data = bytearray(raw_bam())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def wrong_crc(path: Path) -> None:
    record = b"".join(r.encode() for r in raw_records())
    path.write_bytes(bam_bytes.block(bam_bytes.header(CHR6)) + bam_bytes.block(record, crc=7) + EOF_BLOCK)


def wrong_isize(path: Path) -> None:
    record = b"".join(r.encode() for r in raw_records())
    path.write_bytes(bam_bytes.block(bam_bytes.header(CHR6)) + bam_bytes.block(record, isize=70) + EOF_BLOCK)


def insane(**wrong: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        records = [r.encode() for r in raw_records()]
        records[-1] = raw_records()[-1].encode(**wrong)
        path.write_bytes(raw_bam(records))

    make.__name__ = "insane_" + "_".join(f"{k}_{v}" for k, v in wrong.items())
    return make


def bad_record(name: str, **changes: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        records = raw_records()
        records[-1] = records[-1].with_(**changes)
        path.write_bytes(raw_bam([r.encode() for r in records]))

    make.__name__ = name
    return make


def unsorted(path: Path) -> None:
    path.write_bytes(raw_bam([r.encode() for r in reversed(raw_records())]))


def unsorted_from_chunk_to_chunk(path: Path) -> None:
    records = [r.encode() for r in raw_records(3)]
    path.write_bytes(bam_bytes.bam(bam_bytes.header(CHR6), [records[1]] * 200 + [records[0]] * 200, per_block=1))


def by_name(path: Path) -> None:
    path.write_bytes(bam_bytes.bam(bam_bytes.header(CHR6, "queryname"), [r.encode() for r in raw_records()]))


def no_order(path: Path) -> None:
    path.write_bytes(bam_bytes.bam(bam_bytes.header(CHR6, text=""), [r.encode() for r in raw_records()]))


def hg19(path: Path) -> None:
    path.write_bytes(bam_bytes.bam(bam_bytes.header([("chr6", 171115067)]), []))


def no_chr6(path: Path) -> None:
    path.write_bytes(bam_bytes.bam(bam_bytes.header([("chr1", 248956422)]), []))


def no_window(path: Path) -> None:
    path.write_bytes(bam_bytes.bam(bam_bytes.header([("chr6:1000-2000", 1001)]), []))


def repeated_name(path: Path) -> None:
    path.write_bytes(bam_bytes.bam(bam_bytes.header(CHR6 + CHR6), []))


def two_names_for_one_chromosome(path: Path) -> None:
    path.write_bytes(bam_bytes.bam(bam_bytes.header([*CHR6, ("6", 170805979)]), []))


def overlapping_slices(path: Path) -> None:
    name = next(n for n in slices() if "152098682" in n)
    path.write_bytes(
        bam_bytes.bam(bam_bytes.header([(name, len(slices()[name])), ("chr6:152098001-152099000", 1000)]), [])
    )


def no_umis(path: Path) -> None:
    path.write_bytes(raw_bam([r.with_(tags=[]).encode() for r in raw_records()]))


def umis_of_another_type(path: Path) -> None:
    path.write_bytes(raw_bam([r.with_(tags=[tag("RX", "i", 5)]).encode() for r in raw_records()]))


def index_cut_short(path: Path) -> None:
    good_reads().write(path)
    index = Path(f"{path}.bai")
    index.write_bytes(index.read_bytes()[:-20])


def index_is_garbage(path: Path) -> None:
    good_reads().write(path)
    Path(f"{path}.bai").write_bytes(b"garbage")


def index_is_a_folder(path: Path) -> None:
    good_reads().write(path, index=False)
    Path(f"{path}.bai").mkdir()


def index_of_another(path: Path) -> None:
    ReadBuilder().write(path)
    good_reads().write(path, index=False)
    os.utime(f"{path}.bai")


def index_too_old(path: Path) -> None:
    good_reads().write(path)
    os.utime(f"{path}.bai", (1, 1))


CORRUPT, AGAIN = "corrupt alignment record", "copy or write"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (absent, "no such file"),
        (folder, "is a folder, expected a file"),
        (empty, "the file is empty"),
        (text, "not a BAM file"),
        (gzipped, "not a BAM file"),
        (other_bgzf, "not a BAM file"),
        (pipe, "is a pipe or device, expected a file"),
        (cram, "is a CRAM, not a BAM; make a BAM of it with esr1call align --bam"),
        (no_end, "truncated"),
        (cut_block, "truncated"),
        (cut_record, "truncated: the file ends inside an alignment record"),
        (flipped_bit, "corrupt data or wrong checksum at byte "),
        (wrong_crc, "corrupt data or wrong checksum at byte "),
        (wrong_isize, "corrupt data or wrong checksum at byte "),
        (insane(size=10), CORRUPT),
        (insane(size=-4), CORRUPT),
        (insane(size=-(1 << 31)), CORRUPT),
        (insane(size=1 << 20), "truncated"),
        (insane(size=(1 << 31) - 1), CORRUPT),
        (insane(size=100), CORRUPT),
        (insane(name_length=0), CORRUPT),
        (insane(name_length=255), CORRUPT),
        (insane(cigar_ops=65535), CORRUPT),
        (insane(length=-1), CORRUPT),
        (insane(length=(1 << 31) - 1), CORRUPT),
        (insane(ref=1), CORRUPT),
        (insane(ref=-2), CORRUPT),
        (insane(mate_ref=9), CORRUPT),
        (insane(mate_pos=-7), CORRUPT),
        (insane(pos=-2), CORRUPT),
        (insane(pos=170805970), "it runs over the end of its reference sequence"),
        (insane(length=118), "CIGAR and sequence lengths disagree"),
        (bad_record("bad_operator", cigar="120M", tags=[b"RXZAAA"]), "corrupt optional fields"),
        (bad_record("cigar_of_another_length", cigar="110M"), "CIGAR and sequence lengths disagree"),
        (bad_record("tag_without_value", tags=[b"XXZ"]), "corrupt optional fields"),
        (bad_record("tag_of_no_type", tags=[b"XX?abc\0"]), "corrupt optional fields"),
        (bad_record("array_that_overruns", tags=[b"XXBi\xff\xff\xff\x7f"]), "corrupt optional fields"),
        (bad_record("array_of_negative_size", tags=[b"XXBi\xff\xff\xff\xff"]), "corrupt optional fields"),
        (bad_record("umi_of_other_letters", tags=[tag("RX", "Z", "AXA")]), "field 'RX': bad UMI: found 'AXA'"),
        (bad_record("umi_of_three", tags=[tag("RX", "Z", "A-A-A")]), "field 'RX': bad UMI: found 'A-A-A'"),
        (bad_record("umi_too_long", tags=[tag("RX", "Z", "A" * 22)]), "field 'RX': bad UMI: found 'AAAAA"),
        (bad_record("bad_mate_cigar", tags=[tag("RX", "Z", "A"), tag("MC", "Z", "M5")]), "bad mate CIGAR: found 'M5'"),
        (unsorted, "reads are not sorted by coordinate although the file says so; sort it with samtools sort"),
        (unsorted_from_chunk_to_chunk, "reads are not sorted by coordinate although the file says so"),
        (by_name, "field 'SO': the BAM is not sorted by coordinate: found 'queryname'"),
        (no_order, "field 'SO': the BAM is not sorted by coordinate: found 'unknown'"),
        (hg19, "the BAM is on GRCh37 while the config says GRCh38"),
        (no_chr6, "the BAM has no chr6: found 'chr1'"),
        (no_window, "no window of the panel lies on the BAM's sequences: found 'chr6:1000-2000'"),
        (repeated_name, "field 'SN': the header names a reference sequence twice: found 'chr6'"),
        (two_names_for_one_chromosome, "window 303 lies on more than one of the BAM's sequences: found 'chr6, 6'"),
        (overlapping_slices, "lies on more than one of the BAM's sequences"),
        (no_umis, "not one read over the panel's windows has a UMI: found 'no RX tags'; set umi to none"),
        (umis_of_another_type, "not one read over the panel's windows has a UMI"),
        (index_cut_short, "x.bam.bai: corrupt BAM index; index the BAM again"),
        (index_is_garbage, "x.bam.bai: corrupt BAM index; index the BAM again"),
        (index_is_a_folder, "x.bam.bai: cannot read: Is a directory"),
        (index_of_another, "x.bam.bai: the index is of another file; index the BAM again"),
        (index_too_old, "x.bam.bai: the index is older than the BAM; index the BAM again"),
    ],
    ids=lambda v: v.__name__ if callable(v) else "",
)
@pytest.mark.parametrize("threads", ["1", "2"])
def test_bad_input_is_one_line_and_nothing_is_written(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    make: Callable[[Path], None],
    told: str,
    threads: str,
) -> None:
    make(tmp_path / "x.bam")
    assert count(tmp_path / "x.bam", tmp_path, "--threads", threads) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("esr1call: error: ")
    assert told in err
    assert "x.bam" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_bam_cut_anywhere_is_never_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str], threads: str) -> None:
    whole = raw_bam()
    # A file cut between two blocks and closed again cannot be told from a whole one but by its index.
    boundaries = [i for i in range(len(whole)) if whole.startswith(EOF_BLOCK[:4], i)]
    for size in Random(1).sample(range(1, len(whole)), 15) + boundaries[1:4]:
        for end in (b"",) if size in boundaries else (b"", EOF_BLOCK):
            (tmp_path / "x.bam").write_bytes(whole[:size] + end)
            code = count(tmp_path / "x.bam", tmp_path, "--threads", threads)
            err = capfd.readouterr().err
            assert code == 2
            assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
