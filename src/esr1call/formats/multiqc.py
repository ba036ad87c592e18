"""A batch's quality as MultiQC custom content: files that `multiqc` finds by their names (``*_mqc.json``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from statistics import fmean
from typing import Any

from esr1call.counts import STRATA
from esr1call.results import CallStatus, SampleResult

Content = dict[str, Any]

_PARENT = {"parent_id": "esr1call", "parent_name": "esr1call", "parent_description": "ESR1 variants, by molecule."}
_RULES = {
    "pass": ["passed"],
    "warn": ["INDETERMINATE", "warning"],
    "fail": ["QC_FAILED", "failed"],
}


def files(
    results: Sequence[SampleResult], quality: Mapping[str, Any], reads: Mapping[str, Mapping[str, int]]
) -> dict[str, Content]:
    """File name -> content. `quality` is qc.json; `reads` what became of each sample's reads (counts.json)."""
    return {
        "esr1call_general_mqc.json": _general(results),
        "esr1call_samples_mqc.json": _samples(results),
        "esr1call_checks_mqc.json": _checks(quality["checks"]),
        "esr1call_yield_mqc.json": _yield(quality["samples"]),
        "esr1call_molecules_mqc.json": _molecules(results),
        "esr1call_fragments_mqc.json": _fragments(quality["samples"]),
        "esr1call_reads_mqc.json": _bars(
            "esr1call_reads", "Reads", "What became of the reads near the panel's windows.", "Reads", reads
        ),
    }


def _general(results: Sequence[SampleResult]) -> Content:
    headers = {
        "variants": {"title": "Variants", "description": "Variants detected", "format": "{:,.0f}", "min": 0},
        "highest_vaf": {"title": "Highest VAF", "description": "Highest VAF detected, percent", "suffix": "%",
                        "format": "{:,.3f}", "min": 0},
        "molecules": {"title": "Molecules", "description": "Molecules of the panel window with the fewest",
                      "format": "{:,.0f}", "min": 0},
        "highest_lod": {"title": "LoD95", "description": "Highest LoD95 of a panel allele, percent", "suffix": "%",
                        "format": "{:,.3f}", "min": 0, "scale": "OrRd"},
    }  # fmt: skip
    data = {}
    for r in results:
        detected = [c for c in r.calls if c.status is CallStatus.DETECTED]
        panel = [c for c in r.calls if c.kind == "panel"]
        row: dict[str, float] = {"variants": len(detected), "molecules": min((c.depth for c in panel), default=0)}
        lods = [c.lod95 for c in panel if c.lod95 is not None]
        if detected:
            row["highest_vaf"] = 100 * max(c.vaf for c in detected)
        if lods and len(lods) == len(panel):
            row["highest_lod"] = 100 * max(lods)
        data[r.sample] = row
    return {"id": "esr1call_general", "plot_type": "generalstats", "headers": headers, "data": data}


def _samples(results: Iterable[SampleResult]) -> Content:
    data = {}
    for r in results:
        detected = [f"{c.protein} {c.cdna} {100 * c.vaf:.3g}%" for c in r.calls if c.status is CallStatus.DETECTED]
        data[r.sample] = {
            "type": r.sample_type, "patient": r.patient or "", "visit": r.visit or "", "status": str(r.status),
            "variants": "; ".join(detected), "reasons": "; ".join(r.reasons),
        }  # fmt: skip
    headers = {
        "type": {"title": "Type"}, "patient": {"title": "Patient"}, "visit": {"title": "Visit"},
        "status": _status("Status"), "variants": {"title": "Variants detected"}, "reasons": {"title": "Reasons"},
    }  # fmt: skip
    return _table("esr1call_samples", "Samples", "Status of each sample, and why.", headers, data)


