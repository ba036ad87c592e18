"""What tools that are not ours say of exported files. Each check fails with what the tool printed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pysam
import pytest

from esr1call.formats import fhir
from tests.tools import need, run_tool

# ---------------------------------------------------------------- VCF


def check_vcf(folder: Path, reference: Path | None = None) -> int:
    """bcftools and pysam on every VCF of a folder; returns how many there were."""
    need("bcftools")
    files = sorted(folder.glob("*.vcf.gz"))
    fasta = reference or folder / "reference.fa.gz"
    for file in files:
        view = run_tool("bcftools", "view", "--no-version", file)
        assert view.stderr == "", view.stderr
        norm = run_tool("bcftools", "norm", "--no-version", "--check-ref", "e", "--fasta-ref", fasta, file)
        total = _records(view.stdout)
        assert norm.stderr.split("\t")[-1].strip() == f"{len(total)}/0/0/0", norm.stderr
        assert _records(norm.stdout) == total
        stats = run_tool("bcftools", "stats", "--fasta-ref", fasta, "--samples", "-", file).stdout
        assert re.search(r"number of records:\t(\d+)", stats)[1] == str(len(total))  # type: ignore[index]
        with pysam.VariantFile(str(file)) as opened:
            assert list(opened.header.samples) == [file.name.removesuffix(".vcf.gz")]
            fetched = list(opened.fetch(total[0].split("\t")[0]))
            assert len(fetched) == len(total)
            assert all(r.alts and len(r.alts) == 1 and r.filter.keys() for r in fetched)
    return len(files)


def _records(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


# ---------------------------------------------------------------- FHIR

_UCUM = {"1", "mL", "{molecules}", "{copies}/mL"}
_REQUIRED = ("48018-6", "48004-6", "48005-3", "81290-9", "51958-7", "48002-0", "62374-4")


def check_fhir(folder: Path) -> dict[str, list[str]]:
    """fhir.resources (R4B) on every Bundle, and what it does not look at; returns file -> what was said of alleles."""
    models = pytest.importorskip("fhir.resources.R4B.bundle", reason="pip install fhir.resources")
    said = {}
    for file in sorted(folder.glob("*.json")):
        text = file.read_text(encoding="utf-8")
        parsed = models.Bundle.model_validate_json(text)
        plain = json.loads(text)
        assert json.loads(parsed.model_dump_json(exclude_none=True)) == plain
        said[file.name] = _check_bundle(plain)
    return said


def _check_bundle(bundle: dict[str, Any]) -> list[str]:
    """References resolve, codes are of their lists, quantities have a UCUM unit, the report lists every variant."""
    resources = {e["fullUrl"]: e["resource"] for e in bundle["entry"]}
    assert len(resources) == len(bundle["entry"])
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", u)
               for u in resources)  # fmt: skip
    _walk(bundle, resources)
    (report,) = _of(resources, "DiagnosticReport")
    assert _code(report["code"]) == "51969-4"
    assert _code(report["category"][0]) == "GE"
    variants = _of(resources, "Observation")
    assert [resources[r["reference"]] for r in report["result"]] == variants
    assert len(_of(resources, "Patient")) == len(_of(resources, "Specimen")) == 1
    for variant in variants:
        assert _code(variant["code"]) == "69548-6"
        assert {_code(c) for c in variant["category"]} == {"laboratory", "GE"}
        codes = [_code(c["code"]) for c in variant["component"]]
        assert len(set(codes)) == len(codes)
        assert set(_REQUIRED) <= set(codes)
        value = variant["valueCodeableConcept"]["coding"][0]
        assert (value["code"], value["display"]) in fhir.PRESENCE.values()
        assert ("81258-6" in codes) == (value["display"] == "Present")
        for component in variant["component"]:
            (key,) = set(component) - {"code"}
            if key == "valueQuantity":
                assert component[key]["system"] == "http://unitsofmeasure.org"
                assert component[key]["code"] in _UCUM
    return [v["valueCodeableConcept"]["coding"][0]["display"] for v in variants]


def _walk(value: Any, resources: dict[str, Any]) -> None:
    if isinstance(value, dict):
        assert value.get("reference", next(iter(resources))) in resources
        for part in value.values():
            assert part not in ("", [], {}, None), "FHIR has no empty values"
            _walk(part, resources)
    elif isinstance(value, list):
        for part in value:
            _walk(part, resources)


def _of(resources: dict[str, Any], kind: str) -> list[Any]:
    return [r for r in resources.values() if r["resourceType"] == kind]


def _code(concept: dict[str, Any]) -> str:
    code: str = concept["coding"][0]["code"]
    return code


# ---------------------------------------------------------------- SDTM


def check_sdtm(file: Path) -> list[dict[str, Any]]:
    """odmlib on a Dataset-JSON file; returns its records."""
    dataset_json = pytest.importorskip("odmlib.dataset_json_1_1", reason="pip install odmlib")
    read = dataset_json.DatasetJSON.read_json(str(file))
    assert read.to_dict() == json.loads(file.read_text(encoding="utf-8"))
    assert read.records == len(read.rows)
    assert all(len(row) == len(read.columns) for row in read.rows)
    return [dict(zip(read.column_names, row, strict=True)) for row in read.rows]


# ---------------------------------------------------------------- MultiQC


def check_multiqc(folder: Path, out: Path) -> str:
    """MultiQC over a folder of an export, or of a whole batch; returns its report."""
    environment = {**os.environ, "MULTIQC_NO_VERSION_CHECK": "1", "HOME": str(out)}
    environment.pop("PYTHONPATH", None)
    done = run_tool("multiqc", "--strict", "--no-ansi", "--outdir", out, folder, env=environment, cwd=out)
    found = re.findall(r"esr1call_(\w+): Found", done.stderr)
    assert sorted(found) == ["checks", "fragments", "general", "molecules", "reads", "samples", "yield"], done.stderr
    return (out / "multiqc_report.html").read_text(encoding="utf-8")
