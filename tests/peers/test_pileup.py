"""Bases per column and strand: ours, samtools' and pysam's. Every difference is of a named kind, to the last read.

Each tool leaves out reads or bases by rules (docs/peers.md). What is in one count and not in the other must be just
what a rule of one of them leaves out: a difference that no rule explains fails, and so does one that a rule promises.
"""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pysam
import pytest

from esr1call.alignment.indexing import build_index
from esr1call.cli import run
from esr1call.contigs import place
from esr1call.io.bam import count_bases
from esr1call.panel import Panel
from esr1call.pileup.bases import SYMBOLS
from esr1call.settings import CountSettings
from tests.awkward_reads import awkward_bam
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT, ReadBuilder
from tests.tools import ask, need

pytestmark = pytest.mark.peers

MAPQ, QUALITY = 20, 10
Cell = tuple[int, str, str]
"""(0-based genome position, strand, symbol)"""


@dataclass(frozen=True)
class Column:
    """What a read shows of one reference base, and the quality there (of a gap: of the next base)."""

    position: int
    symbol: str
    quality: int
    same: bool
    """Whether the base is written as '=', as the reference."""


def countable(read: pysam.AlignedSegment) -> bool:
    """Whether count_coverage can count a read: without qualities it fails, and a P in the CIGAR it takes for bases."""
    return read.query_qualities is not None and all(op != pysam.CPAD for op, _ in read.cigartuples or [])


Rule = Callable[[pysam.AlignedSegment, Column], bool]
RULES: dict[str, Rule] = {
    "unmapped, secondary or QC-failed": lambda r, c: r.is_unmapped or r.is_secondary or r.is_qcfail,
    "low MAPQ": lambda r, c: r.mapping_quality < MAPQ,
    "low base quality": lambda r, c: c.symbol != "del" and c.quality < QUALITY,
    "base that a splice skips": lambda r, c: c.symbol == "skip",
    "supplementary": lambda r, c: r.is_supplementary,
    "duplicate": lambda r, c: r.is_duplicate,
    "spliced read": lambda r, c: any(op == pysam.CREF_SKIP for op, _ in r.cigartuples or []),
    "deletion before a low base quality": lambda r, c: c.symbol == "del" and c.quality < QUALITY,
    "deletion": lambda r, c: c.symbol == "del",
    "neither A, C, G nor T": lambda r, c: c.symbol == "N",
    "base written as '='": lambda r, c: c.same,
    "without qualities, or padded": lambda r, c: not countable(r),
}
_BOTH = {"unmapped, secondary or QC-failed", "low base quality", "base that a splice skips"}
OURS = {*_BOTH, "low MAPQ", "supplementary", "spliced read"}
MPILEUP = {*_BOTH, "low MAPQ", "deletion before a low base quality"}
"""Besides what its --ff leaves out."""
COUNT_COVERAGE = {
    *_BOTH, "duplicate", "deletion", "neither A, C, G nor T", "base written as '='", "without qualities, or padded",
}  # fmt: skip


def columns(read: pysam.AlignedSegment, offset: int, reference: str) -> Iterator[Column]:
    """Each reference base that a read covers with a base or a gap."""
    at, query, bases = read.reference_start, 0, read.query_sequence or ""
    qualities = [255] * len(bases) if read.query_qualities is None else list(read.query_qualities)
    for op, size in read.cigartuples or []:
        shows, gap = op in (pysam.CMATCH, pysam.CEQUAL, pysam.CDIFF), op in (pysam.CDEL, pysam.CREF_SKIP)
        for i in range(size if shows or gap else 0):
            base = ("del" if op == pysam.CDEL else "skip") if gap else bases[query + i]
            symbol = reference[at + i] if base == "=" else base if base in (*SYMBOLS, "skip") else "N"
            yield Column(at + i + offset, symbol, qualities[query + (0 if gap else i)], base == "=")
        at += size if shows or gap else 0
        query += size if shows or op in (pysam.CINS, pysam.CSOFT_CLIP) else 0


