"""The background model's file: JSON by a shipped schema, with a hash over its own content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import rfc8785

from esr1call.background import BackgroundModel, Blank, Carrier, Evidence, Location, Shape, TierModel
from esr1call.counts import TIERS
from esr1call.errors import InputError
from esr1call.io.files import read_json, require_file, write_json
from esr1call.io.schema import validate
from esr1call.panel import Panel

_DIGITS = 6


def write_model(path: str | Path, model: BackgroundModel) -> BackgroundModel:
    """Write a model; returns it as a reader will see it, numbers to 6 digits and with its hash."""
    values = model_to_json(model)
    write_json(path, values)
    return _build(values)


def read_model(path: str | Path, panel: Panel | None = None) -> BackgroundModel:
    """Read and check a model; with `panel`, that it was fitted for this panel and build."""
    require_file(path, hint="fit one with 'esr1call background fit'")
    values = read_json(path, file_names=False)
    validate(values, "background", file=path)
    if (digest := _digest(values)) != values["sha256"]:
        raise InputError(
            "the content is not what was written", file=path, field="sha256", found=digest,
            expected=values["sha256"], hint="fit the model again; the file is not meant for editing",
        )  # fmt: skip
    model = _build(values)
    if not set(model.windows) >= {w for w, *_ in _cells(values)}:
        raise InputError("cells of an unknown window", file=path, field="evidence")
    if not len(model.windows) == len(model.evidence.depth) == len(model.evidence.blanks):
        raise InputError("not one row for each window", file=path, field="evidence")
    if panel is not None:
        check_model(model, panel, path)
    return model


def check_model(model: BackgroundModel, panel: Panel, path: str | Path) -> None:
    """InputError where the model is of another panel or build."""
    for field, found, expected in (
        ("panel_sha256", model.panel_sha256, panel.sha256),
        ("build", model.build, panel.build),
        ("windows", ", ".join(model.windows), ", ".join(w.name for w in panel.windows)),
    ):
        if found != expected:
            raise InputError(
                "fitted for another panel", file=path, field=field, found=found, expected=expected,
                hint="fit the model again on blanks counted with this panel",
            )  # fmt: skip


def model_to_json(model: BackgroundModel) -> dict[str, Any]:
    """JSON values of a model, by the schema, hash included."""
    e = model.evidence
    values = {
        "format": "esr1call-background", "version": 1,
        "panel_sha256": model.panel_sha256, "build": model.build, "windows": list(model.windows),
        "chemistry": model.chemistry, "lot": model.lot, "date": model.date,
        "blanks": [asdict(b) for b in model.blanks], "carriers": [asdict(c) for c in model.carriers],
        "tiers": {
            name: {
                "shape": _rounded(asdict(t.shape)), "location": _rounded(list(t.location)),
                "substitutions": {k: _rounded(list(v)) for k, v in t.substitutions.items()},
                "classes": {k: _rounded(list(v)) for k, v in t.classes.items()},
            }
            for name, t in zip(TIERS, model.tiers, strict=True)
        },
        "evidence": {
            "depth": e.depth.tolist(), "blanks": _rounded(e.blanks.tolist()),
            "cells": [[model.windows[w], key, e.cells[w, key].tolist()] for w, key in sorted(e.cells)],
            "without": [
                [model.windows[w], key, e.without[w, key][0].tolist(), _rounded(e.without[w, key][1].tolist())]
                for w, key in sorted(e.without)
            ],
        },
        "diagnostics": _rounded(dict(model.diagnostics)),
    }  # fmt: skip
    return {**values, "sha256": _digest(values)}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(v) for v in value]
    return value


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(rfc8785.dumps({k: v for k, v in values.items() if k != "sha256"})).hexdigest()


def _cells(values: Mapping[str, Any]) -> list[Any]:
    return [*values["evidence"]["cells"], *values["evidence"]["without"]]


def _build(values: Mapping[str, Any]) -> BackgroundModel:
    windows = tuple(values["windows"])
    index = {w: i for i, w in enumerate(windows)}
    e = values["evidence"]

    def location(pair: Sequence[float]) -> Location:
        return float(pair[0]), float(pair[1])

    tiers = tuple(
        TierModel(
            replace(Shape(), **values["tiers"][t]["shape"]), location(values["tiers"][t]["location"]),
            {k: location(v) for k, v in values["tiers"][t]["substitutions"].items()},
            {k: location(v) for k, v in values["tiers"][t]["classes"].items()},
        )
        for t in TIERS
    )  # fmt: skip
    evidence = Evidence(
        np.array(e["depth"], dtype=np.int64), np.array(e["blanks"], dtype=np.float64),
        {(index.get(w, -1), k): np.array(v, dtype=np.int64) for w, k, v in e["cells"]},
        {
            (index.get(w, -1), k): (np.array(d, dtype=np.int64), np.array(b, dtype=np.float64))
            for w, k, d, b in e["without"]
        },
    )  # fmt: skip
    return BackgroundModel(
        values["panel_sha256"], values["build"], windows, values["chemistry"], values["lot"], values["date"],
        tuple(Blank(**b) for b in values["blanks"]), tuple(Carrier(**c) for c in values["carriers"]), tiers, evidence,
        dict(values["diagnostics"]), values["sha256"],
    )  # fmt: skip
