"""What quality control knows of each sample of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from esr1call.calling import SampleInfo
from esr1call.counts import CountTable
from esr1call.molecules.sketch import Sketch
from esr1call.results import SampleResult
from esr1call.snps import AlleleCounts


@dataclass(frozen=True, eq=False)
class Evidence:
    """One sample: what the sheet says, its counts, and its result by the calls alone.

    `summary` is counts.json (see `count_summary`), empty where it is not there; `alleles` are what its SNPs show;
    `sketches` molecules by window name, None where there are none to compare (consensus reads, or no file).
    """

    info: SampleInfo
    table: CountTable
    result: SampleResult
    summary: Mapping[str, Any] = field(default_factory=dict)
    alleles: tuple[AlleleCounts, ...] = ()
    sketches: Mapping[str, Sketch] | None = None

    @property
    def genotypes(self) -> dict[str, str]:
        """Genotype by SNP name, where the molecules tell."""
        return {a.snp.name: a.genotype for a in self.alleles if a.genotype is not None}
