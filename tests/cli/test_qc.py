from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from esr1call.cli import run
from esr1call.io.counts_file import write_counts
from esr1call.io.earlier import read_earlier
from esr1call.io.files import write_json
from esr1call.io.model_file import write_model
from esr1call.io.molecules_file import write_molecules
from esr1call.io.schema import validate
from esr1call.simulate.batch import Drawn, Plan
from tests.background_builders import hotspot_model, hotspot_panel, hotspot_panel_file
from tests.builders import REFERENCE_FASTA, ROOT
from tests.quality.batches import HET, HOM, controls, patient, simulator, variant

FIRST = [patient("P1", "V1", HET), patient("P2", "V1", HOM)]
SECOND = [
    patient("P1", "V2", HET, "2024-02-15"),
    patient("P2", "V2", HOM, "2024-02-15", variants=(variant("p.D538G", 0.02),)),
]


class Lab:
    """Batches of one study as files, one ledger for all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_model(folder / "model.json", hotspot_model())
        self.panel = hotspot_panel_file(folder)

    def batch(self, name: str, plans: list[Plan], seed: int, **qc: Any) -> Path:
        """Counts, sample sheet and config of a batch; returns its results folder."""
        out = self.folder / name
        rows = ["sample\tpatient\tvisit\tcollected\ttype\tbam\tplasma_ml\tcfdna_ng\texpected"]
        for d in simulator().draw(plans, np.random.default_rng(seed)):
            self.sample(out / "samples" / d.info.sample, d)
            i = d.info
            expected = ";".join(f"{k}={v}" for k, v in i.expected.items())
            cells = (
                i.sample,
                i.patient,
                i.visit,
                i.collected,
                i.type,
                f"{i.sample}.bam",
                i.plasma_ml,
                i.cfdna_ng,
                expected,
            )
            rows.append("\t".join("" if c is None else str(c) for c in cells))
        sheet = self.folder / f"{name}.tsv"
        sheet.write_text("\n".join(rows) + "\n")
        write_json(out / "config.json", {
            "batch": name, "study": "S1", "samples": str(sheet), "panel": str(self.panel),
            "reference": {"path": str(REFERENCE_FASTA), "build": "GRCh38"},
            "background": str(self.folder / "model.json"),
            "trigger": {"rule": str(ROOT / "config/rules/pada1.yaml"), "ledger": str(self.folder / "ledger.sqlite")},
            "alignment": {"read_structure": "3M2S+T 3M2S+T"},
            "qc": {"snps": str(ROOT / "config/panels/esr1_snps.tsv"), **qc},
        })  # fmt: skip
        return out

    def sample(self, folder: Path, drawn: Drawn) -> None:
        panel = hotspot_panel()
        write_counts(folder / "counts.tsv", drawn.table, panel)
        write_molecules(folder / "molecules.npz", {panel.window_index[w]: s for w, s in drawn.sketches.items()}, panel)
        snps = [
            {"name": a.snp.name, "contig": a.snp.contig, "pos": a.snp.position + 1, "ref": a.snp.ref, "alt": a.snp.alt,
             "ref_molecules": a.ref, "alt_molecules": a.alt, "other_molecules": a.other}
            for a in drawn.alleles
        ]  # fmt: skip
        write_json(folder / "counts.json", {**drawn.summary, "reads_mapped": 9, "on_target_rate": 0.9, "snps": snps})

    def trigger(self, out: Path) -> None:
        options = ["--rule", str(ROOT / "config/rules/pada1.yaml"), "--ledger", str(self.folder / "ledger.sqlite")]
        assert run(["trigger", "--batch-dir", str(out), *options, "--study", "S1", "--out", str(out / "triggers")]) == 0


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def status(out: Path, sample: str) -> str:
    values: dict[str, Any] = json.loads((out / "samples" / sample / "result.json").read_text())
    validate(values, "result", file=sample)
    return str(values["status"])


def events(out: Path) -> list[str]:
    """Kinds of the batch's events."""
    files = (out / "triggers").glob("*.event.json")
    return sorted(json.loads(p.read_text())["type"].split(".")[-2] for p in files)


