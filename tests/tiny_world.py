"""A panel of a few windows on a 60-base contig, where every edge is near, and random reads on it for property tests.

Each template is made from a number of its own, so that hypothesis can leave templates out to find the least example.
"""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from esr1call.panel import Exon, Panel, Window
from tests import bam_bytes
from tests.bam_bytes import Record, parse_cigar, query, span, tag

CONTIG = "geneX"
SEQUENCE = "ACGTTGCAAGCTAGGCATCGATTACGGATCCAATGCGTACCTGAACTTGGCATGCAATCGA"
REFERENCES = [("other", 40), (CONTIG, len(SEQUENCE))]
HERE = 1
_SPANS = [(0, 3), (3, 12), (14, 29), (30, 33), (33, 42), (51, 60)]


def tiny_panel() -> Panel:
    """Windows at both edges of the contig, adjacent ones, and one of 15 bases."""
    windows = tuple(Window(f"{s}-{e}", "hotspot", CONTIG, s, e, 0, SEQUENCE[s:e]) for s, e in _SPANS)
    exon = Exon("1", 1, len(SEQUENCE), 0, len(SEQUENCE), "N" * 20 + SEQUENCE + "N" * 20)
    return Panel("tiny", "1", "X", "NM_0", "NP_0", CONTIG, "+", "GRCh38", (exon,), windows, (), None, "0" * 64)


UMIS = {
    "duplex": ["ACG-TTA", "ACG-TTC", "ACC-TTC", "acg+tta", "TTA-ACG", "TTC-ACG", "GGG-GGG", "ACG-TT", "ACGT-TA"],
    "simplex": ["ACGT", "ACGA", "ACAA", "CCAA", "acgt", "ACG"],
    "longer": ["AACCG-TTGGA", "AACCG-TTGGC", "TTGGA-AACCG"],
    "sloppy": ["ACG-TTA", "NCG-TTA", "ACG-TTn", "", "-", "ACG-", "-ACG", "ACG", "ACGTACGTACGTACGTACGTA-TTA"],
}
_LEFT, _RIGHT = (-4, 0, 1, 12), (33, 42, 60, 63)
_OTHER_TAGS = [
    tag("NM", "C", 3), tag("XA", "Z", "chr1,+100,50M,0;"), tag("XF", "f", 0.5), tag("XC", "A", "x"),
    tag("XH", "H", "1AE3"), tag("XS", "s", -1), tag("Xs", "S", 65535), tag("Xi", "i", -(1 << 30)),
    tag("XI", "I", 1 << 31), tag("Xc", "c", -7), tag("XE", "Z", ""), tag("XZ", "Z", "RXZACG-TGC"),
    tag("XW", "Z", "longer than two words, by far"), tag("XD", "d", 1e300),
    tag("Ba", "Bc", [-1, 2]), tag("Bb", "BC", []), tag("Bc", "Bs", [1]), tag("Bd", "BS", [65535] * 9),
    tag("Be", "Bi", [ord("R") | ord("X") << 8 | ord("Z") << 16]), tag("Bf", "BI", [1 << 31]),
    tag("Bg", "Bf", [1.5, 2.5]),
]  # fmt: skip


def random_cigar(rng: Random, columns: int) -> str:
    """A CIGAR whose clips and reference columns together are `columns` long."""
    if rng.random() < 0.5:
        return f"{columns}M"
    soft, hard = ([rng.choice(some) for _ in range(2)] for some in ([0, 0, 1, 5], [0, 0, 0, 2]))
    left = max(columns - sum(soft) - sum(hard), 1)
    inner = []
    while left > 0:
        op = rng.choice("MMMMM==XXDDIIPN" if rng.random() < 0.3 else "MMM=XDI")
        size = rng.randint(1, 20 if op in "M=X" else 4)
        if op in "MDN=X":
            size = min(size, left)
            left -= size
        inner.append(f"{size}{op}")
    before = f"{hard[0]}H" * (hard[0] > 0) + f"{soft[0]}S" * (soft[0] > 0)
    return before + "".join(inner) + f"{soft[1]}S" * (soft[1] > 0) + f"{hard[1]}H" * (hard[1] > 0)


def clips(cigar: str) -> tuple[int, int]:
    """Clipped bases before and after the alignment."""
    ops = parse_cigar(cigar)
    inside = [i for i, (op, _) in enumerate(ops) if bam_bytes.OPERATORS[op] not in "SH"]
    return sum(n for _, n in ops[: inside[0]]), sum(n for _, n in ops[inside[-1] + 1 :])


def _bases(cigar: str, pos: int, edits: list[tuple[int, str]]) -> str:
    """What a read of this alignment shows: the reference with `edits` of bases, T in insertions and clips."""
    letters, at = [], pos
    for op, size in parse_cigar(cigar):
        kind = bam_bytes.OPERATORS[op]
        if kind in "M=X":
            letters += [SEQUENCE[(at + i) % len(SEQUENCE)] for i in range(size)]
        elif kind in "IS":
            letters += ["T"] * size
        at += size if kind in "MDN=X" else 0
    for where, base in edits:
        if letters:
            letters[where % len(letters)] = base
    return "".join(letters)


