"""A slow, obviously right molecule counter: one read at a time, plain dictionaries, nothing shared with the fast path.

It follows the documented rules: which reads count, what a read shows in a window, how mates become a template,
templates a family and families a molecule.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pysam

from esr1call.contigs import place
from esr1call.counts import STRATA, UNDECIDED
from esr1call.panel import Panel
from esr1call.settings import CountSettings

NO_END = None
Shape = tuple[int, int, int]
"""Clipped bases before an alignment, reference bases under it, clipped bases after it."""
Named = tuple[str, bool, int, int]
"""A read's name, whether it is read 2, and where it lies: names may come again in merged files."""
Counts = dict[tuple[str, str], list[int]]


@dataclass(frozen=True)
class Shown:
    """What one read (or template) shows in a window: bases, and evidence per base; None bases: no vote."""

    bases: str | None
    weights: tuple[int, ...]


def weight(quality: int | None, cap: int, floor: int) -> int:
    """Evidence of a base call in phred units."""
    if quality is None or quality < max(floor, 1) or quality > 93:
        return 0
    error = min(10 ** (-min(quality, cap) / 10), 0.75)
    return round(10 * math.log10(3 * (1 - error) / error))


def count(path: Path, panel: Panel, settings: CountSettings) -> tuple[Counts, Counter[str]]:
    """Counts {(window, haplotype): molecules by stratum} and what became of each read."""
    templates: dict[str, dict[tuple, list[tuple[pysam.AlignedSegment, Shown]]]] = defaultdict(lambda: defaultdict(list))
    filters: Counter[str] = Counter()
    with pysam.AlignmentFile(str(path), "rb", check_sq=False) as bam:
        offsets = [place(n, k) for n, k in zip(bam.references, bam.lengths, strict=True)]
        reads = list(bam.fetch(until_eof=True))
    shapes: dict[Named, Shape] = {}
    for read in reads:
        if read.is_paired and not (read.is_unmapped or read.is_secondary or read.is_supplementary):
            named = read.query_name, read.is_read2, read.reference_id, read.reference_start
            shapes.setdefault(named, shape(read.cigartuples or []))
    tally = Counter(shapes.values())
    usual = max(sorted(tally), key=lambda s: tally[s], default=(0, 0, 0))
    for read in reads:
        reason = rejected(read, panel, settings, offsets)
        if reason:
            filters[reason] += 1
            continue
        offset = offsets[read.reference_id].offset
        start, end = read.reference_start + offset, read.reference_end + offset
        touched = [w for w in panel.windows if w.start < end and start < w.end]
        if not touched:
            filters["off_target"] += 1
            continue
        inside = [w for w in touched if start <= w.start and w.end <= end]
        if not inside:
            filters["window_edge"] += 1
            continue
        first, second = "", ""
        if settings.umi != "none":
            if not has_text(read, "RX"):
                filters["no_umi"] += 1
                continue
            first, _, second = read.get_tag("RX").upper().replace("+", "-").partition("-")
            if "N" in first + second:
                filters["umi_with_n"] += 1
                continue
        shown = {w.name: s for w in inside if (s := shows(read, w, offset, settings))}
        filters["counted" if shown else "window_edge"] += 1
        key = fragment(read, offset, mate_shape(read, shapes, usual), first, second)
        for name, what in shown.items():
            templates[name][(key, read.query_name)].append((read, what))
    counts: Counts = {}
    for w in panel.windows:
        for haplotype, stratum in window_molecules(templates[w.name], len(w.reference), settings):
            counts.setdefault((w.name, haplotype), [0] * len(STRATA))[stratum] += 1
    return counts, filters


def rejected(read: pysam.AlignedSegment, panel: Panel, settings: CountSettings, offsets: list) -> str | None:
    """Why a read does not count at all."""
    cigar = read.cigartuples or []
    if read.is_unmapped:
        return "unmapped"
    if read.is_secondary:
        return "secondary"
    if read.is_supplementary:
        return "supplementary"
    if read.is_qcfail:
        return "qc_fail"
    if not read.query_sequence or not cigar:
        return "no_sequence"
    if offsets[read.reference_id].contig != panel.contig:
        return "other_contig"
    if read.mapping_quality < settings.min_mapq:
        return "low_mapq"
    if any(op == pysam.CREF_SKIP for op, _ in cigar) or read.reference_end - read.reference_start > 1000:
        return "spliced"
    return None


def shape(cigar: list[tuple[int, int]]) -> Shape:
    """Clipped bases before, reference bases under, and clipped bases after an alignment."""
    clips = {pysam.CSOFT_CLIP, pysam.CHARD_CLIP}
    before = 0
    while before < len(cigar) and cigar[before][0] in clips:
        before += 1
    lead = sum(size for _, size in cigar[:before])
    trail = sum(size for op, size in cigar[before:] if op in clips)
    under = {pysam.CMATCH, pysam.CDEL, pysam.CREF_SKIP, pysam.CEQUAL, pysam.CDIFF}
    return lead, sum(size for op, size in cigar if op in under), trail


