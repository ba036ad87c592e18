"""A batch's patient samples as SDTM GF (Genomics Findings, SDTMIG 3.4) in CDISC Dataset-JSON 1.1.

One allele of one sample is a group of records (GFGRPID): whether it was found, and what was measured. An allele that
the sample had no power for, or a sample that failed quality control, is NOT DONE with its reason, never negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from esr1call.formats import hgvs
from esr1call.formats.context import Context
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall

MAX_TEXT = 200
"""Most characters of a value, by the SAS transport format that submissions still use."""

COLUMNS = (
    ("STUDYID", "Study Identifier", "string"),
    ("DOMAIN", "Domain Abbreviation", "string"),
    ("USUBJID", "Unique Subject Identifier", "string"),
    ("GFSEQ", "Sequence Number", "integer"),
    ("GFGRPID", "Group ID", "string"),
    ("GFREFID", "Reference ID", "string"),
    ("GFTESTCD", "Short Name of Genomic Measurement", "string"),
    ("GFTEST", "Name of Genomic Measurement", "string"),
    ("GFTSTDTL", "Measurement, Test, or Examination Detail", "string"),
    ("GFORRES", "Result or Finding in Original Units", "string"),
    ("GFORRESU", "Original Units", "string"),
    ("GFSTRESC", "Result or Finding in Standard Format", "string"),
    ("GFSTRESN", "Numeric Result/Finding in Standard Units", "float"),
    ("GFSTRESU", "Standard Units", "string"),
    ("GFINHERT", "Inheritability", "string"),
    ("GFGENREF", "Genome Reference", "string"),
    ("GFCHROM", "Chromosome Identifier", "string"),
    ("GFSYM", "Genomic Symbol", "string"),
    ("GFSYMTYP", "Genomic Symbol Type", "string"),
    ("GFGENLOC", "Genetic Location", "string"),
    ("GFGENSR", "Genetic Sub-Region", "string"),
    ("GFSEQID", "Sequence Identifier", "string"),
    ("GFSTAT", "Completion Status", "string"),
    ("GFREASND", "Reason Test Not Done", "string"),
    ("GFNAM", "Laboratory/Vendor Name", "string"),
    ("GFSPEC", "Specimen Material Type", "string"),
    ("GFMETHOD", "Method of Test or Examination", "string"),
    ("GFRUNID", "Run ID", "string"),
    ("GFANMETH", "Analysis Method", "string"),
    ("VISITNUM", "Visit Number", "float"),
    ("VISIT", "Visit Name", "string"),
    ("GFDTC", "Date/Time of Specimen Collection", "date"),
)
KEYS = ("STUDYID", "USUBJID", "GFREFID", "GFGRPID", "GFTSTDTL", "GFSEQ")


def dataset(results: Iterable[SampleResult], context: Context, created: str) -> dict[str, Any]:
    """The dataset; `created` is the ISO date and time at which the file is made. Controls are no subjects: left out."""
    numbers: Counter[str] = Counter()
    rows = []
    for result in results:
        if result.patient is None:
            continue
        for call in result.calls:
            for record in _records(call, result, context):
                numbers[record["USUBJID"]] += 1
                record["GFSEQ"] = numbers[record["USUBJID"]]
                rows.append([_value(record.get(name)) for name, *_ in COLUMNS])
    laboratory = {} if context.laboratory is None else {"originator": context.laboratory}
    return {
        "datasetJSONCreationDateTime": created,
        "datasetJSONVersion": "1.1.0",
        "fileOID": f"esr1call.{context.study}.GF",
        **laboratory,
        "sourceSystem": {"name": "esr1call", "version": context.version},
        "studyOID": context.study,
        "itemGroupOID": "IG.GF",
        "records": len(rows),
        "name": "GF",
        "label": "Genomics Findings",
        "columns": [_column(i, rows) for i in range(len(COLUMNS))],
        "rows": rows,
    }


def _column(index: int, rows: list[list[Any]]) -> dict[str, Any]:
    name, label, kind = COLUMNS[index]
    column: dict[str, Any] = {"itemOID": f"IT.GF.{name}", "name": name, "label": label, "dataType": kind}
    if kind == "string":
        column["length"] = max((len(r[index] or "") for r in rows), default=1) or 1
    if name in KEYS:
        column["keySequence"] = KEYS.index(name) + 1
    return column


def _value(value: Any) -> Any:
    return value[:MAX_TEXT] if isinstance(value, str) else value


def _records(call: VariantCall, result: SampleResult, context: Context) -> Iterable[dict[str, Any]]:
    shared = _shared(call, result, context)
    name = f"{hgvs.coding(call, context)} {hgvs.three_letter(call.protein)}"
    found = {"GFTSTDTL": "VARIANT DETECTION"}
    reason = _not_done(call, result, context)
    if reason is not None:
        yield {**shared, **found, "GFSTAT": "NOT DONE", "GFREASND": reason}
    elif call.status is CallStatus.DETECTED:
        yield {**shared, **found, "GFORRES": name, "GFSTRESC": name}
    else:
        yield {**shared, **found, "GFORRES": f"NOT DETECTED: {name}", "GFSTRESC": "NOT DETECTED"}
    measured = [("MOLECULES TOTAL", float(call.depth), "molecules")]
    if call.lod95 is not None:
        measured.append(("LIMIT OF DETECTION 95%", 100 * call.lod95, "%"))
    if reason is None and call.status is CallStatus.DETECTED:
        measured.append(("MOLECULES WITH VARIANT", float(call.molecules), "molecules"))
        measured.append(("VARIANT ALLELE FREQUENCY", 100 * call.vaf, "%"))
        if call.copies_per_ml is not None:
            measured.append(("VARIANT COPIES IN PLASMA", call.copies_per_ml, "copies/mL"))
    for detail, value, unit in measured:
        text = f"{value:.6g}"
        yield {
            **shared, "GFTSTDTL": detail, "GFORRES": text, "GFORRESU": unit, "GFSTRESC": text,
            "GFSTRESN": float(text), "GFSTRESU": unit,
        }  # fmt: skip


def _not_done(call: VariantCall, result: SampleResult, context: Context) -> str | None:
    if result.status is SampleStatus.QC_FAILED:
        return "QUALITY CONTROL FAILED"
    if call.status is CallStatus.NO_CALL:
        return f"NO POWER TO DETECT {100 * context.required_lod:.3g}% AMONG {call.depth} MOLECULES"
    return None


def _shared(call: VariantCall, result: SampleResult, context: Context) -> dict[str, Any]:
    panel = context.panel
    changed = len(call.ref), len(call.alt)
    last = call.pos + len(call.ref) - 1
    exon = next((e.number for e in panel.exons if e.start < call.pos <= e.end), None)
    return {
        "STUDYID": context.study, "DOMAIN": "GF", "USUBJID": f"{context.study}-{result.patient}",
        "GFGRPID": f"{result.sample}:{call.cdna}", "GFREFID": result.sample,
        "GFTESTCD": "SNV" if changed == (1, 1) else "SHRTVAR",
        "GFTEST": "Single Nucleotide Variation" if changed == (1, 1) else "Short Variation",
        "GFINHERT": "SOMATIC VARIATION", "GFGENREF": panel.build, "GFCHROM": panel.contig.removeprefix("chr"),
        "GFSYM": panel.gene, "GFSYMTYP": "GENE WITH PROTEIN PRODUCT",
        "GFGENLOC": str(call.pos) if last == call.pos else f"{call.pos}-{last}",
        "GFGENSR": None if exon is None else f"Coding exon {exon}", "GFSEQID": panel.transcript,
        "GFNAM": context.laboratory, "GFSPEC": "CELL-FREE DNA", "GFMETHOD": "NEXT GENERATION TARGETED SEQUENCING",
        "GFRUNID": result.batch, "GFANMETH": f"esr1call {context.version}", "VISIT": result.visit,
        "GFDTC": result.collected,
    }  # fmt: skip
