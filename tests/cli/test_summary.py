from __future__ import annotations

import json
from pathlib import Path

import pytest

from esr1call.cli import run
from esr1call.counts import STRATA
from esr1call.io.results_file import write_quality
from esr1call.pileup.filters import FILTERS
from esr1call.results import BatchQuality
from esr1call.timeline import to_json
from tests.builders import sample_result, variant_call
from tests.io.test_batch import Lab


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The folder of a batch of two samples, with one event."""
    lab = Lab(tmp_path)
    lab.row("P1-V1").row("P1-V2", visit="V2", collected="2024-03-01").sheet()
    folder = tmp_path / "results" / "B1"
    calls = {"P1-V1": [], "P1-V2": [variant_call()]}
    strata = dict.fromkeys(STRATA, 3)
    windows = [{"molecules": strata, "undecided": strata}]
    counts = {"reads_scanned": 7, "reads": {**dict.fromkeys(FILTERS, 0), "counted": 7}, "windows": windows}
    event = {
        "type": "x.trigger.raised.v1",
        "data": {"specimens": [{"sample": "P1-V2"}], "drivers": [{"variant": "p.D538G", "category": "NEW"}]},
    }
    for sample, found in calls.items():
        result = sample_result(sample=sample, patient="P1", visit=sample[3:], calls=found)
        files = {"result.json": to_json(result), "align.json": {"pairs_read": 9}, "counts.json": counts}
        (folder / "samples" / sample).mkdir(parents=True)
        for name, value in files.items():
            (folder / "samples" / sample / name).write_text(json.dumps(value))
    (folder / "samples" / "removed").mkdir()
    (folder / "triggers").mkdir()
    (folder / "triggers" / "e.json").write_text(json.dumps(event))
    (folder / "triggers" / "manifest.json").write_text(json.dumps({"events": [{"file": "e.json"}]}))
    write_quality(folder, BatchQuality("B1", (), ()))
    (folder / "config.json").write_text(json.dumps(lab.settings))
    return folder


def test_the_table(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", str(results)]) == 0
    first, second, _, _, _, *rows = capsys.readouterr().out.splitlines()
    assert first == f"batch B1 of study S1, results in {results}"
    assert second == "2 samples: 1 DETECTED, 1 NOT_DETECTED; 0 controls; 1 events: 1 raised"
    assert [row.split()[:4] for row in rows] == [
        ["P1", "V1", "-", "NOT_DETECTED"],
        ["P1", "V2", "p.D538G", "c.1613A>G"],
    ]
    assert rows[1].endswith("raised NEW")
    assert run(["summary", str(results), "--rows", "1"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[-2:]] == [
        rows[1].split(),
        ["and", "1", "more", "rows"],
    ]


def test_files(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["summary", str(results)])
    shown = capsys.readouterr().out
    out, reads = results / "summary.txt", results / "reads.tsv"
    assert run(["summary", str(results), "--out", str(out), "--reads", str(reads)]) == 0
    assert out.read_text() == shown
    rows = [line.split("\t") for line in reads.read_text().splitlines()]
    assert [row[:2] for row in rows] == [["sample", "pairs_read"], ["P1-V1", "9"], ["P1-V2", "9"]]


def test_a_batch_without_patients_has_no_triggers(results: Path) -> None:
    (results / "triggers" / "manifest.json").unlink()
    assert run(["summary", str(results)]) == 0


@pytest.mark.parametrize("missing", ["config.json", "samples/P1-V1/result.json"])
def test_not_a_finished_batch(results: Path, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    (results / missing).unlink()
    assert run(["summary", str(results)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(results / missing) in line
