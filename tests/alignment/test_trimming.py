from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esr1call.alignment.pairs import ILLUMINA_ADAPTERS
from esr1call.alignment.trimming import SEED, adapter_length, mismatches, overlap_length, reverse_complements
from esr1call.panel import reverse_complement
from tests.alignment.library import random_bases, sequence_pair, with_errors


def found_length(one: str, two: str, start_1: int, start_2: int) -> int:
    """The fragment length as the pair conversion asks for it."""
    t1, t2 = one[start_1:], two[start_2:]
    length = overlap_length(t1, reverse_complement(t2))
    if length is None:
        tail_1 = reverse_complement(two[:start_2]) + ILLUMINA_ADAPTERS[0]
        tail_2 = reverse_complement(one[:start_1]) + ILLUMINA_ADAPTERS[1]
        length = adapter_length(t1, t2, tail_1, tail_2, start_2, start_1)
    return length


@settings(max_examples=300)
@given(
    size=st.integers(1, 320), length=st.integers(60, 151), seed=st.integers(0, 2**32),
    starts=st.sampled_from([(5, 5), (0, 0), (35, 0), (8, 0), (0, 12)]),
)  # fmt: skip
def test_without_errors_the_cut_is_exact(size: int, length: int, seed: int, starts: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    fragment = random_bases(rng, size)
    one, two = sequence_pair(
        fragment, random_bases(rng, starts[0]), random_bases(rng, starts[1]), length, random_bases(rng, length)
    )
    found = found_length(one, two, *starts)
    template_1, template_2 = one[starts[0] :][:found], two[starts[1] :][:found]
    assert template_1 == fragment[: length - starts[0]]
    assert template_2 == reverse_complement(fragment)[: length - starts[1]]


def test_with_errors_the_cut_is_exact_almost_always() -> None:
    """3% errors in each read, far more than sequencers make: no template lost, next to no adapter left."""
    rng = np.random.default_rng(11)
    lost = left = 0
    for _ in range(3000):
        fragment = random_bases(rng, int(rng.integers(30, 230)))
        prefixes = random_bases(rng, 5), random_bases(rng, 5)
        reads = sequence_pair(fragment, *prefixes, 150, random_bases(rng, 150))
        one, two = (with_errors(rng, r, 0.03) for r in reads)
        found = found_length(one, two, 5, 5)
        true = min(len(fragment), 145)
        lost += found < true
        left += min(found, 145) > true
    assert lost == 0
    assert left <= 3


def test_a_bad_mate_leaves_the_adapter_to_tell() -> None:
    rng = np.random.default_rng(3)
    lost = left = 0
    for _ in range(1000):
        fragment = random_bases(rng, int(rng.integers(30, 250)))
        one, _ = sequence_pair(fragment, random_bases(rng, 5), random_bases(rng, 5), 150, random_bases(rng, 150))
        found = found_length(one, random_bases(rng, 150), 5, 5)
        true = min(len(fragment), 145)
        lost += found < true
        # A piece of adapter that one read alone shows counts from 10 bases on.
        left += min(found, 145) > true and true <= 145 - 5 - SEED
    assert lost == 0
    assert left == 0


def test_long_fragments_of_repeats_are_not_cut() -> None:
    for unit in ("A", "CA", "CAG", "GATA"):
        fragment = (unit * 200)[:170]
        one, two = sequence_pair(fragment, "ACGTT", "GGATC", 150)
        assert found_length(one, two, 5, 5) >= 145


def test_short_repeats_are_cut_at_the_adapter() -> None:
    for unit in ("A", "CA", "CAG"):
        fragment = (unit * 200)[:90]
        one, two = sequence_pair(fragment, "ACGTT", "GGATC", 130, "G" * 30)
        assert found_length(one, two, 5, 5) == 90


@pytest.mark.parametrize("size", [0, 1, 3, 11])
def test_primer_dimers_have_their_length(size: int) -> None:
    fragment = "ACTTGACCATA"[:size]
    one, two = sequence_pair(fragment, "AACCGTG", "", 100, "G" * 100)
    assert found_length(one, two, 7, 0) == size


def test_chance_matches_of_one_read_do_not_cut() -> None:
    """Long fragments whose mates do not meet: template that looks like an adapter's first bases stays."""
    rng = np.random.default_rng(5)
    for shown in range(10):
        one = random_bases(rng, 100 - shown) + ILLUMINA_ADAPTERS[0][:shown]
        assert found_length(one, random_bases(rng, 100), 0, 0) == 100


@given(st.text("ACGTN", min_size=0, max_size=60), st.integers(0, 2**32))
def test_mismatches(a: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    b = "".join(rng.choice(list("ACGTN"), len(a)))
    assert mismatches(a, b) == sum(x != y for x, y in zip(a, b, strict=True))


@given(st.lists(st.text("ACGTN", max_size=30), max_size=6))
def test_reverse_complements(reads: list[str]) -> None:
    assert reverse_complements(reads) == ([reverse_complement(r) for r in reads] or [""])