def mate_shape(read: pysam.AlignedSegment, shapes: dict[Named, Shape], usual: Shape) -> Shape:
    """What the MC tag says of the mate, else what the mate's own record does, else what most reads look like."""
    text = read.get_tag("MC") if has_text(read, "MC") else "*"
    if text != "*":
        return shape([("MIDNSHP=X".index(op), int(size)) for size, op in re.findall("([0-9]+)([A-Z=])", text)])
    named = read.query_name, not read.is_read2, read.next_reference_id, read.next_reference_start
    return shapes.get(named, usual)


def has_text(read: pysam.AlignedSegment, tag: str) -> bool:
    """Whether a read has a tag of type Z."""
    return read.has_tag(tag) and read.get_tag(tag, with_value_type=True)[1] == "Z"


def five_prime(start: int, seen: Shape, reverse: bool) -> int:
    """Unclipped 5' position of a read whose first aligned base is at `start`."""
    lead, under, trail = seen
    return start + under + trail - 1 if reverse else start - lead


def fragment(read: pysam.AlignedSegment, offset: int, mate: Shape, first: str, second: str) -> tuple:
    """(left end, right end, left UMI, right UMI, strand) of the read's molecule."""
    own = five_prime(read.reference_start + offset, shape(read.cigartuples or []), read.is_reverse)
    mated = read.is_paired and not read.mate_is_unmapped and read.next_reference_id == read.reference_id
    mated = mated and read.next_reference_start >= 0
    if mated:
        other = five_prime(read.next_reference_start + offset, mate, read.mate_is_reverse)
        if read.is_reverse != read.mate_is_reverse:
            left, right = (other, own) if read.is_reverse else (own, other)
        else:
            left, right = sorted((own, other))
        read_1_reverse = read.mate_is_reverse if read.is_read2 else read.is_reverse
    else:
        left, right = (NO_END, own) if read.is_reverse else (own, NO_END)
        read_1_reverse = not read.is_reverse if read.is_paired and read.is_read2 else read.is_reverse
    umis = (second, first) if read_1_reverse else (first, second)
    return left, right, *umis, 1 if read_1_reverse else 0


def aligned(read: pysam.AlignedSegment, offset: int) -> dict[int, int]:
    """Genome position -> query position of every aligned base."""
    at, query, reference = {}, 0, read.reference_start + offset
    for op, size in read.cigartuples:
        if op in (pysam.CMATCH, pysam.CEQUAL, pysam.CDIFF):
            at |= {reference + i: query + i for i in range(size)}
        query += size if op in (pysam.CMATCH, pysam.CEQUAL, pysam.CDIFF, pysam.CINS, pysam.CSOFT_CLIP) else 0
        reference += size if op in (pysam.CMATCH, pysam.CEQUAL, pysam.CDIFF, pysam.CDEL, pysam.CREF_SKIP) else 0
    return at


def shows(read: pysam.AlignedSegment, window, offset: int, settings: CountSettings) -> Shown | None:
    """Bases from the window's first to its last column, or None where either shows no base."""
    at = aligned(read, offset)
    if window.start not in at or window.end - 1 not in at:
        return None
    left, right = at[window.start], at[window.end - 1] + 1
    bases = read.query_sequence[left:right].upper()
    qualities = read.query_qualities
    weights = [
        weight(None if qualities is None else qualities[i], settings.max_base_quality, settings.min_base_quality)
        for i in range(left, right)
    ]
    if len(bases) == len(window.reference):
        bases = "".join(r if b == "=" else b for b, r in zip(bases, window.reference, strict=True))
        return Shown(bases, tuple(w if b in "ACGT" else 0 for b, w in zip(bases, weights, strict=True)))
    if set(bases) - set("ACGT"):
        return Shown(bases if len(bases) <= 15 else None, (0,) * len(bases))
    return Shown(bases, (min(weights),) * len(bases))


def join(one: Shown, two: Shown, width: int, cap: int) -> Shown:
    """Two mates as one template."""
    if one.bases == two.bases:
        if one.bases is None:
            return one
        return Shown(one.bases, tuple(min(a + b, cap) for a, b in zip(one.weights, two.weights, strict=True)))
    if one.bases is None or two.bases is None or len(one.bases) != len(two.bases) or len(one.bases) > 15:
        return Shown(None, ())
    bases, weights = "", []
    for a, b, wa, wb in zip(one.bases, two.bases, one.weights, two.weights, strict=True):
        bases += min(a, b, key="=ACMGRSVTWYHKDBN".index) if wa == wb else a if wa > wb else b
        weights.append(min(wa + wb, cap) if a == b else abs(wa - wb))
    if len(bases) != width:
        weights = [min(weights)] * len(weights)
    return Shown(bases, tuple(weights))


