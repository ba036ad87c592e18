from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esr1call.alignment.aligners import MAX_INSERT, check_index, interleaved, open_aligner, read_ann
from esr1call.alignment.pairs import TemplatePairs
from esr1call.errors import InputError
from esr1call.panel import reverse_complement
from tests.alignment.library import cut_pairs
from tests.builders import slices

SLICE = max(slices(), key=lambda n: len(slices()[n]))


def batch(pairs: Iterable[tuple[str, str, str]], umi: str = "ACG-TTA") -> TemplatePairs:
    out = TemplatePairs()
    for name, one, two in pairs:
        for column, value in (
            (out.name, name), (out.umi, umi), (out.bases_1, one), (out.bases_2, two),
            (out.quality_1, "F" * len(one)), (out.quality_2, "F" * len(two)),
        ):  # fmt: skip
            column.append(value)
    return out


def fragments(count: int = 60, size: int = 160) -> TemplatePairs:
    """Clean pairs all along the longest slice, both strands in turn."""
    rng = np.random.default_rng(8)
    pairs = []
    for i in range(count):
        n = size + int(rng.integers(0, 60))
        at = int(rng.integers(0, len(slices()[SLICE]) - n))
        fragment = slices()[SLICE][at : at + n]
        fragment = reverse_complement(fragment) if i % 2 else fragment
        pairs.append((f"{at}:{n}:{'-' if i % 2 else '+'}", fragment[:100], reverse_complement(fragment)[:100]))
    return batch(pairs)


def aligned(name: str, index: Path, *batches: TemplatePairs, threads: int = 1) -> list[Any]:
    return list(open_aligner(name, index, threads).align(batches, "S1.1"))


def test_mates_are_paired_where_they_come_from(index: Path) -> None:
    given = fragments()
    records = aligned("embedded", index, given)
    assert len(records) == 2 * len(given.name)
    for i, r in enumerate(records):
        at, n, strand = r.query_name.split(":")
        mate = records[i ^ 1]
        reverse = (strand == "-") != bool(i % 2)
        assert r.flag == 0x3 | (0x80 if i % 2 else 0x40) | (0x10 if reverse else 0x20)
        assert r.reference_name == SLICE
        assert r.reference_start == int(at) + (int(n) - 100 if reverse else 0)
        assert (r.cigarstring, r.mapping_quality) == ("100M", 60)
        assert (r.next_reference_start, r.template_length) == (mate.reference_start, -int(n) if reverse else int(n))
        assert (r.get_tag("MC"), r.get_tag("RX"), r.get_tag("RG")) == ("100M", "ACG-TTA", "S1.1")


def test_flags_of_odd_pairs(index: Path) -> None:
    first, second = list(slices().values())[:2]
    whole = slices()[SLICE]
    pairs = {
        "far": (first[:100], reverse_complement(second[100:200])),
        "same way": (whole[:100], whole[200:300]),
        "unmapped mate": (whole[:100], "ACGGTCTATTGCAGCAGCGATACGATTGCC" * 3),
        "unmapped": ("ACGGTCTATTGCAGCAGCGATACGATTGCC" * 3,) * 2,
        "outward": (reverse_complement(whole[:100]), whole[300:400]),
    }
    given = fragments()
    for name, (one, two) in pairs.items():
        for part, value in zip(vars(batch([])), astuple_of(batch([(name, one, two)])), strict=True):
            getattr(given, part).extend(value)
    flags = {n: [r.flag for r in aligned("embedded", index, given) if r.query_name == n] for n in pairs}
    assert flags == {
        "far": [0x61, 0x91],
        "same way": [0x41, 0x81],
        "unmapped mate": [0x49, 0x85],
        "unmapped": [0x4D, 0x8D],
        "outward": [0x51, 0xA1],
    }


def astuple_of(pairs: TemplatePairs) -> list[list[str]]:
    return list(vars(pairs).values())


def test_threads_change_nothing(index: Path) -> None:
    given = fragments(400)
    one, two = (
        [r.to_string() for r in aligned("embedded", index, given, given, threads=n)] for n in (1, 3)
    )  # fmt: skip
    assert one == two


def test_no_reads(index: Path) -> None:
    assert aligned("embedded", index, TemplatePairs()) == []