def _read(rng: Random, name: str, left: int, right: int, reverse: bool, umi: str | None) -> Record:
    columns = right - left if rng.random() < 0.6 else rng.randint(4, right - left)
    cigar = random_cigar(rng, columns)
    before, after = clips(cigar)
    pos = right - span(cigar) - after if reverse else left + before
    if pos < 0 or pos + span(cigar) > len(SEQUENCE):  # only clips reach over the contig's edges
        pos, end = max(left, 0), min(right, len(SEQUENCE))
        cigar = f"{pos - left}S" * (pos > left) + f"{end - pos}M" + f"{right - end}S" * (right > end)
    edits = [(rng.randrange(60), rng.choice("ACGTNR=")) for _ in range(rng.choice([0, 0, 1, 2]))]
    bases = _bases(cigar, pos, edits)
    qualities = [rng.randint(0, 93) if rng.random() < 0.3 else 37 for _ in bases]
    flag = 16 * reverse | rng.choice([0] * 25 + [512, 1024, 4])
    tags = rng.sample(_OTHER_TAGS, rng.choice([0, 1, 3, 8]))
    if umi is not None:
        tags.insert(rng.randint(0, len(tags)), tag("RX", "Z", umi))
    record = Record(
        name, flag, HERE, pos, rng.choice([60, 60, 60, 60, 20, 19, 255]), cigar, bases, qualities, tags=tags
    )
    if rng.random() < 0.03:
        return record.with_(bases="", qual=None)
    return record.with_(qual=None) if rng.random() < 0.05 else record


def _template(number: int, seed: int, ends: list[tuple[int, int]], pool: list[str], mate_tags: bool) -> list[Record]:
    """The reads of one template: a pair, a lone read of a pair, or an unpaired read."""
    rng = Random(seed)
    left, right = rng.choice(ends)
    umi = None if pool is UMIS["sloppy"] and rng.random() < 0.1 else rng.choice(pool)
    name = rng.choice(["", "q", "x" * 7, "y" * 100, "z" * 249]) + f"{number:03d}"
    forward = rng.random() < 0.5
    kind = rng.choice(["pair"] * 8 + ["same strand", "lone", "single"])
    if kind == "single":
        return [_read(rng, name, left, right, not forward, umi)]
    reads = []
    for mate in (0, 1):
        reverse = (mate == 0) != forward if kind != "same strand" else not forward
        read = _read(rng, name, left, right, reverse, umi)
        reads.append(read.with_(flag=read.flag | 1 | (64, 128)[mate]))
    if kind == "lone":
        read = rng.choice(reads)
        return [read.with_(flag=read.flag | 8, mate_ref=read.ref, mate_pos=read.pos)]
    pair = [_with_mate(a, b, mate_tags) for a, b in (reads, reads[::-1])]
    if rng.random() < 0.1:  # a further alignment of one of them
        extra, flag = rng.choice(pair), rng.choice([256, 2048])
        pair.append(extra.with_(flag=extra.flag | flag, pos=0, cigar=f"{query(extra.cigar)}M", tags=extra.tags))
    return pair


def _with_mate(read: Record, mate: Record, mate_tags: bool) -> Record:
    flag = read.flag | (32 if mate.flag & 16 else 0) | (8 if mate.flag & 4 else 0)
    tags = [*read.tags, tag("MC", "Z", mate.cigar)] if mate_tags else read.tags
    return read.with_(flag=flag, mate_ref=mate.ref, mate_pos=mate.pos, tags=tags)


def random_reads(rng: Random, templates: int, pool: list[str], mate_tags: bool) -> list[Record]:
    """Records of some templates in coordinate order, with UMIs of a pool."""
    ends = [(rng.choice(_LEFT), rng.choice(_RIGHT)) for _ in range(rng.randint(1, 3))]
    made = [r for i in range(templates) for r in _template(i, rng.getrandbits(32), ends, pool, mate_tags)]
    return sorted(made, key=lambda r: r.pos)


@st.composite
def reads(draw: st.DrawFn, kinds: tuple[str, ...] = ("duplex", "simplex", "sloppy"), first: int = 0) -> list[Record]:
    """Records in coordinate order; read names are numbered from `first`, UMIs are of one of `kinds`."""
    kind, mate_tags = draw(st.sampled_from(kinds)), draw(st.booleans())
    ends = draw(st.lists(st.tuples(st.sampled_from(_LEFT), st.sampled_from(_RIGHT)), min_size=1, max_size=3))
    seeds = draw(st.lists(st.integers(0, 1 << 32), min_size=draw(st.sampled_from([1, 20])), max_size=40))
    made = [r for i, s in enumerate(seeds) for r in _template(first + i, s, ends, UMIS[kind], mate_tags)]
    return sorted(made, key=lambda r: r.pos)
