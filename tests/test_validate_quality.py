"""The study of contamination checks, on fewer batches than docs/quality.md tells of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import ROOT


@pytest.mark.slow
def test_one_per_cent_is_flagged_and_clean_batches_are_not(tmp_path: Path) -> None:
    kinds = ["clean", "1% hopped", "1% mixed before UMIs"]
    given = [sys.executable, str(ROOT / "scripts" / "validate_quality.py"), "--json", str(tmp_path / "figures.json")]
    options = [x for kind in kinds for x in ("--kind", kind)]
    subprocess.run([*given, "--batches", "15", *options], check=True, capture_output=True)
    figures = {k["kind"]: k for k in json.loads((tmp_path / "figures.json").read_text())["kinds"]}
    assert list(figures) == kinds
    for kind in kinds[1:]:
        assert figures[kind]["flagged"] >= 0.95
        assert figures[kind]["wrongly_reported"] == 0
    assert figures["clean"]["false_flags_per_sample"] <= 0.01
