"""What a lab may set, as frozen values; `io.batch` reads them from the config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CountSettings:
    """Which reads and bases count, and how molecules are told apart.

    `min_mapq`, `min_base_quality`: reads and bases below do not count. `max_base_quality`: evidence of one base call is
    capped there, since errors from before sequencing have no base quality; `max_template_quality` likewise for a read
    pair whose mates agree. `min_consensus_quality`: phred lead of a base over the next best that decides a column.
    `umi`: ``duplex`` (UMIs on both reads tell both strands of a fragment), ``simplex`` (strands are never paired) or
    ``none`` (fragment ends alone tell molecules apart). `umi_correction`: ``directional`` or ``none``.
    """

    min_mapq: int = 20
    min_base_quality: int = 10
    max_base_quality: int = 40
    max_template_quality: int = 60
    min_consensus_quality: int = 20
    umi: str = "duplex"
    umi_correction: str = "directional"


@dataclass(frozen=True)
class CallingSettings:
    """How calls are made.

    `alpha`: chance that a sample without variants shows one, over all haplotypes tested. `required_lod`: the fraction
    that a negative must have had the power to see in 95 of 100 samples. `min_molecules` (1 or 2): fewer are never a
    call. `reference_vaf`: the fraction for which strata are weighed against each other.
    """

    alpha: float = 0.001
    required_lod: float = 0.005
    min_molecules: int = 2
    reference_vaf: float = 0.001


@dataclass(frozen=True)
class QcSettings:
    """Limits that decide whether results may be reported; docs/quality.md says what each does.

    Controls: `ntc_max_molecules`, most molecules of a window in an NTC; `positive_control_fold`, by which an expected
    fraction may lie outside the measured interval. Mix-ups: `snps`, the file of SNPs that tell people apart;
    `max_contamination`, the largest share of molecules of another sample; `carry_over`, the contamination that a lab
    can't rule out, up to which another sample's variant may explain a call; `max_coincidence`, the chance that an
    unrelated person agrees at which agreement says nothing. Yield (warnings): `min_molecules` of every hotspot window,
    `min_duplex_yield`, `min_conversion` and `max_conversion` in molecules per haploid genome, `min_on_target` rate (0:
    no limit), `fragment_length`, the range of the median in bp. Errors: `max_error_ratio`, by which they may exceed
    what the background model expects.
    """

    ntc_max_molecules: int = 10
    positive_control_fold: float = 1.5
    snps: str | None = None
    max_contamination: float = 0.005
    carry_over: float = 0.01
    max_coincidence: float = 0.5
    min_molecules: int = 500
    min_duplex_yield: float = 0.02
    min_conversion: float = 0.05
    max_conversion: float = 1.5
    min_on_target: float = 0.0
    fragment_length: tuple[int, int] = (120, 220)
    max_error_ratio: float = 3.0


@dataclass(frozen=True)
class ExportSettings:
    """Which formats a batch's results are written in for other systems, and who reports them.

    `laboratory`: its name, in FHIR and SDTM. `namespace`: the URI under which the study numbers patients and specimens,
    in FHIR. Both may be None.
    """

    formats: tuple[str, ...] = ("vcf", "tables", "fhir", "sdtm", "multiqc")
    laboratory: str | None = None
    namespace: str | None = None
