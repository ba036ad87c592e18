from __future__ import annotations

from pathlib import Path

import pysam
import pytest

from esr1call.counts import UNDECIDED
from esr1call.results import CallStatus, SampleStatus
from tests.builders import (
    GRCH37_SHIFT,
    ReadBuilder,
    count_table,
    esr1_panel,
    haplotype_of,
    moved_slices,
    negative_call,
    sample_result,
    slices,
    variant_call,
)

D538G = (152098791, "A", "G")
V422DEL = (152061016, "ATGG", "A")


def _base_at(read: pysam.AlignedSegment, position: int) -> str:
    """The base a read shows at a 0-based position of its sequence, '' where it is deleted."""
    pairs = {r: q for q, r in read.get_aligned_pairs() if r is not None}
    return "" if pairs[position] is None else read.query_sequence[pairs[position]]


@pytest.mark.parametrize("orientation", ["F1R2", "F2R1"])
def test_a_pair_covers_its_fragment_from_both_ends(reads: ReadBuilder, orientation: str) -> None:
    ((one, two),) = reads.pair(152098700, 152098860, orientation=orientation)
    left, right = (one, two) if orientation == "F1R2" else (two, one)
    assert one.is_read1
    assert two.is_read2
    assert (left.is_reverse, right.is_reverse) == (False, True)
    assert (left.reference_start, right.reference_end) == (152098700 - 152098681, 152098860 - 152098681)
    assert (left.template_length, right.template_length) == (160, -160)
    assert one.get_tag("RX") == two.get_tag("RX") == "AAA-CCC"
    assert one.get_tag("MC") == two.cigarstring == "100M"
    bases = slices()["chr6:152098682-152099500"]
    assert left.query_sequence == bases[19:119]
    assert right.query_sequence == bases[79:179]


def test_changes_are_seen_by_both_mates_or_by_one(reads: ReadBuilder) -> None:
    at = 152098790 - 152098681
    ((one, two),) = reads.pair(152098720, 152098860, changes=[D538G])
    assert _base_at(one, at) == _base_at(two, at) == "G"
    ((one, two),) = reads.pair(152098720, 152098860, changes_2=[D538G])
    assert (_base_at(one, at), _base_at(two, at)) == ("A", "G")


def test_indels_and_clips_make_the_cigar(reads: ReadBuilder) -> None:
    ((one, two),) = reads.pair(152060960, 152061120, changes=[V422DEL], clip_1=(5, 0), clip_2=(0, 7))
    assert one.cigarstring == "5S51M3D44M"
    assert two.cigarstring == "93M7S"
    assert one.query_length == two.query_length == 100
    (read,) = reads.single(152060990, 152061050, changes=[(152061016, "A", "ACC")], clip=(4, 0), hard=True)
    assert read.cigarstring == "4H22M2I34M"
    assert read.query_length == 58


def test_a_bam_is_sorted_indexed_and_readable(reads: ReadBuilder, tmp_path: Path) -> None:
    reads.pair(152098700, 152098860, copies=3)
    reads.pair(151944200, 151944360)
    reads.raw(152098750, "10S40M", flag=pysam.FSUPPLEMENTARY)
    with pysam.AlignmentFile(str(reads.write(tmp_path / "x.bam"))) as bam:
        assert bam.count("chr6:152098682-152099500") == 7
        positions = [(r.reference_id, r.reference_start) for r in bam.fetch()]
    assert positions == sorted(positions)
    assert len(positions) == 9


def test_count_tables_name_haplotypes_by_variant() -> None:
    panel = esr1_panel()
    table = count_table({("536-538", "p.D538G"): 7, ("536-538", UNDECIDED): {"duplex": 2}}, depth=100)
    at = panel.window_index["536-538"]
    assert table.of(at, haplotype_of(panel, "536-538", [D538G])).tolist() == [0, 0, 4, 3, 0]
    assert table.depth().sum(axis=1).tolist() == [107 if i == at else 100 for i in range(len(panel.windows))]
    assert table.undecided()[at].tolist() == [0, 0, 0, 0, 2]


def test_a_result_follows_its_calls() -> None:
    assert sample_result().status is SampleStatus.NOT_DETECTED
    assert sample_result(calls=[variant_call()]).status is SampleStatus.DETECTED
    no_power = negative_call(status=CallStatus.NO_CALL)
    assert sample_result(calls=[no_power]).status is SampleStatus.INDETERMINATE


def test_slices_move_to_another_build() -> None:
    assert list(moved_slices())[-1] == f"chr6:{152098682 + GRCH37_SHIFT}-{152099500 + GRCH37_SHIFT}"