def _checks(checks: Iterable[Mapping[str, Any]]) -> Content:
    data = {}
    for number, check in enumerate(checks, 1):
        data[f"{number:03d} {check['sample'] or 'batch'}"] = {
            "check": check["name"], "outcome": check["outcome"], "explanation": check["explanation"],
            "next_step": check["next_step"],
        }  # fmt: skip
    headers = {
        "check": {"title": "Check"}, "outcome": _status("Outcome"), "explanation": {"title": "Explanation"},
        "next_step": {"title": "Next step"},
    }  # fmt: skip
    return _table("esr1call_checks", "Quality checks", "Each control and check, in words.", headers, data)


_YIELD = (
    ("molecules", "Molecules", "Median over the hotspot windows, decided or not", 1, "", 0),
    ("duplex_yield", "Duplex", "Molecules seen from both strands", 100, "%", 1),
    ("undecided_rate", "Undecided", "Molecules whose haplotype could not be told", 100, "%", 2),
    ("conversion", "Conversion", "Molecules per haploid genome in the cfDNA", 100, "%", 1),
    ("on_target_rate", "On target", "Mapped reads near the panel's windows", 100, "%", 1),
    ("family_size", "Family size", "Read pairs per strand family, mean", 1, "", 2),
    ("fragment_length", "Fragment", "Median fragment length, bp", 1, " bp", 0),
    ("contamination", "Contamination", "Molecules from another sample of the batch", 100, "%", 2),
    ("error_ratio", "Errors", "Errors over those that the background model expects", 1, "", 2),
)
"""Measure of qc.json, its title and description, what it is multiplied by, its unit and digits."""


def _yield(samples: Iterable[Mapping[str, Any]]) -> Content:
    data = {
        s["sample"]: {name: by * s[name] for name, _, _, by, _, _ in _YIELD if s[name] is not None} for s in samples
    }
    headers = {
        name: {"title": title, "description": what, "suffix": unit, "format": f"{{:,.{digits}f}}", "min": 0,
               "scale": "Blues"}
        for name, title, what, _, unit, digits in _YIELD
    }  # fmt: skip
    return _table("esr1call_yield", "Yield", "What each sample gave.", headers, data)


def _fragments(samples: Iterable[Mapping[str, Any]]) -> Content:
    data = {
        s["sample"]: {i * s["fragment_bin"]: n for i, n in enumerate(s["fragment_lengths"])}
        for s in samples
        if any(s["fragment_lengths"])
    }
    content = _bars("esr1call_fragments", "Fragment lengths", "Fragments by length.", "Fragments", data)
    content["plot_type"] = "linegraph"
    content["pconfig"]["xlab"] = "Length, bp"
    return content


def _status(title: str) -> Content:
    return {
        "title": title,
        "cond_formatting_rules": {rule: [{"s_eq": s} for s in of] for rule, of in _RULES.items()},
    }


def _table(name: str, title: str, what: str, headers: Content, data: Mapping[str, Mapping[str, Any]]) -> Content:
    shown = {escape(s): {k: escape(v) if isinstance(v, str) else v for k, v in row.items()} for s, row in data.items()}
    return {
        "id": name, **_PARENT, "section_name": title, "description": what, "plot_type": "table",
        "pconfig": {"id": f"{name}_table", "title": f"esr1call: {title}", "col1_header": "Sample", "no_violin": True,
                    "sort_rows": False},
        "headers": {k: {"scale": False, **h} for k, h in headers.items()}, "data": shown,
    }  # fmt: skip


def _molecules(results: Iterable[SampleResult]) -> Content:
    data = {}
    for r in results:
        windows = {c.window: c.depth_by_stratum for c in r.calls if c.kind == "panel"}
        if windows:
            data[r.sample] = {s: fmean(w[i] for w in windows.values()) for i, s in enumerate(STRATA)}
    return _bars("esr1call_molecules", "Molecules", "Molecules per panel window, by tier and strand (mean).",
                 "Molecules", data)  # fmt: skip


def _bars(name: str, title: str, what: str, unit: str, data: Mapping[str, Mapping[Any, float]]) -> Content:
    return {
        "id": name, **_PARENT, "section_name": title, "description": what, "plot_type": "bargraph",
        "pconfig": {"id": f"{name}_plot", "title": f"esr1call: {title}", "ylab": unit}, "data": dict(data),
    }  # fmt: skip
