from __future__ import annotations

import numpy as np
import pysam
import pytest

from esr1call.alignment.aligners import Embedded
from esr1call.alignment.foreign import differences, without_foreign
from esr1call.alignment.output import AlignedCounts
from esr1call.alignment.pairs import TemplatePairs
from esr1call.panel import reverse_complement
from tests.alignment.library import with_errors
from tests.builders import slices

M, I, D, S = 0, 1, 2, 4  # noqa: E741


@pytest.mark.parametrize(
    ("cigar", "mismatches", "start", "length", "expected"),
    [
        ([(M, 100)], [], 50, 500, 0),
        ([(M, 100)], [60, 70, 149], 50, 500, 3),
        # Those of one codon are one; the next begins three bases after its first.
        ([(M, 100)], [60, 61, 62], 50, 500, 1),
        ([(M, 100)], [60, 62, 63], 50, 500, 2),
        ([(M, 100)], [0, 2], 0, 500, 1),
        # A gap is one, however long.
        ([(M, 50), (I, 20), (M, 50)], [60], 50, 500, 2),
        ([(M, 20), (D, 20), (M, 20), (I, 1), (M, 60)], [], 50, 500, 2),
        # Clipped bases count where they would lie in the slice, not beyond its ends.
        ([(S, 50), (M, 50)], [], 200, 500, 5),
        ([(S, 70), (M, 30)], [], 10, 500, 1),
        ([(M, 30), (D, 5), (M, 10), (S, 70)], [], 445, 500, 2),
        ([(S, 15), (M, 40), (S, 30)], [210], 200, 500, 5.5),
    ],
)
def test_differences(
    cigar: list[tuple[int, int]], mismatches: list[int], start: int, length: int, expected: float
) -> None:
    assert differences(cigar, mismatches, start, length) == expected


def pairs_of(fragments: list[str], size: int = 100) -> tuple[list[str], list[str]]:
    return [f[:size] for f in fragments], [reverse_complement(f[-size:]) for f in fragments]


def align(
    index: object, reads: tuple[list[str], list[str]], low: tuple[list[str], list[str]] | None = None
) -> tuple[list[pysam.AlignedSegment], AlignedCounts]:
    """Pairs as the aligner places them and the filter leaves them; bases other than in `low` have a bad quality."""
    aligner = Embedded(str(index), 1)
    qualities = [
        ["".join("F" if a == b else "#" for a, b in zip(*both, strict=True)) for both in zip(mate, true, strict=True)]
        for mate, true in zip(reads, low or reads, strict=True)
    ]
    names = [f"p{i}" for i in range(len(reads[0]))]
    batch = TemplatePairs(names, [""] * len(names), reads[0], qualities[0], reads[1], qualities[1])
    counts = AlignedCounts()
    return list(without_foreign(aligner.align([batch], "g"), aligner.sequences(), counts)), counts


def fragments_of(text: str, rng: np.random.Generator, count: int = 200) -> list[str]:
    starts = rng.integers(0, len(text) - 160, count)
    return [text[s : s + 160] for s in starts]


TEXT = slices()[max(slices(), key=lambda n: len(slices()[n]))]


@pytest.mark.parametrize(("identity", "most"), [(0.65, 0.0), (0.75, 0.0), (0.85, 0.01), (0.9, 0.05)])
def test_reads_of_related_genes_lose_their_mapq(index: object, identity: float, most: float) -> None:
    rng = np.random.default_rng(4)
    copies = [with_errors(rng, TEXT, 1 - identity) for _ in range(5)]
    records, counts = align(index, pairs_of([f for c in copies for f in fragments_of(c, rng)]))
    counted = [r for r in records if not r.is_unmapped and r.mapping_quality >= 20]
    assert len(counted) <= most * 2000
    assert counts.reads_foreign > 0 or identity < 0.8


def changed(rng: np.random.Generator, read: str, count: int) -> str:
    at = set(rng.choice(len(read), count, replace=False).tolist())
    return "".join("ACGT"[("ACGT".index(b) + 1) % 4] if i in at else b for i, b in enumerate(read))


def test_true_pairs_keep_theirs(index: object) -> None:
    """Three good mismatches in each mate; six bad ones; a long gap; a change of two bases, in short fragments too."""
    rng = np.random.default_rng(5)
    true = pairs_of(fragments_of(TEXT, rng))
    good = tuple([changed(rng, r, 3) for r in mate] for mate in true)
    bad = tuple([changed(rng, r, 6) for r in mate] for mate in true)
    gapped = pairs_of([f[:50] + f[70:] + TEXT[:20] for f in fragments_of(TEXT[200:], rng)])
    site = TEXT.index("CTCTATGAC")
    variant = TEXT[:site] + "CAGTATGAC" + TEXT[site + 9 :]
    short = pairs_of([variant[s : s + 50] for s in range(site - 35, site - 5)])
    for reads, low in ((good, None), (bad, true), (gapped, None), (short, None)):
        records, counts = align(index, reads, low)
        assert counts.reads_foreign <= 0.005 * len(records)
        assert sum(r.mapping_quality >= 20 for r in records) >= 0.99 * len(records)


def test_whole_chromosomes_are_left_alone() -> None:
    class Record:
        query_name, flag, reference_id, mapping_quality = "r", 0, 0, 60
        cigartuples, reference_start = ((S, 90), (M, 30)), 100

    counts = AlignedCounts()
    (record,) = without_foreign([Record()], [("chr6", 170805979)], counts)
    assert (record.mapping_quality, counts.reads_foreign) == (60, 0)
