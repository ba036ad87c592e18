"""One patient sample as a FHIR R4 Bundle by the Genomics Reporting guide: a GenomicReport and its Variant observations.

Controls have no patient, and so no report. Every allele of the result is an observation, the negative ones too.
Identifiers of resources are derived from study, patient and sample, so that the same result gives the same file.
"""

from __future__ import annotations

import hashlib
from typing import Any

from esr1call.formats import hgvs
from esr1call.formats.context import Context
from esr1call.formats.vrs import allele_id
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
REFSEQ = "http://www.ncbi.nlm.nih.gov/refseq"
HGVS = "http://varnomen.hgvs.org"
OURS = "https://esr1call.org/fhir/CodeSystem/result"
"""Codes of what the guide has no component for: LoD, LoB, p, molecules, copies per mL."""
_PROFILE = "http://hl7.org/fhir/uv/genomics-reporting/StructureDefinition/"
_UUID_OF_URLS = bytes.fromhex("6ba7b8119dad11d180b400c04fd430c8")

PRESENCE = {
    "present": ("LA9633-4", "Present"),
    "absent": ("LA9634-2", "Absent"),
    "no call": ("LA18198-4", "No call"),
    "indeterminate": ("LA11884-6", "Indeterminate"),
}
BUILDS = {"GRCh38": ("LA26806-2", "GRCh38"), "GRCh37": ("LA14029-5", "GRCh37")}
HGNC = {"ESR1": "HGNC:3467", "PIK3CA": "HGNC:8975"}
"""HGNC identifiers of the genes of the shipped panels; any other gene goes by its symbol alone."""
CODES = {
    "48018-6": "Gene studied [ID]",
    "51958-7": "Transcript reference sequence [ID]",
    "48004-6": "DNA change (c.HGVS)",
    "48005-3": "Amino acid change (pHGVS)",
    "81290-9": "Genomic DNA change (gHGVS)",
    "48013-7": "Genomic reference sequence [ID]",
    "62374-4": "Human reference sequence assembly version",
    "92822-6": "Genomic coord system",
    "81254-5": "Genomic allele start-end",
    "69547-8": "Genomic ref allele [ID]",
    "69551-0": "Genomic alt allele [ID]",
    "48002-0": "Genomic source class [Type]",
    "81252-9": "Discrete genetic variant",
    "81258-6": "Sample variant allelic frequency [NFr]",
}

Resource = dict[str, Any]


def bundle(result: SampleResult, context: Context) -> Resource:
    """A patient sample's report with all that it refers to."""
    assert result.patient is not None
    patient = _url(context.study, "patient", result.patient)
    specimen = _url(context.study, result.batch, result.sample, "specimen")
    of: Resource = {"subject": {"reference": patient}, "specimen": {"reference": specimen}}
    if result.collected is not None:
        of["effectiveDateTime"] = result.collected
    entries = [
        (patient, {"resourceType": "Patient", "identifier": [_identifier(result.patient, "patients", context)]}),
        (specimen, _specimen(result, context, patient)),
    ]
    if context.laboratory is not None:
        laboratory = _url(context.study, "laboratory", context.laboratory)
        entries.append((laboratory, {"resourceType": "Organization", "name": context.laboratory}))
        of["performer"] = [{"reference": laboratory}]
    observed = [
        (_url(context.study, result.batch, result.sample, c.window, c.haplotype), _variant(c, result, context, of))
        for c in result.calls
    ]
    report = _report(result, context, of, [url for url, _ in observed])
    entries += [(_url(context.study, result.batch, result.sample, "report"), report), *observed]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries],
    }


def presence(call: VariantCall, result: SampleResult, context: Context) -> str:
    """What is said of an allele: a key of `PRESENCE`.

    No call means that coverage did not suffice, and nothing else. Where molecules sufficed and a noisy background took
    the power away, and where quality control failed, the allele is indeterminate.
    """
    if result.status is SampleStatus.QC_FAILED:
        return "indeterminate"
    if call.status is CallStatus.DETECTED:
        return "present"
    if call.status is CallStatus.NOT_DETECTED:
        return "absent"
    return "no call" if too_shallow(call.depth, context) else "indeterminate"


def too_shallow(depth: int, context: Context) -> bool:
    """Whether `depth` molecules are too few to show the required LoD in 95 of 100 samples even without any background.

    A call needs `min_molecules` (1 or 2) of Binomial(depth, required LoD).
    """
    f = context.required_lod
    missed = (1 - f) ** depth
    if context.min_molecules > 1:
        missed += depth * f * (1 - f) ** max(depth - 1, 0)
    return missed > 0.05


def _report(result: SampleResult, context: Context, of: Resource, observed: list[str]) -> Resource:
    text = f"{result.status}: {'; '.join(result.reasons)}" if result.reasons else str(result.status)
    return {
        "resourceType": "DiagnosticReport",
        "meta": {"profile": [f"{_PROFILE}genomic-report"]},
        "identifier": [_identifier(f"{result.batch}/{result.sample}", "reports", context)],
        "status": "final",
        "category": [_concept("http://terminology.hl7.org/CodeSystem/v2-0074", "GE", "Genetics")],
        "code": _concept(LOINC, "51969-4", "Genetic analysis report"),
        **{k: [v] if k == "specimen" else v for k, v in of.items()},
        "result": [{"reference": url} for url in observed],
        "conclusion": text,
    }


