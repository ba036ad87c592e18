from __future__ import annotations

import numpy as np
import pytest

from esr1call.alignment.aligners import Embedded
from esr1call.alignment.foreign import fits, without_foreign
from esr1call.alignment.output import AlignedCounts
from esr1call.alignment.pairs import TemplatePairs
from esr1call.panel import reverse_complement
from tests.alignment.library import with_errors
from tests.builders import slices

M, I, D, S = 0, 1, 2, 4  # noqa: E741


@pytest.mark.parametrize(
    ("cigar", "edits", "start", "length", "expected"),
    [
        ([(M, 100)], 0, 50, 500, True),
        ([(M, 100)], 10, 50, 500, True),
        ([(M, 100)], 11, 50, 500, False),
        # A gap is one column, however long.
        ([(M, 50), (I, 20), (M, 50)], 20, 50, 500, True),
        ([(M, 50), (D, 20), (M, 50)], 26, 50, 500, True),
        ([(M, 20), (D, 2), (M, 20)], 6, 50, 500, False),
        # Clipped bases that would lie in the slice count, those beyond its ends do not.
        ([(S, 50), (M, 50)], 0, 200, 500, True),
        ([(S, 51), (M, 50)], 0, 200, 500, False),
        ([(S, 70), (M, 30)], 0, 10, 500, True),
        ([(M, 30), (S, 70)], 0, 460, 500, True),
        ([(M, 30), (S, 70)], 0, 420, 500, False),
        ([(S, 30), (M, 40), (S, 30)], 0, 200, 500, False),
        ([(S, 100)], 0, 50, 500, False),
    ],
)
def test_fits(cigar: list[tuple[int, int]], edits: int, start: int, length: int, expected: bool) -> None:
    assert fits(cigar, edits, start, length) == expected


def align(index: object, fragments: list[str], size: int = 100) -> tuple[list[object], AlignedCounts]:
    aligner = Embedded(str(index), 1)
    one, two = [f[:size] for f in fragments], [reverse_complement(f[-size:]) for f in fragments]
    batch = TemplatePairs(
        [f"p{i}" for i in range(len(fragments))], [""] * len(fragments),
        one, ["F" * len(b) for b in one], two, ["F" * len(b) for b in two],
    )  # fmt: skip
    counts = AlignedCounts()
    return list(without_foreign(aligner.align([batch], "g"), aligner.sequences(), counts)), counts


def fragments_of(text: str, rng: np.random.Generator, count: int = 200) -> list[str]:
    starts = rng.integers(0, len(text) - 160, count)
    return [text[s : s + 160] for s in starts]


@pytest.mark.parametrize(("identity", "most"), [(0.65, 0.0), (0.75, 0.01), (0.85, 0.2)])
def test_reads_of_related_genes_lose_their_mapq(index: object, identity: float, most: float) -> None:
    rng = np.random.default_rng(4)
    related = with_errors(rng, slices()[max(slices(), key=lambda n: len(slices()[n]))], 1 - identity)
    records, counts = align(index, fragments_of(related, rng))
    counted = [r for r in records if not r.is_unmapped and r.mapping_quality >= 20]  # type: ignore[attr-defined]
    assert len(counted) <= most * 400
    assert counts.reads_foreign > 0 or identity < 0.8


def test_true_reads_keep_theirs(index: object) -> None:
    """Six mismatches in a hundred bases, a long deletion or insertion in the middle: nothing changes."""
    rng = np.random.default_rng(5)
    text = slices()[max(slices(), key=lambda n: len(slices()[n]))]
    wrong = [with_errors(rng, f, 0.03) for f in fragments_of(text, rng)]
    gapped = [f[:50] + f[70:] + text[:20] for f in fragments_of(text[200:], rng)]
    records, counts = align(index, wrong + gapped)
    assert counts.reads_foreign <= 0.01 * len(records)


def test_whole_chromosomes_are_left_alone() -> None:
    class Record:
        query_name, flag, reference_id, mapping_quality = "r", 0, 0, 60
        cigartuples, reference_start = ((S, 90), (M, 30)), 100

    counts = AlignedCounts()
    (record,) = without_foreign([Record()], [("chr6", 170805979)], counts)
    assert (record.mapping_quality, counts.reads_foreign) == (60, 0)
