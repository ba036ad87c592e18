"""Makes big BAMs for the counting benchmark: duplex UMI families piled up over five codon windows.

Records are built as arrays and written as BGZF directly, because nothing slower would do for tens of millions of pairs.
Most reads are one match of 100 bases, 4% begin or end with a soft clip, 0.5% carry a 1-base deletion; mates overlap.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import deflate
import numpy as np
from numpy.typing import NDArray

CONTIG, CONTIG_LENGTH = "chr6", 600_000
WINDOW_STARTS = (100_001, 200_002, 300_003, 400_004, 500_005)
CODONS = "CTCTATGAC"
WINDOW_BASES = len(CODONS)
READ, UMI = 100, 6
# Names as a sequencer gives them: lane, tile, x and y.
NAME = b"A00719:123:HBENCHDSX5:0:0000:00000:00000"
NAME_PARTS = ((22, 1, 1, 4), (24, 4, 1101, 78), (29, 5, 10_000, 20_000), (35, 5, 10_000, 20_000))
"""Place in the name, digits, least value and number of values of each part."""
QUALITIES = np.array([37, 25, 11, 2], dtype=np.uint8)
QUALITY_RATES = (0.92, 0.05, 0.025, 0.005)
_NIBBLE = np.array([1, 2, 4, 8], dtype=np.uint8)
_LETTERS = np.frombuffer(b"ACGT", dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0])
_RECORDS = 40_000


@dataclass(frozen=True)
class Plan:
    """How much to make: read pairs in all, molecules per window, pairs on target (the rest lies off target)."""

    pairs: int
    molecules: int
    seed: int = 1
    offtarget_pairs: int = 0
    one_position: bool = False


def reference_bases(seed: int = 6) -> NDArray[np.int64]:
    """The benchmark's reference, one contig of random bases (0..3) with the same three codons at each window."""
    bases = np.random.default_rng(seed).integers(0, 4, CONTIG_LENGTH)
    for start in WINDOW_STARTS:
        bases[start : start + WINDOW_BASES] = ["ACGT".index(b) for b in CODONS]
    return bases


def write_reference(folder: Path) -> tuple[Path, Path]:
    """FASTA and a panel with five windows of three codons; returns their paths."""
    bases = reference_bases()
    letters = _LETTERS[bases].tobytes().decode()
    fasta = folder / "bench.fa"
    lines = "\n".join(letters[i : i + 80] for i in range(0, len(letters), 80))
    fasta.write_text(f">{CONTIG}\n{lines}\n")
    exons, rows = [], []
    for i, start in enumerate(WINDOW_STARTS):
        first_c = WINDOW_BASES * i + 1
        exons.append(f"#exon\t{i + 1}\t{first_c}\t{first_c + WINDOW_BASES - 1}\t{start + 1}\t{start + 1}")
        row = [f"p.L{3 * i + 1}P", f"c.{first_c + 1}T>C", f"{3 * i + 1}-{3 * i + 3}", str(start + 2), str(start + 2)]
        rows.append("\t".join([*row, "T", "C", "CTC", "CCC", "L", "P"]))
    head = [f"#{k}\t{v}" for k, v in (
        ("esr1call-panel", "1"), ("name", "bench"), ("version", "1"), ("gene", "BENCH"), ("transcript", "NM_0.1"),
        ("protein_accession", "NP_0.1"), ("contig", CONTIG), ("strand", "+"),
    )]  # fmt: skip
    columns = [
        "protein",
        "cdna",
        "window",
        "pos_GRCh38",
        "pos_GRCh37",
        "ref",
        "alt",
        "codon_ref",
        "codon_alt",
        "aa_ref",
        "aa_alt",
    ]
    panel = folder / "bench_panel.tsv"
    panel.write_text("\n".join([*head, *exons, "\t".join(columns), *rows]) + "\n")
    return fasta, panel


def write_bam(path: Path, plan: Plan) -> None:
    """Write a coordinate-sorted BAM by `plan` (index it with samtools or pysam)."""
    rng = np.random.default_rng(plan.seed)
    bases = reference_bases()
    header = f"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:{CONTIG}\tLN:{CONTIG_LENGTH}\n@RG\tID:b\tSM:b\n".encode()
    name = CONTIG.encode() + b"\0"
    start = b"BAM\1" + struct.pack("<i", len(header)) + header
    start += struct.pack("<i", 1) + struct.pack("<i", len(name)) + name + struct.pack("<i", CONTIG_LENGTH)
    with path.open("wb") as out, ThreadPoolExecutor(2) as pool:
        out.write(_block(start))
        ahead: deque[Future[bytes]] = deque()
        for records in _blocks(rng, bases, plan):
            ahead.append(pool.submit(_compress, records))
            if len(ahead) > 4:
                out.write(ahead.popleft().result())
        for done in ahead:
            out.write(done.result())
        out.write(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))


