from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from esr1call.cli import run
from esr1call.history import result_from_json
from esr1call.io.counts_file import write_counts
from esr1call.io.model_file import read_model, write_model
from esr1call.io.schema import validate
from tests.background_builders import World, empty_counts, hotspot_model, hotspot_panel, hotspot_panel_file
from tests.builders import REFERENCE_FASTA, ROOT

SAMPLES: dict[str, tuple[str, list[tuple[str, str, float]]]] = {
    "p1": ("patient", []),
    "p2": ("patient", [("536-538", "p.D538G", 0.01)]),
    "wt": ("wild_type", []),
    "pc": ("positive_control", [("536-538", "p.D538G", 0.02)]),
    "ntc": ("ntc", []),
    "b1": ("blank", []),
    "b2": ("blank", []),
    "b3": ("blank", []),
}


class Lab:
    """A batch whose counts lie there; `run` calls it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.panel = folder, hotspot_panel()
        write_model(folder / "model.json", hotspot_model())
        self.config: dict[str, Any] = {
            "batch": "B1", "study": "S1", "samples": str(folder / "samples.tsv"),
            "reference": {"path": str(REFERENCE_FASTA), "build": "GRCh38"},
            "panel": str(hotspot_panel_file(folder)), "background": str(folder / "model.json"),
            "trigger": {"rule": str(ROOT / "config/rules/pada1.yaml"), "ledger": str(folder / "l.sqlite")},
            "alignment": {"read_structure": "3M2S+T 3M2S+T"},
        }  # fmt: skip
        world, rows = (
            World.of(self.panel),
            ["sample\tpatient\tvisit\tcollected\ttype\tbam\tplasma_ml\tcfdna_ng\texpected"],
        )
        for i, (name, (kind, spikes)) in enumerate(SAMPLES.items()):
            table = world.sample(self.panel, np.random.default_rng(i), spikes=spikes)
            self.counts(name, empty_counts(self.panel) if kind == "ntc" else table)
            person = f"{name}\tP{i}\tV1\t2024-01-0{i + 1}" if kind == "patient" else f"{name}\t\t\t"
            expected = "p.D538G=0.02" if kind == "positive_control" else ""
            rows.append(f"{person}\t{kind}\t{name}.bam\t4\t33\t{expected}")
        (folder / "samples.tsv").write_text("\n".join(rows) + "\n")

    def counts(self, name: str, table: Any) -> None:
        write_counts(self.folder / "samples" / name / "counts.tsv", table, self.panel)

    def run(self) -> int:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))
        return run(["call", "--config", str(self.folder / "config.yaml"), "--counts-dir", str(self.folder / "samples"),
                    "--out-dir", str(self.folder / "out")])  # fmt: skip

    def result(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((self.folder / "out" / "samples" / name / "result.json").read_text())
        result_from_json(values)
        validate(values, "result", file=name)
        return values


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_batch(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.run() == 0
    statuses = {name: lab.result(name)["status"] for name in SAMPLES}
    assert statuses == {
        "p1": "NOT_DETECTED", "p2": "DETECTED", "wt": "NOT_DETECTED", "pc": "DETECTED", "ntc": "INDETERMINATE",
        "b1": "NOT_DETECTED", "b2": "NOT_DETECTED", "b3": "NOT_DETECTED",
    }  # fmt: skip
    second = lab.result("p2")
    assert (second["patient"], second["collected"], second["plasma_ml"]) == ("P1", "2024-01-02", 4)
    [found] = [c for c in second["calls"] if c["status"] == "DETECTED"]
    assert found["protein"] == "p.D538G"
    assert second["inputs"]["background"] == hotspot_model().sha256
    assert json.loads((lab.folder / "out" / "qc.json").read_text())["passed"] is True
    rows = (lab.folder / "out" / "calls.tsv").read_text().splitlines()
    assert len(rows) == 1 + sum(len(lab.result(n)["calls"]) for n in SAMPLES)
    assert capsys.readouterr().err.splitlines()[-1] == "2 DETECTED, 1 INDETERMINATE, 5 NOT_DETECTED"
    assert not (lab.folder / "out" / "background.json").exists()


def test_background_fitted_on_the_batchs_own_blanks(lab: Lab) -> None:
    lab.config["background"] = "fit"
    assert lab.run() == 0
    model = read_model(lab.folder / "out" / "background.json", hotspot_panel())
    assert [b.id for b in model.blanks] == ["b1", "b2", "b3"]
    assert lab.result("p2")["inputs"]["background"] == model.sha256
    assert lab.result("p2")["status"] == "DETECTED"


def test_a_failed_control_fails_the_batch(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    table = World.of(lab.panel).sample(lab.panel, np.random.default_rng(1))
    lab.counts("ntc", table)
    assert lab.run() == 0
    assert lab.result("p2")["status"] == lab.result("p1")["status"] == "QC_FAILED"
    assert lab.result("p2")["reasons"][0].startswith("control ntc failed")
    assert "ntc of ntc: failed: 8500 molecules" in capsys.readouterr().err


def test_required_lod_is_the_rules(lab: Lab) -> None:
    rule = yaml.safe_load((ROOT / "config/rules/pada1.yaml").read_text())
    (lab.folder / "rule.yaml").write_text(yaml.safe_dump(rule | {"required_lod": 0.0005}))
    lab.config["trigger"]["rule"] = str(lab.folder / "rule.yaml")
    assert lab.run() == 0
    assert lab.result("b1")["status"] == "INDETERMINATE"
    assert lab.result("p1")["reasons"][0].startswith("control wt failed: wild type is INDETERMINATE")


def test_two_runs_write_the_same_bytes(lab: Lab) -> None:
    def written() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted((lab.folder / "out").rglob("*")) if p.is_file()}

    lab.run()
    first = written()
    lab.run()
    assert written() == first
    assert len(first) == len(SAMPLES) + 3


def test_missing_counts(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    (lab.folder / "samples" / "p2" / "counts.tsv").unlink()
    assert lab.run() == 2
    assert "p2/counts.tsv" in capsys.readouterr().err
    assert not (lab.folder / "out").exists()


def test_model_of_another_panel(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.config["panel"] = str(ROOT / "config/panels/esr1_lbd.tsv")
    assert lab.run() == 2
    assert "another panel" in capsys.readouterr().err
    assert not (lab.folder / "out").exists()