def differences(
    bam: Path, panel: Panel, theirs: set[str], stranded: bool = True
) -> tuple[Counter[Cell], dict[str, Counter[Cell]]]:
    """What ours minus theirs must be over the panel's windows, and what of that is of each kind."""
    inside = {p for w in panel.windows for p in range(w.start, w.end)}
    total: Counter[Cell] = Counter()
    kinds: dict[str, Counter[Cell]] = {}
    with pysam.AlignmentFile(str(bam), check_sq=False) as file, pysam.FastaFile(_copy(bam)) as fasta:
        homes = [place(n, k) for n, k in zip(file.references, file.lengths, strict=True)]
        texts = [fasta.fetch(h.name) for h in homes]
        for read in file.fetch(until_eof=True):
            if read.is_unmapped:
                continue
            strand = "." if not stranded else "-" if read.is_reverse else "+"
            for column in columns(read, homes[read.reference_id].offset, texts[read.reference_id]):
                if column.position not in inside:
                    continue
                broken = {name for name in OURS | theirs if RULES[name](read, column)}
                if bool(broken & OURS) == bool(broken & theirs):
                    continue
                cell, sign = (column.position, strand, column.symbol), 1 if broken & theirs else -1
                total[cell] += sign
                for name in broken:
                    kinds.setdefault(name, Counter())[cell] += sign
    return Counter({cell: n for cell, n in total.items() if n}), kinds


def minus(a: Counter[Cell], b: Counter[Cell]) -> Counter[Cell]:
    return Counter({cell: a[cell] - b[cell] for cell in a.keys() | b.keys() if a[cell] != b[cell]})


def _copy(bam: Path) -> str:
    """The reference beside a BAM, where an index of it may be made."""
    fasta = bam.with_name("reference.fa")
    if not fasta.exists():
        shutil.copy(REFERENCE_FASTA, fasta)
    return str(fasta)


# ---------------------------------------------------------------- the three tools


def ours(bam: Path, panel: Panel, stranded: bool = True) -> Counter[Cell]:
    counter = count_bases(bam, panel, CountSettings(min_mapq=MAPQ, min_base_quality=QUALITY))
    found: Counter[Cell] = Counter()
    for (_, position), strands in zip(counter.columns(), counter.counts.tolist(), strict=True):
        for strand, row in zip("+-" if stranded else "..", strands, strict=True):
            found.update({(position, strand, symbol): n for symbol, n in zip(SYMBOLS, row, strict=True)})
    return +found


def mpileup(bam: Path, panel: Panel, *options: str) -> Counter[Cell]:
    """samtools mpileup of the panel's windows."""
    inside = {p for w in panel.windows for p in range(w.start, w.end)}
    given = ["-A", "-B", "-x", "-d", "0", "-q", str(MAPQ), "-Q", str(QUALITY), "--reverse-del", *options]
    found: Counter[Cell] = Counter()
    for line in ask("samtools", "mpileup", *given, "-f", _copy(bam), bam).splitlines():
        name, pos, base, _, shown, *_ = line.split("\t")
        with_offset = int(pos) - 1 + place(name, _length_of(name)).offset
        if with_offset in inside:
            found.update((with_offset, strand, symbol) for strand, symbol in parsed(shown, base.upper()))
    return found


def _length_of(region: str) -> int:
    first, last = region.split(":")[1].split("-")
    return int(last) - int(first) + 1


def parsed(shown: str, reference: str) -> Iterator[tuple[str, str]]:
    """(strand, symbol) of each read in a pileup's column of bases."""
    i = 0
    while i < len(shown):
        c = shown[i]
        if c == "^":
            i += 2
        elif c == "$":
            i += 1
        elif c in "+-":
            digits = ""
            while shown[i + 1 + len(digits)].isdigit():
                digits += shown[i + 1 + len(digits)]
            i += 1 + len(digits) + int(digits)
        else:
            i += 1
            if c in "*#":
                yield "+" if c == "*" else "-", "del"
            elif c in ".,":
                yield "+" if c == "." else "-", reference
            elif c not in "<>":
                yield "+" if c.isupper() else "-", c.upper() if c.upper() in SYMBOLS else "N"


