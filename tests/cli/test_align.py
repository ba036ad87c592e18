from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pysam
import pytest

from esr1call.alignment.indexing import build_index
from esr1call.alignment.step import screen_targets
from esr1call.cli import run
from esr1call.io.reference import Reference
from esr1call.panel import reverse_complement
from esr1call.panel_file import parse
from tests.alignment.library import Pair, cut_pairs, write_gz, write_pairs, write_ubam
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ReadBuilder, slices

NAME = max(slices(), key=lambda n: len(slices()[n]))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_index(REFERENCE_FASTA, tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return cut_pairs(slices()[NAME], 400, np.random.default_rng(17))


def arguments(folder: Path, index: Path | None, *more: str) -> list[str]:
    given = ["align", "--sample", "S1", "--reference", str(REFERENCE_FASTA)]
    given += ["--out", str(folder / "S1" / "aligned.bam"), "--stats", str(folder / "S1" / "align.json")]
    return given + (["--index", str(index)] if index else []) + list(more)


def fastq(folder: Path, pairs: list[Pair], structure: str = "3M2S+T 3M2S+T") -> list[str]:
    one, two = write_pairs(folder, pairs)
    return ["--fastq-1", str(one), "--fastq-2", str(two), "--read-structure", structure]


def test_index_command_keeps_the_reference_folder_clean(tmp_path: Path) -> None:
    reference = tmp_path / "given" / "r.fa"
    reference.parent.mkdir()
    reference.write_bytes(REFERENCE_FASTA.read_bytes())
    contents = []
    for out in ("a", "b"):
        assert run(["index", "--reference", str(reference), "--out-dir", str(tmp_path / out)]) == 0
        contents.append({p.name: p.read_bytes() for p in (tmp_path / out).iterdir()})
    assert sorted(contents[0]) == [f"reference.{e}" for e in ("amb", "ann", "bwt", "dict", "pac", "sa")]
    assert contents[0] == contents[1]
    assert str(tmp_path).encode() not in b"".join(contents[0].values())
    assert [p.name for p in reference.parent.iterdir()] == ["r.fa"]


def test_index_of_what_is_no_fasta(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.fa").write_text("hello\n")
    assert run(["index", "--reference", str(tmp_path / "r.fa"), "--out-dir", str(tmp_path / "i")]) == 2
    assert "r.fa" in capsys.readouterr().err
    assert not (tmp_path / "i").exists()


def test_from_fastq(tmp_path: Path, index: Path, pairs: list[Pair]) -> None:
    given = arguments(tmp_path, index, *fastq(tmp_path, pairs), "--panel", str(PANEL_TSV), "--platform-unit", "run.1")
    given.append("--no-screen")
    assert run(given) == 0
    sizes = {n: int(n.split(":")[1]) for n, _, _ in pairs}
    umis = {n: f"{a[:3]}-{b[:3]}" for n, a, b in pairs}
    stats = json.loads((tmp_path / "S1" / "align.json").read_text())
    assert (stats["pairs_read"], stats["pairs_kept"], stats["reads_mapped"]) == (400, 400, 800)
    assert stats["trimmed_by_overlap"] == sum(s < 145 for s in sizes.values())
    assert stats["trimmed_by_adapter"] == 0
    assert 0 < stats["reads_on_target"] < 800
    with pysam.AlignmentFile(str(tmp_path / "S1" / "aligned.bam")) as bam:
        assert bam.header.to_dict()["RG"][0]["ID"] == "S1.run.1"
        for r in bam:
            # No base of the fragment lost and none beyond it: the ends of the molecule are where they were cut.
            assert r.query_length == r.query_alignment_length == min(sizes[r.query_name], 145)
            assert abs(r.template_length) == sizes[r.query_name]
            assert r.get_tag("RX") == umis[r.query_name]


def test_runs_and_threads_give_the_same_bytes(tmp_path: Path, index: Path, pairs: list[Pair]) -> None:
    made = []
    for threads in ("1", "2"):
        assert run(arguments(tmp_path / threads, index, *fastq(tmp_path, pairs), "--threads", threads)) == 0
        made.append([(p.name, p.read_bytes()) for p in sorted((tmp_path / threads / "S1").iterdir())])
    assert made[0] == made[1]
    assert [name for name, _ in made[0]] == ["align.json", "aligned.bam", "aligned.bam.bai"]


@pytest.mark.parametrize(
    ("structure", "umi", "prefix", "expected"),
    [
        ("8M+T +T", "read_structure", "ACGTACGT", "ACGTACGT"),
        ("+T +T", "read_name", "", "ACG-TTA"),
        ("+T +T", "none", "", None),
    ],
)
def test_umi_sources(tmp_path: Path, index: Path, structure: str, umi: str, prefix: str, expected: str | None) -> None:
    whole = slices()[NAME]
    pairs = [
        (f"r{i}:ACG+TTA", prefix + whole[i : i + 100], reverse_complement(whole[i + 100 : i + 200])) for i in range(99)
    ]
    assert run(arguments(tmp_path, index, *fastq(tmp_path, pairs, structure), "--umi", umi)) == 0
    with pysam.AlignmentFile(str(tmp_path / "S1" / "aligned.bam")) as bam:
        assert {r.get_tag("RX") if r.has_tag("RX") else None for r in bam} == {expected}


def test_empty_control(tmp_path: Path, index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = arguments(tmp_path, index, *fastq(tmp_path, []))
    assert run(given) == 2
    assert "no reads in the file" in capsys.readouterr().err
    assert run([*given, "--allow-empty", "--panel", str(PANEL_TSV)]) == 0
    stats = json.loads((tmp_path / "S1" / "align.json").read_text())
    assert (stats["pairs_read"], stats["reads_mapped"], stats["reads_on_target"]) == (0, 0, 0)


def test_from_bam(tmp_path: Path) -> None:
    reads = ReadBuilder()
    reads.pair(152098700, 152098860, copies=5)
    bam = reads.write(tmp_path / "in.bam")
    assert run(arguments(tmp_path, None, "--bam", str(bam), "--panel", str(PANEL_TSV))) == 0
    assert json.loads((tmp_path / "S1" / "align.json").read_text()) == {
        "sample": "S1", "build": "GRCh38", "source": "bam", "bam": "linked", "reads_mapped": 10, "reads_unmapped": 0,
        "reads_on_target": 10,
    }  # fmt: skip
    assert (tmp_path / "S1" / "aligned.bam").resolve() == bam.resolve()


def bad(folder: Path, pairs: list[Pair], change: str) -> list[str]:
    one, two = write_pairs(folder, pairs)
    given = ["--fastq-1", str(one), "--fastq-2", str(two), "--read-structure", "3M2S+T 3M2S+T"]
    if change == "missing":
        two.unlink()
    elif change == "truncated":
        two.write_bytes(two.read_bytes()[:-20])
    elif change == "shorter":
        write_gz(two, f"@{pairs[0][0]}\nA\n+\nF\n")
    elif change == "one mate":
        given = given[:2]
    elif change == "both":
        given += ["--bam", str(one)]
    elif change == "nothing":
        given = []
    elif change == "structure":
        given[-1] = "3M2S+T"
    elif change == "no umi":
        given[-1] = "+T +T"
    elif change == "name umi":
        given += ["--umi", "read_name"]
    elif change == "sample":
        given += ["--sample", "S 1"]
    elif change == "build":
        given += ["--panel", str(folder / "other.tsv")]
        (folder / "other.tsv").write_text(PANEL_TSV.read_text().replace("#contig\tchr6", "#contig\tchr7"))
    elif change == "no index":
        given += ["--index", str(folder / "none")]
    return given


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("missing", "x_R2.fastq.gz, field 'fastq_2': no such file"),
        ("truncated", "x_R2.fastq.gz: truncated gzip file"),
        ("shorter", "has 1 reads but its mate file"),
        ("one mate", "give either both --fastq-1 and --fastq-2, or --bam"),
        ("both", "give either both"),
        ("nothing", "give either both"),
        ("structure", "not two read structures"),
        ("no umi", "no UMI in the read structure"),
        ("name umi", "read 1: no UMI in the read's name"),
        ("sample", "field 'sample': not usable in a read group"),
        ("build", "no sequence of the panel's chromosome"),
        ("no index", "no index for embedded"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, index: Path, pairs: list[Pair], capsys: pytest.CaptureFixture[str], change: str, said: str
) -> None:
    (tmp_path / "in").mkdir()
    assert run(arguments(tmp_path / "out", index, *bad(tmp_path / "in", pairs, change))) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*.*"))


def test_a_screen_drops_what_is_not_of_the_panel(tmp_path: Path, index: Path, pairs: list[Pair]) -> None:
    """Screened and unscreened give the same records over the panel; the other pairs are counted."""
    foreign = cut_pairs("".join(np.random.default_rng(4).choice(list("ACGT"), 20000)), 400, np.random.default_rng(5))
    both = [pair for two in zip(pairs, foreign, strict=True) for pair in two]
    mixed = [(f"{i}:{n}", a, b) for i, (n, a, b) in enumerate(both)]
    found = []
    for screen in ("--screen", "--no-screen"):
        given = arguments(tmp_path / screen, index, *fastq(tmp_path, mixed), "--panel", str(PANEL_TSV), screen)
        assert run(given) == 0
        stats = json.loads((tmp_path / screen / "S1" / "align.json").read_text())
        assert stats["pairs_read"] == 800
        assert stats["screened"] == (screen == "--screen")
        assert stats["pairs_kept"] == 800 - stats["dropped_by_screen"]
        with pysam.AlignmentFile(str(tmp_path / screen / "S1" / "aligned.bam")) as bam:
            found.append((stats, sorted(r.to_string() for r in bam.fetch(NAME, 0, 600))))
    assert found[0][1] == found[1][1]
    assert 400 <= found[0][0]["dropped_by_screen"] < 440
    assert found[1][0]["dropped_by_screen"] == 0
    assert found[0][0]["reads_on_target"] == found[1][0]["reads_on_target"]


def test_from_an_unaligned_bam(
    tmp_path: Path, index: Path, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is screened and aligned; its RX tags are the UMIs, and a read without one is refused."""
    umis = [f"ACG-{'ACGT'[i % 4] * 3}" for i in range(len(pairs))]
    bam = write_ubam(tmp_path / "u.bam", pairs, umis)
    assert run(arguments(tmp_path, index, "--bam", str(bam), "--panel", str(PANEL_TSV))) == 0
    stats = json.loads((tmp_path / "S1" / "align.json").read_text())
    assert (stats["source"], stats["pairs_read"], stats["screened"]) == ("fastq", len(pairs), True)
    with pysam.AlignmentFile(str(tmp_path / "S1" / "aligned.bam")) as made:
        found = {r.query_name: r.get_tag("RX") for r in made}
    assert found == {n: u for (n, _, _), u in zip(pairs, umis, strict=True) if n in found}
    assert len(found) == stats["pairs_kept"] > 300
    bare = write_ubam(tmp_path / "bare.bam", pairs, [""] * len(pairs))
    assert run(arguments(tmp_path / "b", index, "--bam", str(bare))) == 2
    assert "no UMI in an RX tag" in capsys.readouterr().err


@pytest.mark.parametrize("prefix", ["chr6", "6", "NC_000006.12"])
def test_targets_whatever_the_chromosome_is_called(tmp_path: Path, prefix: str) -> None:
    renamed = tmp_path / "r.fa"
    renamed.write_text(REFERENCE_FASTA.read_text().replace("chr6", prefix))
    source = parse(PANEL_TSV.read_text().splitlines(), str(PANEL_TSV))
    assert screen_targets(source, "GRCh38", Reference(renamed).fetch) == screen_targets(
        source, "GRCh38", Reference(REFERENCE_FASTA).fetch
    )
