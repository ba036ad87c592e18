"""Random BAMs full of awkward reads, to hold the fast counter against the slow one."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np
import pysam

from tests.builders import ReadBuilder

WINDOW = (152098783, 152098792)
"""Codons 536-538."""
_BASES = np.array(list("ACGT"))


def random_cigar(rng: np.random.Generator, length: int) -> list[tuple[int, int]]:
    """A CIGAR over `length` query bases: clips outside, a few operators of all kinds inside."""
    soft = [int(rng.integers(1, 12)) if rng.random() < 0.3 else 0 for _ in range(2)]
    hard = [int(rng.integers(1, 9)) if rng.random() < 0.1 else 0 for _ in range(2)]
    inner = length - sum(soft)
    cuts = np.sort(rng.integers(1, inner, size=rng.integers(0, 5))) if rng.random() < 0.5 else np.zeros(0, dtype=int)
    pieces = np.diff(np.concatenate([[0], np.unique(cuts), [inner]]))
    ops: list[tuple[int, int]] = []
    for i, size in enumerate(pieces):
        match = int(rng.choice([pysam.CMATCH] * 4 + [pysam.CEQUAL, pysam.CDIFF]))
        if ops and i < len(pieces) - 1 and size < 8 and rng.random() < 0.5:
            match = pysam.CINS
        if ops and match != pysam.CINS and ops[-1][0] != pysam.CINS and rng.random() < 0.7:
            odd = [pysam.CDEL] * 8 + [pysam.CPAD, pysam.CREF_SKIP]
            ops.append((int(rng.choice(odd)), int(rng.integers(1, 7))))
        ops.append((match, int(size)))
    ends = [
        [(pysam.CHARD_CLIP, h)] * (h > 0) + [(pysam.CSOFT_CLIP, s)] * (s > 0) for h, s in zip(hard, soft, strict=True)
    ]
    return [*ends[0], *ops, *reversed(ends[1])]


def _tags(rng: np.random.Generator, read: pysam.AlignedSegment, umi: str, sloppy: bool) -> None:
    """RX among tags of every type, in any order; now and then without RX."""
    tags = [
        ("NM", 3, "i"), ("XA", "chr1,+100,50M,0;", "Z"), ("XF", 0.5, "f"), ("XC", "x", "A"), ("XH", "1AE3", "H"),
        ("XB", [1, 2, 3], "B"), ("XS", -1, "i"), ("XL", 1 << 30, "i"), ("MD", "50A49", "Z"), ("RG", "S1", "Z"),
        ("XE", "", "Z"), ("XZ", "RXZACG-TGC", "Z"), ("XW", "a longer text, longer than two words", "Z"),
    ]  # fmt: skip
    rng.shuffle(tags)
    tags = tags[: rng.integers(0, len(tags) + 1)]
    if not (sloppy and rng.random() < 0.05):
        tags.insert(int(rng.integers(0, len(tags) + 1)), ("RX", umi, "Z"))
    at = int(rng.integers(0, len(tags) + 1))
    if read.has_tag("MC"):
        tags.insert(at, ("MC", read.get_tag("MC"), "Z"))
    read.set_tags([(t, array("i", v) if k == "B" else v, None if k == "B" else k) for t, v, k in tags])


def _umi(rng: np.random.Generator, pool: list[str], sloppy: bool) -> str:
    umi = list(pool[rng.integers(len(pool))])
    if rng.random() < 0.15:
        umi[rng.integers(len(umi))] = str(rng.choice(_BASES))
    if sloppy and rng.random() < 0.03:
        umi[rng.integers(len(umi))] = "N"
    return "".join(umi)


def awkward_bam(
    path: Path, seed: int, pairs: int = 250, *, umi: str = "duplex", sloppy: bool = True, mate_tags: bool = True
) -> Path:
    """A sorted, indexed BAM of `pairs` templates around codons 536-538, dense enough for families of many shapes.

    `umi`: duplex (AAA-CCC), simplex (AAAA) or long (12 + 9 bases).
    """
    rng = np.random.default_rng(seed)
    builder = ReadBuilder()
    lengths = {"duplex": (3, 3), "simplex": (4, 0), "long": (12, 9)}[umi]
    pool = [["".join(rng.choice(_BASES, size=n)) for n in lengths] for _ in range(4)]
    places = [(int(rng.integers(-80, -4)), int(rng.integers(20, 90))) for _ in range(6)]
    genome = {s: builder.sequences[s] for s in builder.sequences}
    for number in range(pairs):
        left, right = places[rng.integers(len(places))]
        start, end = WINDOW[0] + left, WINDOW[1] + right
        first, second = pool[rng.integers(len(pool))]
        forward = rng.random() < 0.5
        halves = (first, second) if forward or not second else (second, first)
        tag = "-".join(_umi(rng, [h], sloppy) for h in halves if h)
        reads = []
        for mate in (0, 1) if rng.random() < 0.93 else (0,):
            reads.append(_read(rng, builder, number, mate, forward, start, end, genome, sloppy))
        _pair(rng, reads, mate_tags)
        for read in reads:
            _tags(rng, read, tag, sloppy)
        builder.segments += reads
    return builder.write(path)


def _read(
    rng: np.random.Generator,
    builder: ReadBuilder,
    number: int,
    mate: int,
    forward: bool,
    start: int,
    end: int,
    genome: dict[str, str],
    sloppy: bool,
) -> pysam.AlignedSegment:
    length = int(rng.integers(40, 110))
    cigar = random_cigar(rng, length) if rng.random() < 0.4 else [(pysam.CMATCH, length)]
    span = sum(n for op, n in cigar if op in (0, 2, 3, 7, 8))
    reverse = (mate == 0) != forward
    if rng.random() < 0.02:
        reverse = not reverse
    lead = sum(n for op, n in cigar[:2] if op in (4, 5)) if cigar[0][0] in (4, 5) else 0
    trail = sum(n for op, n in cigar[-2:] if op in (4, 5)) if cigar[-1][0] in (4, 5) else 0
    at = end - span - trail if reverse else start + lead
    slice_ = builder._slice_at(at)
    reference = genome[slice_.name]
    read = pysam.AlignedSegment(builder.header)
    read.query_name = f"q:{number:x}" + "x" * (number % 11)
    read.reference_id = list(genome).index(slice_.name)
    read.reference_start = at - slice_.offset
    read.mapping_quality = int(rng.choice([60, 60, 60, 60, 20, 19, 0]))
    read.cigartuples = cigar
    bases, r = "", read.reference_start
    for op, n in cigar:
        if op in (0, 7, 8):
            bases += reference[r : r + n]
        elif op in (1, 4):
            bases += "".join(rng.choice(_BASES, size=n))
        r += n if op in (0, 2, 3, 7, 8) else 0
    letters = list(bases)
    for i in np.flatnonzero(rng.random(len(letters)) < 0.01):
        letters[i] = str(rng.choice(list("ACGTNR=" if sloppy else "ACGT")))
    read.query_sequence = "".join(letters)
    binned = rng.choice([37, 37, 37, 37, 25, 12, 2, 0, 93], size=len(letters))
    read.query_qualities = pysam.qualitystring_to_array("".join(chr(33 + q) for q in binned))
    read.is_reverse = reverse
    if sloppy:
        for flag, rate in ((256, 0.02), (2048, 0.02), (512, 0.02), (1024, 0.2)):
            read.flag |= flag if rng.random() < rate else 0
    return read


def _pair(rng: np.random.Generator, reads: list[pysam.AlignedSegment], mate_tags: bool) -> None:
    if len(reads) == 1:
        if rng.random() < 0.5:
            reads[0].flag |= 1 | 8 | int(rng.choice([64, 128]))
            reads[0].next_reference_id, reads[0].next_reference_start = reads[0].reference_id, reads[0].reference_start
        return
    for number, (read, mate) in enumerate((reads, reads[::-1])):
        read.flag |= 1 | (64, 128)[number] | (32 if mate.is_reverse else 0)
        read.next_reference_id, read.next_reference_start = mate.reference_id, mate.reference_start
        if mate_tags:
            read.set_tag("MC", mate.cigarstring)