def count_coverage(bam: Path, panel: Panel, callback: str | Callable[[pysam.AlignedSegment], bool]) -> Counter[Cell]:
    """pysam's counts of the four bases, both strands together."""
    found: Counter[Cell] = Counter()
    with pysam.AlignmentFile(str(bam), check_sq=False) as file:
        for name, length in zip(file.references, file.lengths, strict=True):
            home = place(name, length)
            for w in panel.windows:
                if home.offset <= w.start and w.end <= home.end:
                    span = w.start - home.offset, w.end - home.offset
                    counts = file.count_coverage(name, *span, quality_threshold=QUALITY, read_callback=callback)
                    for symbol, row in zip("ACGT", counts, strict=True):
                        found.update({(w.start + i, ".", symbol): n for i, n in enumerate(row)})
    return +found


# ---------------------------------------------------------------- reads


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The alignments of 3,000 read pairs of the test data."""
    folder = tmp_path_factory.mktemp("plain")
    for mate in (1, 2):
        with gzip.open(ROOT / "test_data" / "fastq" / f"P001-V3_R{mate}.fastq.gz", "rt") as file:
            (folder / f"R{mate}").write_text("".join(islice(file, 4 * 3000)))
    given = ["--sample", "s", "--fastq-1", str(folder / "R1"), "--fastq-2", str(folder / "R2")]
    given += ["--read-structure", "3M2S+T 3M2S+T", "--reference", str(REFERENCE_FASTA), "--panel", str(PANEL_TSV)]
    given += ["--index", str(build_index(REFERENCE_FASTA, folder / "index"))]
    assert run(["align", *given, "--out", str(folder / "x.bam"), "--stats", str(folder / "x.json")]) == 0
    return folder / "x.bam"


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Indels, clips, splices, all flags, all qualities; mates that overlap; reads without qualities, or with 0."""
    folder = tmp_path_factory.mktemp("awkward")
    parts = [awkward_bam(folder / f"{seed}.bam", seed) for seed in range(4)]
    reads = ReadBuilder()
    reads.pair(152098700, 152098860, copies=3)
    reads.pair(152098740, 152098830, orientation="F2R1", changes_1=[(152098791, "A", "G")], clip_2=(5, 7))
    reads.pair(152098700, 152098860, quality=0)
    for read in reads.pair(152098720, 152098850)[0]:
        read.query_qualities = None
    for start, cigar in ((152098770, "20M3I20M"), (152098770, "14M3D20M"), (152098770, "10S9M5D9M6S")):
        reads.raw(start, cigar)
    parts.append(reads.write(folder / "own.bam"))
    pysam.merge("-f", str(folder / "all.bam"), *map(str, parts), catch_stdout=False)
    pysam.index(str(folder / "all.bam"))
    return folder / "all.bam"


MODES = {
    "samtools": ([], {"duplicate"}),
    "samtools with our flags": (["--ff", "UNMAP,SECONDARY,QCFAIL,SUPPLEMENTARY"], {"supplementary"}),
}


@pytest.mark.parametrize("mode", MODES)
def test_samtools_mpileup_of_plain_reads(plain: Path, panel: Panel, mode: str) -> None:
    need("samtools")
    options, flags = MODES[mode]
    found = ours(plain, panel)
    assert sum(found.values()) > 10_000
    expected, kinds = differences(plain, panel, MPILEUP | flags)
    assert minus(found, mpileup(plain, panel, *options)) == expected
    assert kinds.keys() <= {"supplementary"}


@pytest.mark.parametrize("mode", MODES)
def test_samtools_mpileup_of_awkward_reads(awkward: Path, panel: Panel, mode: str) -> None:
    need("samtools")
    options, flags = MODES[mode]
    theirs = MPILEUP | flags
    expected, kinds = differences(awkward, panel, theirs)
    assert minus(ours(awkward, panel), mpileup(awkward, panel, *options)) == expected
    assert kinds.keys() >= OURS ^ theirs


def test_pysam_count_coverage(plain: Path, awkward: Path, panel: Panel) -> None:
    with pytest.raises(IndexError):
        count_coverage(awkward, panel, "all")
    for bam in (plain, awkward):
        expected, kinds = differences(bam, panel, COUNT_COVERAGE, stranded=False)
        # The flags that "all" leaves out, which is the default.
        found = count_coverage(bam, panel, lambda read: countable(read) and not read.flag & 0x704)
        assert minus(ours(bam, panel, stranded=False), found) == expected
    assert kinds.keys() >= OURS ^ COUNT_COVERAGE
