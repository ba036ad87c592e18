from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.errors import InputError
from esr1call.pileup.records import READ_2, REVERSE, record_offsets, rows, unaligned
from tests.bam_bytes import Record, tag
from tests.pileup.arrays import records_of

sizes = st.lists(st.integers(32, 200), min_size=1, max_size=30)


def stream(lengths: list[int]) -> bytes:
    """Records of these sizes (their size field aside) whose bodies look like sizes themselves."""
    return b"".join(n.to_bytes(4, "little") + (b"\x24\0\0\0" * n)[:n] for n in lengths)


def padded(plain: bytes) -> np.ndarray:
    return np.frombuffer(plain + bytes(64), dtype=np.uint8)


@given(sizes, st.data())
def test_blocks_that_begin_with_records_are_walked_at_once(lengths: list[int], data: st.DataObject) -> None:
    plain = stream(lengths)
    begins = np.cumsum([0, *(n + 4 for n in lengths)])
    inner = data.draw(st.lists(st.sampled_from(begins.tolist()), max_size=4))
    starts = np.array(sorted([0, *inner]), dtype=np.int64)
    offsets, done = record_offsets(padded(plain), len(plain), starts, "x.bam")
    assert sorted(offsets.tolist()) == begins[:-1].tolist()
    assert done == len(plain)


@given(sizes, st.data())
def test_blocks_cut_anywhere_give_the_same_records(lengths: list[int], data: st.DataObject) -> None:
    plain = stream(lengths)
    begins = np.cumsum([0, *(n + 4 for n in lengths)])
    size = data.draw(st.integers(0, len(plain)))
    cuts = data.draw(st.lists(st.integers(0, size), max_size=6))
    starts = np.array(sorted([0, *cuts]), dtype=np.int64)
    offsets, done = record_offsets(padded(plain[:size]), size, starts, "x.bam")
    whole = [b for b, e in pairwise(begins) if e <= size]
    assert sorted(offsets.tolist()) == whole
    assert done == max((e for e in begins if e <= size), default=0)


def test_records_before_the_first_are_skipped() -> None:
    plain = stream([40, 50, 60])
    offsets, _ = record_offsets(padded(plain), len(plain), np.array([44]), "x.bam")
    assert offsets.tolist() == [44, 98]


@pytest.mark.parametrize("size", [0, 31, -1, -4, -(1 << 31), (1 << 28) + 1, (1 << 31) - 1])
@pytest.mark.parametrize("place", [0, 3])
def test_a_size_that_makes_no_sense_is_refused(size: int, place: int) -> None:
    parts = [stream([40]) for _ in range(5)]
    parts[place] = size.to_bytes(4, "little", signed=True) + parts[place][4:]
    plain = b"".join(parts)
    with pytest.raises(InputError, match="corrupt alignment record: found"):
        record_offsets(padded(plain), len(plain), np.array([0, 88]), "x.bam")


def test_fixed_fields_and_places_of_the_parts() -> None:
    r = Record("name", 16 | 128, 2, 70000, 37, "3S10M2I5M", "ACGTACGTACGTACGTACGT", [30] * 20, 1, 80000, -500)
    records = records_of([r, r.with_(name="longer name", bases="A" * 20, tags=[tag("XX", "i", 5)])])
    fixed = records.fixed
    assert fixed["ref"].tolist() == [2, 2]
    assert fixed["pos"].tolist() == [70000, 70000]
    assert fixed["mapq"].tolist() == [37, 37]
    assert (fixed["flag"] & (REVERSE | READ_2)).tolist() == [144, 144]
    assert fixed["mate_ref"].tolist() == [1, 1]
    assert fixed["mate_pos"].tolist() == [80000, 80000]
    assert fixed["name_length"].tolist() == [5, 12]
    assert fixed["cigar_ops"].tolist() == [4, 4]
    assert fixed["length"].tolist() == [20, 20]
    assert (records.cigar - records.offset).tolist() == [41, 48]
    assert (records.seq - records.cigar).tolist() == [16, 16]
    assert (records.qual - records.seq).tolist() == [10, 10]
    assert (records.end - records.tags).tolist() == [0, 7]
    assert records.take(np.array([1])).fixed["length"].tolist() == [20]
    assert len(records) == 2
    assert records.field("pos").dtype == np.int64


@pytest.mark.parametrize(
    "wrong",
    [
        {"name_length": 0}, {"name_length": 200}, {"cigar_ops": 60000}, {"length": -1}, {"length": 10**9},
        {"ref": 3}, {"ref": -2}, {"mate_ref": 3}, {"mate_ref": -2}, {"pos": -2}, {"mate_pos": -2},
    ],
    ids=str,
)  # fmt: skip
def test_insane_fields_are_refused(wrong: dict[str, int]) -> None:
    good = Record("r", 0, 0, 5, 60, "4M", "ACGT", [30] * 4)
    with pytest.raises(InputError, match="corrupt alignment record"):
        records_of([good, good.encode(**wrong)])


def test_reading_at_any_byte() -> None:
    data = np.arange(20, dtype=np.uint8)
    assert unaligned(data, "<u2")[3] == 3 | 4 << 8
    assert len(unaligned(data, "<u8")) == 13
    assert len(unaligned(data[:3], "<u8")) == 0
    assert rows(data, np.array([1, 7]), 3).tolist() == [[1, 2, 3], [7, 8, 9]]
