from __future__ import annotations

import datetime
import hashlib
import json
import os
from pathlib import Path

import pytest

from esr1call import __version__
from esr1call.cli import run
from tests.io.test_batch import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.row().row("b1", type="blank").sheet()
    return lab


def record(lab: Lab) -> dict:
    out = lab.folder / "out" / "provenance.json"
    assert run(["provenance", "--config", str(lab.config()), "--out", str(out)]) == 0
    return json.loads(out.read_text())


def test_versions_config_and_checksums(lab: Lab) -> None:
    found = record(lab)
    assert (found["batch"], found["study"], found["config"]) == ("B1", "S1", lab.settings)
    assert found["versions"]["esr1call"] == __version__
    assert {"python", "numpy", "pysam", "pybwa", "scipy", "snakemake"} <= set(found["versions"])
    assert "pytest" not in found["versions"]
    assert datetime.datetime.fromisoformat(found["started"]).tzinfo is not None
    names = [
        "ref.fa",
        "panel.tsv",
        "rule.yaml",
        "model.json",
        "samples.tsv",
        "s1_1.fq",
        "s1_2.fq",
        "b1_1.fq",
        "b1_2.fq",
    ]
    assert {Path(p).name for p in found["inputs"]} == set(names)
    for path, values in found["inputs"].items():
        content = Path(path).read_bytes()
        assert (values["bytes"], values["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_changed_input_is_read_again_and_an_unchanged_one_is_not(lab: Lab) -> None:
    first = record(lab)["inputs"]
    out = lab.folder / "out" / "provenance.json"
    changed, kept = lab.folder / "s1_1.fq", str(lab.folder / "s1_2.fq")
    marked = json.loads(out.read_text())
    marked["inputs"][kept]["sha256"] = "as before"
    out.write_text(json.dumps(marked))
    changed.write_text("other")
    os.utime(changed, ns=(1, 1))
    second = record(lab)["inputs"]
    assert second[str(changed)]["sha256"] == hashlib.sha256(b"other").hexdigest() != first[str(changed)]["sha256"]
    assert second[kept]["sha256"] == "as before"


@pytest.mark.parametrize("text", ["[1]", "{", '{"inputs": 3}', '{"inputs": {"x": 1}}'])
def test_another_file_in_the_way_is_not_overwritten(lab: Lab, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = lab.folder / "other.json"
    out.write_text(text)
    assert run(["provenance", "--config", str(lab.config()), "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"esr1call: error: {out}: not ")
    assert out.read_text() == text
