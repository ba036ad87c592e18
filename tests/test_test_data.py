"""The committed batch is what its script makes, small, and described truly."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from esr1call.io.reference import Reference
from esr1call.io.sheet import load_sheet
from esr1call.panel import Panel
from esr1call.simulate import write_fastq
from tests.builders import ROOT

DATA = ROOT / "test_data"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_test_data", ROOT / "scripts" / "make_test_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_test_data"] = module
    spec.loader.exec_module(module)
    return module


def truth() -> list[dict[str, str]]:
    with (DATA / "truth.tsv").open() as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_at_most_20_megabytes() -> None:
    assert sum(p.stat().st_size for p in DATA.rglob("*") if p.is_file()) < 20e6


@pytest.mark.parametrize("sample", ["NTC-1", "P002-V3"])
def test_the_script_makes_the_committed_reads(script: ModuleType, panel: Panel, tmp_path: Path, sample: str) -> None:
    plan = next(p for p in script.SAMPLES if p.sample == sample)
    simulation = script.draw(plan, panel, Reference(script.REFERENCE))
    write_fastq(simulation, *script.fastq_of(tmp_path, sample), level=1)
    for made, kept in zip(script.fastq_of(tmp_path, sample), script.fastq_of(DATA / "fastq", sample), strict=True):
        assert gzip.decompress(made.read_bytes()) == gzip.decompress(kept.read_bytes())
    rows = [line.split("\t") for line in script.truth_rows(plan, simulation)]
    assert rows == [list(r.values()) for r in truth() if r["sample"] == sample]


def test_the_sheet_lists_what_the_script_plans(script: ModuleType) -> None:
    samples = load_sheet(DATA / "samples.tsv")
    assert [s.sample for s in samples] == [p.sample for p in script.SAMPLES]
    assert {s.type for s in samples} == {"patient", "ntc", "wild_type", "positive_control"}
    control = next(s for s in samples if s.type == "positive_control")
    assert control.expected == dict(script.CONTROL)


def test_truth_names_every_clone_at_its_fraction(script: ModuleType) -> None:
    clones = [r for r in truth() if r["origin"] == "clone"]
    planned = {(p.sample, name): vaf for p in script.SAMPLES for name, vaf in p.clones}
    assert len(clones) == len(planned)
    for row in clones:
        vaf = planned.get((row["sample"], row["protein"])) or planned[row["sample"], row["cdna"]]
        assert float(row["vaf"]) == vaf
        assert int(row["mutant"]) == round(vaf * int(row["covering"]))
    germline = {(r["patient"], r["protein"]) for r in truth() if r["origin"] == "germline"}
    assert germline == {("P002", "p.P325="), ("P003", "p.P325=")}


def test_every_clone_is_where_the_depth_is() -> None:
    for row in truth():
        if row["origin"] == "clone":
            assert sum(int(v) for k, v in row.items() if k.endswith("_all")) > 2500
