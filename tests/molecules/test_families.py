from __future__ import annotations

from random import Random
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from esr1call.errors import InputError
from esr1call.molecules import families
from esr1call.molecules.families import Reads, Rows, WindowStore, reduce_rows, templates_of
from esr1call.pileup.windows import NO_VOTE, LongHaplotypes, code_of, spell
from tests.molecule_oracle import Shown, join

WIDTH, CAP = 3, 50
LONG = LongHaplotypes()
Seen = tuple[int, str | int | None, list[int], bool]
"""(name, haplotype (a number: a long one; None: no vote), evidence per column, whether its mate should be seen)"""


def reads_of(seen: list[Seen], origin: int = 5) -> Reads:
    n = len(seen)
    codes = [h if isinstance(h, int) else 0 if h is None else code_of(h) for _, h, _, _ in seen]
    return Reads(
        np.full(n, origin, dtype=np.uint64), np.full(n, 7, dtype=np.uint64), np.zeros(n, dtype=np.uint64),
        np.array([name for name, _, _, _ in seen], dtype=np.uint64), np.array([a for *_, a in seen], dtype=bool),
        np.array(codes, dtype=np.uint64), np.array([w for _, _, w, _ in seen], dtype=np.uint8).reshape(n, WIDTH),
    )  # fmt: skip


def templates(reads: Reads, final: bool) -> tuple[Rows, Reads]:
    """Templates of reads in any order."""
    return templates_of(reads.take(np.lexsort((reads.name, reads.right, reads.left, reads.origin))), CAP, final)


def shown(reads: Reads | Rows, i: int) -> tuple[str | int | None, list[int]]:
    code = int(reads.haplotype[i])
    weight = reads.weight[i] if isinstance(reads, Reads) else reads.weight[:, i]
    return (None if code == NO_VOTE else code if code < 1 << 60 else spell(code, LONG)), weight.tolist()


@pytest.mark.parametrize(
    ("one", "two", "joined"),
    [
        (("ACG", [30, 30, 30]), ("ACG", [10, 20, 30]), ("ACG", [40, 50, 50])),
        (("ACG", [30, 30, 30]), ("ATG", [30, 20, 30]), ("ACG", [50, 10, 50])),
        (("ACG", [30, 10, 30]), ("ATG", [30, 20, 30]), ("ATG", [50, 10, 50])),
        (("ACG", [0, 0, 0]), ("TTT", [9, 9, 9]), ("TTT", [9, 9, 9])),
        (("ANG", [9, 0, 9]), ("ACG", [9, 9, 9]), ("ACG", [18, 9, 18])),
        # with an indel: the weakest base's evidence stands in every column
        (("AG", [9, 9, 9]), ("AG", [8, 8, 8]), ("AG", [17, 17, 17])),
        (("AG", [9, 9, 9]), ("TG", [8, 8, 8]), ("AG", [1, 1, 1])),
        (("AG", [9, 9, 9]), ("ACG", [8, 8, 8]), (None, [0, 0, 0])),
        ((12345, [9, 9, 9]), (12345, [8, 8, 8]), (12345, [17, 17, 17])),
        ((12345, [9, 9, 9]), (12346, [8, 8, 8]), (None, [0, 0, 0])),
        ((12345, [9, 9, 9]), ("ACG", [8, 8, 8]), (None, [0, 0, 0])),
        ((None, [0, 0, 0]), ("ACG", [8, 8, 8]), (None, [0, 0, 0])),
    ],
)
def test_two_mates_are_one_template(
    one: tuple[str, list[int]], two: tuple[str, list[int]], joined: tuple[str, list[int]]
) -> None:
    for pair in ((one, two), (two, one)):
        joined_rows, waiting = templates(reads_of([(1, h, w, True) for h, w in pair]), final=False)
        assert len(waiting) == 0
        assert joined_rows.templates.tolist() == [1]
        assert shown(joined_rows, 0) == joined


