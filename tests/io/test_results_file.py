from __future__ import annotations

import json
from pathlib import Path

import pytest

from esr1call.errors import InputError
from esr1call.history import result_from_json
from esr1call.io.results_file import CALL_COLUMNS, write_calls, write_quality, write_result
from esr1call.io.schema import schema, validate
from esr1call.quality import Check, QualityReport
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


def test_quality(tmp_path: Path) -> None:
    report = QualityReport(
        (Check("ntc", "N", False, "too many"), Check("wild_type", "W", True, "")), ("positive_control",)
    )
    write_quality(tmp_path / "qc.json", report, "B1")
    assert json.loads((tmp_path / "qc.json").read_text()) == {
        "batch": "B1",
        "passed": False,
        "checks": [
            {"name": "ntc", "sample": "N", "passed": False, "explanation": "too many"},
            {"name": "wild_type", "sample": "W", "passed": True, "explanation": ""},
        ],
        "not_assessed": ["positive_control"],
    }
