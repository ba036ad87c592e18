from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from esr1call.errors import InputError
from esr1call.history import GENESIS, Kind
from esr1call.io.ledger import Ledger, Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def add(ledger: Ledger, *names: str, patient: str = "P01") -> None:
    with ledger.writing("S") as writer:
        for name in names:
            writer.append(patient, Kind.VOID, name, "{}", "b1")


def add_and_fail(writer: Writer) -> None:
    writer.append("P01", Kind.VOID, "a", "{}", "b1")
    writer.flush()
    raise TypeError


def execute(place: str, statement: str) -> None:
    """A statement past the software, as someone with access to the database would."""
    engine = sa.create_engine(place if "://" in place else f"sqlite:///{place}")
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def test_entries_are_chained_per_patient(ledger_place: str) -> None:
    with Ledger(ledger_place) as ledger:
        add(ledger, "a", "b")
        add(ledger, "x", patient="P02")
        add(ledger, "c")
        with ledger.reading("S") as reader:
            entries = reader.entries(patient="P01")
            [other] = reader.entries(patient="P02")
            assert reader.patients() == reader.patients("b1") == ["P01", "P02"]
            assert reader.patients("b2") == []
    assert [(e.name, e.position) for e in entries] == [("a", 1), ("b", 2), ("c", 3)]
    assert [e.previous for e in entries] == [GENESIS, entries[0].hash, entries[1].hash]
    assert (other.position, other.previous) == (1, GENESIS)


def test_a_writer_sees_what_it_added(ledger_place: str) -> None:
    with Ledger(ledger_place) as ledger, ledger.writing("S") as writer:
        writer.append("P01", Kind.VOID, "a", "{}", "b1")
        assert [e.name for e in writer.entries(patient="P01", kind=(Kind.VOID, Kind.EVENT))] == ["a"]


def test_studies_do_not_see_each_other(ledger_place: str) -> None:
    with Ledger(ledger_place) as ledger:
        add(ledger, "a")
        with ledger.reading("T") as reader:
            assert reader.entries() == []


def test_a_failed_transaction_leaves_nothing(ledger_place: str) -> None:
    with Ledger(ledger_place) as ledger:
        with pytest.raises(TypeError), ledger.writing("S") as writer:
            add_and_fail(writer)
        add(ledger, "b")
        with ledger.reading("S") as reader:
            assert [(e.name, e.position) for e in reader.entries()] == [("b", 1)]


@pytest.mark.parametrize("statement", ["UPDATE entries SET body = 'x'", "DELETE FROM entries"])
def test_the_database_refuses_change(ledger_place: str, statement: str) -> None:
    with Ledger(ledger_place) as ledger:
        add(ledger, "a")
    with pytest.raises(sa.exc.DatabaseError, match="append-only"):
        execute(ledger_place, statement)
    with Ledger(ledger_place) as ledger, ledger.reading("S") as reader:
        assert [e.body for e in reader.entries()] == ["{}"]


def test_postgresql_refuses_to_truncate_too(postgresql_url: str) -> None:
    from tests.postgresql import new_schema

    url = new_schema(postgresql_url)
    with Ledger(url) as ledger:
        add(ledger, "a")
    with pytest.raises(sa.exc.DatabaseError, match="append-only"):
        execute(url, "TRUNCATE entries")


def test_only_the_owner_may_read_it(path: Path) -> None:
    with Ledger(path) as ledger:
        add(ledger, "a")
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_writers_take_turns(ledger_place: str) -> None:
    with Ledger(ledger_place) as first, Ledger(ledger_place) as second:
        with first.writing("S") as writer:
            writer.append("P01", Kind.VOID, "a", "{}", "b1")
            other = threading.Thread(target=add, args=(second, "b"))
            other.start()
            other.join(0.2)
            assert other.is_alive()
        other.join(10)
        with first.reading("S") as reader:
            assert [(e.name, e.position) for e in reader.entries()] == [("a", 1), ("b", 2)]


def test_who_looks_does_not_wait_for_who_writes(ledger_place: str) -> None:
    with Ledger(ledger_place) as ledger:
        add(ledger, "a")
        with ledger.writing("S") as writer:
            writer.append("P01", Kind.VOID, "b", "{}", "b1")
            writer.flush()
            with Ledger(ledger_place, create=False) as other, other.reading("S") as reader:
                assert [e.name for e in reader.entries()] == ["a"]


def test_who_looks_sees_one_state(ledger_place: str) -> None:
    with Ledger(ledger_place) as ledger, Ledger(ledger_place) as other:
        add(ledger, "a")
        with other.reading("S") as reader:
            before = reader.entries()
            add(ledger, "b")
            assert reader.entries() == before


def test_looking_changes_no_byte(path: Path) -> None:
    """Not even of a copy that keeps no write-ahead log."""
    with Ledger(path) as ledger:
        add(ledger, "a")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    before = path.read_bytes()
    with Ledger(path, create=False) as ledger, ledger.reading("S") as reader:
        assert len(reader.entries()) == 1
    assert path.read_bytes() == before


def test_waiting_for_another_run_ends_in_one_line(ledger_place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esr1call.io.ledger.WAIT_SECONDS", 0.2)
    with (
        Ledger(ledger_place) as first,
        Ledger(ledger_place) as second,
        first.writing("S"),
        pytest.raises(InputError, match=r"another run holds the ledger; try again when it is done"),
    ):
        add(second, "b")


@pytest.mark.parametrize("content", [b"this is a text file, much longer than a header\n" * 20, None])
def test_what_is_no_ledger_is_refused(path: Path, content: bytes | None) -> None:
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE other (x)")
        connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(InputError, match="ledger"):
        Ledger(path)
    assert path.read_bytes() == before


def test_where_nothing_can_be_made_no_ledger_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="the ledger can't be made: File exists"):
        Ledger(tmp_path / "file" / "ledger.sqlite")


@pytest.mark.parametrize("url", ["nonsense://x/y", "sqlite+nodriver:///x", "mysql://u:p@h/db"])
def test_an_unknown_database_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="not a database that can be opened"):
        Ledger(url)


def test_an_unreachable_server_is_one_line_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install esr1call[postgresql])")
    with pytest.raises(InputError, match="can't be used") as caught:
        Ledger(f"postgresql+psycopg://lab:secret@/x?host={tmp_path}")
    assert "secret" not in str(caught.value)


def test_a_missing_ledger_is_not_made_by_reading(path: Path) -> None:
    with pytest.raises(InputError, match="no such ledger"):
        Ledger(path, create=False)
    assert not path.exists()


def test_a_sqlalchemy_url_is_a_ledger_too(path: Path) -> None:
    with Ledger(f"sqlite:///{path}") as ledger:
        add(ledger, "a")
    with Ledger(path, create=False) as ledger, ledger.reading("S") as reader:
        assert len(reader.entries(patient="P01", kind=Kind.VOID)) == 1
