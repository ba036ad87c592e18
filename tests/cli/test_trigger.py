from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from esr1call.cli import run
from esr1call.io.schema import validate
from tests.io.test_batch import Lab
from tests.trigger_builders import RULE_FILE, sample, write_results

N = 28


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    write_results(
        tmp_path / "b1",
        sample(0), sample(N), sample(3 * N, D538G=9),
        sample(0, patient="P02"), sample(N, patient="P02"),
        sample(0, patient="P03", D538G=50), sample(N, patient="P03"), sample(3 * N, patient="P03", Y537S=9, D538G=20),
    )  # fmt: skip
    return tmp_path


def trigger(folder: Path, *more: str, batch_dir: str = "b1") -> int:
    given = ["trigger", "--batch-dir", str(folder / batch_dir), "--rule", str(RULE_FILE), "--study", "S"]
    return run([*given, "--ledger", str(folder / "ledger.sqlite"), "--out", str(folder / "triggers"), *more])


def test_a_batch_ends_in_one_file_per_event(batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trigger(batch) == 0
    out = batch / "triggers"
    files = sorted(p.name for p in out.glob("*.event.json"))
    assert files == ["P01.0001.raised.event.json", "P02.0001.not-raised.event.json", "P03.0001.raised.event.json"]
    events = [json.loads((out / f).read_text()) for f in files]
    for event in events:
        validate(event, "event", file="event")
    assert [(d["variant"], d["category"]) for d in events[2]["data"]["drivers"]] == [
        ("p.D538G", "REAPPEARED"),
        ("p.Y537S", "NEW"),
    ]
    listing = json.loads((out / "manifest.json").read_text())
    assert {e["file"]: e["sha256"] for e in listing["events"]} == {
        f: hashlib.sha256((out / f).read_bytes()).hexdigest() for f in files
    }
    assert json.loads((out / "event.schema.json").read_text())["$id"] == "urn:esr1call:schema:event:1"
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "P01: bESR1mut rising (p.D538G NEW); new event P01.0001.raised.event.json"
    rows = [line.split("\t") for line in (out / "decisions.tsv").read_text().splitlines()]
    assert rows[1][:4] == ["P01", "raised", "NEW", "p.D538G=NEW"]
    assert rows[2][:4] == ["P02", "not-raised", "NEGATIVE", ""]


def test_a_second_run_writes_nothing_new(batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trigger(batch)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (batch / "triggers").iterdir()}
    assert "new ledger: " in capsys.readouterr().err
    assert trigger(batch) == 0
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (batch / "triggers").iterdir()} == before
    shown = capsys.readouterr()
    assert all(line.endswith("; no new event") for line in shown.out.splitlines())
    assert shown.err == ""


def test_a_lost_ledger_and_folder_make_the_same_files(batch: Path) -> None:
    trigger(batch)
    before = {p.name: p.read_bytes() for p in (batch / "triggers").iterdir()}
    for path in [*(batch / "triggers").iterdir(), *batch.glob("ledger.sqlite*")]:
        path.unlink()
    trigger(batch)
    assert {p.name: p.read_bytes() for p in (batch / "triggers").iterdir()} == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--batch-dir", "nowhere"], "no results in the folder"),
        (["--rule", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--ledger", "."], "is a folder"),
        (["--study", "no study"], "field 'study'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_event(
    batch: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert trigger(batch, *more) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (batch / "triggers").exists()


def test_results_of_two_batches_need_a_name(batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = write_results(batch / "b2", sample(9 * N, batch="batch2"))
    assert trigger(batch, *extra) == 2
    assert "results of several batches" in capsys.readouterr().err
    assert trigger(batch, *extra, "--batch", "both") == 0


def test_a_config_chooses_among_a_folders_results(batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = Lab(batch)
    names = [s.name for s in sorted((batch / "b1" / "samples").iterdir()) if s.name.startswith(("P01", "P02"))]
    for name in names:
        lab.row(name, visit=name)
    lab.row("b", type="blank").sheet()  # has no result here: only patients' samples are asked for
    config = str(lab.config())
    assert trigger(batch, "--config", config, "--batch", "b1") == 0
    files = sorted(p.name for p in (batch / "triggers").glob("*.event.json"))
    assert files == ["P01.0001.raised.event.json", "P02.0001.not-raised.event.json"]

    assert trigger(batch, str(batch / "b1" / "samples" / names[0] / "result.json"), "--config", config) == 2
    assert "chooses among the results of --batch-dir" in capsys.readouterr().err
    lab.row("P09-V1", visit="V9").sheet()
    assert trigger(batch, "--config", config) == 2
    assert "P09-V1" in capsys.readouterr().err
