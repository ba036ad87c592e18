"""Faults around events: no space left at any write, a folder that can't be written to, a clock that was set back."""

from __future__ import annotations

import datetime
import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esr1call.cli import run
from esr1call.io import ledger as ledger_module
from tests.small_disk import remount, small_disk
from tests.trigger_builders import RULE_FILE, sample, write_results

N = 28


def trigger(folder: Path, batch: str, ledger: Path | None = None, out: Path | None = None) -> int:
    """Decide and publish a batch of which the results are in a folder."""
    key = ["--key", str(folder / "lab.pem")]
    given = ["trigger", "--batch-dir", str(folder / batch), "--batch", batch, "--rule", str(RULE_FILE), "--study", "S"]
    return run([*given, "--ledger", str(ledger or folder / "l"), "--out", str(out or folder / f"{batch}-out"), *key])


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Two batches' results, a key, and what their folders come to."""
    assert run(["keys", "new", str(tmp_path / "lab.pem")]) == 0
    write_results(tmp_path / "b1", sample(0), sample(0, patient="P02", D538G=50))
    write_results(tmp_path / "b2", sample(N, D538G=9), sample(N, patient="P02", failed=True))
    for batch in ("b1", "b2"):
        assert trigger(tmp_path, batch, tmp_path / "whole", tmp_path / f"{batch}-whole") == 0
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones too."""
    return {p.name: p.read_bytes() for p in folder.iterdir()}


class Fault:
    """Lets the calls of some functions of `os` pass until it is time, and then fails one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self.left = number
        for name in ("fsync", "link", "replace", "fdopen", "mkdir", "fchmod", "chmod", "open"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*arguments, **named)

        return call


@pytest.mark.slow
def test_a_failed_write_anywhere_is_one_line_and_the_next_run_ends_it(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trigger(lab, "b1") == 0
    failed = 0
    for number in itertools.count(1):
        for path in (*lab.glob("l2*"), *lab.glob("b2-out/*")):
            path.unlink()
        (lab / "l2").write_bytes((lab / "l").read_bytes())
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as monkeypatch:
            fault = Fault(monkeypatch, number)
            result = trigger(lab, "b2", lab / "l2")
        told = capsys.readouterr().err.splitlines()
        if fault.left > 0:
            break
        if result != 0:  # what fails in vain (a folder is there already) does no harm
            assert result == 2, (number, told)
            assert len(told) == 1
            assert os.strerror(errno.ENOSPC) in told[0]
            failed += 1
        assert trigger(lab, "b2", lab / "l2") == 0
        assert files(lab / "b2-out") == files(lab / "b2-whole"), number
    assert failed > 15
    assert files(lab / "b2-out") == files(lab / "b2-whole")


def test_a_disk_of_any_size_that_is_too_small_is_one_line(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ledger and folder lie on it; once there is space, the next run ends with the whole files."""
    codes = []
    for size in range(8, 400, 12):
        with small_disk(tmp_path / "disk", size) as place:
            capsys.readouterr()
            code = trigger(lab, "b1", place / "l", place / "out")
            told = capsys.readouterr().err.splitlines()
            assert code == 0 or (code == 2 and len(told) == 1), (size, told)
            codes.append(code)
            remount(place, "size=4m")
            assert trigger(lab, "b1", place / "l", place / "out") == 0, (size, told, capsys.readouterr().err)
            assert files(place / "out") == files(lab / "b1-whole"), size
            assert run(["ledger", "verify", "--ledger", str(place / "l")]) == 0
    assert codes == sorted(codes, reverse=True)
    assert {0, 2} == set(codes)


def test_a_clock_that_was_set_back_changes_no_event(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on the time of a run: entries are in the order of their numbers."""

    class Clock:
        UTC = datetime.UTC
        year = 2027

        class datetime(datetime.datetime):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> Clock.datetime:
                return cls(Clock.year, 1, 1, tzinfo=tz)

    monkeypatch.setattr(ledger_module, "datetime", Clock)
    assert trigger(lab, "b1") == 0
    Clock.year = 2026
    assert trigger(lab, "b2") == 0
    for batch in ("b1", "b2"):
        assert files(lab / f"{batch}-out") == files(lab / f"{batch}-whole")
    assert trigger(lab, "b1") == 0
    assert len(list((lab / "b1-out").glob("*.event.json"))) == 2
    assert run(["ledger", "verify", "--ledger", str(lab / "l")]) == 0
    with ledger_module.Ledger(lab / "l") as ledger, ledger.reading("S") as reader:
        recorded = [e.recorded[:4] for e in reader.entries(patient="P01")]
    assert recorded == ["2027"] * 4 + ["2026"] * 4


@pytest.mark.parametrize("name", ["with space", "a'b\"c", "$(touch x)", "new\nline", "ümläut 🧬", "-o"])
def test_a_place_of_any_name(lab: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = lab / name
    place.mkdir()
    assert trigger(lab, "b1", place / "l", place / "out") == 0
    assert files(place / "out") == files(lab / "b1-whole")
    assert run(["verify", str(place), "--key", str(lab / "lab.pub.pem"), "--ledger", str(place / "l")]) == 0


def test_a_loop_of_links_is_one_line(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "one").symlink_to(lab / "two")
    (lab / "two").symlink_to(lab / "one")
    for given in (
        {"ledger": lab / "one"},
        {"out": lab / "one"},
        {"ledger": lab / "one" / "l"},
        {"out": lab / "one" / "o"},
    ):
        capsys.readouterr()
        assert trigger(lab, "b1", **given) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(["verify", str(lab / "one"), "--unsigned"]) == 2
    assert run(["trigger", "--batch-dir", str(lab / "one")]) == 2