def test_nothing_on_stderr(index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    aligned("embedded", index, fragments())
    assert capfd.readouterr() == ("", "")


def test_sequences_of_the_index(index: Path) -> None:
    assert read_ann(index) == [(n, len(s)) for n, s in slices().items()]


@pytest.mark.parametrize(("aligner", "end"), [("embedded", ".bwt"), ("bwa", ".sa"), ("bwa-mem2", ".0123")])
def test_missing_index_file(index: Path, tmp_path: Path, aligner: str, end: str) -> None:
    for file in index.parent.iterdir():
        if file.suffix != end:
            shutil.copy(file, tmp_path)
    with pytest.raises(InputError, match=f"'reference{end}' is missing; make one with"):
        check_index(tmp_path / "reference", aligner)


def test_missing_dictionary(index: Path, tmp_path: Path) -> None:
    for file in index.parent.iterdir():
        if file.suffix != ".dict":
            shutil.copy(file, tmp_path)
    with pytest.raises(InputError, match="cannot load the index"):
        open_aligner("embedded", tmp_path / "reference", 1)


def test_program_not_on_path(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="the program 'bwa' is not on PATH"):
        open_aligner("bwa", index, 1)


def stand_in(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called bwa, first on PATH; its body sees `arguments`, `reads` (FASTQ lines) after `read()`."""
    script = folder / "bwa"
    script.write_text(
        f"#!{sys.executable}\nimport sys\narguments = sys.argv[1:]\n"
        "if arguments[:1] != ['mem']:\n    sys.exit(print('Version: 9.9.9-test', file=sys.stderr))\n"
        f"print('@SQ\\tSN:chr6:1-100\\tLN:100', flush=True)\n{body}\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


UNMAPPED = """
lines = sys.stdin.read().splitlines()
assert arguments[:3] == ['mem', '-t', '2'] and '-p' in arguments and '-C' in arguments and arguments[-1] == '-'
group = arguments[arguments.index('-R') + 1].split('ID:')[1]
for i in range(0, len(lines), 4):
    name, tag = lines[i][1:].split()
    flag = 141 if i % 8 else 77
    print(name, flag, '*', 0, 0, '*', '*', 0, 0, lines[i + 1], lines[i + 3], tag, 'RG:Z:' + group, sep='\\t')
"""


def test_program_gets_interleaved_mates(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, UNMAPPED, monkeypatch)
    aligner = open_aligner("bwa", index, 2)
    assert (aligner.name, aligner.version) == ("bwa mem", "9.9.9-test")
    given = fragments(3000)  # more than a pipe holds, so reading and writing must go on together
    records = list(aligner.align([given, given], "S1.1"))
    assert [r.query_sequence for r in records] == 2 * [
        b for pair in zip(given.bases_1, given.bases_2, strict=True) for b in pair
    ]
    assert {(r.get_tag("RX"), r.get_tag("RG")) for r in records} == {("ACG-TTA", "S1.1")}
    assert [r.flag for r in records[:2]] == [77, 141]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit('[E::bwa] out of memory')", "'bwa mem' failed with exit code 1: found .*out of memory"),
        ("print('r\\\\t0\\\\tbroken')", "'bwa mem' failed"),
        ("import os; os.kill(os.getpid(), 9)", "failed with exit code -9"),
    ],
)
def test_failing_program(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str) -> None:
    stand_in(tmp_path, body, monkeypatch)
    with pytest.raises(InputError, match=said):
        aligned("bwa", index, fragments(5000))


def test_bad_input_reaches_the_user_through_a_program(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, UNMAPPED, monkeypatch)

    def broken() -> Iterable[TemplatePairs]:
        yield fragments()
        raise InputError("truncated gzip file", file="x_R1.fastq.gz")

    with pytest.raises(InputError, match="truncated gzip file"):
        list(open_aligner("bwa", index, 2).align(broken(), "S1.1"))


def test_program_without_reads_is_not_started(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "sys.exit(7)", monkeypatch)
    assert aligned("bwa", index, TemplatePairs()) == []


def test_interleaved_without_umi() -> None:
    assert interleaved(batch([("r", "AC", "G")], "")) == b"@r\nAC\n+\nFF\n@r\nG\n+\nF\n"


if shutil.which("bwa") is not None:

    @pytest.mark.peers
    def test_the_library_is_bwa(index: Path) -> None:
        """Positions, CIGARs, mates and flags equal those of the bwa program."""
        rng = np.random.default_rng(21)
        pairs = [(f"{n}_{i}", a, b) for i, (n, a, b) in enumerate(cut_pairs(slices()[SLICE], 3000, rng, False))]
        ours, theirs = (aligned(name, index, batch(pairs)) for name in ("embedded", "bwa"))
        assert len(ours) == len(theirs) >= 6000
        for a, b in zip(ours, theirs, strict=True):
            for f in ("query_name", "reference_start", "cigarstring", "next_reference_start", "template_length"):
                assert getattr(a, f) == getattr(b, f)
            # The proper-pair flag follows another rule (see MAX_INSERT).
            assert a.flag & ~0x2 == b.flag & ~0x2
            assert a.is_proper_pair or not b.is_proper_pair or abs(b.template_length) > MAX_INSERT
            assert a.get_tag("RX") == b.get_tag("RX")
