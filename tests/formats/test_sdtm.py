from __future__ import annotations

from typing import Any

import pytest

from esr1call.errors import InputError
from esr1call.formats import sdtm
from esr1call.io.schema import validate
from esr1call.results import SampleResult, SampleStatus
from tests.builders import sample_result
from tests.formats.builders import NOT_SEEN, TOO_FEW, batch_results, call_of, context

WHEN = "2026-01-01T00:00:00+00:00"


def records(*results: SampleResult, **given: Any) -> list[dict[str, Any]]:
    dataset = sdtm.dataset(results, context(**given), WHEN)
    return [dict(zip([c["name"] for c in dataset["columns"]], row, strict=True)) for row in dataset["rows"]]


def of_one(**given: Any) -> dict[str, dict[str, Any]]:
    """Test detail -> record of one call of p.D538G."""
    status = given.pop("sample_status", None)
    calls = [call_of("536-538", "p.D538G", **given)]
    found = records(sample_result(calls=calls, **({} if status is None else {"status": status})))
    return {r["GFTSTDTL"]: r for r in found}


def test_a_variant_is_found_and_measured() -> None:
    found = of_one()
    assert list(found) == [
        "VARIANT DETECTION", "MOLECULES TOTAL", "LIMIT OF DETECTION 95%", "MOLECULES WITH VARIANT",
        "VARIANT ALLELE FREQUENCY", "VARIANT COPIES IN PLASMA",
    ]  # fmt: skip
    detected = found["VARIANT DETECTION"]
    assert detected["GFSTRESC"] == detected["GFORRES"] == "NM_000125.4:c.1613A>G p.(Asp538Gly)"
    assert (detected["STUDYID"], detected["USUBJID"], detected["GFREFID"]) == ("S1", "S1-P01", "P01-V1")
    assert (detected["GFTESTCD"], detected["GFCHROM"], detected["GFGENLOC"]) == ("SNV", "6", "152098791")
    assert (detected["GFSYM"], detected["GFSEQID"], detected["GFGENSR"]) == ("ESR1", "NM_000125.4", "Coding exon 8")
    assert (detected["VISIT"], detected["GFDTC"], detected["GFRUNID"]) == ("V1", "2024-01-15", "batch1")
    vaf = found["VARIANT ALLELE FREQUENCY"]
    assert (vaf["GFORRES"], vaf["GFORRESU"], vaf["GFSTRESN"], vaf["GFSTRESU"]) == ("1", "%", 1.0, "%")
    assert found["VARIANT COPIES IN PLASMA"]["GFSTRESN"] == 22.7


def test_a_negative_says_so_and_what_could_have_been_seen() -> None:
    found = of_one(**NOT_SEEN)
    assert list(found) == ["VARIANT DETECTION", "MOLECULES TOTAL", "LIMIT OF DETECTION 95%"]
    assert found["VARIANT DETECTION"]["GFSTRESC"] == "NOT DETECTED"
    assert found["VARIANT DETECTION"]["GFSTAT"] is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (TOO_FEW, "NO POWER TO DETECT 0.5% AMONG 300 MOLECULES"),
        ({"sample_status": SampleStatus.QC_FAILED}, "QUALITY CONTROL FAILED"),
        ({**NOT_SEEN, "sample_status": SampleStatus.QC_FAILED}, "QUALITY CONTROL FAILED"),
    ],
)
def test_what_cannot_be_said_is_not_done(given: dict[str, Any], reason: str) -> None:
    found = of_one(**given)
    asked = found["VARIANT DETECTION"]
    assert (asked["GFSTAT"], asked["GFREASND"], asked["GFORRES"], asked["GFSTRESC"]) == ("NOT DONE", reason, None, None)
    assert "VARIANT ALLELE FREQUENCY" not in found


def test_a_deletion_is_a_short_variation_over_a_span() -> None:
    (first, *_) = records(sample_result(calls=[call_of("421-423", "p.V422del")]))
    assert (first["GFTESTCD"], first["GFTEST"]) == ("SHRTVAR", "Short Variation")
    assert first["GFGENLOC"] == "152061016-152061019"


def test_records_are_numbered_by_subject_and_controls_are_none() -> None:
    found = records(*batch_results())
    for subject in ("S1-P1", "S1-P2"):
        numbers = [r["GFSEQ"] for r in found if r["USUBJID"] == subject]
        assert numbers == list(range(1, len(numbers) + 1))
    assert {r["USUBJID"] for r in found} == {"S1-P1", "S1-P2"}
    assert len({(r["USUBJID"], r["GFREFID"], r["GFGRPID"], r["GFTSTDTL"]) for r in found}) == len(found)


def test_the_dataset_keeps_to_the_schema() -> None:
    for results in (batch_results(), []):
        dataset = sdtm.dataset(results, context(laboratory="Lab"), WHEN)
        validate(dataset, "dataset_json", file="gf.json")
        assert dataset["records"] == len(dataset["rows"])
        assert sorted(c["keySequence"] for c in dataset["columns"] if "keySequence" in c) == list(range(1, 7))
        for column, values in zip(dataset["columns"], zip(*dataset["rows"], strict=True), strict=False):
            assert {type(v) for v in values} <= {_TYPES[column["dataType"]], type(None)}
            assert all(len(v) <= column["length"] for v in values if isinstance(v, str) and "length" in column)


_TYPES = {"string": str, "date": str, "integer": int, "float": float}


@pytest.mark.parametrize(
    ("key", "value"),
    [("datasetJSONVersion", "1.0.0"), ("datasetJSONCreationDateTime", "yesterday"), ("records", -1), ("extra", 1)],
)
def test_the_schema_refuses(key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"field '{key}'"):
        validate({**sdtm.dataset([], context(), WHEN), key: value}, "dataset_json", file="gf.json")


def test_long_text_fits_the_transport_format() -> None:
    (first, *_) = records(sample_result(calls=[call_of("536-538", "p.D538G")]), laboratory="L" * 300)
    assert first["GFNAM"] == "L" * 200
