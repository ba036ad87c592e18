from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.counts import STRATA, TIER_OF_STRATUM, TIERS, UNDECIDED, CountTable

WINDOWS = ("a", "b", "c")
Row = tuple[int, str, list[int]]
_rows = st.lists(
    st.tuples(
        st.integers(0, len(WINDOWS) - 1),
        st.sampled_from(["A", "C", "ACGT", "", UNDECIDED]),
        st.lists(st.integers(0, 3), min_size=5, max_size=5),
    )
)


def _table(rows: list[Row]) -> CountTable:
    return CountTable.build(WINDOWS, [(w, h, np.array(m)) for w, h, m in rows])


def _counter(rows: list[Row]) -> Counter[tuple[int, str, int]]:
    """The same, kept as a plain dictionary of (window, haplotype, stratum)."""
    counts: Counter[tuple[int, str, int]] = Counter()
    for window, haplotype, molecules in rows:
        for stratum, n in enumerate(molecules):
            counts[window, haplotype, stratum] += n
    return counts


@given(_rows)
def test_a_table_counts_like_a_dictionary(rows: list[Row]) -> None:
    table, counts = _table(rows), _counter(rows)
    for window in range(len(WINDOWS)):
        for haplotype in ["A", "C", "ACGT", "", UNDECIDED, "GG"]:
            expected = [counts[window, haplotype, s] for s in range(5)]
            assert table.of(window, haplotype).tolist() == expected
        for stratum in range(5):
            here = {h: n for (w, h, s), n in counts.items() if (w, s) == (window, stratum)}
            assert table.undecided()[window, stratum] == here.pop(UNDECIDED, 0)
            assert table.depth()[window, stratum] == sum(here.values())
        seen = {h for (w, h, _), n in counts.items() if w == window and n and h != UNDECIDED}
        assert table.observed(window) == sorted(seen)
    assert table.molecules.sum() == sum(counts.values())


@given(_rows)
def test_rows_are_sorted_unique_and_never_empty(rows: list[Row]) -> None:
    table = _table(rows)
    keys = list(zip(table.window.tolist(), table.haplotype, strict=True))
    assert keys == sorted(set(keys))
    assert table.molecules.any(axis=1).all()
    assert table.molecules.shape == (len(keys), len(STRATA))
    assert table.molecules.dtype == table.window.dtype == np.int64


@given(_rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _same(_table(rows), _table(shuffled))


@given(_rows, _rows)
def test_adding_tables_adds_their_molecules(one: list[Row], two: list[Row]) -> None:
    assert _same(_table(one) + _table(two), _table(one + two))


@given(_rows)
def test_an_empty_table_adds_nothing(rows: list[Row]) -> None:
    empty = _table([])
    assert empty.depth().tolist() == empty.undecided().tolist() == [[0] * 5] * 3
    assert empty.observed(0) == []
    assert _same(_table(rows) + empty, _table(rows))
    assert _same(empty + _table(rows), _table(rows))


def test_the_rows_given_are_not_changed() -> None:
    molecules = np.array([1, 0, 0, 0, 0])
    CountTable.build(WINDOWS, [(0, "A", molecules), (0, "A", molecules)])
    assert molecules.tolist() == [1, 0, 0, 0, 0]


def test_tables_over_other_windows_are_not_added() -> None:
    with pytest.raises(ValueError, match="different windows"):
        _table([]) + CountTable.build(("a",), [])


def test_large_counts_keep_every_molecule() -> None:
    table = _table([(0, "A", [2**40, 1, 0, 0, 0])] * 3)
    assert table.of(0, "A").tolist() == [3 * 2**40, 3, 0, 0, 0]


def test_strata_belong_to_tiers() -> None:
    assert [TIERS[t] for t in TIER_OF_STRATUM] == [s.split("_")[0] for s in STRATA]


def _same(one: CountTable, two: CountTable) -> bool:
    return (
        one.windows == two.windows
        and one.haplotype == two.haplotype
        and np.array_equal(one.window, two.window)
        and np.array_equal(one.molecules, two.molecules)
    )


def test_many_haplotypes_at_once() -> None:
    table = CountTable.build(["a", "b"], [(0, "AC", np.arange(5)), (1, "", np.ones(5, dtype=np.int64))])
    keys = [(1, ""), (0, "AC"), (0, "GG"), (1, "")]
    assert np.array_equal(table.of_all(keys), [table.of(*key) for key in keys])
    assert table.of_all([]).shape == (0, 5)
    assert CountTable.build(["a"], []).of_all([(0, "A")]).tolist() == [[0] * 5]
