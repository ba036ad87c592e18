from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.errors import InputError
from esr1call.pileup.cigar import geometry
from esr1call.pileup.fragments import (
    F1R2,
    F2R1,
    NO_END,
    MateCigars,
    fragments,
    hash_strings,
    mix,
    pack_origin,
    unpack_origin,
)
from esr1call.pileup.tags import Strings
from tests.bam_bytes import Record, query
from tests.pileup.arrays import records_of

PAIRED, UNMAPPED_MATE, REVERSE, MATE_REVERSE, ONE, TWO = 1, 8, 16, 32, 64, 128


def strings(texts: list[bytes]) -> tuple[np.ndarray, Strings]:
    length = np.array([len(t) for t in texts], dtype=np.int64)
    return np.frombuffer(b"".join(texts) + bytes(64), dtype=np.uint8), Strings(np.cumsum(length) - length, length)


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=30), st.binary(min_size=254, max_size=254)), min_size=1))
def test_hashes_are_equal_where_strings_are(texts: list[bytes]) -> None:
    """Also when strings of other lengths are hashed with them, and whatever lies behind them."""
    data, at = strings(texts)
    together = hash_strings(data, at.start, at.length).tolist()
    alone = []
    for text in texts:
        one = np.frombuffer(b"?" + text + b"!" * 64, dtype=np.uint8)
        alone += hash_strings(one, np.array([1]), np.array([len(text)])).tolist()
    assert together == alone
    assert len(set(together)) == len(set(texts))


def test_hashes_of_many_names_differ() -> None:
    names = [f"A00123:45:HXXXX:1:1101:{i % 997}:{i}".encode() for i in range(100_000)]
    data, at = strings(names)
    assert len(np.unique(hash_strings(data, at.start, at.length))) == len(names)
    assert len(np.unique(mix(np.arange(100_000, dtype=np.uint64)))) == 100_000


@given(st.integers(-2000, 1 << 29), st.integers(-2000, 1 << 29), st.booleans(), st.sampled_from("lr "))
def test_origins_survive_packing(start: int, end: int, strand: bool, missing: str) -> None:
    start, end = (int(NO_END) if missing == "l" else start), (int(NO_END) if missing == "r" else end)
    packed = pack_origin(np.array([start]), np.array([end]), np.array([int(strand)]))
    assert [x.tolist() for x in unpack_origin(packed)] == [[start], [end], [int(strand)]]


F, R = PAIRED | ONE | MATE_REVERSE, PAIRED | TWO | REVERSE


@pytest.mark.parametrize(
    ("flag", "cigar", "pos", "mate_pos", "mate", "start", "end", "strand"),
    [
        # read 1 forward at 100, mate reverse on [150, 200)
        (F, "50M", 100, 150, (0, 50, 0), 100, 199, F1R2),
        (F, "5S50M3S", 105, 150, (4, 47, 3), 100, 199, F1R2),
        (F, "2H5S50M", 107, 150, (4, 40, 10), 100, 199, F1R2),
        (R, "50M", 150, 100, (0, 50, 0), 100, 199, F1R2),
        (R, "4S40M10H", 150, 105, (5, 50, 0), 100, 199, F1R2),
        (R, "20M10D20M", 150, 100, (0, 50, 0), 100, 199, F1R2),
        # the molecule of the other strand
        (PAIRED | TWO | MATE_REVERSE, "50M", 100, 150, (0, 50, 0), 100, 199, F2R1),
        (PAIRED | ONE | REVERSE, "50M", 150, 100, (0, 50, 0), 100, 199, F2R1),
        # ends before the contig's first base
        (F, "7S50M", 3, 30, (0, 50, 0), -4, 79, F1R2),
        # the mate is known to be there, but not its clips
        (F, "50M", 100, 150, (0, -1, 0), 100, 149, F1R2),
        # mates that point the same way: ends by position, strand by read 1
        (PAIRED | ONE, "50M", 100, 150, (0, 50, 0), 100, 150, F1R2),
        (PAIRED | TWO | REVERSE | MATE_REVERSE, "50M", 150, 100, (0, 50, 0), 149, 199, F2R1),
        # no mate
        (0, "5S50M", 100, -1, (0, -1, 0), 95, NO_END, F1R2),
        (REVERSE, "50M5S", 100, -1, (0, -1, 0), NO_END, 154, F2R1),
        (PAIRED | ONE | UNMAPPED_MATE, "50M", 100, 100, (0, -1, 0), 100, NO_END, F1R2),
        (PAIRED | TWO | UNMAPPED_MATE, "50M", 100, 100, (0, -1, 0), 100, NO_END, F2R1),
        (PAIRED | TWO | UNMAPPED_MATE | REVERSE, "50M", 100, 100, (0, -1, 0), NO_END, 149, F1R2),
        (F, "50M", 100, -1, (0, 50, 0), 100, NO_END, F1R2),
        # read 2's flag without the paired flag means nothing
        (TWO, "50M", 100, -1, (0, -1, 0), 100, NO_END, F1R2),
    ],
)
def test_ends_and_strand(
    flag: int, cigar: str, pos: int, mate_pos: int, mate: tuple[int, int, int], start: int, end: int, strand: int
) -> None:
    for offset in (0, 152_000_000):
        read = Record("r", flag, 0, pos, 60, cigar, "A" * query(cigar), mate_ref=0, mate_pos=mate_pos)
        records = records_of([read])
        place = np.array([pos + offset])
        found = fragments(records, geometry(records, "x.bam"), place, np.array([mate]))
        expected = [x + offset if x != NO_END else x for x in (start, end)]
        assert [x.tolist()[0] for x in unpack_origin(found.origin)] == [*expected, strand]
        if mate_pos >= 0 and not flag & UNMAPPED_MATE:
            assert found.mate_start[0] == mate_pos + offset
            assert found.mate_end[0] == mate_pos + offset + max(mate[1], 0)
        else:
            assert (found.mate_start[0], found.mate_end[0]) == (0, 0)