_haplotypes = st.sampled_from(["ACG", "ATG", "TTT", "ANG", "AG", "TG", "ACGTA", "ACGTT", "A" * 15, "C" * 15])


@given(_haplotypes, st.lists(st.integers(0, 45), min_size=3, max_size=3), _haplotypes,
       st.lists(st.integers(0, 45), min_size=3, max_size=3))  # fmt: skip
def test_mates_join_as_the_slow_counter_joins_them(h1: str, w1: list[int], h2: str, w2: list[int]) -> None:
    def evidence(h: str, w: list[int]) -> list[int]:
        return [0 if h[i] == "N" else x for i, x in enumerate(w)] if len(h) == WIDTH else [w[0]] * WIDTH

    one, two = (1, h1, evidence(h1, w1), True), (1, h2, evidence(h2, w2), True)
    rows, _ = templates(reads_of([one, two]), final=False)
    slow = [Shown(h, tuple(w if len(h) == WIDTH else [w[0]] * len(h))) for _, h, w, _ in (one, two)]
    expected = join(*slow, WIDTH, CAP)
    bases, weights = shown(rows, 0)
    assert bases == expected.bases
    if bases is not None:
        assert weights == (list(expected.weights) if len(bases) == WIDTH else [expected.weights[0]] * WIDTH)


def test_reads_wait_for_their_mates_until_the_end() -> None:
    reads = reads_of([(1, "ACG", [9] * 3, True), (4, "ATG", [9] * 3, False), (2, "ACG", [9] * 3, True),
                      (3, "AAA", [9] * 3, True), (3, "AAA", [9] * 3, True)])  # fmt: skip
    rows, waiting = templates(reads, final=False)
    assert sorted(shown(rows, i) for i in range(len(rows))) == [("AAA", [18] * 3), ("ATG", [9] * 3)]
    assert sorted(waiting.name.tolist()) == [1, 2]
    rows, nobody = templates(waiting, final=True)
    assert rows.templates.sum() == 2
    assert {shown(rows, i)[0] for i in range(len(rows))} == {"ACG"}
    assert len(nobody) == 0


def test_reads_of_one_name_but_of_two_families_are_no_mates() -> None:
    reads = Reads.join([reads_of([(1, "ACG", [9] * 3, True)], origin) for origin in (5, 6)])
    rows, _ = templates(reads, final=True)
    assert sorted(rows.origin.tolist()) == [5, 6]
    assert rows.templates.tolist() == [1, 1]


@pytest.mark.parametrize("awaits", [(True,) * 3, (True,) * 4, (False,) * 2, (False, True), (True, True, False)])
def test_a_read_that_is_there_twice_is_refused(awaits: tuple[bool, ...]) -> None:
    with pytest.raises(InputError, match=r"^x.bam, field 'QNAME': several reads of one name at one place"):
        templates_of(reads_of([(1, "ACG", [9] * 3, a) for a in awaits]), CAP, False, "x.bam")


@pytest.mark.parametrize("names", [[1, 1 + (1 << 60), 1, 1 + (1 << 60), 1 + (1 << 61)], [1, 2, 1, 2, 3]])
def test_names_that_are_alike_in_some_bits_are_told_apart(names: list[int]) -> None:
    store = WindowStore(CAP)
    store.add(reads_of([(n, "ACG", [9] * 3, True) for n in names]))
    rows = store.finish()
    assert (rows.templates.tolist(), rows.weight.tolist()) == ([3], [[45]] * 3)


# ---------------------------------------------------------------- rows


def as_dict(rows: Rows) -> dict[tuple[int, ...], tuple[int, list[int]]]:
    keys = zip(rows.origin.tolist(), rows.left.tolist(), rows.right.tolist(), rows.haplotype.tolist(), strict=True)
    found = {k: (int(n), w.tolist()) for k, n, w in zip(keys, rows.templates, rows.weight.T, strict=True)}
    assert len(found) == len(rows)
    return found


