from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from esr1call.molecules.consensus import UNDECIDED_CODE
from esr1call.molecules.sketch import FRAGMENT_BINS, NO_LIMIT, Collected, collect, keys_of
from esr1call.pileup.fragments import NO_END
from esr1call.pileup.windows import code_of

REF, ALT = code_of("GAC"), code_of("GGC")


def sketched(rows: list[tuple[int, int, int, int, int]], most: int = 1000) -> Collected:
    """Rows (start, end, left, right, haplotype code), two read pairs each."""
    start, end, left, right, haplotype = np.array(rows, dtype=np.uint64).reshape(len(rows), 5).T
    signed: Any = start.astype(np.int64), end.astype(np.int64)
    return collect(*signed, left, right, haplotype, np.full(len(rows), 2), REF, most)


def test_what_is_kept() -> None:
    rows = [(100, 266, 1, 2, REF), (100, 266, 3, 2, ALT), (100, 900, 5, 2, int(UNDECIDED_CODE)), (90, 250, 0, 0, REF)]
    found = sketched(rows)
    assert sorted(zip(found.sketch.left.tolist(), found.sketch.reference.tolist(), strict=True)) == [
        (1, True),
        (3, False),
    ]
    assert (found.sketch.limits == NO_LIMIT).all()
    assert found.sketch.templates.tolist() == [2, 2]
    assert (np.diff(found.sketch.key.astype(float)) >= 0).all()
    assert np.flatnonzero(found.lengths).tolist() == [16, FRAGMENT_BINS - 1]  # 166 and 160 bp; 800 bp is the longest
    assert found.lengths[16] == 3


def test_molecules_without_both_ends_are_no_evidence() -> None:
    none = np.array([NO_END])
    one = np.array([1], dtype=np.uint64)
    found = collect(none, np.array([266]), one, one, np.array([REF], dtype=np.uint64), np.array([1]), REF)
    assert (len(found.sketch), found.lengths.sum()) == (0, 0)


molecules = st.lists(
    st.tuples(
        st.integers(0, 30), st.integers(100, 130), st.integers(1, 50), st.integers(1, 50), st.sampled_from([REF, ALT])
    ),
    min_size=0, max_size=80, unique_by=lambda m: m[:4],
)  # fmt: skip


@given(molecules, molecules, molecules, st.integers(1, 20))
def test_two_sketches_share_what_the_samples_share(one: list[Any], two: list[Any], both: list[Any], most: int) -> None:
    """Below the smaller limit a molecule of both samples is in both sketches, and no other molecule is."""
    taken = {m[:4] for m in both}
    one = [m for m in one if m[:4] not in taken] + both
    two = [m for m in two if m[:4] not in taken] + both
    a, b = sketched(one, most).sketch, sketched(two, most).sketch
    assert len(a) <= 2 * most
    haplotypes = {m[:4]: m[4] for m in one}
    same = {m[:4] for m in one} & {m[:4] for m in two}
    for kind, is_reference in ((0, False), (1, True)):
        limit = min(a.limits[kind], b.limits[kind])
        expected = set()
        for m in same:
            if (haplotypes[m] == REF) == is_reference == ({n[:4]: n[4] for n in two}[m] == REF):
                s, e, left, right = (np.array([x]) for x in m)
                key = int(keys_of(s, e, left.astype(np.uint64), right.astype(np.uint64))[0])
                expected |= {key} if key <= limit else set()
        shown = [set(x.key[(x.reference == is_reference) & (x.key <= limit)].tolist()) for x in (a, b)]
        assert shown[0] & shown[1] == expected
