"""One sample's alignment step: FASTQ pair or BAM in, sorted BAM and its statistics out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pysam

from esr1call.alignment.aligners import BATCH_PAIRS, open_aligner
from esr1call.alignment.bam_input import BamRequest, take_bam
from esr1call.alignment.fastq import chunks_of, kept_pairs, lanes_of
from esr1call.alignment.foreign import without_foreign
from esr1call.alignment.output import AlignedCounts, ReadGroup, header, write_sorted
from esr1call.alignment.pairs import PairCounts, PairSettings, template_pairs
from esr1call.contigs import build_of, place
from esr1call.errors import InputError
from esr1call.panel import Fetch
from esr1call.panel_file import PanelFile
from esr1call.screening.seeds import build_table

SCREEN_FLANK = 1000
"""Bases beside each exon in which a seed counts. A read over a window may have its only seed in its flank or, where bwa
places it by its mate, in the mate: as far away as a fragment is long (chosen by scripts/validate_screen.py)."""


@dataclass(frozen=True)
class FastqRequest:
    """FASTQ files (see `fastq.lanes_of`) and how to align them; `index` is the aligner's index prefix.

    With `targets` (forward-strand bases) only pairs that could come from them are aligned. `passing`: the BAM is to be
    read once and removed.
    """

    fastq_1: str
    fastq_2: str
    settings: PairSettings
    group: ReadGroup
    aligner: str
    index: str
    build: str
    contig: str | None
    threads: int
    allow_empty: bool
    targets: tuple[str, ...] | None = None
    passing: bool = False


def align_fastq(request: FastqRequest, out: str | Path) -> dict[str, Any]:
    """Align to `out` (and its index); returns the statistics. Raises InputError for bad input."""
    aligner = open_aligner(request.aligner, request.index, request.threads)
    sequences = aligner.sequences()
    _check_index(sequences, request)
    pairs, reads = PairCounts(), AlignedCounts()
    table = build_table(request.targets) if request.targets is not None else None
    kept = kept_pairs(lanes_of(request.fastq_1, request.fastq_2), request.allow_empty, table)
    chunks = chunks_of(kept, BATCH_PAIRS)
    batches = template_pairs(chunks, request.settings, pairs, request.fastq_1)
    head = header(sequences, request.group, aligner.name, aligner.version)
    records = without_foreign(aligner.align(batches, request.group.id), sequences, reads)
    write_sorted(records, head, out, request.threads, reads, request.passing)
    source = {"source": "fastq", "aligner": f"{aligner.name} {aligner.version}", "screened": table is not None}
    return {**source, **asdict(pairs), "pairs_kept": pairs.pairs_kept, **asdict(reads)}


def _check_index(sequences: list[tuple[str, int]], request: FastqRequest) -> None:
    found = build_of(sequences)
    if found is not None and found != request.build:
        raise InputError(
            f"the index is of {found} while the config says {request.build}", file=request.index, field="index",
            hint="index the configured reference",
        )  # fmt: skip
    if request.contig is not None and request.contig not in {place(n, k).contig for n, k in sequences}:
        raise InputError(
            "the index has no sequence of the panel's chromosome", file=request.index, field="index",
            found=", ".join(n for n, _ in sequences[:5]), expected=request.contig,
        )  # fmt: skip


def accept_bam(bam: str, request: BamRequest, out: str | Path, threads: int) -> dict[str, Any]:
    """Take a BAM or CRAM to `out`; returns the statistics its index holds."""
    taken = take_bam(bam, out, request, threads)
    return {
        "source": "bam", "bam": taken.action, "reads_mapped": taken.reads_mapped,
        "reads_unmapped": taken.reads_unmapped,
    }  # fmt: skip


def on_target(bam: str | Path, panel: PanelFile, build: str) -> int:
    """Primary reads, neither duplicate nor QC-failed, that overlap a coding exon of the panel.

    A read that spans two exons is counted in each.
    """
    spans, total = exon_spans(panel, build), 0
    with pysam.AlignmentFile(str(bam)) as file:
        for name, length in zip(file.references, file.lengths, strict=True):
            part = place(name, length)
            for start, end in spans:
                low, high = max(start, part.offset), min(end, part.end)
                if part.contig == panel_contig(panel) and low < high:
                    total += file.count(name, low - part.offset, high - part.offset, read_callback="all")
    return total


def exon_spans(panel: PanelFile, build: str) -> list[tuple[int, int]]:
    """Genome spans (0-based half-open) of the panel's coding exons that have a place on `build`."""
    starts = [(int(e[build]) - 1, e) for e in panel.exons if e[build].isdigit()]
    return [(start, start + int(e["cds_end"]) - int(e["cds_start"]) + 1) for start, e in starts]


def screen_targets(panel: PanelFile, build: str, fetch: Fetch) -> tuple[str, ...]:
    """Reference bases of the panel's coding exons with SCREEN_FLANK bases on each side, 'N' where there are none."""
    contig = panel_contig(panel)
    return tuple(
        fetch(contig, max(0, start - SCREEN_FLANK), end + SCREEN_FLANK) for start, end in exon_spans(panel, build)
    )


def panel_contig(panel: PanelFile) -> str:
    """The panel's chromosome by its canonical name."""
    return place(panel.meta["contig"], 0).contig
