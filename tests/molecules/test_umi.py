from __future__ import annotations

import time
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from esr1call.molecules.umi import correct, expected_collisions
from tests.molecule_oracle import corrected_umis, packed

Counts = dict[tuple[str, str], int]


def corrected(groups: list[Counts]) -> list[dict[tuple[str, str], tuple[str, str]]]:
    """What each UMI of each group is corrected to."""
    nodes = [(g, umi, n) for g, counts in enumerate(groups) for umi, n in counts.items()]
    root = correct(
        np.array([g for g, _, _ in nodes], dtype=np.int64),
        np.array([packed(u[0]) for _, u, _ in nodes], dtype=np.uint64),
        np.array([packed(u[1]) for _, u, _ in nodes], dtype=np.uint64),
        np.array([n for _, _, n in nodes], dtype=np.int64),
    )
    found: list[dict[tuple[str, str], tuple[str, str]]] = [{} for _ in groups]
    for i, (g, umi, _) in enumerate(nodes):
        assert nodes[root[i]][0] == g
        found[g][umi] = nodes[root[i]][1]
    return found


@pytest.mark.parametrize(
    ("counts", "roots"),
    [
        # enough reads: twice as many less one
        ({"ACGT": 5, "ACGA": 3}, {"ACGT": "ACGT", "ACGA": "ACGT"}),
        ({"ACGT": 4, "ACGA": 3}, {"ACGT": "ACGT", "ACGA": "ACGA"}),
        ({"ACGT": 1, "ACGA": 1}, {"ACGT": "ACGA", "ACGA": "ACGA"}),
        # two mismatches, or another length, are no neighbours
        ({"ACGT": 100, "ACCA": 1}, {"ACGT": "ACGT", "ACCA": "ACCA"}),
        ({"ACGT": 100, "ACG": 1, "ACGTA": 1}, {"ACGT": "ACGT", "ACG": "ACG", "ACGTA": "ACGTA"}),
        # a chain
        ({"AAAA": 9, "AAAC": 5, "AACC": 3, "ACCC": 2}, dict.fromkeys(["AAAA", "AAAC", "AACC", "ACCC"], "AAAA")),
        ({"AAAA": 9, "AAAC": 6, "AACC": 3}, {"AAAA": "AAAA", "AAAC": "AAAC", "AACC": "AAAC"}),
        # two that claim one: the most-read takes it
        ({"AAAA": 9, "AACC": 8, "AAAC": 2}, {"AAAA": "AAAA", "AACC": "AACC", "AAAC": "AAAA"}),
        # all four letters at one place
        ({"AA": 9, "AC": 1, "AG": 1, "AT": 1}, dict.fromkeys(["AA", "AC", "AG", "AT"], "AA")),
        ({"": 5}, {"": ""}),
        ({}, {}),
    ],
)  # fmt: skip
def test_directional_adjacency(counts: dict[str, int], roots: dict[str, str]) -> None:
    for halves in (lambda u: (u, ""), lambda u: ("", u), lambda u: ("GG", u)):
        given_counts = {halves(u): n for u, n in counts.items()}
        expected = {halves(u): halves(r) for u, r in roots.items()}
        assert corrected([given_counts]) == [expected]
        assert corrected_umis(given_counts) == expected


def test_both_halves_count_as_one_umi() -> None:
    counts = {("ACG", "TTTT"): 9, ("ACG", "TTTA"): 2, ("ACC", "TTTT"): 2, ("ACC", "TTTA"): 2, ("TTTT", "ACG"): 2}
    roots = corrected([counts])[0]
    assert roots == corrected_umis(counts)
    assert roots["ACC", "TTTT"] == ("ACG", "TTTT")
    assert roots["ACC", "TTTA"] == ("ACC", "TTTA")
    assert roots["TTTT", "ACG"] == ("TTTT", "ACG")


def test_groups_do_not_mix() -> None:
    groups = [{("AC", ""): 9, ("AG", ""): 1}, {("AG", ""): 9, ("AC", ""): 1}, {("AT", ""): 1}]
    assert corrected(groups) == [corrected_umis(g) for g in groups]


LENGTHS = [((3, 3),), ((4, 0),), ((2, 5), (5, 2), (2, 4)), ((8, 8),), ((21, 21),), ((1, 0), (2, 0), (0, 1))]
"""Bases of the left and right half, of the UMIs of one group."""