def consensus(templates: list[Shown], margin: int) -> str:
    """One strand's haplotype, or UNDECIDED."""
    voters = [t for t in templates if t.bases is not None]
    if not voters:
        return UNDECIDED
    shapes = Counter(len(t.bases) if len(t.bases) <= 15 else t.bases for t in voters)
    (shape, most), *rest = shapes.most_common()
    if rest and rest[0][1] == most:
        return UNDECIDED
    voters = [t for t in voters if shape in (len(t.bases), t.bases)]
    bases = ""
    for i in range(len(voters[0].bases)):
        evidence = dict.fromkeys("ACGT", 0)
        for t in voters:
            if t.bases[i] in evidence:
                evidence[t.bases[i]] += t.weights[i]
        second, best = sorted(evidence.values())[-2:]
        if best - second < margin:
            return UNDECIDED
        bases += next(b for b, e in evidence.items() if e == best)
    return bases


def corrected_umis(counts: dict[tuple[str, str], int]) -> dict[tuple[str, str], tuple[str, str]]:
    """Directional adjacency as published: take UMIs by falling count, give each all it can reach."""
    order = sorted(counts, key=lambda u: (-counts[u], packed(u[0]), packed(u[1])))
    root: dict[tuple[str, str], tuple[str, str]] = {}
    for umi in order:
        if umi in root:
            continue
        root[umi] = umi
        reach = [umi]
        while reach:
            a = reach.pop()
            for b in order:
                if b not in root and one_mismatch(a, b) and counts[a] >= 2 * counts[b] - 1:
                    root[b] = umi
                    reach.append(b)
    return root


def packed(umi: str) -> int:
    """The order in which UMIs of equal count are taken (any fixed order would do)."""
    return sum({"A": 1, "C": 3, "G": 7, "T": 4}[b] << 3 * i for i, b in enumerate(umi))


def one_mismatch(a: tuple[str, str], b: tuple[str, str]) -> bool:
    """Whether two UMI pairs of equal lengths differ in one base."""
    if [len(x) for x in a] != [len(x) for x in b]:
        return False
    return sum(x != y for x, y in zip("".join(a), "".join(b), strict=True)) == 1


def window_molecules(
    reads: dict[tuple, list[tuple[pysam.AlignedSegment, Shown]]], width: int, settings: CountSettings
) -> list[tuple[str, int]]:
    """(haplotype, stratum) of each molecule of a window."""
    cap = weight(settings.max_template_quality, settings.max_template_quality, 0)
    groups: dict[tuple, dict[tuple[str, str], dict[int, list[Shown]]]] = defaultdict(
        lambda: defaultdict(lambda: {0: [], 1: []})
    )
    for (key, _), seen in reads.items():
        left, right, umi_left, umi_right, strand = key
        template = seen[0][1] if len(seen) == 1 else join(seen[0][1], seen[1][1], width, cap)
        groups[left, right][umi_left, umi_right][strand].append(template)
    found = []
    for umis in groups.values():
        counts = {u: sum(map(len, families.values())) for u, families in umis.items()}
        root = corrected_umis(counts) if settings.umi_correction == "directional" else {u: u for u in umis}
        merged: dict[tuple[str, str], dict[int, list[Shown]]] = defaultdict(lambda: {0: [], 1: []})
        for umi, families in umis.items():
            for strand, templates in families.items():
                merged[root[umi]][strand] += templates
        for umi, families in merged.items():
            found += molecule(families, all(umi) and settings.umi == "duplex", settings.min_consensus_quality)
    return found


def molecule(families: dict[int, list[Shown]], pairs: bool, margin: int) -> list[tuple[str, int]]:
    """(haplotype, stratum) of the molecules that two strand families make."""
    shown = {s: (consensus(t, margin), 2 * (len(t) > 1) + s) for s, t in families.items() if t}
    if len(shown) < 2 or not pairs:
        return list(shown.values())
    decided = [s for s in shown.values() if s[0] != UNDECIDED]
    if len(decided) == 1:
        return decided
    return [(decided[0][0] if decided and decided[0][0] == decided[1][0] else UNDECIDED, 4)]


def count_columns(path: Path, panel: Panel, settings: CountSettings) -> dict[tuple[int, str, str], int]:
    """(position, strand, symbol) -> reads that show it, over all columns of the windows."""
    counts: Counter[tuple[int, str, str]] = Counter()
    columns = {p: w.reference[p - w.start] for w in panel.windows for p in range(w.start, w.end)}
    with pysam.AlignmentFile(str(path), "rb", check_sq=False) as bam:
        offsets = [place(n, k) for n, k in zip(bam.references, bam.lengths, strict=True)]
        for read in bam.fetch(until_eof=True):
            if rejected(read, panel, settings, offsets):
                continue
            offset = offsets[read.reference_id].offset
            shown = aligned(read, offset)
            strand = "-" if read.is_reverse else "+"
            for p in columns.keys() & set(range(read.reference_start + offset, read.reference_end + offset)):
                if p not in shown:
                    counts[p, strand, "del"] += 1
                elif read.query_qualities[shown[p]] >= settings.min_base_quality:
                    base = read.query_sequence[shown[p]]
                    base = columns[p] if base == "=" else base
                    counts[p, strand, base if base in "ACGT" else "N"] += 1
    return dict(counts)
