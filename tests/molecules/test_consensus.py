from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from esr1call.counts import STRATA, UNDECIDED
from esr1call.molecules.consensus import UNDECIDED_CODE, Molecules, molecules
from esr1call.molecules.families import Rows, reduce_rows
from esr1call.pileup.fragments import NO_END, pack_origin
from esr1call.pileup.windows import LongHaplotypes, code_of, spell
from tests.molecule_oracle import Shown, molecule, packed

WIDTH, MARGIN = 3, 20
LONG = LongHaplotypes()
F, R = 0, 1
Template = tuple[int, str | None, list[int]]
"""(strand, bases shown or None for no vote, evidence per column)"""


def code(bases: str | None) -> int:
    if bases is None:
        return 0
    return LONG.number(bases) if len(bases) > 15 else code_of(bases)


def rows_of(
    templates: list[Template], umi: tuple[str, str] = ("ACG", "TTA"), ends: tuple[int, int] = (100, 260)
) -> Rows:
    n = len(templates)
    strand = np.array([s for s, _, _ in templates], dtype=np.int64)
    return reduce_rows(
        Rows(
            pack_origin(np.full(n, ends[0]), np.full(n, ends[1]), strand),
            np.full(n, packed(umi[0]), dtype=np.uint64), np.full(n, packed(umi[1]), dtype=np.uint64),
            np.array([code(h) for _, h, _ in templates], dtype=np.uint64), np.ones(n, dtype=np.int64),
            np.array([w for *_, w in templates], dtype=np.int32).reshape(n, WIDTH).T,
        )
    )  # fmt: skip


def joined(*blocks: Rows) -> Rows:
    return Rows(*(np.concatenate([getattr(b, f) for b in blocks], axis=-1) for f in Rows.__dataclass_fields__))


def shown(found: Molecules) -> list[tuple[str, str]]:
    """(haplotype, stratum) of each molecule, sorted."""
    return sorted(
        (UNDECIDED if h == UNDECIDED_CODE else spell(int(h), LONG), STRATA[s])
        for h, s in zip(found.haplotype, found.stratum, strict=True)
    )


def call(rows: Rows, pair: bool = True, correct: bool = True) -> list[tuple[str, str]]:
    return shown(molecules(rows, MARGIN, correct, pair))


ONE = [40, 40, 40]


@pytest.mark.parametrize(
    ("templates", "expected"),
    [
        ([(F, "ACG", ONE)], [("ACG", "singleton_F1R2")]),
        ([(R, "ACG", ONE)], [("ACG", "singleton_F2R1")]),
        ([(F, "ACG", ONE)] * 2, [("ACG", "simplex_F1R2")]),
        ([(R, "ACG", ONE)] * 3, [("ACG", "simplex_F2R1")]),
        ([(F, "ACG", ONE), (R, "ACG", ONE)], [("ACG", "duplex")]),
        # strands that disagree; one that cannot decide leaves the other to count for itself
        ([(F, "ACG", ONE), (R, "ATG", ONE)], [("?", "duplex")]),
        ([(F, "ACG", ONE), (R, "ACG", [40, 19, 40])], [("ACG", "singleton_F1R2")]),
        ([(F, "ACG", [40, 19, 40]), (R, "ACG", ONE), (R, "ACG", ONE)], [("ACG", "simplex_F2R1")]),
        ([(F, "ACG", [40, 19, 40]), (R, "ACG", [19, 40, 40])], [("?", "duplex")]),
        # the lead over the second best must be the margin
        ([(F, "ACG", [40, 20, 40])], [("ACG", "singleton_F1R2")]),
        ([(F, "ACG", [40, 19, 40])], [("?", "singleton_F1R2")]),
        ([(F, "ACG", ONE), (F, "ATG", [40, 20, 40])], [("ACG", "simplex_F1R2")]),
        ([(F, "ACG", ONE), (F, "ATG", [40, 21, 40])], [("?", "simplex_F1R2")]),
        ([(F, "ACG", [10, 10, 10])] * 2, [("ACG", "simplex_F1R2")]),
        # an unknown base has no evidence, and says nothing against
        ([(F, "ANG", [40, 0, 40])], [("?", "singleton_F1R2")]),
        ([(F, "ANG", [40, 0, 40]), (F, "ACG", ONE)], [("ACG", "simplex_F1R2")]),
        # length first, one template one vote; a draw decides nothing
        ([(F, "AG", ONE), (F, "AG", ONE), (F, "ACG", ONE)], [("AG", "simplex_F1R2")]),
        ([(F, "AG", ONE), (F, "ACG", ONE)], [("?", "simplex_F1R2")]),
        ([(F, "AG", ONE), (F, "ACG", ONE), (F, "ACGT", ONE), (F, "AG", ONE)], [("AG", "simplex_F1R2")]),
        ([(F, None, [0] * 3), (F, "ACG", ONE)], [("ACG", "simplex_F1R2")]),
        ([(F, None, [0] * 3)] * 2, [("?", "simplex_F1R2")]),
        # two long haplotypes are two shapes
        ([(F, "A" * 20, ONE), (F, "C" * 20, ONE)], [("?", "simplex_F1R2")]),
        ([(F, "A" * 20, ONE), (F, "C" * 20, ONE), (F, "C" * 20, ONE)], [("C" * 20, "simplex_F1R2")]),
    ],
)  # fmt: skip
def test_consensus_of_one_molecule(templates: list[Template], expected: list[tuple[str, str]]) -> None:
    assert call(rows_of(templates)) == expected


