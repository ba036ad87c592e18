"""One sample's result as VCF 4.3: one record for each allele, the panel's always, with its status in FILTER.

One record per allele, not one per position: status, LoD and p belong to an allele, and FILTER and QUAL to a record. It
is also the form that `bcftools norm -m-` makes, and that annotators and `bcftools isec` match best.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from esr1call.counts import STRATA
from esr1call.formats.context import Context
from esr1call.formats.vrs import allele_id
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall

MAX_LOG_P = 324.0
"""-log10 of the smallest p that a double can hold; a p of 0 is written as this."""

FILTERS = {
    "PASS": "DETECTED: more molecules than the background explains, after Holm's correction",
    "NOT_DETECTED": "Not detected, and the sample had the power to see it at the required LoD",
    "NO_CALL": "Not detected, and the sample had no power to see it at the required LoD",
    "QC_FAILED": "The sample failed quality control: nothing can be said, whatever was found",
}
_GENOTYPE = {"PASS": "0/1", "NOT_DETECTED": "0/0", "NO_CALL": "./.", "QC_FAILED": "./."}
_TIERS = ("singleton", "simplex", "duplex")
_OF_TIER = tuple(tuple(i for i, s in enumerate(STRATA) if s.startswith(t)) for t in _TIERS)
_OF_STRAND = {o: tuple(i for i, s in enumerate(STRATA) if s.endswith(o)) for o in ("F1R2", "F2R1")}

INFO = (
    ("WINDOW", "1", "String", "Codons read as one haplotype"),
    ("HAPLOTYPE", "1", "String", "Forward-strand bases of the window; missing where all are deleted"),
    ("KIND", "1", "String", "panel: an allele of the panel, always listed; other: any other detected haplotype"),
    ("GENE", "1", "String", "Gene symbol"),
    ("HGVSC", "1", "String", "cDNA change"),
    ("HGVSP", "1", "String", "Protein change, one-letter amino acids"),
    ("CONSEQUENCE", "1", "String", "Consequence for the protein"),
    ("PANEL", ".", "String", "Panel variants that the haplotype carries"),
    ("VRS", "A", "String", "GA4GH VRS 2.0 computed identifier of the allele"),
)
FORMAT = (
    ("GT", "1", "String", "Status as a genotype: 0/1 detected, 0/0 not detected, ./. no call (not zygosity)"),
    ("FT", "1", "String", "FILTER of this sample, kept when files are merged"),
    ("DP", "1", "Integer", "Molecules that show a haplotype of the window"),
    ("AD", "R", "Integer", "Molecules that show another haplotype, and molecules that show this one"),
    ("AF", "A", "Float", "Variant allele fraction above background, maximum likelihood over the tiers"),
    ("AFCI", "2", "Float", "95% interval of AF"),
    ("LOB", "1", "Float", "Limit of blank, as a fraction"),
    ("LOD", "1", "Float", "Fraction that 95 of 100 such samples would show (LoD95)"),
    ("LP", "1", "Float", "-log10 of p, the upper tail under the background"),
    ("LPA", "1", "Float", "-log10 of p after Holm over the sample's alleles"),
    ("BG", "1", "Float", "Molecules that the background is expected to show as this allele"),
    ("CPM", "1", "Float", "Mutant copies per mL plasma"),
    ("CPMCI", "2", "Float", "95% interval of CPM"),
    ("DPT", "3", "Integer", f"DP by tier: {', '.join(_TIERS)}"),
    ("ADT", "3", "Integer", f"Molecules that show this haplotype, by tier: {', '.join(_TIERS)}"),
    ("AFT", "3", "Float", "ADT over DPT"),
    ("DPS", "5", "Integer", f"DP by tier and strand: {', '.join(STRATA)}"),
    ("ADS", "5", "Integer", f"Molecules that show this haplotype, by tier and strand: {', '.join(STRATA)}"),
    ("F1R2", "R", "Integer", "Molecules of one strand whose read 1 is forward: another haplotype, this one"),
    ("F2R1", "R", "Integer", "Molecules of one strand whose read 1 is reverse: another haplotype, this one"),
)


def lines(result: SampleResult, context: Context, contig: str, length: int | None, reference: str) -> list[str]:
    """All lines of the file, sorted by position.

    `contig` is the chromosome's name in the reference FASTA, `length` its length where it is known, `reference` the
    FASTA's name.
    """
    calls = sorted(result.calls, key=lambda c: (c.pos, c.ref, c.alt))
    return [*_header(result, context, contig, length, reference), *(_record(c, result, context, contig) for c in calls)]


def _header(result: SampleResult, context: Context, contig: str, length: int | None, reference: str) -> list[str]:
    sample = {
        "ID": result.sample, "Type": result.sample_type, "Batch": result.batch, "Status": str(result.status),
        "Study": _quoted(context.study), "Patient": _quoted(result.patient), "Visit": _quoted(result.visit),
        "Collected": _quoted(result.collected), "Reasons": _quoted("; ".join(result.reasons)),
    }  # fmt: skip
    place = f"ID={contig}" + ("" if length is None else f",length={length}") + f",assembly={result.build}"
    return [
        "##fileformat=VCFv4.3",
        f"##source=esr1call {context.version}",
        f"##reference={_one_line(reference)}",
        f"##contig=<{place}>",
        f"##SAMPLE=<{','.join(f'{k}={v}' for k, v in sample.items())}>",
        *(f'##FILTER=<ID={k},Description="{v}">' for k, v in FILTERS.items()),
        *(f'##INFO=<ID={i},Number={n},Type={t},Description="{d}">' for i, n, t, d in INFO),
        *(f'##FORMAT=<ID={i},Number={n},Type={t},Description="{d}">' for i, n, t, d in FORMAT),
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", result.sample]),
    ]


def _record(call: VariantCall, result: SampleResult, context: Context, contig: str) -> str:
    failed = result.status is SampleStatus.QC_FAILED
    status = "QC_FAILED" if failed else "PASS" if call.status is CallStatus.DETECTED else str(call.status)
    info = {
        "WINDOW": _encoded(call.window), "HAPLOTYPE": call.haplotype or ".", "KIND": call.kind,
        "GENE": _encoded(context.panel.gene), "HGVSC": _encoded(call.cdna), "HGVSP": _encoded(call.protein),
        "CONSEQUENCE": _encoded(call.consequence), "PANEL": ",".join(map(_encoded, call.panel_variants)) or ".",
        "VRS": _encoded(allele_id(call, context) or "."),
    }  # fmt: skip
    values = {**_sample(call), "GT": _GENOTYPE[status], "FT": status}
    keys = [name for name, *_ in FORMAT]
    fields = [
        contig, str(call.pos), ".", call.ref, call.alt, _number(min(10 * _log_p(call.p), 10 * MAX_LOG_P)), status,
        ";".join(f"{k}={v}" for k, v in info.items()), ":".join(keys), ":".join(values[k] for k in keys),
    ]  # fmt: skip
    return "\t".join(fields)


def _sample(call: VariantCall) -> dict[str, str]:
    seen, depth = call.alt_by_stratum, call.depth_by_stratum
    tier_seen, tier_depth = ([sum(x[i] for i in of) for of in _OF_TIER] for x in (seen, depth))
    strands = {
        o: _list(map(str, (sum(depth[i] - seen[i] for i in of), sum(seen[i] for i in of))))
        for o, of in _OF_STRAND.items()
    }
    known = call.depth > 0
    return {
        "DP": str(call.depth), "AD": f"{call.depth - call.molecules},{call.molecules}",
        "AF": _number(call.vaf if known else None),
        "AFCI": _numbers([call.vaf_low, call.vaf_high] if known else [None, None]),
        "LOB": _number(call.lob if known else None), "LOD": _number(call.lod95), "LP": _number(_log_p(call.p)),
        "LPA": _number(_log_p(call.p_adjusted)), "BG": _number(call.background), "CPM": _number(call.copies_per_ml),
        "CPMCI": _numbers([call.copies_per_ml_low, call.copies_per_ml_high]),
        "DPT": _list(map(str, tier_depth)), "ADT": _list(map(str, tier_seen)),
        "AFT": _numbers([a / d if d else None for a, d in zip(tier_seen, tier_depth, strict=True)]),
        "DPS": _list(map(str, depth)), "ADS": _list(map(str, seen)), **strands,
    }  # fmt: skip


def _log_p(p: float) -> float:
    return 0.0 if p >= 1 else -math.log10(p) if p > 0 else MAX_LOG_P


def _number(value: float | None) -> str:
    return "." if value is None else f"{value:.6g}"


def _numbers(values: Sequence[float | None]) -> str:
    return _list(map(_number, values))


def _list(values: Iterable[str]) -> str:
    return ",".join(values)


def _encoded(text: str) -> str:
    """Percent-encoded, as VCF 4.3 asks, where a character has a meaning or is no visible ASCII."""
    if text == ".":
        return text
    return re.sub(r"[^!-~]|[;=%,]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), text)


def _quoted(text: str | None) -> str:
    escaped = _one_line(text or "").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