def test_a_good_batch_told_in_words(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    out = lab.batch("B1", [*FIRST, *controls()], 1)
    assert run(["qc", str(out)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == "QC_FAILED: no sample"
    assert shown[-2].endswith(" not assessed")
    assert len(shown) == 2
    values = json.loads((out / "qc.json").read_text())
    validate(values, "qc", file="qc.json")
    assert values["passed"] is True
    assert values["samples"][0]["genotypes"] == {"rs1801132": "C/G", "rs2228480": "G/G"}
    assert (out / "qc.tsv").read_text().startswith("batch\tsample\tkind\tname\toutcome\t")
    assert run(["qc", str(out), "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(values["checks"]) + 2
    assert status(out, "P1-V1") == "NOT_DETECTED"


def test_judging_again_by_other_limits(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    out = lab.batch("B1", [*FIRST, *controls(ntc=60)], 1)
    assert run(["qc", str(out)]) == 0
    assert status(out, "P1-V1") == "QC_FAILED"
    shown = capsys.readouterr().out
    assert shown.startswith("failed\tntc\tNTC\t")
    assert " -> find the source of the DNA" in shown
    config = json.loads((out / "config.json").read_text())
    config["qc"]["ntc_max_molecules"] = 500
    (lab.folder / "other.yaml").write_text(yaml.safe_dump(config))
    assert run(["qc", str(out), "--config", str(lab.folder / "other.yaml")]) == 0
    assert status(out, "P1-V1") == "NOT_DETECTED"


def test_a_swapped_pair_is_found_through_the_ledger_and_raises_nothing(lab: Lab) -> None:
    first = lab.batch("B1", [*FIRST, *controls()], 1)
    assert run(["qc", str(first)]) == 0
    lab.trigger(first)
    good = lab.batch("B2", [*SECOND, *controls()], 2)
    assert run(["qc", str(good)]) == 0
    assert (status(good, "P1-V2"), status(good, "P2-V2")) == ("NOT_DETECTED", "DETECTED")
    one, two = SECOND
    bad = lab.batch("B3", [replace(two, info=one.info), replace(one, info=two.info), *controls()], 2)
    assert run(["qc", str(bad)]) == 0
    assert (status(bad, "P1-V2"), status(bad, "P2-V2")) == ("QC_FAILED", "QC_FAILED")
    lab.trigger(bad)
    assert events(bad) == ["inconclusive", "inconclusive"]
    # Once the patients' first samples are voided, nothing is left to compare with.
    place = ["--ledger", str(lab.folder / "ledger.sqlite"), "--study", "S1", "--out", str(first / "triggers")]
    why = ["--rule", str(ROOT / "config/rules/pada1.yaml"), "--reason", "tubes were swapped", "--by", "S123"]
    for sample in ("P1-V1", "P2-V1"):
        assert run(["ledger", "void", sample, *place, *why]) == 0
    assert run(["qc", str(bad)]) == 0
    checks = json.loads((bad / "qc.json").read_text())["checks"]
    assert {c["outcome"] for c in checks if c["name"] == "identity"} == {"not_assessed"}


def test_files_of_an_earlier_version_have_nothing_to_judge_by(lab: Lab) -> None:
    """Counts alone, without counts.json and molecules.npz."""
    out = lab.batch("B1", [*FIRST, *controls()], 1)
    for path in out.glob("samples/*/*"):
        if path.name != "counts.tsv":
            path.unlink()
    assert run(["qc", str(out)]) == 0
    checks = json.loads((out / "qc.json").read_text())["checks"]
    assert {c["outcome"] for c in checks if c["name"] in ("contamination", "identity", "fragment_length")} == {
        "not_assessed"
    }
    assert status(out, "P1-V1") == "NOT_DETECTED"


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_broken_molecules_file(content: bytes, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    out = lab.batch("B1", [*FIRST, *controls()], 1)
    (out / "samples" / "P1-V1" / "molecules.npz").write_bytes(content)
    assert run(["qc", str(out)]) == 2
    assert "molecules.npz" in capsys.readouterr().err
    assert not (out / "qc.json").exists()


def test_earlier_results_by_file_are_those_of_the_ledger(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    first = lab.batch("B1", [*FIRST, *controls()], 1)
    none, some = lab.folder / "none.json", lab.folder / "some.json"
    assert run(["earlier", "--config", str(first / "config.json"), "--out", str(none)]) == 0
    assert read_earlier(none) == {}
    assert run(["qc", str(first)]) == 0
    lab.trigger(first)
    second = lab.batch("B2", [*SECOND, *controls()], 2)
    assert run(["earlier", "--config", str(second / "config.json"), "--out", str(some)]) == 0
    assert {p: [r.sample for r in rs] for p, rs in read_earlier(some).items()} == {"P1": ["P1-V1"], "P2": ["P2-V1"]}
    assert run(["earlier", "--config", str(first / "config.json"), "--out", str(none)]) == 0
    assert read_earlier(none) == {}  # a batch's own samples are not earlier ones
    given = ["--config", str(second / "config.json"), "--counts-dir", str(second / "samples"), "--out-dir", str(second)]
    found = []
    for options in ([], ["--earlier", str(some)]):
        assert run(["call", *given, *options]) == 0
        found.append((second / "qc.json").read_bytes())
    assert found[0] == found[1]
    listed = json.loads(some.read_text())
    listed["P1"][0]["sample"] = ["P1-V1"]
    for spoiled in ({"P1": 3}, listed):
        some.write_text(json.dumps(spoiled))
        assert run(["call", *given, "--earlier", str(some)]) == 2
        assert "some.json" in capsys.readouterr().err
