"""A batch from FASTQ to events, in which things went wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esr1call.cli import run
from esr1call.io.files import write_json
from esr1call.io.reference import Reference, load_panel
from esr1call.simulate import (
    SimulationParameters,
    hotspot_targets,
    parse_snp,
    parse_spike,
    simulate_sample,
    write_fastq,
)
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT

HET, HOM = ("151944387:G>C:het",), ("151944387:G>C:hom",)
LOW = 100
SAMPLES: dict[str, tuple[str, str, str, float, tuple[str, ...], tuple[str, ...]]] = {
    # sample: patient, day, type, molecules, SNPs, spikes
    "A-V1": ("A1", "2026-01-10", "patient", 3000, (), ("p.D538G=0.3",)),
    "B-V1": ("B1", "2026-01-10", "patient", 3000, (), ()),  # and read pairs of A-V1
    "C-V1": ("C1", "2026-01-10", "patient", 3000, HET, ()),
    "C-V2": ("C1", "2026-03-10", "patient", 3000, HOM, ("p.Y537S=0.05",)),  # is D-V2
    "D-V1": ("D1", "2026-01-10", "patient", 3000, HOM, ()),
    "D-V2": ("D1", "2026-03-10", "patient", 3000, HET, ()),  # is C-V2
    "E-V1": ("E1", "2026-01-10", "patient", LOW, (), ()),
    "F-V1": ("F1", "2026-01-10", "patient", 3000, HET, ()),
    "F-V2": ("F1", "2026-03-10", "patient", 3000, HET, ("p.E380Q=0.02",)),
    "NTC": ("", "", "ntc", 1, (), ()),
    "WT": ("", "", "wild_type", 3000, (), ()),
    "PC": ("", "", "positive_control", 3000, (), ("p.D538G=0.02",)),
}
EXPECTED = {
    "A-V1": "DETECTED", "B-V1": "QC_FAILED", "C-V1": "NOT_DETECTED", "C-V2": "QC_FAILED", "D-V1": "NOT_DETECTED",
    "D-V2": "QC_FAILED", "E-V1": "INDETERMINATE", "F-V1": "NOT_DETECTED", "F-V2": "DETECTED", "NTC": "INDETERMINATE",
    "WT": "NOT_DETECTED", "PC": "DETECTED",
}  # fmt: skip


def write_reads(folder: Path) -> None:
    reference = Reference(REFERENCE_FASTA)
    panel = load_panel(PANEL_TSV, reference, "GRCh38")
    for i, (name, (_, _, _, molecules, snps, spikes)) in enumerate(SAMPLES.items()):
        parameters = SimulationParameters(
            molecules=molecules, spikes=tuple(parse_spike(s, panel) for s in spikes), exact=True,
            snps=tuple(parse_snp(s) for s in snps), targets=hotspot_targets(panel), mean_family_size=2.2,
            read_length=100, low_quality=(0.005, 0.04),
        )  # fmt: skip
        made = simulate_sample(parameters, panel, reference, np.random.default_rng([7, i]))
        write_fastq(made, folder / f"{name}_R1.fastq.gz", folder / f"{name}_R2.fastq.gz", level=1)
    # Of every hundred read pairs of A-V1 one comes with the index of B-V1.
    rng, chosen = np.random.default_rng(1), None
    for mate in (1, 2):
        with gzip.open(folder / f"A-V1_R{mate}.fastq.gz", "rt") as handle:
            lines = handle.read().splitlines()
        if chosen is None:
            chosen = np.flatnonzero(rng.random(len(lines) // 4) < 0.01).tolist()
        with gzip.open(folder / f"B-V1_R{mate}.fastq.gz", "at") as out:
            for i in chosen:
                out.write("\n".join(lines[4 * i : 4 * i + 4]) + "\n")


def sheet(folder: Path) -> Path:
    rows = ["sample\tpatient\tvisit\tcollected\ttype\tfastq_1\tfastq_2\tplasma_ml\tcfdna_ng\texpected"]
    for name, (patient, day, kind, molecules, _, spikes) in SAMPLES.items():
        ng = "" if kind == "ntc" else f"{molecules * 3.3 / 1000:.2f}"
        visit = name.partition("-")[2] if patient else ""
        expected = ";".join(spikes) if kind == "positive_control" else ""
        fastq = f"{name}_R1.fastq.gz\t{name}_R2.fastq.gz"
        rows.append(f"{name}\t{patient}\t{visit}\t{day}\t{kind}\t{fastq}\t{4 if patient else ''}\t{ng}\t{expected}")
    path = folder / "samples.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.slow
def test_from_reads_to_events(tmp_path: Path) -> None:
    write_reads(tmp_path)
    out, rule, snps = tmp_path / "out", ROOT / "config/rules/pada1.yaml", ROOT / "config/panels/esr1_snps.tsv"
    place = ["--reference", str(REFERENCE_FASTA), "--build", "GRCh38"]
    assert run(["index", "--reference", str(REFERENCE_FASTA), "--out-dir", str(tmp_path / "index")]) == 0
    for name in SAMPLES:
        fastq = [x for m in (1, 2) for x in (f"--fastq-{m}", str(tmp_path / f"{name}_R{m}.fastq.gz"))]
        options = ["--index", str(tmp_path / "index" / "reference"), "--read-structure", "3M2S+T 3M2S+T"]
        given = ["--panel", str(PANEL_TSV), "--snps", str(snps), "--out-dir", str(out / "samples" / name)]
        empty = ["--allow-empty"] if name == "NTC" else []
        assert run(["sample", "--sample", name, *fastq, *place, *options, *given, *empty]) == 0
    ledger = tmp_path / "ledger.sqlite"
    config: dict[str, Any] = {
        "batch": "B1", "study": "S1", "samples": str(sheet(tmp_path)), "panel": str(PANEL_TSV),
        "reference": {"path": str(REFERENCE_FASTA), "build": "GRCh38"},
        "background": str(ROOT / "test_data/background/model.json"),
        "trigger": {"rule": str(rule), "ledger": str(ledger)},
        "alignment": {"read_structure": "3M2S+T 3M2S+T"}, "qc": {"snps": str(snps)},
    }  # fmt: skip
    write_json(out / "config.json", config)
    assert run(["qc", str(out)]) == 0
    quality = json.loads((out / "qc.json").read_text())
    assert {s["sample"]: s["status"] for s in quality["samples"]} == EXPECTED
    failed = {(c["sample"], c["name"]) for c in quality["checks"] if c["outcome"] == "failed"}
    assert failed >= {("B-V1", "contamination"), ("C-V2", "identity"), ("D-V2", "identity")}
    assert {sample for sample, _ in failed} == {"B-V1", "C-V2", "D-V2"}
    of = {s["sample"]: s for s in quality["samples"]}
    assert of["B-V1"]["contamination_source"] == "A-V1"
    assert of["C-V1"]["genotypes"]["rs1801132"] == "C/G"
    given = ["--rule", str(rule), "--ledger", str(ledger), "--study", "S1", "--out", str(out / "triggers")]
    assert run(["trigger", "--batch-dir", str(out), *given]) == 0
    raised = [p.name for p in (out / "triggers").glob("*.event.json") if ".raised." in p.name]
    assert raised == ["F1.0001.raised.event.json"]
