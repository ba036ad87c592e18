"""Names of reference sequences: chromosome aliases, genome builds, and slices named by a samtools region."""

from __future__ import annotations

import re
from dataclasses import dataclass

BUILDS = ("GRCh38", "GRCh37")

# Chromosome lengths, Genome Reference Consortium (GRCh38 and GRCh37, all patches share them).
_LENGTHS = {
    "1": (248956422, 249250621), "2": (242193529, 243199373), "3": (198295559, 198022430),
    "4": (190214555, 191154276), "5": (181538259, 180915260), "6": (170805979, 171115067),
    "7": (159345973, 159138663), "8": (145138636, 146364022), "9": (138394717, 141213431),
    "10": (133797422, 135534747), "11": (135086622, 135006516), "12": (133275309, 133851895),
    "13": (114364328, 115169878), "14": (107043718, 107349540), "15": (101991189, 102531392),
    "16": (90338345, 90354753), "17": (83257441, 81195210), "18": (80373285, 78077248),
    "19": (58617616, 59128983), "20": (64444167, 63025520), "21": (46709983, 48129895),
    "22": (50818468, 51304566), "X": (156040895, 155270560), "Y": (57227415, 59373566),
}  # fmt: skip
# RefSeq versions of the assembled chromosomes: NC_0000NN.version per build.
_REFSEQ_VERSIONS = {
    "1": (11, 10), "2": (12, 11), "3": (12, 11), "4": (12, 11), "5": (10, 9), "6": (12, 11),
    "7": (14, 13), "8": (11, 10), "9": (12, 11), "10": (11, 10), "11": (10, 9), "12": (12, 11),
    "13": (11, 10), "14": (9, 8), "15": (10, 9), "16": (10, 9), "17": (11, 10), "18": (10, 9),
    "19": (10, 9), "20": (11, 10), "21": (9, 8), "22": (11, 10), "X": (11, 10), "Y": (10, 9),
}  # fmt: skip

_REFSEQ = {
    f"NC_{(23 if c == 'X' else 24 if c == 'Y' else int(c)):06d}.{v}": (f"chr{c}", build)
    for c, versions in _REFSEQ_VERSIONS.items()
    for v, build in zip(versions, BUILDS, strict=True)
}
_REGION = re.compile(r"^(.+):([0-9]{1,10})-([0-9]{1,10})$")


@dataclass(frozen=True)
class Slice:
    """Where a reference sequence lies on the genome.

    `contig` is the canonical name (``chr6``), `offset` the genome position before its first base (0 for a whole
    chromosome), so a 0-based position p in the sequence is the 0-based genome position p + offset.
    """

    name: str
    contig: str
    offset: int
    length: int

    @property
    def end(self) -> int:
        """0-based genome position after the last base."""
        return self.offset + self.length


def canonical(name: str) -> str:
    """The name this software uses: ``6``, ``chr6`` and ``NC_000006.12`` are all ``chr6``; others stay."""
    if name in _REFSEQ:
        return _REFSEQ[name][0]
    return f"chr{name}" if name in _LENGTHS else name


def refseq(contig: str, build: str) -> str | None:
    """RefSeq accession of a canonical chromosome (``chr6`` on GRCh38 is ``NC_000006.12``), else None."""
    bare = contig.removeprefix("chr")
    if bare not in _REFSEQ_VERSIONS:
        return None
    number = {"X": 23, "Y": 24}.get(bare) or int(bare)
    return f"NC_{number:06d}.{_REFSEQ_VERSIONS[bare][BUILDS.index(build)]}"


def place(name: str, length: int) -> Slice:
    """Where the reference sequence `name` of `length` bases lies; a region name carries its offset.

    A name that looks like a region but whose span is not its length is an ordinary contig (HLA alleles
    have colons too).
    """
    match = _REGION.match(name)
    if match and int(match[3]) - int(match[2]) + 1 == length and int(match[2]) > 0:
        return Slice(name, canonical(match[1]), int(match[2]) - 1, length)
    return Slice(name, canonical(name), 0, length)


def build_of(names_and_lengths: list[tuple[str, int]]) -> str | None:
    """The build that chromosome lengths or RefSeq accessions (of slices too) show, or None where they say nothing."""
    for name, length in names_and_lengths:
        region = _REGION.match(name)
        accession = region[1] if region else name
        if accession in _REFSEQ:
            return _REFSEQ[accession][1]
        lengths = _LENGTHS.get(canonical(name).removeprefix("chr"))
        if lengths and length in lengths:
            return BUILDS[lengths.index(length)]
    return None


def chromosome_length(contig: str, build: str) -> int | None:
    """Length of a canonical chromosome in bases, else None."""
    lengths = _LENGTHS.get(contig.removeprefix("chr"))
    return None if lengths is None else lengths[BUILDS.index(build)]