def _compress(records: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> bytes:
    """Whole records a block, as htslib writes them."""
    data, ends = records
    raw, out, at, last = data.tobytes(), [], 0, 0
    for end in ends.tolist():
        if end - at > 0xFF00:
            out.append(_block(raw[at:last]))
            at = last
        last = end
    out.append(_block(raw[at:last]))
    return b"".join(out)


def _block(plain: bytes) -> bytes:
    packed = deflate.deflate_compress(plain, 5)
    size = len(packed) + 25
    head = struct.pack("<BBBBIBBHBBHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, size)
    return head + bytes(packed) + struct.pack("<II", deflate.crc32(plain), len(plain))


def _blocks(
    rng: np.random.Generator, bases: NDArray[np.int64], plan: Plan
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Chunks of records in coordinate order: (bytes, end of each record)."""
    first_name, last = 0, 0
    for start in WINDOW_STARTS:
        gap = plan.offtarget_pairs // len(WINDOW_STARTS)
        if gap:
            reads = _reads(rng, gap, gap, (last + 1000, start - 1200), first_name, spread=True)
            first_name += gap
            yield from _chunks(rng, bases, reads)
        pairs = plan.pairs // len(WINDOW_STARTS)
        span = (start - 60, start - 59) if plan.one_position else (start - 150, start - 12)
        yield from _chunks(rng, bases, _reads(rng, pairs, plan.molecules, span, first_name, spread=False))
        first_name += pairs
        last = start


def _reads(
    rng: np.random.Generator, pairs: int, molecules: int, span: tuple[int, int], first_name: int, spread: bool
) -> dict[str, NDArray[np.int64]]:
    """Two reads a pair as arrays, sorted by position."""
    left = rng.integers(*span, molecules)
    size = np.clip(np.rint(rng.normal(166, 12, molecules)), 120, 190).astype(np.int64)
    if span[1] - span[0] == 1:
        size[:] = 166
    umis = rng.integers(0, 4, (molecules, 2 * UMI)).astype(np.uint8)
    mutant = (rng.random(molecules) < 0.002) & (not spread)
    # Overdispersed family sizes; every molecule is read once or more where there are enough pairs.
    share = rng.gamma(2.0, 1.0, molecules)
    whose = np.concatenate([np.arange(min(molecules, pairs)),
                            rng.choice(molecules, max(pairs - molecules, 0), p=share / share.sum())])  # fmt: skip
    strand = rng.integers(0, 2, pairs)
    wrong = rng.random(pairs) < 0.01
    reads = {}
    umi = umis[whose]
    umi[wrong, rng.integers(0, 2 * UMI, int(wrong.sum()))] = rng.integers(0, 4, int(wrong.sum()))
    kind = rng.choice(4, 2 * pairs, p=(0.955, 0.02, 0.02, 0.005))  # match, clip at the start, at the end, deletion
    place = np.repeat(left[whose], 2)
    place[1::2] += size[whose] - READ
    reads = {
        "pair": np.repeat(np.arange(pairs), 2), "reverse": np.tile([0, 1], pairs), "unclipped": place,
        "kind": kind, "mate_kind": kind.reshape(-1, 2)[:, ::-1].reshape(-1),
        "mate_unclipped": place.reshape(-1, 2)[:, ::-1].reshape(-1),
    }  # fmt: skip
    # A read with a deletion spans one base more, so a reverse one begins one base earlier to keep its fragment end.
    for prefix in ("", "mate_"):
        reverse = reads["reverse"] if not prefix else 1 - reads["reverse"]
        reads[prefix + "pos"] = reads[prefix + "unclipped"] + np.where(reads[prefix + "kind"] == 1, 5, 0)
        reads[prefix + "pos"] -= (reads[prefix + "kind"] == 3) & (reverse == 1)
    order = np.argsort(reads["pos"], kind="stable")
    reads = {k: v[order] for k, v in reads.items()}
    pair = reads.pop("pair")
    reads |= {"name": pair + first_name, "strand": strand[pair], "mutant": mutant[whose[pair]].astype(np.int64)}
    reads["umi"] = umi[pair]
    return reads


def _chunks(
    rng: np.random.Generator, bases: NDArray[np.int64], reads: dict[str, NDArray[np.int64]]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    for at in range(0, len(reads["pos"]), _RECORDS):
        yield _encode(rng, bases, {k: v[at : at + _RECORDS] for k, v in reads.items()})


# (CIGAR operators, CIGAR text) of each kind: match, clip at the start, clip at the end, deletion in the middle.
_CIGARS = (
    ([(READ, 0)], b"100M"), ([(5, 4), (READ - 5, 0)], b"5S95M"), ([(READ - 5, 0), (5, 4)], b"95M5S"),
    ([(20, 0), (1, 2), (READ - 20, 0)], b"20M1D80M"),
)  # fmt: skip


def _encode(
    rng: np.random.Generator, bases: NDArray[np.int64], r: dict[str, NDArray[np.int64]]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    n = len(r["pos"])
    sequence = _sequences(rng, bases, r)
    quality = rng.choice(QUALITIES, (n, READ), p=QUALITY_RATES)
    groups, sizes = [], np.zeros(n, dtype=np.int64)
    for kind in range(4):
        for mate in range(4):
            who = np.flatnonzero((r["kind"] == kind) & (r["mate_kind"] == mate))
            if len(who):
                rows = _rows(r, who, kind, mate, sequence[who], quality[who])
                groups.append((who, rows))
                sizes[who] = rows.shape[1]
    ends = np.cumsum(sizes)
    data = np.zeros(int(ends[-1]), dtype=np.uint8)
    for who, rows in groups:
        data[(ends[who] - sizes[who])[:, None] + np.arange(rows.shape[1])] = rows
    return data, ends


def _sequences(
    rng: np.random.Generator, bases: NDArray[np.int64], r: dict[str, NDArray[np.int64]]
) -> NDArray[np.int64]:
    columns = r["pos"][:, None] - np.where(r["kind"] == 1, 5, 0)[:, None] + np.arange(READ)
    columns += (r["kind"] == 3)[:, None] & (np.arange(READ) >= 20)
    sequence: NDArray[np.int64] = bases[columns]
    for start in WINDOW_STARTS:
        sequence = np.where((columns == start + 1) & (r["mutant"] == 1)[:, None], 1, sequence)
    wrong = rng.random(sequence.shape, dtype=np.float32) < 0.002
    sequence[wrong] = rng.integers(0, 4, int(wrong.sum()))
    return sequence


def _names(pair: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Read names as rows of bytes, each pair's at a place of its own on the flow cell."""
    name = np.tile(np.frombuffer(NAME + b"\0", dtype=np.uint8), (len(pair), 1))
    # A factor that has no divisor in common with the number of places permutes them.
    place = pair * 77_777_777_977 % math.prod(values for *_, values in NAME_PARTS)
    for at, digits, least, values in NAME_PARTS:
        number = (place % values + least)[:, None]
        place //= values
        name[:, at : at + digits] = number // 10 ** np.arange(digits - 1, -1, -1) % 10 + 48
    return name


def _rows(
    r: dict[str, NDArray[np.int64]],
    who: NDArray[np.int64],
    kind: int,
    mate: int,
    sequence: NDArray[np.int64],
    quality: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Records of one shape as rows of bytes."""
    n = len(who)
    operators, _ = _CIGARS[kind]
    name = _names(r["name"][who])
    letters = _LETTERS[r["umi"][who]]
    f2r1 = (r["strand"][who] == 1)[:, None]
    first = np.where(f2r1, letters[:, UMI:], letters[:, :UMI])
    second = np.where(f2r1, letters[:, :UMI], letters[:, UMI:])
    dash, nul = np.full((n, 1), ord("-"), np.uint8), np.zeros((n, 1), np.uint8)
    tags = [_text(n, b"NMC\0MDZ100\0MCZ" + _CIGARS[mate][1] + b"\0ASCbXSC\0RGZb\0RXZ"), first, dash, second, nul]
    cigar = np.tile(np.array([size << 4 | op for size, op in operators], dtype="<u4").view(np.uint8), (n, 1))
    nibbles = _NIBBLE[sequence]
    packed = nibbles[:, ::2] << 4 | nibbles[:, 1::2]
    fixed = np.zeros((n, 9), dtype="<i4")
    flag = 1 | 2 | np.where(r["reverse"][who] == 1, 16, 32)
    flag |= np.where((r["reverse"][who] == 1) == (r["strand"][who] == 1), 64, 128)
    fixed[:, 2] = r["pos"][who]
    fixed[:, 3] = name.shape[1] | 60 << 8 | 4681 << 16
    fixed[:, 4] = len(operators) | flag << 16
    fixed[:, 5], fixed[:, 7] = READ, r["mate_pos"][who]
    ahead = r["mate_unclipped"][who] - r["unclipped"][who]
    fixed[:, 8] = np.where(r["reverse"][who] == 1, ahead - READ, ahead + READ)
    size = 36 + name.shape[1] + cigar.shape[1] + packed.shape[1] + READ + sum(t.shape[1] for t in tags)
    fixed[:, 0] = size - 4
    return np.concatenate([fixed.view(np.uint8).reshape(n, 36), name, cigar, packed, quality, *tags], axis=1)


def _text(n: int, text: bytes) -> NDArray[np.uint8]:
    return np.tile(np.frombuffer(text, dtype=np.uint8), (n, 1))


if __name__ == "__main__":
    # PATH, then a plan as JSON: a process of its own, so that the benchmark stays small beside what it measures.
    write_bam(Path(sys.argv[1]), Plan(**json.loads(sys.argv[2])))
