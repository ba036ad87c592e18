"""What the laboratory knows of one sample and of its batch: the objects that timeline, events and every report read."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class CallStatus(StrEnum):
    """Status of one allele. NO_CALL: not detected, and the sample had no power to see it at the required LoD."""

    DETECTED = "DETECTED"
    NOT_DETECTED = "NOT_DETECTED"
    NO_CALL = "NO_CALL"


class SampleStatus(StrEnum):
    """Status of a sample. INDETERMINATE: nothing detected and at least one trigger-relevant allele is NO_CALL."""

    DETECTED = "DETECTED"
    NOT_DETECTED = "NOT_DETECTED"
    INDETERMINATE = "INDETERMINATE"
    QC_FAILED = "QC_FAILED"


@dataclass(frozen=True)
class VariantCall:
    """One allele (a haplotype of a window) in one sample. Field names are the columns of calls.tsv.

    `kind` is ``panel`` (an allele of the panel, always listed), or ``other`` (any other non-reference haplotype with
    evidence). `alt_by_stratum` and `depth_by_stratum` are molecules in the order of `counts.STRATA`; `molecules` and
    `depth` their sums. `p` is the upper tail under the background; `p_adjusted` after Holm over the sample's alleles.
    `lob`, `lod95`, `vaf` and the interval are fractions of molecules; `copies_per_ml` are mutant copies per mL plasma,
    None where volume or mass is unknown. `panel_variants` names the panel proteins the haplotype carries.
    `background` is the number of molecules that the background model expects among `molecules` of such a sample.
    """

    window: str
    haplotype: str
    kind: str
    protein: str
    cdna: str
    consequence: str
    panel_variants: tuple[str, ...]
    contig: str
    pos: int
    ref: str
    alt: str
    molecules: int
    depth: int
    alt_by_stratum: tuple[int, ...]
    depth_by_stratum: tuple[int, ...]
    p: float
    p_adjusted: float
    lob: float
    lod95: float | None
    vaf: float
    vaf_low: float
    vaf_high: float
    copies_per_ml: float | None
    copies_per_ml_low: float | None
    copies_per_ml_high: float | None
    status: CallStatus
    background: float = 0.0


@dataclass(frozen=True)
class SampleResult:
    """Everything reported of one sample. `collected` is an ISO date; None for controls without one.

    `reasons` says in words why the status is not plain (which control failed, which window had no power).
    `inputs` are SHA-256 digests of what the result rests on (counts, panel, background model, calling settings).
    `genotypes` are the sample's alleles at the SNPs that tell people apart, such as ``{"rs1801132": "C/G"}``.
    """

    sample: str
    patient: str | None
    visit: str | None
    collected: str | None
    sample_type: str
    batch: str
    build: str
    status: SampleStatus
    reasons: tuple[str, ...]
    plasma_ml: float | None
    cfdna_ng: float | None
    calls: tuple[VariantCall, ...]
    inputs: dict[str, str]
    genotypes: dict[str, str] = field(default_factory=dict)


class Outcome(StrEnum):
    """What a quality check found. NOT_ASSESSED: there was nothing to judge by, which is never the same as passed."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    NOT_ASSESSED = "not_assessed"


CHECKS = (
    "ntc", "wild_type", "positive_control",
    "contamination", "carry_over", "identity",
    "depth", "duplex_yield", "conversion", "on_target", "fragment_length", "germline",
    "error_rate",
)  # fmt: skip
"""Names of all checks, in the order in which they are listed: controls, mix-ups, a sample's yield, the whole batch."""


@dataclass(frozen=True)
class Check:
    """One quality decision. `name` is one of `CHECKS`; `sample` is None where the whole batch is judged.

    `explanation` says in words what was found and what was expected, `next_step` what a person should do (empty where
    it passed). `value` and `threshold` are the figures compared, in the unit that the explanation names.
    """

    name: str
    sample: str | None
    outcome: Outcome
    explanation: str
    value: float | None = None
    threshold: float | None = None
    next_step: str = ""


@dataclass(frozen=True)
class WindowYield:
    """Molecules of one hotspot window of one sample, decided and undecided, in the order of `counts.STRATA`."""

    window: str
    molecules: tuple[int, ...]
    undecided: tuple[int, ...]


@dataclass(frozen=True)
class ErrorRate:
    """Molecules that differ from the reference by one base, of one substitution and tier, over all windows.

    `substitution` is as the molecule's own strand shows it (``C>T``; of duplex molecules, that show both strands, the
    pyrimidine's). `expected` is what the background model expects; `bases` how many bases could have shown it.
    """

    substitution: str
    tier: str
    molecules: int
    expected: float
    bases: int


@dataclass(frozen=True)
class SampleQuality:
    """What is measured of one sample; None where it is not known. Rates are fractions (0..1).

    `status` may be reported, `called_status` is what the calls alone say. `molecules`, `duplex_molecules` are medians
    over the hotspot windows, decided or not. `input_hge` are the haploid genomes in the cfDNA recovered, and
    `conversion` is molecules per hGE. `family_size` is the mean of read pairs per strand family. `fragment_lengths`
    holds fragments by length in bins of `fragment_bin` bp from 0, the last for all longer ones. `contamination` (with
    its 95% interval) is the share of molecules from another sample of the batch, `contamination_source` the likeliest
    one; `shared_molecules` are seen in another sample too (same ends and UMI) where it had more reads of them.
    `genotypes`: SNP -> alleles such as ``C/G``.
    """

    sample: str
    sample_type: str
    patient: str | None
    visit: str | None
    status: SampleStatus
    called_status: SampleStatus
    reads_mapped: int | None
    on_target_rate: float | None
    molecules: float
    duplex_molecules: float
    duplex_yield: float | None
    undecided_rate: float | None
    input_hge: float | None
    conversion: float | None
    family_size: float | None
    umi_error_rate: float | None
    fragment_length: float | None
    fragment_bin: int
    fragment_lengths: tuple[int, ...]
    family_sizes: tuple[int, ...]
    contamination: float | None
    contamination_low: float | None
    contamination_high: float | None
    contamination_source: str | None
    shared_molecules: int | None
    error_ratio: float | None
    genotypes: dict[str, str]
    windows: tuple[WindowYield, ...]
    errors: tuple[ErrorRate, ...]


@dataclass(frozen=True)
class BatchQuality:
    """All checks of a batch in the order of `CHECKS`, and what was measured of each sample.

    `hop_rate` (with its 95% interval) is the share of a sample's read pairs that turn up in another sample of the
    batch, None where molecules have no UMIs to tell.
    """

    batch: str
    checks: tuple[Check, ...]
    samples: tuple[SampleQuality, ...]
    hop_rate: float | None = None
    hop_rate_low: float | None = None
    hop_rate_high: float | None = None

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(c for c in self.checks if c.outcome is Outcome.FAILED)

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed
