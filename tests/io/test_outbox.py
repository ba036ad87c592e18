from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from esr1call.errors import InputError
from esr1call.history import Kind
from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import place, publish
from tests.trigger_builders import pada1, sample

FILES = ["P01.0001.raised.event.json", "P02.0001.not-raised.event.json"]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with ledger.writing("S") as writer:
            results = [sample(0), sample(28, D538G=9), sample(0, patient="P02")]
            take_results(writer, results, pada1(), "batch1")
        yield ledger


def events(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.event.json"))}


def test_each_event_is_one_file_with_the_ledgers_bytes(ledger: Ledger, tmp_path: Path) -> None:
    publish(ledger, "S", "batch1", tmp_path / "out")
    with ledger.reading("S") as reader:
        rows = [e.body.encode() for e in reader.entries(kind=Kind.EVENT)]
        assert len(reader.entries(kind=Kind.PUBLISHED)) == 2
    assert events(tmp_path / "out") == dict(zip(FILES, rows, strict=True))
    assert {stat.S_IMODE((tmp_path / "out" / f).stat().st_mode) for f in FILES} == {0o644}


def test_again_writes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    publish(ledger, "S", "batch1", tmp_path / "out")
    before = {p.name: p.stat() for p in (tmp_path / "out").iterdir()}
    publish(ledger, "S", "batch1", tmp_path / "out")
    assert {p.name: p.stat() for p in (tmp_path / "out").iterdir()} == before
    with ledger.reading("S") as reader:
        assert len(reader.entries(kind=Kind.PUBLISHED)) == 2


def test_a_lost_file_comes_back_with_the_same_bytes(ledger: Ledger, tmp_path: Path) -> None:
    publish(ledger, "S", "batch1", tmp_path / "out")
    whole = events(tmp_path / "out")
    (tmp_path / "out" / FILES[0]).unlink()
    publish(ledger, "S", "batch1", tmp_path / "out")
    assert events(tmp_path / "out") == whole


def test_stopped_between_file_and_note_it_ends_the_same(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, placed = os.link, []

    def link_once(source: str, target: Path) -> None:
        if placed:
            raise KeyboardInterrupt
        placed.append(target)
        real(source, target)

    monkeypatch.setattr(os, "link", link_once)
    with pytest.raises(KeyboardInterrupt):
        publish(ledger, "S", "batch1", tmp_path / "out")
    assert list(events(tmp_path / "out")) == FILES[:1]
    monkeypatch.undo()
    publish(ledger, "S", "batch1", tmp_path / "out")
    assert list(events(tmp_path / "out")) == FILES
    assert not list((tmp_path / "out").glob(".*"))
    with ledger.reading("S") as reader:
        assert len(reader.entries(kind=Kind.PUBLISHED)) == 2


def test_another_file_is_never_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "x"
    assert place(target, b"one")
    assert not place(target, b"one")
    with pytest.raises(InputError, match="never overwritten"):
        place(target, b"two")
    assert target.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