def _specimen(result: SampleResult, context: Context, patient: str) -> Resource:
    specimen: Resource = {
        "resourceType": "Specimen",
        "identifier": [_identifier(result.sample, "specimens", context)],
        "type": _concept("http://snomed.info/sct", "119361006", "Plasma specimen"),
        "subject": {"reference": patient},
    }
    collection: Resource = {}
    if result.collected is not None:
        collection["collectedDateTime"] = result.collected
    if result.plasma_ml is not None:
        collection["quantity"] = _quantity(result.plasma_ml, "mL", "mL")
    return specimen | ({"collection": collection} if collection else {})


def _variant(call: VariantCall, result: SampleResult, context: Context, of: Resource) -> Resource:
    said = presence(call, result, context)
    code, display = PRESENCE[said]
    observation: Resource = {
        "resourceType": "Observation",
        "meta": {"profile": [f"{_PROFILE}variant"]},
        "status": "final",
        "category": [
            _concept("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "Laboratory"),
            _concept("http://terminology.hl7.org/CodeSystem/v2-0074", "GE", "Genetics"),
        ],
        "code": _concept(LOINC, "69548-6", "Genetic variant assessment"),
        **of,
        "valueCodeableConcept": _concept(LOINC, code, display),
        "method": _concept(LOINC, "LA26398-0", "Sequencing"),
        "component": _components(call, context, said == "present"),
    }
    note = _note(call, result, context, said)
    return observation | ({"note": [{"text": note}]} if note else {})


def _components(call: VariantCall, context: Context, present: bool) -> list[Resource]:
    panel = context.panel
    values: list[tuple[str, Resource]] = [
        ("48018-6", {"valueCodeableConcept": _gene(panel.gene)}),
        ("51958-7", {"valueCodeableConcept": _concept(REFSEQ, panel.transcript, panel.transcript)}),
        ("48004-6", {"valueCodeableConcept": _named(hgvs.coding(call, context))}),
        ("48005-3", {"valueCodeableConcept": _named(hgvs.protein(call, context))}),
        ("81290-9", {"valueCodeableConcept": _named(hgvs.genomic(call, context))}),
        ("48013-7", {"valueCodeableConcept": _concept(REFSEQ, context.accession, context.accession)}),
        ("62374-4", {"valueCodeableConcept": _concept(LOINC, *BUILDS[panel.build])}),
        ("92822-6", {"valueCodeableConcept": _concept(LOINC, "LA30102-0", "1-based character counting")}),
        ("81254-5", {"valueRange": {"low": {"value": call.pos}, "high": {"value": call.pos + len(call.ref) - 1}}}),
        ("69547-8", {"valueString": call.ref}),
        ("69551-0", {"valueString": call.alt}),
        ("48002-0", {"valueCodeableConcept": _concept(LOINC, "LA6684-0", "Somatic")}),
    ]
    identifier = allele_id(call, context)
    if identifier is not None:
        values.append(("81252-9", {"valueCodeableConcept": _concept("https://vrs.ga4gh.org", identifier, identifier)}))
    if present:
        values.append(("81258-6", {"valueQuantity": _fraction(call.vaf)}))
    components = [{"code": _concept(LOINC, code, CODES[code]), **value} for code, value in values]
    return components + [{"code": _concept(OURS, code, code), "valueQuantity": q} for code, q in _measured(call)]


def _measured(call: VariantCall) -> list[tuple[str, Resource]]:
    """What the result says beyond the guide's components; what is unknown is left out."""
    known = [
        ("molecules", _quantity(call.molecules, "molecules", "{molecules}")),
        ("molecules-total", _quantity(call.depth, "molecules", "{molecules}")),
    ]
    if call.depth:
        known += [("vaf-low", _fraction(call.vaf_low)), ("vaf-high", _fraction(call.vaf_high))]
        known += [("limit-of-blank", _fraction(call.lob)), ("p-holm", _fraction(call.p_adjusted))]
    if call.lod95 is not None:
        known.append(("limit-of-detection-95", _fraction(call.lod95)))
    if call.copies_per_ml is not None:
        known.append(("copies-per-ml", _quantity(call.copies_per_ml, "copies/mL", "{copies}/mL")))
    return known


def _note(call: VariantCall, result: SampleResult, context: Context, said: str) -> str | None:
    lod = "unknown" if call.lod95 is None else f"{100 * call.lod95:.3g}%"
    required = f"LoD95 is {lod}, {100 * context.required_lod:.3g}% is required"
    if result.status is SampleStatus.QC_FAILED:
        return "Quality control failed: " + "; ".join(result.reasons)
    if said == "no call":
        return f"Not seen, with too few molecules to say that it is absent: {call.depth} molecules, {required}"
    if said == "indeterminate":
        return f"Not seen, with too much background to say that it is absent: {required}"
    return None


def _gene(symbol: str) -> Resource:
    code = HGNC.get(symbol)
    return {"text": symbol} if code is None else _concept("http://www.genenames.org/geneId", code, symbol)


def _named(name: str) -> Resource:
    return _concept(HGVS, name, name)


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _fraction(value: float) -> Resource:
    return _quantity(value, "1", "1")


def _quantity(value: float, unit: str, code: str) -> Resource:
    return {"value": float(f"{value:.6g}"), "unit": unit, "system": UCUM, "code": code}


def _identifier(value: str, kind: str, context: Context) -> Resource:
    system = {} if context.namespace is None else {"system": f"{context.namespace.rstrip('/')}/{kind}"}
    return {**system, "value": value}


def _url(*parts: str) -> str:
    """A version 5 UUID of the parts, as a URN."""
    name = "https://esr1call.org/" + "/".join(parts)
    raw = bytearray(hashlib.sha1(_UUID_OF_URLS + name.encode(), usedforsecurity=False).digest()[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x50, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
