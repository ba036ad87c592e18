"""Calls, contexts and a whole batch for the tests of the formats."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from esr1call.formats.context import Context
from esr1call.haplotype import describe
from esr1call.io.results_file import write_quality
from esr1call.panel import Panel
from esr1call.pileup.filters import FILTERS
from esr1call.results import (
    BatchQuality,
    CallStatus,
    Check,
    Outcome,
    SampleQuality,
    SampleResult,
    SampleStatus,
    VariantCall,
)
from esr1call.timeline import to_json
from tests.builders import (
    PANEL_TSV,
    REFERENCE_FASTA,
    ROOT,
    esr1_panel,
    haplotype_of,
    sample_result,
    variant_call,
    window_of,
)
from tests.io.test_batch import Lab


def context(**given: Any) -> Context:
    """The shipped panel in study S1; any field can be given."""
    values: dict[str, Any] = {
        "study": "S1", "panel": esr1_panel(), "required_lod": 0.005, "min_molecules": 2, "version": "1.2.3",
    }  # fmt: skip
    return Context(**{**values, **given})


def call_of(window: str, shown: str, panel: Panel | None = None, **given: Any) -> VariantCall:
    """A call of a window's haplotype (bases, or a panel variant's name), named as calling names it."""
    panel = panel or esr1_panel()
    haplotype = haplotype_of(panel, window, shown) if shown[:2] in ("p.", "c.") else shown
    name = describe(panel, window_of(panel, window), haplotype)
    return variant_call(
        window=window, haplotype=haplotype, protein=name.protein, cdna=name.cdna, consequence=name.consequence,
        panel_variants=name.panel_variants, contig=panel.contig, pos=name.pos, ref=name.ref, alt=name.alt, **given,
    )  # fmt: skip


def every_panel_call(**given: Any) -> list[VariantCall]:
    """All alleles of the panel, each as `given`."""
    return [call_of(v.window, v.haplotype, **given) for v in esr1_panel().variants]


NOT_SEEN: dict[str, Any] = {
    "molecules": 0, "alt_by_stratum": (0, 0, 0, 0, 0), "depth_by_stratum": (1000, 1000, 1000, 1000, 1000), "p": 1.0,
    "p_adjusted": 1.0, "vaf": 0.0, "vaf_low": 0.0, "vaf_high": 0.0008, "copies_per_ml": 0.0, "copies_per_ml_low": 0.0,
    "copies_per_ml_high": 1.8, "status": CallStatus.NOT_DETECTED,
}  # fmt: skip
NO_MOLECULES: dict[str, Any] = {
    **NOT_SEEN, "depth": 0, "depth_by_stratum": (0, 0, 0, 0, 0), "lob": 1.0, "lod95": None, "vaf_high": 1.0,
    "copies_per_ml": None, "copies_per_ml_low": None, "copies_per_ml_high": None, "status": CallStatus.NO_CALL,
}  # fmt: skip
TOO_FEW: dict[str, Any] = {
    **NOT_SEEN, "depth": 300, "depth_by_stratum": (60, 60, 60, 60, 60), "lod95": 0.0157, "status": CallStatus.NO_CALL,
}  # fmt: skip
TOO_NOISY: dict[str, Any] = {**NOT_SEEN, "lod95": 0.0061, "status": CallStatus.NO_CALL}


def batch_results() -> list[SampleResult]:
    """Every kind of result: with and without variants, with too little power, failed, and controls."""
    negative = every_panel_call(**NOT_SEEN)
    seen = {"p.D538G", "p.L536Q", "p.V422del"}
    positive = [
        call_of(c.window, c.haplotype, p=0.0 if c.protein == "p.D538G" else 1e-40) if c.protein in seen else c
        for c in negative
    ]
    positive.append(call_of("536-538", "CTCTCTGGC", kind="other", molecules=20, vaf=0.004))
    positive.append(call_of("536-538", "CTCTATGACGAC", kind="other", molecules=20, vaf=0.004))
    few = every_panel_call(**TOO_FEW)
    few[0] = call_of(few[0].window, few[0].haplotype, **TOO_NOISY)
    hostile = '=cmd|"/c calc"!A1; <script>alert(1)</script>\t\n@x'
    inputs = {"panel": esr1_panel().sha256, "counts": "1" * 64, "background": "2" * 64, "settings": "3" * 64}
    control: dict[str, Any] = {"patient": None, "visit": None, "collected": None, "plasma_ml": None, "cfdna_ng": None}
    return [
        sample_result(sample="P1-V1", patient="P1", calls=negative, inputs=inputs),
        sample_result(sample="P1-V2", patient="P1", visit="V 2", collected="2024-03-15", calls=positive, inputs=inputs),
        sample_result(sample="P2-V1", patient="P2", visit=None, calls=few, reasons=("no power",), inputs=inputs),
        sample_result(sample="P2_V2", patient="P2", calls=positive, status=SampleStatus.QC_FAILED, reasons=(hostile,),
                      inputs=inputs),
        sample_result(sample="NTC-1", sample_type="ntc", calls=every_panel_call(**NO_MOLECULES), inputs=inputs,
                      **control),
        sample_result(sample="WT.1", sample_type="wild_type", calls=negative, inputs=inputs, **control),
    ]  # fmt: skip


def batch_quality() -> BatchQuality:
    """A failed check in hostile words, one of the whole batch, and measures of a full and of an empty sample."""
    hostile = "<script>alert(1)</script> & 4 > 3"
    checks = (
        Check("ntc", "NTC-1", Outcome.FAILED, hostile, 12, 10, "look"),
        Check("error_rate", None, Outcome.NOT_ASSESSED, "no duplex molecules"),
    )
    empty: dict[str, Any] = {f.name: None for f in fields(SampleQuality)}
    empty |= {"sample_type": "ntc", "status": SampleStatus.QC_FAILED, "called_status": SampleStatus.INDETERMINATE,
              "molecules": 0.0, "duplex_molecules": 0.0, "fragment_bin": 10, "fragment_lengths": (),
              "family_sizes": (), "genotypes": {}, "windows": (), "errors": ()}  # fmt: skip
    full = {**empty, "sample_type": "patient", "patient": "P1", "molecules": 2500.0, "duplex_yield": 0.27,
            "conversion": 0.4, "on_target_rate": 0.9, "fragment_lengths": (0, 3, 9, 4)}  # fmt: skip
    return BatchQuality("B1", checks, (SampleQuality(**{**full, "sample": "P1-V1"}),
                                       SampleQuality(**{**empty, "sample": "NTC-1"})))  # fmt: skip


def write_batch(folder: Path, **settings: Any) -> Path:
    """The folder of a batch with these results, as the steps before export leave it."""
    folder.mkdir(parents=True, exist_ok=True)
    lab = Lab(folder)
    lab.settings |= {
        "reference": {"path": str(REFERENCE_FASTA), "build": "GRCh38"}, "panel": str(PANEL_TSV),
        "trigger": {"rule": str(ROOT / "config/rules/pada1.yaml"), "ledger": str(folder / "ledger.sqlite")}, **settings,
    }  # fmt: skip
    out = folder / "results" / "B1"
    for result in batch_results():
        lab.row(
            result.sample, type=result.sample_type, **({} if result.patient is None else {"patient": result.patient})
        )
        place = out / "samples" / result.sample
        place.mkdir(parents=True)
        (place / "result.json").write_text(json.dumps(to_json(result)))
        (place / "counts.json").write_text(
            json.dumps({"reads": {**dict.fromkeys(FILTERS, 0), "counted": 100, "low_mapq": 3}})
        )
    lab.sheet()
    write_quality(out, batch_quality())
    (out / "config.json").write_text(json.dumps(lab.settings))
    return out


def random_haplotypes(number: int, panel: Panel | None = None) -> list[tuple[str, str]]:
    """(window, haplotype) of changes of all kinds in all windows: substitutions near and apart, insertions (also of
    what stands beside them), deletions, and both."""
    panel = panel or esr1_panel()
    rng = np.random.default_rng(1)
    found = []
    while len(found) < number:
        window = panel.windows[rng.integers(len(panel.windows))]
        bases = list(window.reference)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(bases) + 1)) if bases else 0
            kind = rng.integers(4)
            if kind < 2 and at < len(bases):
                bases[at] = "ACGT"[rng.integers(4)]
            elif kind == 2:
                del bases[at : at + int(rng.integers(1, 5))]
            else:
                beside = bases[max(at - int(rng.integers(1, 5)), 0) : at]
                bases[at:at] = beside if rng.random() < 0.5 else ["ACGT"[i] for i in rng.integers(4, size=2)]
        if (shown := "".join(bases)) != window.reference:
            found.append((window.name, shown))
    return list(dict.fromkeys(found))
