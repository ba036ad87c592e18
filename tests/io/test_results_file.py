from __future__ import annotations

import json
from pathlib import Path

import pytest

from esr1call.errors import InputError
from esr1call.history import result_from_json
from esr1call.io.results_file import CALL_COLUMNS, QC_COLUMNS, write_calls, write_quality, write_result
from esr1call.io.schema import schema, validate
from esr1call.results import (
    CHECKS,
    BatchQuality,
    Check,
    ErrorRate,
    Outcome,
    SampleQuality,
    SampleStatus,
    WindowYield,
)
from tests.builders import sample_result, variant_call


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    result = sample_result(calls=(variant_call(lod95=None, copies_per_ml=None), variant_call(p=1e-300)))
    write_result(tmp_path / "result.json", result)
    assert result_from_json(json.loads((tmp_path / "result.json").read_text())) == result


def test_calls_are_one_row_each(tmp_path: Path) -> None:
    calls = (
        variant_call(panel_variants=("p.Y537S", "p.D538G"), alt_by_stratum=(1, 2, 3, 4, 5), p=1.23456789e-12),
        variant_call(lod95=None, panel_variants=()),
    )
    write_calls(tmp_path / "calls.tsv", [sample_result(sample="A", calls=calls), sample_result(sample="B", calls=())])
    header, *rows = [line.split("\t") for line in (tmp_path / "calls.tsv").read_text().splitlines()]
    assert tuple(header) == CALL_COLUMNS
    first, second = (dict(zip(header, row, strict=True)) for row in rows)
    assert (first["sample"], second["sample"]) == ("A", "A")
    assert first["panel_variants"] == "p.Y537S,p.D538G"
    assert first["alt_by_stratum"] == "1,2,3,4,5"
    assert first["p"] == "1.23457e-12"
    assert (second["lod95"], second["panel_variants"]) == ("", "")
    assert first["status"] == "DETECTED"


def test_false_discovery_rate_is_over_the_patients_panel_alleles(tmp_path: Path) -> None:
    """By hand: p = 0.01, 0.02, 0.5 of three alleles; blanks, other haplotypes and empty windows are no tests."""
    given = [variant_call(p=0.01), variant_call(p=0.5), variant_call(p=1e-9, kind="other"), variant_call(depth=0)]
    patient = sample_result(calls=tuple(given))
    second = sample_result(calls=(variant_call(p=0.02),))
    blank = sample_result(sample_type="blank", calls=(variant_call(p=1e-5),))
    write_calls(tmp_path / "calls.tsv", [patient, second, blank])
    header, *rows = [line.split("\t") for line in (tmp_path / "calls.tsv").read_text().splitlines()]
    assert [row[header.index("q_batch")] for row in rows] == ["0.03", "0.5", "", "", "0.03", ""]


def test_results_are_as_their_schema_says(tmp_path: Path) -> None:
    good = sample_result(calls=(variant_call(lod95=None, copies_per_ml=None), variant_call()))
    write_result(tmp_path / "result.json", good)
    values = json.loads((tmp_path / "result.json").read_text())
    validate(values, "result", file="result.json")
    rules = schema("result")
    assert set(rules["properties"]) == set(values)
    assert set(rules["properties"]["calls"]["items"]["properties"]) == set(values["calls"][0])
    for wrong in ({"status": "FINE"}, {"calls": [values["calls"][0] | {"p": 2}]}, {"more": 1}):
        with pytest.raises(InputError):
            validate(values | wrong, "result", file="result.json")


def test_quality_is_as_its_schema_says(tmp_path: Path) -> None:
    checks = (Check("ntc", "N", Outcome.FAILED, "too many", 11, 10), Check("depth", None, Outcome.NOT_ASSESSED, ""))
    sample = SampleQuality(
        sample="P-V1", sample_type="patient", patient="P", visit="V1", status=SampleStatus.QC_FAILED,
        called_status=SampleStatus.DETECTED, reads_mapped=None, on_target_rate=0.5, molecules=10.0,
        duplex_molecules=3.5, duplex_yield=0.3, undecided_rate=0.0, input_hge=3000.0, conversion=0.4, family_size=2.0,
        umi_error_rate=None, fragment_length=166.0, fragment_bin=10, fragment_lengths=(0, 1), family_sizes=(0, 4),
        contamination=None, contamination_low=None, contamination_high=None, contamination_source=None,
        shared_molecules=None, error_ratio=1.1, genotypes={"rs1801132": "C/G"},
        windows=(WindowYield("536-538", (1, 2, 3, 4, 5), (0, 0, 0, 0, 1)),),
        errors=(ErrorRate("C>T", "duplex", 1, 0.5, 1000),),
    )  # fmt: skip
    write_quality(tmp_path, BatchQuality("B1", checks, (sample,), hop_rate=0.001))
    values = json.loads((tmp_path / "qc.json").read_text())
    validate(values, "qc", file="qc.json")
    assert (values["batch"], values["passed"], values["hop_rate"]) == ("B1", False, 0.001)
    assert values["checks"][0] == {
        "name": "ntc", "sample": "N", "outcome": "failed", "explanation": "too many", "value": 11, "threshold": 10,
        "next_step": "",
    }  # fmt: skip
    rules = schema("qc")["properties"]
    assert set(rules) == set(values)
    for given, rule in ((values["checks"][0], rules["checks"]), (values["samples"][0], rules["samples"])):
        assert set(rule["items"]["properties"]) == set(given)
    assert rules["checks"]["items"]["properties"]["name"]["enum"] == list(CHECKS)
    header, *rows = [line.split("\t") for line in (tmp_path / "qc.tsv").read_text().splitlines()]
    assert tuple(header) == QC_COLUMNS
    assert rows[0] == ["B1", "N", "check", "ntc", "failed", "11", "10", "too many", ""]
    assert ["B1", "P-V1", "measure", "duplex_yield", "", "0.3", "", "", ""] in rows
    assert {len(row) for row in rows} == {len(QC_COLUMNS)}
