from __future__ import annotations

import json
from typing import Any

import pytest

from esr1call.formats import fhir
from esr1call.results import SampleStatus
from tests.builders import sample_result
from tests.formats.builders import NO_MOLECULES, NOT_SEEN, TOO_FEW, TOO_NOISY, call_of, context


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def components(**given: Any) -> dict[str, Any]:
    """Code -> value of the components of one variant."""
    (variant,) = resources(
        fhir.bundle(sample_result(calls=[call_of("536-538", "p.D538G", **given)]), context()), "Observation"
    )
    found = {}
    for component in variant["component"]:
        (key,) = set(component) - {"code"}
        value = component[key]
        found[component["code"]["coding"][0]["code"]] = value["coding"][0]["code"] if "coding" in value else value
    return found


def test_components_of_a_variant() -> None:
    found = components()
    assert found["48018-6"] == "HGNC:3467"
    assert found["51958-7"] == "NM_000125.4"
    assert found["48004-6"] == "NM_000125.4:c.1613A>G"
    assert found["48005-3"] == "NP_000116.2:p.(Asp538Gly)"
    assert found["81290-9"] == "NC_000006.12:g.152098791A>G"
    assert found["48013-7"] == "NC_000006.12"
    assert found["62374-4"] == "LA26806-2"
    assert found["48002-0"] == "LA6684-0"
    assert found["81252-9"] == "ga4gh:VA.HT9iJwYNXXSWXY-K1dj7f_bvl79kXVUg"
    assert found["81254-5"] == {"low": {"value": 152098791}, "high": {"value": 152098791}}
    assert (found["69547-8"], found["69551-0"]) == ("A", "G")
    assert found["81258-6"] == {"value": 0.01, "unit": "1", "system": "http://unitsofmeasure.org", "code": "1"}
    assert found["limit-of-detection-95"]["value"] == 0.0016
    assert found["copies-per-ml"] == {
        "value": 22.7, "unit": "copies/mL", "system": "http://unitsofmeasure.org", "code": "{copies}/mL",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "failed", "said"),
    [
        ({}, False, "present"),
        (NOT_SEEN, False, "absent"),
        (TOO_FEW, False, "no call"),
        (NO_MOLECULES, False, "no call"),
        (TOO_NOISY, False, "indeterminate"),
        ({}, True, "indeterminate"),
        (NOT_SEEN, True, "indeterminate"),
        (TOO_FEW, True, "indeterminate"),
    ],
)
def test_no_call_is_for_coverage_only(given: dict[str, Any], failed: bool, said: str) -> None:
    call = call_of("536-538", "p.D538G", **given)
    status = {"status": SampleStatus.QC_FAILED} if failed else {}
    result = sample_result(calls=[call], **status)
    assert fhir.presence(call, result, context()) == said
    (variant,) = resources(fhir.bundle(result, context()), "Observation")
    code, display = fhir.PRESENCE[said]
    assert variant["valueCodeableConcept"]["coding"][0] == {
        "system": "http://loinc.org", "code": code, "display": display,
    }  # fmt: skip
    assert ("note" in variant) == (said not in ("present", "absent"))


@pytest.mark.parametrize(
    ("molecules", "lod", "fewest"),
    [(1, 0.005, 598), (2, 0.005, 947), (2, 0.001, 4742), (2, 0.1, 46)],
)
def test_the_fewest_molecules_that_could_show_the_required_lod(molecules: int, lod: float, fewest: int) -> None:
    """0.95 quantile of the number of draws until `molecules` successes, by the negative binomial."""
    from scipy.stats import nbinom

    setting = context(min_molecules=molecules, required_lod=lod)
    assert nbinom.ppf(0.95, molecules, lod) + molecules == fewest
    assert fhir.too_shallow(fewest - 1, setting)
    assert not fhir.too_shallow(fewest, setting)
    assert fhir.too_shallow(0, setting)


def test_the_report_lists_the_variants_and_says_why() -> None:
    calls = [call_of("380", "p.E380Q"), call_of("536-538", "p.D538G")]
    bundle = fhir.bundle(sample_result(calls=calls, reasons=("one", "two")), context())
    (report,) = resources(bundle, "DiagnosticReport")
    assert report["conclusion"] == "DETECTED: one; two"
    assert report["effectiveDateTime"] == "2024-01-15"
    urls = [e["fullUrl"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Observation"]
    assert [r["reference"] for r in report["result"]] == urls


def test_who_reports_and_who_numbers() -> None:
    bundle = fhir.bundle(sample_result(), context(laboratory="Lab", namespace="https://x.org/"))
    assert resources(bundle, "Organization") == [{"resourceType": "Organization", "name": "Lab"}]
    assert resources(bundle, "Patient")[0]["identifier"] == [{"system": "https://x.org/patients", "value": "P01"}]
    plain = fhir.bundle(sample_result(), context())
    assert resources(plain, "Organization") == []
    assert resources(plain, "Patient")[0]["identifier"] == [{"value": "P01"}]


def test_what_is_unknown_is_left_out() -> None:
    bundle = fhir.bundle(sample_result(collected=None, plasma_ml=None, cfdna_ng=None, visit=None), context())
    assert "collection" not in resources(bundle, "Specimen")[0]
    assert "effectiveDateTime" not in resources(bundle, "DiagnosticReport")[0]
    assert not {"limit-of-detection-95", "copies-per-ml", "limit-of-blank"} & set(components(**NO_MOLECULES))


def test_a_gene_of_another_panel_goes_by_its_symbol() -> None:
    assert fhir._gene("KRAS") == {"text": "KRAS"}


def test_resources_are_named_by_what_they_are_of() -> None:
    first, again = (fhir.bundle(sample_result(), context()) for _ in range(2))
    other = fhir.bundle(sample_result(sample="P01-V2"), context())
    urls = [[e["fullUrl"] for e in b["entry"]] for b in (first, again, other)]
    assert urls[0] == urls[1]
    assert set(urls[0]) & set(urls[2]) == {urls[0][0]}  # the patient
    elsewhere = fhir.bundle(sample_result(), context(study="S2"))
    assert not {e["fullUrl"] for e in elsewhere["entry"]} & set(urls[0])


def test_a_uuid_is_pythons() -> None:
    from uuid import NAMESPACE_URL, uuid5

    assert fhir._url("a", "b") == uuid5(NAMESPACE_URL, "https://esr1call.org/a/b").urn


def test_it_is_plain_json() -> None:
    assert json.loads(json.dumps(fhir.bundle(sample_result(), context()), allow_nan=False))
