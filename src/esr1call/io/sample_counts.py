"""All that is counted in one sample's BAM: molecules by haplotype, SNP alleles, and molecules to compare samples by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esr1call.consensus_reads import ConsensusCounter
from esr1call.counting import MoleculeCounter
from esr1call.counts import CountTable
from esr1call.io.bam import Progress, count_bam
from esr1call.io.files import read_text
from esr1call.io.reference import Reference
from esr1call.molecules.consensus import Molecules
from esr1call.molecules.sketch import Collected, collect
from esr1call.panel import Panel
from esr1call.pileup.fragments import NO_END
from esr1call.pileup.windows import code_of
from esr1call.settings import CountSettings
from esr1call.snps import AlleleCounts, Snp, allele_counts, counted_panel, elsewhere, parse_snps, without_snps


@dataclass(frozen=True, eq=False)
class SampleCounts:
    """`table` is over the panel's windows; `counter` has the statistics; `alleles` what SNPs show; `collected` what is
    kept of the hotspot windows' molecules, by number of the panel's window (nothing of consensus reads)."""

    table: CountTable
    counter: MoleculeCounter | ConsensusCounter
    alleles: tuple[AlleleCounts, ...]
    collected: dict[int, Collected]


def count_sample(
    bam: str | Path,
    panel: Panel,
    settings: CountSettings,
    threads: int = 1,
    progress: Progress | None = None,
    snps: Sequence[Snp] = (),
) -> SampleCounts:
    """Count a BAM in one pass (and one more for each contig besides the panel's that has SNPs)."""
    counted = counted_panel(panel, snps)
    hotspots = {i: code_of(w.reference) for i, w in enumerate(counted.windows) if w.kind == "hotspot"}

    def look(window: int, found: Molecules) -> Collected | None:
        if window not in hotspots:
            return None
        end = np.where(found.end == NO_END, NO_END, found.end + 1)
        templates = found.forward + found.reverse
        return collect(found.start, end, found.left, found.right, found.haplotype, templates, hotspots[window])

    table, counter = count_bam(bam, counted, settings, threads, progress, look)
    alleles = allele_counts(table, counted, snps)
    for other in elsewhere(panel, snps):
        alleles += allele_counts(count_bam(bam, other, settings, threads)[0], other, snps)
    kept = counter.collected if isinstance(counter, MoleculeCounter) else {}
    collected = {panel.window_index[counted.windows[w].name]: found for w, found in sorted(kept.items())}
    return SampleCounts(without_snps(table, counted, panel), counter, tuple(alleles), collected)


def load_snps(path: str | Path | None, reference: Reference, build: str) -> tuple[Snp, ...]:
    """The SNPs of a file, checked against the reference; none without a file."""
    return () if path is None else parse_snps(read_text(path).splitlines(), str(path), build, reference.fetch)
