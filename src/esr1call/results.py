"""What the laboratory knows of one sample: the result object that timeline, events and every report format read."""

from __future__ import annotations

from dataclasses import dataclass
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
