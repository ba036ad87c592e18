from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.panel import Window
from esr1call.pileup.cigar import geometry
from esr1call.pileup.windows import (
    NO_VOTE,
    LongHaplotypes,
    WindowArrays,
    code_of,
    column,
    haplotype_length,
    near,
    observe,
    spell,
    weight_table,
)
from tests.bam_bytes import Record, query
from tests.pileup.arrays import records_of

LONG = LongHaplotypes()


def windows(*places: tuple[int, int], reference: str = "ACGTACGTACGTACG") -> WindowArrays:
    return WindowArrays.of(
        tuple(Window(f"{s}", "hotspot", "chr6", s, e, 0, (reference * 2)[: e - s]) for s, e in places)
    )


def seen(read: Record, w: tuple[int, int] = (100, 109), reference: str = "ACGTACGTA") -> tuple[str, list[int]] | None:
    """(haplotype, weights) of one read in one window; None where it does not show it."""
    records, long = records_of([read]), LongHaplotypes()
    table = weight_table(40, 10)
    found = observe(
        records, geometry(records, "x.bam"), np.array([read.pos]), windows(w, reference=reference), table, long
    )
    if not found:
        return None
    o = found[0]
    assert o.read.tolist() == [0]
    code = int(o.haplotype[0])
    return ("" if code == NO_VOTE else spell(code, long)), o.weight[0].tolist()


def read(cigar: str, bases: str, pos: int = 100, qual: int | list[int] | None = 37) -> Record:
    q = [qual] * query(cigar) if isinstance(qual, int) else qual
    return Record("r", 0, 0, pos, 60, cigar, bases, q)


# ---------------------------------------------------------------- evidence


def test_weights_are_log_likelihood_ratios() -> None:
    table = weight_table(40, 10)
    for q in (10, 20, 37, 40):
        error = 10 ** (-q / 10)
        assert table[q] == round(10 * math.log10((1 - error) / (error / 3)))
    assert table[41:94].tolist() == [table[40]] * 53
    assert not table[:10].any()
    assert not table[94:].any()
    assert weight_table(40, 0)[0] == 0
    assert (np.diff(weight_table(93, 0)[:94].astype(int)) >= 0).all()
    assert weight_table(93, 0)[2] == round(10 * math.log10(3 * (1 - 10**-0.2) / 10**-0.2))


# ---------------------------------------------------------------- what one read shows

W37 = int(weight_table(40, 10)[37])


@pytest.mark.parametrize(
    ("given_read", "expected"),
    [
        (read("9M", "ACGTACGTA"), ("ACGTACGTA", [W37] * 9)),
        (read("11M", "TACGTACGTAT", 99), ("ACGTACGTA", [W37] * 9)),
        (read("8M", "ACGTACGT"), None),
        (read("9M", "CGTACGTAA", 101), None),
        # quality: below the floor, missing, beyond what is possible
        (read("9M", "ACGTACGTA", qual=[37] * 4 + [9, 0, 93, 37, 37]), ("ACGTACGTA", [W37] * 4 + [0, 0, 45, W37, W37])),
        (read("9M", "ACGTACGTA", qual=None), ("ACGTACGTA", [0] * 9)),
        # codes that are no base; '=' is the reference
        (read("9M", "ACNTACRTA"), ("ACNTACRTA", [W37, W37, 0, W37, W37, W37, 0, W37, W37])),
        (read("9M", "AC=TA=GTA"), ("ACGTACGTA", [W37] * 9)),
        # indels inside, weakest base's evidence in all columns
        (read("3M3D3M", "ACGTTT"), ("ACGTTT", [W37] * 9)),
        (read("3M3I6M", "ACGTTTTACGTA", qual=[37] * 5 + [20] + [37] * 6), ("ACGTTTTACGTA", [25] * 9)),
        (read("3M3D3M", "ACGTNT"), ("ACGTNT", [0] * 9)),
        (read("3M3D3M", "ACGT=T"), ("ACGT=T", [0] * 9)),
        # an insertion in front of the window is not in it, a deletion that takes an edge hides it
        (read("1M2I9M", "TGGACGTACGTA", 99), ("ACGTACGTA", [W37] * 9)),
        (read("5M1D4M", "TTTTTCGTA", 95), None),
        (read("4M8D4M", "ACGTACGT", 101 - 5), None),
        (read("8M1D3M", "ACGTACGTTTT"), None),
        (read("2S9M3S", "GGACGTACGTAGGG"), ("ACGTACGTA", [W37] * 9)),
        (read("1M7D1M", "GA"), ("GA", [W37] * 9)),
        # fifteen bases are packed, more are numbered; of these one with no base has no vote
        (read("3M6I6M", "ACGTTTTTTTACGTA"), ("ACGTTTTTTTACGTA", [W37] * 9)),
        (read("3M7I6M", "ACGTTTTTTTTACGTA"), ("ACGTTTTTTTTACGTA", [W37] * 9)),
        (read("3M40I6M", "ACG" + "CATG" * 10 + "TACGTA"), ("ACG" + "CATG" * 10 + "TACGTA", [W37] * 9)),
        (read("1M3M40I6M", "TACG" + "CATG" * 10 + "TACGTA", 99), ("ACG" + "CATG" * 10 + "TACGTA", [W37] * 9)),
        (read("3M40I6M", "ACG" + "CANG" * 10 + "TACGTA"), ("", [0] * 9)),
    ],
)
def test_what_a_read_shows(given_read: Record, expected: tuple[str, list[int]] | None) -> None:
    assert seen(given_read) == expected


def test_windows_of_one_and_of_fifteen_bases() -> None:
    assert seen(read("3M", "TGA", 99), (100, 101), "C") == ("G", [W37])
    fifteen = "ACGTACGTACGTACG"
    for pos in (100, 99):
        assert seen(read("17M", "ACGTACGTACGTACGTA", pos), (100, 115), fifteen) is not None
    assert seen(read("15M", fifteen), (100, 115), fifteen) == (fifteen, [W37] * 15)
    assert seen(read("16M", "T" + fifteen, 99), (100, 115), fifteen) == (fifteen, [W37] * 15)


def test_a_read_is_seen_in_each_window_it_spans() -> None:
    bases = "".join(Random(3).choices("ACGT", k=60))
    places = ((100, 103), (103, 112), (120, 121), (150, 160))
    records = records_of([read("60M", bases, 95), read("20M", bases[:20], 100), read("5M", bases[:5], 300)])
    start = np.array([95, 100, 300])
    found = observe(records, geometry(records, "x.bam"), start, windows(*places), weight_table(40, 10), LONG)
    assert {w: o.read.tolist() for w, o in found.items()} == {0: [0, 1], 1: [0, 1], 2: [0]}
    assert spell(int(found[1].haplotype[0]), LONG) == bases[8:17]
    assert spell(int(found[1].haplotype[1]), LONG) == bases[3:12]


@given(st.lists(st.tuples(st.integers(0, 70), st.integers(0, 40)), max_size=8))
def test_windows_near(reads: list[tuple[int, int]]) -> None:
    places = [(0, 3), (3, 12), (20, 21), (30, 45), (50, 60)]
    start, size = np.array(reads, dtype=np.int64).reshape(-1, 2).T
    found = near(windows(*places), start, start + size)
    touched = {k for k, (a, b) in enumerate(places) for s, n in reads if n and a < s + n and s < b}
    low, high = min((s for s, _ in reads), default=0), max((s + n for s, n in reads), default=0)
    assert touched <= set(found)
    assert all(places[k][0] < high and low < places[k][1] for k in found)


# ---------------------------------------------------------------- codes


@given(st.text("ACGTN=RYK", min_size=1, max_size=15))
def test_codes_survive_spelling(bases: str) -> None:
    code = np.array([code_of(bases)], dtype=np.uint64)
    assert spell(int(code[0]), LONG) == bases
    assert haplotype_length(code).tolist() == [len(bases)]
    letters = "=ACMGRSVTWYHKDBN"
    assert "".join(letters[column(code, i, len(bases))[0]] for i in range(len(bases))) == bases


def test_long_haplotypes_have_one_number_each_whatever_the_order() -> None:
    haplotypes = ["A" * n for n in range(16, 200)]
    one, two = LongHaplotypes(), LongHaplotypes()
    numbers = [one.number(h) for h in haplotypes]
    assert [two.number(h) for h in reversed(haplotypes)] == numbers[::-1]
    assert [one.number(h) for h in haplotypes] == numbers
    assert [one.bases(n) for n in numbers] == haplotypes
    assert len({*numbers, 0}) == len(haplotypes) + 1
    assert haplotype_length(np.array(numbers, dtype=np.uint64)).tolist() == [0] * len(numbers)