@st.composite
def crowds(draw: st.DrawFn) -> list[Counts]:
    """Groups of UMIs so alike that chains, ties and rival claims are common."""
    rng = Random(draw(st.integers(0, 1 << 32)))
    groups = []
    for _ in range(draw(st.integers(1, 4))):
        alphabet = rng.choice(["AC", "ACG", "ACGT"])
        lengths = rng.choice(
            [((3, 3),), ((4, 0),), ((2, 5), (5, 2), (2, 4)), ((8, 8),), ((21, 21),), ((1, 0), (2, 0), (0, 1))]
        )
        counts: Counts = {}
        parents = [tuple("".join(rng.choices(alphabet, k=k)) for k in rng.choice(lengths)) for _ in range(4)]
        for _ in range(rng.randint(1, 40)):
            left, right = rng.choice([*parents, *counts])
            both = list(left + right)
            both[rng.randrange(len(both))] = rng.choice(alphabet)
            counts["".join(both[: len(left)]), "".join(both[len(left) :])] = rng.choice([1, 1, 1, 2, 3, 5, 9, 20])
        groups.append(counts)
    return groups


@tries(max_examples=200)
@given(crowds())
def test_equals_the_published_algorithm(groups: list[Counts]) -> None:
    assert corrected(groups) == [corrected_umis(g) for g in groups]


@given(crowds(), st.randoms(use_true_random=False))
def test_the_order_of_umis_does_not_matter(groups: list[Counts], rng: Random) -> None:
    shuffled = [dict(rng.sample(list(g.items()), len(g))) for g in groups]
    assert corrected(shuffled) == corrected(groups)


def crowd(n: int, bases: int, seed: int) -> tuple[np.ndarray, ...]:
    """About n distinct random UMIs of `bases` bases at one position, with skewed counts."""
    rng = np.random.default_rng(seed)
    codes = np.array([1, 3, 7, 4], dtype=np.uint64)
    letters = np.unique(rng.integers(0, 4, size=(n, bases)), axis=0)
    packed_umis = np.zeros(len(letters), dtype=np.uint64)
    for i in range(bases):
        packed_umis |= codes[letters[:, i]] << np.uint64(3 * i)
    counts = rng.geometric(0.2, size=len(letters))
    none = np.zeros(len(letters), dtype=np.uint64)
    return np.zeros(len(letters), dtype=np.int64), packed_umis, none, counts.astype(np.int64)


def test_a_chain_across_the_whole_space_ends() -> None:
    """Every UMI of 5 bases, once: a tie of 1,024 that is all one component."""
    group, left, right, count = crowd(100_000, 5, 1)
    assert len(left) == 1024
    root = correct(group, left, right, np.ones_like(count))
    assert set(root.tolist()) == {int(left.argmin())}


@pytest.mark.slow
@pytest.mark.parametrize("bases", [9, 12])
def test_a_hundred_thousand_umis_at_one_position(bases: int) -> None:
    group, left, right, count = crowd(100_000, bases, 2)
    begun = time.process_time()
    root = correct(group, left, right, count)
    assert time.process_time() - begun < 10
    assert (root[root] == root).all()
    assert (count[root] >= count).all()
    assert len(np.unique(root)) < len(left)


@pytest.mark.parametrize(
    ("bases", "molecules", "places"), [(3, 600, 40), (4, 3000, 60), (4, 3000, 300), (6, 3000, 60), (8, 500, 20)]
)
def test_expected_collisions_are_those_of_a_simulation(bases: int, molecules: int, places: int) -> None:
    """Molecules that share ends and UMI are seen as one: the estimate from what is left says how many were lost."""
    expected, lost = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frequency = rng.dirichlet(np.full(4, 5.0), size=bases)  # some UMIs are commoner than others
        digits = np.stack([rng.choice(4, size=molecules, p=f) for f in frequency])
        umi = (np.array([1, 3, 7, 4])[digits] << 3 * np.arange(bases)[:, None]).sum(axis=0).astype(np.uint64)
        place = rng.integers(0, places, size=molecules).astype(np.uint64)
        found = np.unique(np.stack([place, umi]), axis=1)
        expected.append(expected_collisions(found[0], found[1], np.zeros(found.shape[1], dtype=np.uint64)))
        lost.append(molecules - found.shape[1])
    assert np.mean(expected) == pytest.approx(np.mean(lost), rel=0.12, abs=0.3)


def test_no_collisions_are_expected_of_one_place_or_of_none() -> None:
    none = np.zeros(0, dtype=np.uint64)
    assert expected_collisions(none, none, none) == 0
    umis = np.arange(1, 9, dtype=np.uint64)
    assert expected_collisions(np.ones(8, dtype=np.uint64), umis, umis) == 0
    assert expected_collisions(umis, umis, umis) == 0
    # Every UMI at every place: no telling how many molecules there are, but a number all the same.
    full = np.repeat(np.arange(4, dtype=np.uint64), 4), np.tile(np.array([1, 3, 7, 4], dtype=np.uint64), 4)
    assert 0 < expected_collisions(full[0], full[1], np.zeros(16, dtype=np.uint64)) < 200
    one = np.ones(4, dtype=np.uint64)
    assert expected_collisions(np.arange(4, dtype=np.uint64), one, one) == 0