def test_a_mate_on_another_contig_is_none() -> None:
    records = records_of([Record("r", F, 0, 100, 60, "50M", "A" * 50, mate_ref=1, mate_pos=150)])
    found = fragments(records, geometry(records, "x.bam"), np.array([100]), np.array([(0, 50, 0)]))
    assert [x.tolist()[0] for x in unpack_origin(found.origin)] == [100, NO_END, F1R2]


# ---------------------------------------------------------------- mate CIGARs


def test_hashes_of_names_that_differ_in_two_letters_or_three_differ() -> None:
    """As a sequencer's names do, of one tile and another, and of places on them."""
    name, digits = b"A01234:17:HXXYYDRXX:1:1101:12345:1000", b"0123456789"
    for count, letters in ((2, digits), (3, digits[:4])):
        for places in combinations([i for i, c in enumerate(name) if c in digits], count):
            data = np.tile(np.frombuffer(name, dtype=np.uint8), (len(letters) ** count, 1))
            data[:, places] = np.array(list(product(letters, repeat=count)), dtype=np.uint8)
            length = np.full(len(data), len(name), dtype=np.int64)
            flat = np.append(data.ravel(), np.zeros(64, dtype=np.uint8))
            assert len(np.unique(hash_strings(flat, np.cumsum(length) - length, length))) == len(data), places


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("100M", (0, 100, 0)),
        ("5S90M5S", (5, 90, 5)),
        ("1H2S30M4I10D5N6P7=8X3S2H", (3, 60, 5)),
        ("10S", (10, 0, 0)),
        ("*", (0, -1, 0)),
        ("268435455M", (0, 268435455, 0)),
    ],
)
def test_mate_cigars(text: str, shape: tuple[int, int, int]) -> None:
    data, at = strings([text.encode()])
    assert MateCigars("x.bam").lookup(data, at).tolist() == [list(shape)]


@pytest.mark.parametrize(
    "text",
    ["", "M", "5", "5M3", "5Q", "M5", "5m", "5M*", "-5M", "5M 3S", "9" * 30 + "M", "9" * 5000 + "S", "268435456M",
     "268435455M1S"],
)  # fmt: skip
def test_bad_mate_cigars(text: str) -> None:
    data, at = strings([b"10M", text.encode()])
    with pytest.raises(InputError, match="field 'MC': bad mate CIGAR"):
        MateCigars("x.bam").lookup(data, at)


def test_a_mate_cigar_at_the_end_of_the_data_may_be_shorter_than_the_others() -> None:
    texts = [b"1H2S30M4I10D5N6P7=8X3S2H"] * 3 + [b"5M"]
    data, at = strings(texts)
    data = data[: int(at.start[-1] + at.length[-1]) + 8]
    assert MateCigars("x.bam").lookup(data, at)[:, 1].tolist() == [60, 60, 60, 5]


def test_mate_cigars_are_remembered_in_any_order() -> None:
    cigars = MateCigars("x.bam")
    for texts in ([b"5M", b"7M"], [b"6M", b"5M"], [b"9M", b"7M", b"5M", b"6M"], [b"5M"]):
        data, at = strings(texts)
        assert cigars.lookup(data, at)[:, 1].tolist() == [int(t[:-1]) for t in texts]