@pytest.mark.parametrize("umi", [("ACG", ""), ("", "ACG"), ("", "")])
def test_strands_pair_only_where_both_ends_have_a_umi(umi: tuple[str, str]) -> None:
    both = [(F, "ACG", ONE), (R, "ACG", ONE)]
    assert call(rows_of(both, umi)) == [("ACG", "singleton_F1R2"), ("ACG", "singleton_F2R1")]
    assert call(rows_of(both), pair=False) == [("ACG", "singleton_F1R2"), ("ACG", "singleton_F2R1")]
    assert call(rows_of(both)) == [("ACG", "duplex")]


def test_molecules_tell_their_key_and_their_family_sizes() -> None:
    rows = joined(
        rows_of([(F, "ACG", ONE)] * 3 + [(R, "ACG", ONE)] * 2, ends=(-5, 260)),
        rows_of([(R, "ATG", ONE)] * 2, ends=(int(NO_END), 70)),
    )
    found = molecules(rows, MARGIN, True, True)
    keys = zip(found.start, found.end, found.left, found.right, found.forward, found.reverse, strict=True)
    umi = packed("ACG"), packed("TTA")
    assert sorted(map(tuple, keys)) == [(NO_END, 70, *umi, 0, 2), (-5, 260, *umi, 3, 2)]
    assert found.corrected == 0


def test_corrected_templates_join_the_family_of_the_true_umi_on_both_strands() -> None:
    rows = joined(
        rows_of([(F, "ACG", ONE)] * 3),
        rows_of([(R, "ACG", ONE)] * 2, umi=("ACG", "TTC")),
        rows_of([(F, "ACG", ONE)], umi=("GGG", "TTA")),
    )
    found = molecules(rows, MARGIN, True, True)
    assert shown(found) == [("ACG", "duplex"), ("ACG", "singleton_F1R2")]
    assert found.corrected == 2
    apart = [("ACG", "simplex_F1R2"), ("ACG", "simplex_F2R1"), ("ACG", "singleton_F1R2")]
    assert call(rows, correct=False) == apart


@tries(max_examples=150)
@given(st.integers(0, 1 << 32), st.booleans())
def test_any_families_equal_the_slow_consensus(seed: int, pair: bool) -> None:
    rng = Random(seed)
    blocks, expected = [], Counter[tuple[str, str]]()
    pool = rng.choice([["ACG", "ATG"], ["ACG", "ANG", "AG", "TG"], ["ACG", None, "A" * 20, "C" * 20, "ACGT"]])
    for m in range(rng.randint(1, 5)):
        templates: list[Template] = []
        for _ in range(rng.randint(1, 6)):
            bases = rng.choice(pool)
            w = [rng.choice([0, 9, 20, 40]) for _ in range(WIDTH)]
            if bases is None:
                w = [0] * WIDTH
            elif len(bases) != WIDTH:
                w = [w[0]] * WIDTH
            else:
                w = [x if b in "ACGT" else 0 for x, b in zip(w, bases, strict=True)]
            templates.append((rng.choice([F, F, R]), bases, w))
        umi = rng.choice([("ACG", "TTA"), ("ACG", "")])
        blocks.append(rows_of(templates, umi, ends=(m, 300)))
        slow: dict[int, list[Shown]] = {F: [], R: []}
        for strand, bases, w in templates:
            length = len(bases or "")
            slow[strand].append(Shown(bases, tuple(w if length == WIDTH else [w[0]] * length)))
        for haplotype, stratum in molecule(slow, all(umi) and pair, MARGIN):
            expected[haplotype, STRATA[stratum]] += 1
    assert Counter(call(joined(*blocks), pair)) == expected
