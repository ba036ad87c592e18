"""The batch as two tidy tables: one row for each sample, and one for each allele of each sample.

Every column is described once, here; TSV, Parquet and the documentation follow. Units are in the names: a fraction is
between 0 and 1, `copies_per_ml` is per mL of plasma, positions are 1-based.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from esr1call.cells import spreadsheet_safe
from esr1call.counts import STRATA
from esr1call.formats.context import Context
from esr1call.formats.vrs import allele_id
from esr1call.results import CallStatus, SampleResult, VariantCall

Cell = str | int | float | datetime.date | None


@dataclass(frozen=True)
class Column:
    """A column: `type` is one of text, integer, number and date; an unknown value is empty (null in Parquet)."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Table:
    """Named columns and rows of values in their order."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


_OfSample = tuple[Column, Callable[[SampleResult], Cell]]
_OfCall = tuple[Column, Callable[[VariantCall], Cell]]


def _date(text: str | None) -> datetime.date | None:
    return None if text is None else datetime.date.fromisoformat(text)


_WHO: tuple[_OfSample, ...] = (
    (Column("batch", "text", "sequencing run"), lambda r: r.batch),
    (Column("sample", "text", "sample"), lambda r: r.sample),
    (Column("sample_type", "text", "patient, blank, ntc, wild_type or positive_control"), lambda r: r.sample_type),
    (Column("patient", "text", "the trial's pseudonym; empty for controls"), lambda r: r.patient),
    (Column("visit", "text", "visit label"), lambda r: r.visit),
    (Column("collected_date", "date", "day of the blood draw, YYYY-MM-DD"), lambda r: _date(r.collected)),
    (
        Column("sample_status", "text", "DETECTED, NOT_DETECTED, INDETERMINATE or QC_FAILED"),
        lambda r: str(r.status),
    ),
)

_SAMPLE: tuple[_OfSample, ...] = (
    *_WHO,
    (Column("reasons", "text", "why the status is not plain, joined by '; '"), lambda r: "; ".join(r.reasons)),
    (
        Column("variants_detected", "text", "protein changes detected, joined by '; '"),
        lambda r: "; ".join(c.protein for c in r.calls if c.status is CallStatus.DETECTED),
    ),
    (
        Column("variants_no_call", "text", "panel protein changes without the power to be seen, joined by '; '"),
        lambda r: "; ".join(dict.fromkeys(c.protein for c in r.calls if c.status is CallStatus.NO_CALL)),
    ),
    (Column("plasma_ml", "number", "plasma extracted, mL"), lambda r: r.plasma_ml),
    (Column("cfdna_ng", "number", "cfDNA recovered from it, ng"), lambda r: r.cfdna_ng),
    (Column("genome_build", "text", "GRCh38 or GRCh37"), lambda r: r.build),
    (
        Column("molecules_lowest", "integer", "decided molecules of the panel window with the fewest"),
        lambda r: min((c.depth for c in r.calls if c.kind == "panel"), default=None),
    ),
    (
        Column("lod95_highest_fraction", "number", "highest LoD95 of a panel allele; empty where one has none"),
        lambda r: _highest([c.lod95 for c in r.calls if c.kind == "panel"]),
    ),
    (Column("counts_sha256", "text", "SHA-256 of the counts"), lambda r: r.inputs.get("counts")),
    (Column("panel_sha256", "text", "SHA-256 of the panel"), lambda r: r.inputs.get("panel")),
    (Column("background_sha256", "text", "SHA-256 of the background model"), lambda r: r.inputs.get("background")),
    (Column("settings_sha256", "text", "SHA-256 of the calling settings"), lambda r: r.inputs.get("settings")),
)


def _highest(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return max(known) if known and len(known) == len(values) else None


def _stratum(kind: str, index: int, name: str) -> _OfCall:
    what = "that show the haplotype" if kind == "alt" else "that show any haplotype of the window"
    tier, _, strand = name.partition("_")
    column = Column(
        f"molecules_{kind}_{name.lower()}", "integer",
        f"{tier} molecules {what}" + (f", of strand {strand}" if strand else ""),
    )  # fmt: skip
    return column, lambda c: (c.alt_by_stratum if kind == "alt" else c.depth_by_stratum)[index]


_CALL: tuple[_OfCall, ...] = (
    (Column("status", "text", "DETECTED, NOT_DETECTED or NO_CALL"), lambda c: str(c.status)),
    (Column("kind", "text", "panel: always listed; other: any other detected haplotype"), lambda c: c.kind),
    (Column("window", "text", "codons read as one haplotype"), lambda c: c.window),
    (Column("haplotype", "text", "forward-strand bases; empty where all are deleted"), lambda c: c.haplotype),
    (Column("protein", "text", "protein change, one-letter amino acids"), lambda c: c.protein),
    (Column("cdna", "text", "cDNA change"), lambda c: c.cdna),
    (Column("consequence", "text", "consequence for the protein"), lambda c: c.consequence),
    (
        Column("panel_variants", "text", "panel variants that the haplotype carries, joined by '; '"),
        lambda c: "; ".join(c.panel_variants),
    ),
    (Column("contig", "text", "chromosome"), lambda c: c.contig),
    (Column("position_1based", "integer", "position of the normalised VCF allele"), lambda c: c.pos),
    (Column("ref", "text", "VCF reference allele"), lambda c: c.ref),
    (Column("alt", "text", "VCF alternative allele"), lambda c: c.alt),
    (Column("vaf_fraction", "number", "variant allele fraction above background"), lambda c: c.vaf),
    (Column("vaf_low_fraction", "number", "lower end of its 95% interval"), lambda c: c.vaf_low),
    (Column("vaf_high_fraction", "number", "upper end of its 95% interval"), lambda c: c.vaf_high),
    (Column("copies_per_ml", "number", "mutant copies per mL plasma"), lambda c: c.copies_per_ml),
    (Column("copies_per_ml_low", "number", "lower end of its 95% interval"), lambda c: c.copies_per_ml_low),
    (Column("copies_per_ml_high", "number", "upper end of its 95% interval"), lambda c: c.copies_per_ml_high),
    (Column("lob_fraction", "number", "limit of blank"), lambda c: c.lob),
    (Column("lod95_fraction", "number", "fraction seen in 95 of 100 such samples"), lambda c: c.lod95),
    (Column("p", "number", "upper tail under the background"), lambda c: c.p),
    (Column("p_holm", "number", "p after Holm over the sample's alleles"), lambda c: c.p_adjusted),
    (Column("molecules_alt", "integer", "molecules that show the haplotype"), lambda c: c.molecules),
    (Column("molecules_total", "integer", "molecules that show any haplotype of the window"), lambda c: c.depth),
    (Column("molecules_background", "number", "molecules that the background is expected to show"),
     lambda c: c.background),
    *(_stratum("alt", i, s) for i, s in enumerate(STRATA)),
    *(_stratum("total", i, s) for i, s in enumerate(STRATA)),
)  # fmt: skip

_SHARED: tuple[tuple[Column, Callable[[VariantCall, Context], Cell]], ...] = (
    (Column("gene", "text", "gene"), lambda c, x: x.panel.gene),
    (Column("transcript", "text", "transcript of the cDNA change"), lambda c, x: x.panel.transcript),
    (Column("genome_build", "text", "build of the position"), lambda c, x: x.panel.build),
    (Column("vrs_id", "text", "GA4GH VRS 2.0 identifier of the allele; empty where none can be computed"), allele_id),
)

SAMPLE_COLUMNS = tuple(c for c, _ in _SAMPLE)
VARIANT_COLUMNS = tuple(c for of in (_WHO, _CALL, _SHARED) for c, _ in of)


def samples(results: Iterable[SampleResult]) -> Table:
    """One row for each sample."""
    return Table(SAMPLE_COLUMNS, tuple(tuple(value(r) for _, value in _SAMPLE) for r in results))


def variants(results: Iterable[SampleResult], context: Context) -> Table:
    """One row for each allele of each sample."""
    rows = []
    for r in results:
        who = tuple(value(r) for _, value in _WHO)
        for c in r.calls:
            shared = tuple(value(c, context) for _, value in _SHARED)
            rows.append((*who, *(value(c) for _, value in _CALL), *shared))
    return Table(VARIANT_COLUMNS, tuple(rows))


def tsv(table: Table) -> str:
    """Tab-separated text with a header; numbers to 6 digits, unknown values empty."""
    lines = ["\t".join(c.name for c in table.columns)]
    lines += ["\t".join(_cell(v) for v in row) for row in table.rows]
    return "\n".join(lines) + "\n"


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return spreadsheet_safe(value)
    return str(value)
