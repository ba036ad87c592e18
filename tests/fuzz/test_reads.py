"""Reads that were damaged: refused in one clear line, or counted as a slow reader counts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from random import Random
from unittest import mock

import pysam
import pytest

from esr1call.alignment.fastq import PairChunk, read_pairs
from esr1call.alignment.indexing import build_index
from esr1call.alignment.pairs import PairCounts, PairSettings, template_pairs
from esr1call.alignment.read_structure import PLAIN, parse_structures
from esr1call.alignment.sources import INTERLEAVED
from esr1call.alignment.ubam import is_unaligned
from esr1call.errors import InputError
from esr1call.io import narrow
from esr1call.io.bam import count_bam
from esr1call.screening.seeds import build_table
from esr1call.settings import CountSettings
from tests.bam_bytes import EOF_BLOCK
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ReadBuilder
from tests.fuzz.damaged_bam import PANEL, Good, damaged_index, inflated, out_of_order, slow_counts
from tests.fuzz.damaged_fastq import TARGET, Files, files, slow_pairs
from tests.fuzz.surface import Attack, Surface, command, refused
from tests.molecule_oracle import Counts, has_text
from tests.screening.test_screening import seeded_slowly

Given = tuple[Good, bytes]
Indexed = tuple[bytes, bytes, list[Counts | None]]
"""BAM, index, and by settings what the sound BAM shows."""
SETTINGS = (CountSettings(), CountSettings(umi="none"), CountSettings(umi="simplex"))


def fast_counts(path: Path, settings: CountSettings) -> Counts:
    table, _ = count_bam(path, PANEL, settings)
    return {
        (table.windows[w], h): m.tolist()
        for w, h, m in zip(table.window, table.haplotype, table.molecules, strict=True)
    }


def counted_right(path: Path, settings: CountSettings) -> bool:
    """The fast counter refuses the file, or counts what the slow one counts."""
    found: list[Counts] = []
    if refused(lambda: found.append(fast_counts(path, settings)), path):
        return False
    assert inflated(path.read_bytes()) is not None, "a broken file was counted"
    assert found == [slow_counts(path, settings)]
    return True


def bam_file(folder: Path) -> Attack:
    """Compressed bytes: changed, cut off, blocks moved."""
    path = folder / "x.bam"

    def inputs(number: int, seed: int) -> Iterator[Given]:
        chance = Random(seed)
        good = Good.random(chance)
        for _ in range(number):
            yield good, good.damaged(chance)

    def check(given: Given) -> bool:
        path.write_bytes(given[1])
        return counted_right(path, SETTINGS[len(given[1]) % 3])

    return Attack(inputs, check)


def bam_records(folder: Path) -> Attack:
    """Sound checksums over records that are not."""
    path = folder / "x.bam"

    def inputs(number: int, seed: int) -> Iterator[Given]:
        chance = Random(seed)
        good = Good.random(chance)
        for _ in range(number):
            yield good, good.insane(chance)

    def check(given: Given) -> bool:
        path.write_bytes(given[1])
        return counted_right(path, SETTINGS[len(given[1]) % 3])

    return Attack(inputs, check)


def bam_with_index(folder: Path) -> Attack:
    """An index whose bytes were changed, or that is sound beside a BAM whose bytes were."""
    path, index = folder / "x.bam", folder / "x.bam.bai"

    def inputs(number: int, seed: int) -> Iterator[Indexed]:
        chance = Random(seed)
        good = Good.random(chance, 30, aligned=True)
        path.write_bytes(good.content)
        kind = ["-c", "-m", "14"] if chance.random() < 0.3 else ["-b"]
        pysam.index(*kind, "-o", str(index), str(path))
        whole = index.read_bytes()
        index.unlink()
        expected = [None if refused(lambda s=s: fast_counts(path, s), path) else fast_counts(path, s) for s in SETTINGS]
        for _ in range(number):
            if chance.random() < 0.7:
                yield good.content, damaged_index(whole, good, chance), expected
            else:
                yield good.damaged(chance), whole, expected

    def check(given: Indexed) -> bool:
        content, beside, expected = given
        which = len(content + beside) % 3
        path.write_bytes(content)
        index.write_bytes(beside)
        os.utime(path, (1, 1))
        found: list[Counts] = []
        narrowed = len(content) % 2 == 0
        with mock.patch.object(narrow, "_ENOUGH", 1 if narrowed else 1 << 16):
            if refused(lambda: found.append(fast_counts(path, SETTINGS[which])), folder / "x."):
                return False
        # Blocks that no window needs may be damaged; what was counted is what is there, or was. A file of many blocks
        # is not read whole: whether those that were left out are in order, nobody looked.
        index.unlink()
        if found != [expected[which]] and not (narrowed and out_of_order(content)):
            assert inflated(content) is not None
            assert found == [slow_counts(path, SETTINGS[which])]
        return True

    return Attack(inputs, check)


def bam_commands(folder: Path) -> Attack:
    """Damaged BAMs by the commands that take them, with htslib behind some: whatever it says, one line is shown."""
    path, out = folder / "x.bam", folder / "out"
    panel = ["--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA)]
    aligned = ["--sample", "s", "--bam", str(path), *panel, "--index", str(build_index(REFERENCE_FASTA, folder))]
    commands = [
        ["count", "--bam", str(path), *panel, "--out", str(out / "c.tsv"), "--stats", str(out / "c.json")],
        ["count", "--bam", str(path), *panel, "--explain", "536-538"],
        ["bases", "--bam", str(path), *panel, "--out", str(out / "b.tsv")],
        ["align", *aligned, "--out", str(out / "a.bam"), "--stats", str(out / "a.json")],
        ["sample", *aligned, "--out-dir", str(out)],
    ]
    here = 152098700
    builder = ReadBuilder()
    builder.pair(here, here + 160, umi="AAA-CCC", changes=[(152098791, "A", "G")], copies=2)
    builder.pair(here, here + 160, umi="CCC-AAA", orientation="F2R1")
    builder.pair(here + 3, here + 170, umi="GGG-TTT", copies=3)
    good = Good.of(builder.write(path).read_bytes())
    for arguments in commands:
        assert command(arguments), arguments
    Path(f"{path}.bai").unlink()

    def inputs(number: int, seed: int) -> Iterator[tuple[bytes, int]]:
        chance = Random(seed)
        for _ in range(number):
            ways = good.damaged, good.insane, lambda _: good.content  # a sound one must be answered
            yield chance.choices(ways, (5, 5, 1))[0](chance), chance.randrange(len(commands))

    def check(given: tuple[bytes, int]) -> bool:
        path.write_bytes(given[0])
        return command(commands[given[1]], folder)

    return Attack(inputs, check)


def fastq(folder: Path) -> Attack:
    """All pairs of a file are read as they stand in it, or those that hold a seed of the target, or none."""
    paths = folder / "one.fq", folder / "two.fq"
    table = build_table([TARGET])
    settings = PairSettings(parse_structures("3M2S+T 3M2S+T"))

    def check(given: Files) -> bool:
        for path, content in zip(paths, (given.one, given.two), strict=True):
            path.write_bytes(content or b"")
        second, screened = paths[1] if given.two is not None else INTERLEAVED, len(given.one) % 2 == 0
        read: list[PairChunk] = []

        def use() -> None:
            read.extend(read_pairs(paths[0], second, 3, table=table if screened else None))
            list(template_pairs(read, settings, PairCounts(), str(paths[0])))

        if refused(use, folder):
            return False
        found = [p for c in read for p in zip(c.name, c.bases_1, c.quality_1, c.bases_2, c.quality_2, strict=True)]
        expected = slow_pairs(given)
        assert screened or expected is not None, "no sound FASTQ was read"
        if expected is not None and screened:
            expected = [p for p in expected if seeded_slowly(f"\n{p[1]}\n\n\n\n{p[3]}", [TARGET])]
        assert expected is None or found == expected
        return True

    return Attack(files, check)


def fastq_commands(folder: Path) -> Attack:
    """The same by `esr1call screen` and `esr1call align`."""
    one, two = folder / "one.fq", folder / "two.fq"
    index = build_index(REFERENCE_FASTA, folder / "index")
    given_to = ["--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA)]
    aligned = ["--sample", "s", "--read-structure", "3M2S+T 3M2S+T", "--index", str(index), *given_to]
    aligned += ["--out", str(folder / "x.bam"), "--stats", str(folder / "x.json")]

    def check(given: Files) -> bool:
        one.write_bytes(given.one)
        if given.two is not None:
            two.write_bytes(given.two)
        second = str(two) if given.two is not None else INTERLEAVED
        if len(given.one) % 2:
            return command(["screen", str(one), second, *given_to, "--out", str(folder / "x.fq")], folder)
        return command(["align", "--fastq-1", str(one), "--fastq-2", second, *aligned], folder)

    return Attack(files, check)


def unaligned_pairs(path: Path) -> list[tuple[str, str, str, str]]:
    """(name, UMI, bases of read 1 and 2) of reads that stand together by name, the first of each kind."""
    told = pysam.set_verbosity(0)
    try:
        with pysam.AlignmentFile(str(path), check_sq=False) as bam:
            reads = [r for r in bam.fetch(until_eof=True) if not r.flag & 0x900]
    finally:
        pysam.set_verbosity(told)
    out = []
    for name, group in groupby(reads, key=lambda r: r.query_name):
        ends = {r.flag & 0xC0: r for r in reversed(list(group))}
        one, two = ends[0x40], ends[0x80]
        umi = one.get_tag("RX") if has_text(one, "RX") else ""
        out.append((name, umi, one.get_forward_sequence() or "", two.get_forward_sequence() or ""))
    return out


def unaligned_bam(folder: Path) -> Attack:
    """BAMs without reference sequences, whose bytes or records were changed."""
    path = folder / "u.bam"
    settings = PairSettings((PLAIN, PLAIN), "tag")

    def inputs(number: int, seed: int) -> Iterator[bytes]:
        chance = Random(seed)
        good = Good.unaligned(chance)
        for _ in range(number):
            ways = good.damaged, good.insane, lambda _: good.content  # a sound one must be answered
            yield chance.choices(ways, (5, 5, 1))[0](chance)

    def check(content: bytes) -> bool:
        path.write_bytes(content)
        read: list[PairChunk] = []

        def use() -> None:
            if not is_unaligned(path):
                raise InputError("not an unaligned BAM", file=path)  # it goes another way: see the other surfaces
            read.extend(read_pairs(path, INTERLEAVED, 3, allow_empty=True))
            list(template_pairs(read, settings, PairCounts(), str(path)))

        if refused(use, path):
            return False
        assert content.endswith(EOF_BLOCK), "a file without its end was read"
        found = [p for c in read for p in zip(c.name, c.umi or (), c.bases_1, c.bases_2, strict=True)]
        assert found == unaligned_pairs(path)
        return True

    return Attack(inputs, check)


SURFACES = [
    Surface("BAM, bytes of the file", 1_000_000, 100, bam_file),
    Surface("BAM, records under sound checksums", 2_000_000, 100, bam_records),
    Surface("BAM index", 3_000_000, 60, bam_with_index),
    Surface("BAM, by count, bases, align and sample", 7_000_000, 20, bam_commands),
    Surface("FASTQ", 4_000_000, 400, fastq),
    Surface("FASTQ, by align and screen", 5_000_000, 6, fastq_commands),
    Surface("unaligned BAM", 6_000_000, 6, unaligned_bam),
]


@pytest.mark.parametrize("surface", SURFACES, ids=str)
def test_damaged(surface: Surface, tmp_path: Path) -> None:
    answered, turned_away = surface.rounds(tmp_path)
    assert answered
    assert turned_away
