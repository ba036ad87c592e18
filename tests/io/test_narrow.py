"""Bisection leaves out no read that matters, and most of the rest."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pysam
import pytest

from esr1call.errors import InputError
from esr1call.io import narrow as module
from esr1call.io.bam import bytes_read, count_bam
from esr1call.io.bam_index import BamIndex
from esr1call.io.reference import Reference, load_panel
from esr1call.panel import Panel
from esr1call.settings import CountSettings
from tests.builders import ROOT
from tests.fuzz.damaged_bam import starts

sys.path.insert(0, str(ROOT / "scripts"))
from bench_bam import Plan, write_bam, write_reference

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Panel]:
    """A BAM of 1,000 pairs over five windows and 150,000 elsewhere, of many blocks, and its panel."""
    folder = tmp_path_factory.mktemp("sparse")
    fasta, panel = write_reference(folder)
    bam = folder / "sparse.bam"
    write_bam(bam, Plan(1000, 50, offtarget_pairs=150_000))
    pysam.index(str(bam))
    return bam, load_panel(panel, Reference(fasta), "GRCh38")


@pytest.mark.parametrize("enough", [1, 5_000, module._ENOUGH])
def test_a_narrowed_stretch_gives_the_counts_of_the_whole_file(
    sparse: tuple[Path, Panel], tmp_path: Path, enough: int
) -> None:
    bam, panel = sparse
    bare = tmp_path / "bare.bam"
    bare.symlink_to(bam)
    expected, whole = count_bam(bare, panel, CountSettings())
    with mock.patch.object(module, "_ENOUGH", enough):
        found, narrowed = count_bam(bam, panel, CountSettings())
    assert found.haplotype == expected.haplotype
    assert (found.molecules == expected.molecules).all()
    assert narrowed.reads.counts["counted"] == whole.reads.counts["counted"] > 1000
    assert narrowed.reads.counts["off_target"] < whole.reads.counts["off_target"] / 5


def test_less_is_read_than_the_index_names(sparse: tuple[Path, Panel]) -> None:
    bam, panel = sparse
    narrowed = bytes_read(bam, panel)
    with (
        mock.patch.object(module.Finder, "find", side_effect=module.Unaligned),
        mock.patch.object(module.Finder, "narrow", lambda self, stretch, *place: stretch),
    ):
        named = bytes_read(bam, panel)
    assert narrowed < 0.7 * named


def test_blocks_that_begin_inside_a_record_are_left_alone(sparse: tuple[Path, Panel], tmp_path: Path) -> None:
    bam, panel = sparse
    with pysam.BGZFile(str(bam)) as packed:
        plain = packed.read()
    shifted = tmp_path / "shifted.bam"
    with pysam.BGZFile(str(shifted), "wb") as out:
        out.write(plain)  # blocks of one size, wherever records end
    pysam.index(str(shifted))
    with mock.patch.object(module, "_ENOUGH", 1):
        found, _ = count_bam(shifted, panel, CountSettings())
    expected, _ = count_bam(bam, panel, CountSettings())
    assert found.haplotype == expected.haplotype
    assert (found.molecules == expected.molecules).all()


@pytest.mark.parametrize("wrong", ["ends early", "begins late", "names nothing"])
def test_an_index_that_leaves_reads_out_is_not_believed(sparse: tuple[Path, Panel], wrong: str) -> None:
    """It has no checksum: a wrong bit in an offset or in a bin's number would take reads away unseen."""
    bam, panel = sparse
    expected, _ = count_bam(bam, panel, CountSettings())
    honest = BamIndex.chunks

    def chunks(self: BamIndex, reference: int, start: int, end: int) -> list[tuple[int, int]]:
        named = honest(self, reference, start, end)
        if wrong == "names nothing" or not named:
            return []
        (first, *_), (*_, last) = named[0], named[-1]
        middle = (first + last) // 2
        return [(first, middle)] if wrong == "ends early" else [(middle, last)]

    with mock.patch.object(BamIndex, "chunks", chunks), mock.patch.object(module, "_ENOUGH", 1000):
        found, _ = count_bam(bam, panel, CountSettings())
    assert found.haplotype == expected.haplotype
    assert (found.molecules == expected.molecules).all()


@pytest.mark.parametrize("part", [0.3, 0.5, 0.8])
def test_sound_blocks_that_changed_places_are_noticed_where_they_are_looked_at(
    sparse: tuple[Path, Panel], tmp_path: Path, part: float
) -> None:
    bam, panel = sparse
    content = bam.read_bytes()
    blocks = [content[a:b] for a, b in pairwise(starts(content))]
    head, blocks, end = blocks[0], blocks[1:-1], blocks[-1]
    cut = int(part * len(blocks))
    moved = tmp_path / "moved.bam"
    moved.write_bytes(b"".join([head, *blocks[cut:], *blocks[:cut], end]))
    moved.with_suffix(".bam.bai").write_bytes(Path(f"{bam}.bai").read_bytes())
    with pytest.raises(InputError, match="not sorted by coordinate"):
        count_bam(moved, panel, CountSettings())