def random_reads(rng: Random, n: int) -> Reads:
    pick = lambda some: np.array(rng.choices(some, k=n), dtype=np.uint64)  # noqa: E731
    return Reads(
        pick([4, 5, 9]), pick([0, 7, 8]), pick([0, 3]), pick(range(max(n // 2, 1))), pick([0, 1]).astype(bool),
        pick([code_of("ACG"), code_of("ATG"), code_of("AG"), 0]),
        np.array(rng.choices(range(40), k=n * WIDTH), dtype=np.uint8).reshape(n, WIDTH),
    )  # fmt: skip


@given(st.integers(0, 1 << 32), st.integers(1, 60), st.booleans())
def test_rows_add_up_by_key_whatever_the_hash(seed: int, n: int, collide: bool) -> None:
    reads = random_reads(Random(seed), n)
    ones = np.ones(n, dtype=np.int64)
    rows = Rows(reads.origin, reads.left, reads.right, reads.haplotype, ones, reads.weight.T.astype(np.int32))
    expected: dict[tuple[int, ...], tuple[int, np.ndarray]] = {}
    for i in range(n):
        key = tuple(int(x[i]) for x in (rows.origin, rows.left, rows.right, rows.haplotype))
        count, weight = expected.get(key, (0, 0))
        expected[key] = count + 1, weight + rows.weight[:, i]
    mixed = (lambda value: value * np.uint64(0)) if collide else families.mix
    with mock.patch.object(families, "mix", mixed):
        assert as_dict(reduce_rows(rows)) == {k: (n, w.tolist()) for k, (n, w) in expected.items()}


@given(
    st.integers(0, 1 << 32), st.integers(1, 15), st.lists(st.integers(1, 300), min_size=1, max_size=8), st.booleans()
)
def test_weights_add_up_by_run(seed: int, columns: int, runs: list[int], highest: bool) -> None:
    rng, n = np.random.default_rng(seed), sum(runs)
    weight = rng.integers(255 if highest else 0, 256, (n + 3, columns)).astype(np.uint8)
    order, starts = rng.permutation(n + 3)[:n], np.cumsum([0, *runs[:-1]])
    expected = np.add.reduceat(weight[order].astype(np.int64), starts, axis=0).T.tolist()
    assert families.sum_weights(weight, order, starts).tolist() == expected
    assert families.sum_runs(weight.T.astype(np.int32), order, starts).tolist() == expected


def test_no_rows() -> None:
    assert len(reduce_rows(Rows.none(WIDTH))) == 0


@tries(max_examples=60)
@given(st.integers(0, 1 << 32), st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_a_store_gives_the_same_rows_however_reads_come(seed: int, sizes: list[int]) -> None:
    """In one block or many, compacted never or at once; names are of two reads at most, that await each other."""
    rng = Random(seed)
    reads = random_reads(rng, sum(sizes))
    names = np.arange(len(reads)) // 2
    rng.shuffle(names)
    reads = Reads(*(names.astype(np.uint64) if f == "name" else getattr(reads, f) for f in Reads.__dataclass_fields__))
    # Mates are of one molecule; others have the one of their name for themselves.
    first = np.array([int(np.flatnonzero(names == n)[0]) for n in names])
    same = {f: getattr(reads, f)[first] for f in ("origin", "left", "right", "awaits")}
    same["name"] = np.where(same["awaits"], names, 1000 + np.arange(len(names))).astype(np.uint64)
    reads = Reads(*(same.get(f, getattr(reads, f)) for f in Reads.__dataclass_fields__))
    found = []
    for limit in (1, 1 << 18):
        for blocks in (sizes, [sum(sizes)]):
            with mock.patch.object(families, "MIN_COMPACT", limit):
                store, at = WindowStore(CAP), 0
                for size in blocks:
                    store.add(reads.take(np.arange(at, at + size)))
                    at += size
                rows = store.finish()
            found.append(as_dict(rows))
    assert found[1:] == found[:-1]
    assert sum(n for n, _ in found[0].values()) <= len(reads)
