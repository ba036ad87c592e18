"""Sequenced pairs of known fragments, and FASTQ files of them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pysam

from esr1call.alignment.pairs import ILLUMINA_ADAPTERS
from esr1call.panel import reverse_complement

Pair = tuple[str, str, str]
"""(name, bases of read 1, bases of read 2)"""


def random_bases(rng: np.random.Generator, length: int) -> str:
    return "".join(rng.choice(list("ACGT"), length))


def sequence_pair(
    fragment: str,
    prefix_1: str,
    prefix_2: str,
    length: int,
    filler: str = "",
    adapters: tuple[str, str] = ILLUMINA_ADAPTERS,
) -> tuple[str, str]:
    """Reads of `length` bases: prefix, fragment, then the other mate's prefix, the adapter and filler."""
    one = prefix_1 + fragment + reverse_complement(prefix_2) + adapters[0] + filler
    two = prefix_2 + reverse_complement(fragment) + reverse_complement(prefix_1) + adapters[1] + filler
    assert min(len(one), len(two)) >= length, "give more filler"
    return one[:length], two[:length]


def with_errors(rng: np.random.Generator, read: str, rate: float) -> str:
    """Each base is replaced by another one at `rate`."""
    wrong = rng.random(len(read)) < rate
    return "".join(
        "ACGT"[("ACGT".index(b) + int(rng.integers(1, 4))) % 4] if w else b for b, w in zip(read, wrong, strict=True)
    )


def fastq_text(reads: Sequence[tuple[str, str]], quality: str = "F") -> str:
    return "".join(f"@{n}\n{b}\n+\n{quality * len(b)}\n" for n, b in reads)


def write_gz(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode(), 1, mtime=0))
    return path


def write_pairs(folder: Path, pairs: Sequence[Pair], name: str = "x") -> tuple[Path, Path]:
    return (
        write_gz(folder / f"{name}_R1.fastq.gz", fastq_text([(n, a) for n, a, _ in pairs])),
        write_gz(folder / f"{name}_R2.fastq.gz", fastq_text([(n, b) for n, _, b in pairs])),
    )


def write_ubam(path: Path, pairs: list[Pair], umis: list[str]) -> Path:
    """An unaligned BAM of pairs, mates in turn, with their UMIs (those that are not empty) in RX tags."""
    with pysam.AlignmentFile(str(path), "wb", header={"HD": {"VN": "1.6", "SO": "unsorted", "GO": "query"}}) as bam:
        for (name, *reads), umi in zip(pairs, umis, strict=True):
            for flag, bases in zip((77, 141), reads, strict=True):
                record = pysam.AlignedSegment()
                record.query_name, record.flag, record.query_sequence = name, flag, bases
                record.query_qualities = pysam.qualitystring_to_array("F" * len(bases))
                if umi:
                    record.set_tag("RX", umi)
                bam.write(record)
    return path


def cut_pairs(
    reference: str, count: int, rng: np.random.Generator, prefixes: bool = True, length: int = 150
) -> list[Pair]:
    """Pairs of random fragments (40 to 260 bases) of a sequence, both strands, with 3M2S prefixes if wanted."""
    pairs = []
    for i in range(count):
        size = int(rng.integers(40, min(260, len(reference))))
        at = int(rng.integers(0, len(reference) - size + 1))
        fragment = reference[at : at + size]
        if rng.random() < 0.5:
            fragment = reverse_complement(fragment)
        one, two = (random_bases(rng, 3) + "TG" for _ in range(2)) if prefixes else ("", "")
        pairs.append((f"pair{i}:{size}", *sequence_pair(fragment, one, two, length, random_bases(rng, length))))
    return pairs
