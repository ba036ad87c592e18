"""Builders with sensible defaults, so that each test states only what matters to it.

Positions called `start`/`end` are 0-based half-open on the genome; changes are written as in VCF (1-based).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pysam

from esr1call.contigs import place
from esr1call.counts import STRATA, CountTable
from esr1call.panel import Fetch, Panel, Window
from esr1call.panel_file import parse, resolve
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall

ROOT = Path(__file__).resolve().parent.parent
PANEL_TSV = ROOT / "config" / "panels" / "esr1_lbd.tsv"
REFERENCE_FASTA = ROOT / "test_data" / "reference" / "esr1_lbd.GRCh38.fa"
GRCH37_SHIFT = 321135
"""GRCh37 position minus GRCh38 position, all along the ligand-binding domain."""

Change = tuple[int, str, str]
"""(pos, ref, alt) as in VCF."""


# ---------------------------------------------------------------- reference and panel


def read_fasta(path: Path) -> dict[str, str]:
    """Sequences of a FASTA file by name."""
    sequences: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith(">"):
            lines = sequences.setdefault(line[1:].split()[0], [])
        else:
            lines.append(line)
    return {name: "".join(lines) for name, lines in sequences.items()}


def write_fasta(path: Path, sequences: Mapping[str, str]) -> Path:
    """Write sequences in 60-column lines; returns the path."""
    blocks = [f">{n}\n" + "".join(s[i : i + 60] + "\n" for i in range(0, len(s), 60)) for n, s in sequences.items()]
    path.write_text("".join(blocks))
    return path


@cache
def slices() -> dict[str, str]:
    """The committed GRCh38 slices, region name -> bases (do not change it)."""
    return read_fasta(REFERENCE_FASTA)


def moved_slices(shift: int = GRCH37_SHIFT, contig: str = "chr6") -> dict[str, str]:
    """The slices under another contig name and `shift` bases to the right (by default where GRCh37 has them)."""
    moved = {}
    for name, bases in slices().items():
        start, end = (int(x) + shift for x in name.split(":")[1].split("-"))
        moved[f"{contig}:{start}-{end}"] = bases
    return moved


def fetcher(sequences: Mapping[str, str]) -> Fetch:
    """A pure fetch function over sequences named by region (or whole chromosomes), 'N' elsewhere."""
    placed = [(place(name, len(bases)), bases) for name, bases in sequences.items()]

    def fetch(contig: str, start: int, end: int) -> str:
        out = ["N"] * (end - start)
        for s, bases in placed:
            low, high = max(start, s.offset), min(end, s.end)
            if s.contig == contig and low < high:
                out[low - start : high - start] = bases[low - s.offset : high - s.offset]
        return "".join(out)

    return fetch


@cache
def esr1_panel() -> Panel:
    """The shipped ESR1 panel, checked against the committed GRCh38 slices."""
    return resolve(parse(PANEL_TSV.read_text().splitlines(), str(PANEL_TSV)), "GRCh38", fetcher(slices()))


def window_of(panel: Panel, name: str) -> Window:
    """A window of the panel by name."""
    return panel.windows[panel.window_index[name]]


def haplotype_of(panel: Panel, window: str, changes: Iterable[Change] | str) -> str:
    """Haplotype of a window with VCF changes [(pos, ref, alt)], or with a panel variant given by its name."""
    if isinstance(changes, str):
        return next(v for v in panel.variants if v.window == window and changes in (v.protein, v.cdna)).haplotype
    w = window_of(panel, window)
    shown = w.reference
    for pos, ref, alt in sorted(changes, reverse=True):
        at = pos - 1 - w.start
        assert shown[at : at + len(ref)] == ref, f"{ref} is not the reference at {pos}"
        shown = shown[:at] + alt + shown[at + len(ref) :]
    return shown


# ---------------------------------------------------------------- counts and results


def molecules(given: Mapping[str, int] | Sequence[int] | int) -> np.ndarray:
    """Counts [5] by `STRATA`: from a sequence, from {stratum: n}, or n simplex molecules split over both strands."""
    if isinstance(given, int):
        given = {"simplex_F1R2": given - given // 2, "simplex_F2R1": given // 2}
    if isinstance(given, Mapping):
        assert set(given) <= set(STRATA)
        given = [given.get(s, 0) for s in STRATA]
    return np.array(given, dtype=np.int64)


def count_table(
    counts: Mapping[tuple[str, str], Mapping[str, int] | Sequence[int] | int],
    panel: Panel | None = None,
    depth: Mapping[str, int] | Sequence[int] | int | None = 5000,
) -> CountTable:
    """A count table over the panel's windows.

    `counts`: {(window, haplotype): molecules}; the haplotype is bases, or a panel variant's protein or cDNA name
    (``p.D538G``), or ``ref``. Every window not given its reference count shows `depth` reference molecules.
    """
    panel = panel or esr1_panel()
    rows = []
    for (window, shown), given in counts.items():
        if shown == "ref":
            shown = window_of(panel, window).reference
        elif shown.startswith(("p.", "c.")):
            shown = haplotype_of(panel, window, shown)
        rows.append((panel.window_index[window], shown, molecules(given)))
    have = {(w, h) for w, h, _ in rows}
    if depth is not None:
        rows += [
            (i, w.reference, molecules(depth)) for i, w in enumerate(panel.windows) if (i, w.reference) not in have
        ]
    return CountTable.build([w.name for w in panel.windows], rows)


def variant_call(**given: Any) -> VariantCall:
    """A clearly detected p.D538G at 1% in 5,000 molecules; any field can be given."""
    values: dict[str, Any] = {
        "window": "536-538", "haplotype": "CTCTATGGC", "kind": "panel", "protein": "p.D538G", "cdna": "c.1613A>G",
        "consequence": "missense", "panel_variants": ("p.D538G",), "contig": "chr6", "pos": 152098791, "ref": "A",
        "alt": "G", "molecules": 50, "depth": 5000, "alt_by_stratum": (0, 0, 25, 25, 0),
        "depth_by_stratum": (0, 0, 2500, 2500, 0), "p": 1e-40, "p_adjusted": 2.6e-39, "lob": 0.0008, "lod95": 0.0016,
        "vaf": 0.01, "vaf_low": 0.0075, "vaf_high": 0.013, "copies_per_ml": 22.7, "copies_per_ml_low": 17.0,
        "copies_per_ml_high": 29.5, "status": CallStatus.DETECTED,
    }  # fmt: skip
    assert set(given) <= set(values)
    return VariantCall(**{**values, **given})


def negative_call(**given: Any) -> VariantCall:
    """p.D538G looked for with power and not seen."""
    values: dict[str, Any] = {
        "molecules": 0, "alt_by_stratum": (0, 0, 0, 0, 0), "p": 1.0, "p_adjusted": 1.0, "vaf": 0.0, "vaf_low": 0.0,
        "vaf_high": 0.0008, "copies_per_ml": 0.0, "copies_per_ml_low": 0.0, "copies_per_ml_high": 1.8,
        "status": CallStatus.NOT_DETECTED,
    }  # fmt: skip
    return variant_call(**{**values, **given})


def sample_result(**given: Any) -> SampleResult:
    """A valid patient sample in which nothing was detected (see `negative_call`); any field can be given.

    The status follows the calls unless it is given.
    """
    calls = tuple(given.get("calls", (negative_call(),)))
    detected = any(c.status is CallStatus.DETECTED for c in calls)
    no_power = any(c.status is CallStatus.NO_CALL for c in calls)
    status = SampleStatus.INDETERMINATE if no_power else SampleStatus.NOT_DETECTED
    values: dict[str, Any] = {
        "sample": "P01-V1", "patient": "P01", "visit": "V1", "collected": "2024-01-15", "sample_type": "patient",
        "batch": "batch1", "build": "GRCh38", "status": SampleStatus.DETECTED if detected else status, "reasons": (),
        "plasma_ml": 4.0, "cfdna_ng": 30.0, "inputs": {"counts": "0" * 64, "panel": "1" * 64},
    }  # fmt: skip
    assert set(given) <= {*values, "calls"}
    return SampleResult(**{**values, **given, "calls": calls})


# ---------------------------------------------------------------- reads


@dataclass(frozen=True)
class _Column:
    """One base of a read, or a deleted reference base (`base` empty); `position` is None in an insertion."""

    position: int | None
    base: str


@dataclass
class ReadBuilder:
    """Builds read pairs in genome coordinates on a set of reference slices, and writes sorted, indexed BAMs.

    `sequences`: name -> bases, as in the FASTA (by default the committed slices). Every method returns pysam
    segments that are kept for `write`; a test may change them (flags, tags, CIGAR) before it writes.

        reads = ReadBuilder()
        reads.pair(152098700, 152098860, umi="ACG-TTA", changes=[(152098791, "A", "G")], copies=3)
        bam = reads.write(tmp_path / "x.bam")
    """

    sequences: Mapping[str, str] = field(default_factory=slices)
    sample: str = "S1"
    read_length: int = 100
    quality: int = 37
    mapq: int = 60
    segments: list[pysam.AlignedSegment] = field(default_factory=list)
    _number: int = 0

    def __post_init__(self) -> None:
        self._slices = [place(name, len(bases)) for name, bases in self.sequences.items()]
        self.header = pysam.AlignmentHeader.from_dict(
            {
                "HD": {"VN": "1.6", "SO": "coordinate"},
                "SQ": [{"SN": s.name, "LN": s.length} for s in self._slices],
                "RG": [{"ID": self.sample, "SM": self.sample, "LB": self.sample, "PL": "ILLUMINA"}],
            }
        )

    def pair(
        self,
        start: int,
        end: int,
        *,
        umi: str | None = "AAA-CCC",
        orientation: str = "F1R2",
        changes: Sequence[Change] = (),
        changes_1: Sequence[Change] = (),
        changes_2: Sequence[Change] = (),
        clip_1: tuple[int, int] = (0, 0),
        clip_2: tuple[int, int] = (0, 0),
        hard: bool = False,
        quality: int | None = None,
        mapq: int | None = None,
        name: str | None = None,
        copies: int = 1,
        mate_tags: bool = True,
        read_length: int | None = None,
    ) -> list[tuple[pysam.AlignedSegment, pysam.AlignedSegment]]:
        """`copies` read pairs of one molecule, the fragment [start, end) of the reference with `changes`.

        F1R2: read 1 is forward and starts at `start`, read 2 is reverse and ends at `end`; F2R1 the other way
        round. `changes_1` and `changes_2` are seen by one mate only. `clip_1` = (left, right) bases of read 1 in
        alignment order that are clipped (soft, or `hard`): the alignment shrinks, the unclipped ends stay.
        `mate_tags`: write MC and MQ.
        """
        assert orientation in ("F1R2", "F2R1")
        made = []
        length = read_length or self.read_length
        for _ in range(copies):
            self._number += 1
            shared = {"name": name or f"r{self._number:06d}", "umi": umi, "quality": quality, "mapq": mapq}
            mates = {}
            for number, own, clip in ((1, changes_1, clip_1), (2, changes_2, clip_2)):
                columns = self._columns(start, end, [*changes, *own])
                forward = (number == 1) == (orientation == "F1R2")
                flag = pysam.FPAIRED | pysam.FPROPER_PAIR | (pysam.FREAD1 if number == 1 else pysam.FREAD2)
                flag |= pysam.FMREVERSE if forward else pysam.FREVERSE
                mates[number] = self._segment(_take(columns, length, forward), start, flag, clip, hard, **shared)
            self._join(mates[1], mates[2], mate_tags)
            self.segments += [mates[1], mates[2]]
            made.append((mates[1], mates[2]))
        return made

    def single(
        self,
        start: int,
        end: int,
        *,
        umi: str | None = "AAA",
        reverse: bool = False,
        changes: Sequence[Change] = (),
        clip: tuple[int, int] = (0, 0),
        hard: bool = False,
        quality: int | None = None,
        mapq: int | None = None,
        name: str | None = None,
        copies: int = 1,
    ) -> list[pysam.AlignedSegment]:
        """`copies` unpaired reads of [start, end)."""
        made = []
        for _ in range(copies):
            self._number += 1
            shared = {"name": name or f"r{self._number:06d}", "umi": umi, "quality": quality, "mapq": mapq}
            flag = pysam.FREVERSE if reverse else 0
            made.append(self._segment(self._columns(start, end, changes), start, flag, clip, hard, **shared))
        self.segments += made
        return made

    def raw(
        self,
        start: int,
        cigar: str,
        bases: str | None = None,
        *,
        flag: int = 0,
        umi: str | None = "AAA",
        qualities: Sequence[int] | None = None,
        mapq: int | None = None,
        name: str | None = None,
    ) -> pysam.AlignedSegment:
        """One segment exactly as given; without `bases`, the reference under the CIGAR ('T' where there is none)."""
        self._number += 1
        s = self._slice_at(start)
        read = pysam.AlignedSegment(self.header)
        read.query_name = name or f"r{self._number:06d}"
        read.flag, read.reference_id, read.reference_start = flag, self._slices.index(s), start - s.offset
        read.mapping_quality = self.mapq if mapq is None else mapq
        read.cigarstring = cigar
        if bases is None:
            shown, at = "", start - s.offset
            for operator, length in read.cigartuples or []:
                if operator in (pysam.CMATCH, pysam.CEQUAL, pysam.CDIFF):
                    shown += self.sequences[s.name][at : at + length]
                elif operator in (pysam.CINS, pysam.CSOFT_CLIP):
                    shown += "T" * length
                if operator in (pysam.CMATCH, pysam.CEQUAL, pysam.CDIFF, pysam.CDEL, pysam.CREF_SKIP):
                    at += length
            bases = shown
        read.query_sequence = bases
        read.query_qualities = pysam.qualitystring_to_array(
            "".join(chr(33 + q) for q in (qualities or [self.quality] * len(bases)))
        )
        self._tag(read, umi)
        self.segments.append(read)
        return read

    def write(self, path: Path, *, sort: bool = True, index: bool = True, header: Any = None) -> Path:
        """Write all segments; sorted by coordinate and indexed unless told otherwise. Returns the path."""
        segments = self.segments
        if sort:
            # Unplaced reads (reference_id -1) go last.
            segments = sorted(segments, key=lambda r: (r.reference_id % (1 << 31), r.reference_start))
        with pysam.AlignmentFile(str(path), "wb", header=header or self.header) as out:
            for read in segments:
                out.write(read)
        if index:
            pysam.index(str(path))
        return path

    def _slice_at(self, start: int) -> Any:
        return next(s for s in self._slices if s.offset <= start < s.end)

    def _columns(self, start: int, end: int, changes: Sequence[Change]) -> list[_Column]:
        """The reference [start, end) with changes, base by base; `start` and `end` must lie in one slice."""
        s = self._slice_at(start)
        assert end <= s.end, "the fragment leaves its slice"
        bases = self.sequences[s.name][start - s.offset : end - s.offset]
        columns = [_Column(start + i, b) for i, b in enumerate(bases)]
        for pos, ref, alt in sorted(changes, reverse=True):
            at = pos - 1 - start
            if not 0 <= at <= at + len(ref) <= len(bases):
                raise ValueError(f"the change at {pos} is not inside the fragment {start}-{end}")
            assert bases[at : at + len(ref)] == ref, f"{ref} is not the reference at {pos}"
            aligned = min(len(ref), len(alt))
            put = [_Column(pos - 1 + i, alt[i]) for i in range(aligned)]
            put += [_Column(None, b) for b in alt[aligned:]]
            put += [_Column(pos - 1 + i, "") for i in range(aligned, len(ref))]
            columns[at : at + len(ref)] = put
        return columns

    def _segment(
        self,
        columns: list[_Column],
        start: int,
        flag: int,
        clip: tuple[int, int],
        hard: bool,
        *,
        name: str,
        umi: str | None,
        quality: int | None,
        mapq: int | None,
    ) -> pysam.AlignedSegment:
        bases = "".join(c.base for c in columns)
        codes = [pysam.CDEL if not c.base else pysam.CINS if c.position is None else pysam.CMATCH for c in columns]
        seen = np.cumsum([bool(c.base) for c in columns])
        kept = (seen > clip[0]) & (seen <= len(bases) - clip[1])
        inner = [(code, c) for code, c, k in zip(codes, columns, kept, strict=True) if k]
        while inner and inner[0][0] != pysam.CMATCH:  # an alignment starts and ends on an aligned base
            clip = (clip[0] + (inner[0][0] == pysam.CINS), clip[1])
            del inner[0]
        while inner and inner[-1][0] != pysam.CMATCH:
            clip = (clip[0], clip[1] + (inner[-1][0] == pysam.CINS))
            del inner[-1]
        code = pysam.CHARD_CLIP if hard else pysam.CSOFT_CLIP
        cigar = [(code, clip[0])] if clip[0] else []
        for operator, _ in inner:
            if cigar and cigar[-1][0] == operator:
                cigar[-1] = operator, cigar[-1][1] + 1
            else:
                cigar.append((operator, 1))
        cigar += [(code, clip[1])] if clip[1] else []
        if hard:
            bases = bases[clip[0] : len(bases) - clip[1]]
        s = self._slice_at(start)
        read = pysam.AlignedSegment(self.header)
        read.query_name, read.flag, read.reference_id = name, flag, self._slices.index(s)
        position = inner[0][1].position
        assert position is not None
        read.reference_start = position - s.offset
        read.mapping_quality = self.mapq if mapq is None else mapq
        read.cigartuples = cigar
        read.query_sequence = bases
        q = self.quality if quality is None else quality
        read.query_qualities = pysam.qualitystring_to_array(chr(33 + q) * len(bases))
        self._tag(read, umi)
        return read

    def _tag(self, read: pysam.AlignedSegment, umi: str | None) -> None:
        read.set_tag("RG", self.sample)
        if umi is not None:
            read.set_tag("RX", umi)

    def _join(self, one: pysam.AlignedSegment, two: pysam.AlignedSegment, mate_tags: bool) -> None:
        span = max(one.reference_end or 0, two.reference_end or 0) - min(one.reference_start, two.reference_start)
        for read, mate in ((one, two), (two, one)):
            read.next_reference_id, read.next_reference_start = mate.reference_id, mate.reference_start
            read.template_length = -span if read.is_reverse else span
            if mate_tags:
                read.set_tag("MC", mate.cigarstring)
                read.set_tag("MQ", mate.mapping_quality)


def _take(columns: list[_Column], length: int, forward: bool) -> list[_Column]:
    """The columns that a read of `length` bases from the left (or the right) end of the fragment covers."""
    ordered = columns if forward else columns[::-1]
    taken: list[_Column] = []
    bases = 0
    for c in ordered:
        if bases == length:
            break
        taken.append(c)
        bases += bool(c.base)
    return taken if forward else taken[::-1]
