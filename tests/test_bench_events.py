"""A study of PADA-1's size is decided in the time and memory that docs/events.md states."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import ROOT


@pytest.mark.slow
def test_a_study_of_pada1s_size_is_decided_within_20_seconds_and_1_gb(tmp_path: Path) -> None:
    given = [sys.executable, str(ROOT / "scripts" / "bench_events.py"), "--json", str(tmp_path / "figures.json")]
    subprocess.run(given, check=True, capture_output=True)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["patients"], figures["samples"], figures["calls"]) == (1017, 12525, 26)
    # Processor time: what else runs on a shared machine is not ours.
    assert figures["decide_into_empty_ledger_cpu_seconds"] <= 20
    assert figures["peak_rss_mb"] <= 1000
    assert figures["new_in_replay"] == 0
