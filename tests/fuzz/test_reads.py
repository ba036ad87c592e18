"""Reads that were damaged: refused in one clear line, or counted as a slow reader counts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from unittest import mock

import pysam
import pytest

from esr1call.io import narrow
from esr1call.io.bam import count_bam
from esr1call.settings import CountSettings
from tests.fuzz.damaged_bam import PANEL, Good, damaged_index, inflated, slow_counts
from tests.fuzz.surface import Attack, Surface, refused
from tests.molecule_oracle import Counts

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
        with mock.patch.object(narrow, "_ENOUGH", (1, 1 << 16)[len(content) % 2]):
            if refused(lambda: found.append(fast_counts(path, SETTINGS[which])), folder / "x."):
                return False
        # Blocks that no window needs may be damaged; what was counted is what is there, or was.
        index.unlink()
        if found != [expected[which]]:
            assert inflated(content) is not None
            assert found == [slow_counts(path, SETTINGS[which])]
        return True

    return Attack(inputs, check)


SURFACES = [
    Surface("BAM, bytes of the file", 1_000_000, 100, bam_file),
    Surface("BAM, records under sound checksums", 2_000_000, 100, bam_records),
    Surface("BAM index", 3_000_000, 60, bam_with_index),
]


@pytest.mark.parametrize("surface", SURFACES, ids=str)
def test_damaged(surface: Surface, tmp_path: Path) -> None:
    answered, turned_away = surface.rounds(tmp_path)
    assert answered
    assert turned_away
