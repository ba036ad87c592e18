from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esr1call.cli import run
from tests.builders import ROOT
from tests.trigger_builders import RULE_FILE, sample, write_results

N = 28


class Lab:
    """A folder with a ledger, a key, and a folder of results and one of events for each batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = ["--ledger", str(folder / "ledger.sqlite")]
        self.study = [*self.ledger, "--study", "S"]
        self.rule = ["--rule", str(RULE_FILE)]
        self.key = ["--key", str(folder / "lab.pem")]
        self.public = ["--key", str(folder / "lab.pub.pem")]
        assert run(["keys", "new", str(folder / "lab.pem")]) == 0

    def out(self, batch: str) -> str:
        return str(self.folder / f"{batch}-triggers")

    def batch(self, name: str, *results: object) -> int:
        write_results(self.folder / name, *results)  # type: ignore[arg-type]
        given = ["trigger", "--batch-dir", str(self.folder / name), "--batch", name, "--out", self.out(name)]
        return run([*given, *self.study, *self.rule, *self.key])

    def files(self, batch: str) -> list[str]:
        return sorted(p.name for p in Path(self.out(batch)).glob("*.event.json"))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    assert lab.batch("b1", sample(0), sample(0, patient="P02"), sample(0, patient="P03", D538G=50)) == 0
    assert lab.batch("b2", sample(N, D538G=9), sample(N, patient="P02", failed=True)) == 0
    return lab


def test_a_swapped_sample_from_void_to_verified(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    change = ["--by", "qa-7", *lab.study, *lab.rule, *lab.key, "--out", lab.out("b2")]
    assert run(["ledger", "void", "P01-2024-02-01", "--reason", "swapped with P02", *change]) == 0
    assert lab.files("b2")[:2] == ["P01.0002.raised.event.json", "P01.0003.retracted.event.json"]
    assert lab.batch("b3", sample(N, D538G=9, patient="P02", name="P01-2024-02-01")) == 0
    capsys.readouterr()
    both = [lab.out(b) for b in ("b1", "b2", "b3")]
    assert run(["verify", *both, *lab.public, *lab.ledger]) == 0
    assert capsys.readouterr().out == "ok: 7 events in 3 folders, 10 signatures, 1 live triggers\n"
    assert run(["ledger", "verify", *lab.ledger]) == 0
    assert run(["ledger", "void", "P01-2024-02-01", "--reason", "was right", *change[:-1], lab.out("b3")]) == 0
    more = ["--patient", "P01"]
    assert run(["ledger", "reinstate", "P01-2024-02-01", "--reason", "was right", *more, *change]) == 0
    assert lab.files("b2")[2] == "P01.0004.raised.event.json"
    assert run(["verify", *both, *lab.public, *lab.ledger]) == 0
    capsys.readouterr()
    run(["ledger", "history", "P01", *lab.study, *lab.rule])
    shown = capsys.readouterr().out
    assert "P01-2024-02-01 by qa-7: swapped with P02" in shown


def test_a_held_event_from_show_to_released(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert lab.batch("b2", sample(N), sample(N, patient="P02", failed=True)) == 0
    told = capsys.readouterr().out.splitlines()[0]
    assert "waits for 'esr1call release'" in told
    assert "P01.0003.retracted.event.json" not in lab.files("b2")
    assert run(["ledger", "show", *lab.study]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    held = shown[2][-1]
    assert held in told
    rows = [line.split("\t") for line in Path(lab.out("b2"), "decisions.tsv").read_text().splitlines()]
    assert rows[1][-1] == held
    release = ["release", held, "--by", "md-2", "--meaning", "reviewed", *lab.study, *lab.key, "--out", lab.out("b2")]
    assert run(release) == 0
    event = json.loads(Path(lab.out("b2"), "P01.0003.retracted.event.json").read_text())
    assert (event["authorisedby"], event["authorisedmeaning"]) == ("md-2", "reviewed")
    assert run(["verify", lab.out("b1"), lab.out("b2"), *lab.public, *lab.ledger]) == 0
    before = (lab.folder / "ledger.sqlite").read_bytes()
    assert run(release) == 0
    assert (lab.folder / "ledger.sqlite").read_bytes() == before
    capsys.readouterr()
    assert run([*release, "--by", "md-3"]) == 2
    assert "was released before" in capsys.readouterr().err


def test_history_as_of_a_day(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["ledger", "history", "P02", *lab.study, *lab.rule, "--as-of", "2024-04-15"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "patient P02 of study S, as of 2024-04-15"
    assert lines[1] == "bESR1mut inconclusive (QC_FAILED); last event P02.0002.inconclusive.event.json"
    assert [line.split("  ")[0] for line in lines[5:9]] == ["C1D1", "C2D1", "C4D1", "C6D1"]
    for line, attendance in zip(lines[5:9], ("done", "unusable", "missing", "planned"), strict=True):
        assert f"  {attendance}" in line
    assert lines[9] == "next due: C6D1 on 2024-05-20, from 2024-05-13 to 2024-06-03"
    assert run(["ledger", "history", "P02", *lab.study, *lab.rule, "--as-of", "2024-01-20"]) == 0
    early = capsys.readouterr().out
    assert "P02-2024-02-01  2024" not in early
    assert "next due: C2D1 on 2024-01-29" in early


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ledger", "history", "P09"], "no such patient in study S"),
        (["ledger", "history", "P01", "--as-of", "yesterday"], "no such day: found 'yesterday', expected YYYY-MM-DD"),
        (["ledger", "void", "X", "--reason", "r", "--by", "qa-7"], "no such sample in the ledger"),
        (["ledger", "reinstate", "P01-2024-02-01", "--reason", "r", "--by", "qa-7"], "the sample is not voided"),
        (["ledger", "void", "P01-2024-02-01", "--reason", "r", "--by", "Jane Roe"], "not an ID"),
        (["ledger", "void", "P01-2024-02-01", "--by", "qa-7"], "--reason"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    lab: Lab, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = (lab.folder / "ledger.sqlite").read_bytes()
    capsys.readouterr()
    key = [] if arguments[1] == "history" else lab.key
    assert run([*arguments, *lab.study, *lab.rule, *key]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert (lab.folder / "ledger.sqlite").read_bytes() == before


def test_a_correction_goes_where_its_batch_went(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    change = ["ledger", "void", "P01-2024-02-01", "--by", "qa-7", "--reason", "r", *lab.study, *lab.rule, *lab.key]
    before = (lab.folder / "ledger.sqlite").read_bytes()
    for wrong, message in (
        (lab.out("b1"), "the folder is another batch's: found 'S b1', expected S b2"),
        (lab.out("b9"), f"not the folder with the events of batch b2: expected {lab.out('b2')}, or where it was moved"),
    ):
        assert run([*change, "--out", wrong]) == 2
        assert message in capsys.readouterr().err
        assert (lab.folder / "ledger.sqlite").read_bytes() == before, "nothing is noted that isn't published"
    assert run(change[:-2]) == 2
    assert "the folder's events are signed; give the private key by --key" in capsys.readouterr().err
    assert (lab.folder / "ledger.sqlite").read_bytes() == before
    assert run(change) == 0
    assert "P01.0003.retracted.event.json" in lab.files("b2")

    Path(lab.out("b2")).rename(lab.out("moved"))
    undo = [*change[:1], "reinstate", *change[2:]]
    assert run(undo) == 2
    assert "not the folder with the events of batch b2" in capsys.readouterr().err
    assert run([*undo, "--out", lab.out("moved")]) == 0
    assert "P01.0004.raised.event.json" in lab.files("moved")
    assert run(["verify", lab.out("b1"), lab.out("moved"), *lab.public, *lab.ledger]) == 0


def test_a_correction_that_was_stopped_before_it_had_published_is_given_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    change = ["ledger", "void", "P01-2024-02-01", "--by", "qa-7", "--reason", "r", *lab.study, *lab.rule, *lab.key]
    monkeypatch.setattr("esr1call.io.outbox.publish", stopped)
    assert run(change) == 130
    monkeypatch.undo()
    assert "P01.0003.retracted.event.json" not in lab.files("b2")
    assert run(change) == 0
    assert "P01.0003.retracted.event.json" in lab.files("b2")
    assert run(["verify", lab.out("b1"), lab.out("b2"), *lab.public, *lab.ledger]) == 0


def test_a_batch_that_was_never_published_needs_a_folder(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ledger", "void", "P04-2024-01-01", "--by", "qa-7", "--reason", "r", *lab.study, *lab.rule]) == 2
    write_results(lab.folder / "b3", sample(0, patient="P04"))
    rule = lab.folder / "rule.yaml"
    rule.write_text(RULE_FILE.read_text().replace("sign_off: [retracted]", "sign_off: [not-raised]"))
    given = ["trigger", "--batch-dir", str(lab.folder / "b3"), "--batch", "b3", "--out", lab.out("b3"), *lab.study]
    assert run([*given, "--rule", str(rule)]) == 0
    assert lab.files("b3") == []
    capsys.readouterr()
    change = ["ledger", "void", "P04-2024-01-01", "--by", "qa-7", "--reason", "r", *lab.study, *lab.rule]
    assert run(change) == 2
    assert "field '--out': no event of batch b3 was published yet" in capsys.readouterr().err
    assert run([*change, "--out", lab.out("b3")]) == 0
    assert lab.files("b3") == ["P04.0001.inconclusive.event.json"]


def test_a_key_that_others_may_read_stops_the_run_first(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    (lab.folder / "lab.pem").chmod(0o644)
    assert lab.batch("b4", sample(9 * N)) == 2
    assert "others may use the private key" in capsys.readouterr().err
    assert not Path(lab.out("b4")).exists()


def test_verify_says_whether_signatures_were_checked(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    both = [lab.out("b1"), lab.out("b2")]
    assert run(["verify", *both]) == 2
    assert run(["verify", *both, "--unsigned", *lab.public]) == 2
    capsys.readouterr()
    assert run(["verify", *both, "--unsigned"]) == 0
    assert "signatures not checked" in capsys.readouterr().out


def test_verify_of_all_that_lies_in_a_folder_or_of_a_part(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["verify", str(lab.folder), *lab.public, *lab.ledger]) == 0
    assert capsys.readouterr().out == "ok: 5 events in 2 folders, 7 signatures, 1 live triggers\n"
    assert run(["verify", lab.out("b2"), *lab.public]) == 2
    assert "give the folders of earlier batches too (or --part" in capsys.readouterr().err
    assert run(["verify", lab.out("b2"), *lab.public, *lab.ledger, "--part"]) == 0
    assert capsys.readouterr().out.endswith("; 2 events that these are chained to are not here\n")


def consume(lab: Lab, *batches: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(ROOT / "docs" / "consumer_example.py"), lab.public[1]]
    return subprocess.run([*program, *(lab.out(b) for b in batches)], capture_output=True, text=True, check=False)


def test_the_consumer_example_of_the_docs(lab: Lab, tmp_path: Path) -> None:
    done = consume(lab, "b1", "b2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\t")[:3] == ["P01", "bESR1mut rising", "p.D538G NEW"]
    assert "event 1 has not arrived" in consume(lab, "b2").stderr
    chance = random.Random(8)
    folder = Path(lab.out("b1"))
    shutil.copytree(folder, tmp_path / "whole")
    for path in sorted(folder.iterdir()):
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content) - 1)] ^= 1
        path.write_bytes(content)
        assert consume(lab, "b1").returncode != 0, path
        shutil.copy(tmp_path / "whole" / path.name, path)
    assert consume(lab, "b1", "b2").stdout == done.stdout
