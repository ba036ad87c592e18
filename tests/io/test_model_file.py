from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esr1call.errors import InputError
from esr1call.io.model_file import model_to_json, read_model, write_model
from tests.background_builders import hotspot_model, hotspot_panel
from tests.builders import esr1_panel


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_model(tmp_path / "model.json", hotspot_model())
    return tmp_path / "model.json"


def test_there_and_back(path: Path, tmp_path: Path) -> None:
    model, panel = read_model(path, hotspot_panel()), hotspot_panel()
    assert model.sha256 == hotspot_model().sha256
    assert model.tiers == hotspot_model().tiers
    shown = [("536-538", "CTCTATGGC"), ("421-423", "AAAAAA")]
    one, other = model.predict(panel, shown), hotspot_model().predict(panel, shown)
    assert np.array_equal(one.rate, other.rate)
    assert np.array_equal(one.weight, other.weight)
    write_model(tmp_path / "again.json", model)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_the_file_is_small(path: Path) -> None:
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (("date",), "2024-1-1", "field 'date'"),
        (("chemistry",), "another", "field 'sha256': the content is not what was written"),
        (("tiers", "simplex", "shape", "core"), -1, "field 'tiers.simplex.shape.core'"),
        (("tiers", "simplex", "shape", "core"), 5, "the content is not what was written"),
        (("tiers", "duplex"), None, "field 'tiers.duplex'"),
        (("evidence", "depth"), [[1, 2]], "field 'evidence.depth.0'"),
        (("version",), 2, "field 'version'"),
        (("blanks",), [], "field 'blanks'"),
        (("sha256",), "x", "field 'sha256'"),
        (("extra",), 1, "field 'extra': unknown key"),
        (("lot",), "\ud800", "not JSON: half a character"),
    ],
)
def test_spoiled_files(path: Path, field: tuple[str, ...], value: Any, said: str) -> None:
    values: Any = json.loads(path.read_text())
    inner = values
    for key in field[:-1]:
        inner = inner[key]
    inner[field[-1]] = value
    path.write_text(json.dumps(values))
    with pytest.raises(InputError) as caught:
        read_model(path)
    assert said in str(caught.value)


def test_content_that_fits_the_schema_and_the_hash_but_not_itself(path: Path) -> None:
    values = model_to_json(hotspot_model())
    for field, new in (
        ("cells", [["nowhere", "mnv", [1, 0, 0, 0, 0]]]),
        ("depth", values["evidence"]["depth"][:-1]),
    ):
        spoiled = {**values, "evidence": {**values["evidence"], field: new}}
        path.write_text(json.dumps(_rehashed(spoiled)))
        with pytest.raises(InputError, match="evidence"):
            read_model(path)


def _rehashed(values: dict[str, Any]) -> dict[str, Any]:
    import hashlib

    import rfc8785

    content = {k: v for k, v in values.items() if k != "sha256"}
    return {**content, "sha256": hashlib.sha256(rfc8785.dumps(content)).hexdigest()}


def test_a_model_of_another_panel(path: Path) -> None:
    with pytest.raises(InputError, match="field 'panel_sha256': fitted for another panel"):
        read_model(path, esr1_panel())


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"format": NaN}'])
def test_no_model_at_all(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(InputError):
        read_model(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="background fit"):
        read_model(tmp_path / "none.json")
