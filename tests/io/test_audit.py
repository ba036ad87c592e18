from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from esr1call.errors import InputError
from esr1call.history import GENESIS, Entry, Kind, fold
from esr1call.io.audit import audit
from esr1call.io.corrections import void
from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import publish
from esr1call.trigger import to_bytes
from tests.postgresql import new_schema
from tests.trigger_builders import pada1, sample

COLUMNS = (
    "entry", "study", "patient", "position", "kind", "name", "batch", "body", "recorded", "software", "previous",
    "hash",
)  # fmt: skip
_DROP = {
    "sqlite": ["DROP TRIGGER entries_no_update", "DROP TRIGGER entries_no_delete"],
    "postgresql": ["ALTER TABLE entries DISABLE TRIGGER entries_no_change"],
}
_MAKE = {
    "sqlite": [
        f"CREATE TRIGGER entries_no_{verb.lower()} BEFORE {verb} ON entries "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": ["ALTER TABLE entries ENABLE TRIGGER entries_no_change"],
}


def fill(place: str | Path, out: Path) -> None:
    """Two patients: one raised and retracted, one negative; published."""
    with Ledger(place) as ledger:
        with ledger.writing("S") as writer:
            results = [sample(0), sample(28, D538G=9), sample(0, patient="P02")]
            take_results(writer, results, pada1(), "b1")
        publish(ledger, "S", "b1", out)
        with ledger.writing("S") as writer:
            void(writer, "P01-2024-02-01", "qa-7", "swapped", pada1())
        publish(ledger, "S", "b1", out)


def tamper(place: str, *statements: str, guarded: bool = True) -> None:
    """Change the database past the software; with `guarded` the guards are put back as they were."""
    engine = sa.create_engine(place if "://" in place else f"sqlite:///{place}")
    with engine.begin() as connection:
        kind = connection.dialect.name
        for statement in [*_DROP[kind], *statements, *(_MAKE[kind] if guarded else [])]:
            connection.exec_driver_sql(statement)
    engine.dispose()


def check(place: str | Path) -> int:
    with Ledger(place, create=False) as ledger:
        return audit(ledger).entries


def test_a_whole_ledger_is_found_right(ledger_place: str, tmp_path: Path) -> None:
    fill(ledger_place, tmp_path / "out")
    with Ledger(ledger_place) as ledger:
        found = audit(ledger)
        with ledger.reading("S") as reader:
            assert len(reader.entries()) == found.entries
            assert len(fold(reader.entries(patient="P01")).issued) == 2
    assert (found.patients, found.events) == (2, 3)
    tamper(ledger_place)
    assert check(ledger_place) == found.entries


@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_value_of_any_column_is_found(ledger_place: str, tmp_path: Path, column: str) -> None:
    fill(ledger_place, tmp_path / "out")
    value = f"{column} + 100" if column in ("entry", "position") else f"{column} || 'x'"
    tamper(ledger_place, f"UPDATE entries SET {column} = {value} WHERE entry = 4")
    with pytest.raises(InputError, match="entry"):
        check(ledger_place)


@pytest.mark.parametrize("column", COLUMNS[1:-1])
def test_a_value_of_another_kind_is_found(tmp_path: Path, column: str) -> None:
    """SQLite keeps bytes where text should be, and says nothing."""
    place = str(tmp_path / "ledger.sqlite")
    fill(place, tmp_path / "out")
    tamper(place, f"UPDATE entries SET {column} = x'31' WHERE entry = 4")
    with pytest.raises(InputError, match=f"field 'ledger.{column}': the database is damaged: found 'b'1''"):
        check(place)
    if column == "patient":
        with Ledger(place) as ledger, ledger.reading("S") as reader, pytest.raises(InputError, match="is damaged"):
            reader.patients()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        pytest.param(
            "UPDATE entries SET body = replace(body, 'NOT_DETECTED', 'DETECTED') WHERE entry = 1",
            "entry 1 of patient P01: its hash does not fit its content", id="changed",
        ),
        pytest.param(
            "DELETE FROM entries WHERE entry = 2",
            "entry 3 of patient P01: does not follow the patient's entry before it", id="gap",
        ),
    ],
)  # fmt: skip
def test_nothing_is_decided_from_a_changed_entry_or_with_a_gap(
    ledger_place: str, tmp_path: Path, statement: str, said: str
) -> None:
    fill(ledger_place, tmp_path / "out")
    tamper(ledger_place, statement)
    with Ledger(ledger_place) as ledger, ledger.writing("S") as writer, pytest.raises(InputError, match=said):
        take_results(writer, [sample(56)], pada1(), "b2")


def test_a_folder_of_a_patient_without_a_decision_is_refused(ledger_place: str, tmp_path: Path) -> None:
    with Ledger(ledger_place) as ledger:
        with ledger.writing("S") as writer:
            writer.append("P01", Kind.VOID, "P01-V1", "{}", "b1")
        with pytest.raises(InputError, match="no decision of patient P01"):
            publish(ledger, "S", "b1", tmp_path / "out")


@pytest.mark.parametrize("entry", [1, 4, 7])
def test_a_missing_entry_is_found(ledger_place: str, tmp_path: Path, entry: int) -> None:
    fill(ledger_place, tmp_path / "out")
    tamper(ledger_place, f"DELETE FROM entries WHERE entry = {entry}")
    with pytest.raises(InputError, match=f"entry {entry} is missing"):
        check(ledger_place)


def forge(place: str, patient: str, position: int, change: Callable[[Entry], Entry]) -> None:
    """Change an entry and all hashes after it, as someone who knows how they are made could."""
    engine = sa.create_engine(place if "://" in place else f"sqlite:///{place}")
    with engine.connect() as connection:
        columns = ", ".join(COLUMNS[1:-1])
        found = connection.exec_driver_sql(f"SELECT entry, {columns} FROM entries ORDER BY entry")
        chain = [(row[0], Entry(*row[1:])) for row in found if row[2] == patient]
    previous, updates = GENESIS, []
    for number, entry in chain:
        new = replace(entry, previous=previous)
        if entry.position == position:
            new = change(new)
        values = {**vars(new), "hash": new.hash}
        updates.append((values, number))
        previous = new.hash
    with engine.begin() as connection:
        for statement in _DROP[connection.dialect.name]:
            connection.exec_driver_sql(statement)
        for values, number in updates:
            names = ", ".join(f"{c} = :{c}" for c in values)
            connection.execute(
                sa.text(f"UPDATE entries SET {names} WHERE entry = :number"), {**values, "number": number}
            )
        for statement in _MAKE[connection.dialect.name]:
            connection.exec_driver_sql(statement)
    engine.dispose()


def _say(**values: object) -> Callable[[Entry], Entry]:
    """Change an event's attributes."""

    def change(entry: Entry) -> Entry:
        return replace(entry, body=to_bytes({**json.loads(entry.body), **values}).decode())

    return change


@pytest.mark.parametrize(
    ("position", "change", "message"),
    [
        (
            2,
            lambda e: replace(e, previous="0" * 64),
            r"entry 2 \(result.*does not follow the patient's entry before it",
        ),
        (2, lambda e: replace(e, position=70), "does not follow the patient's entry before it"),
        (1, lambda e: replace(e, body=e.body.replace(":", ": ", 1)), "not a result as it is kept"),
        (1, lambda e: replace(e, body="{"), "can't be read: JSONDecodeError"),
        (1, lambda e: replace(e, kind="rumour"), "can't be read: ValueError 'rumour'"),
        (4, _say(subject="P03"), "its id is not the hash of what it says"),
        (4, lambda e: replace(e, body=e.body.replace("  ", " ")), "its id is not the hash of what it says"),
        (4, _say(sequence="2"), "out of sequence"),
        (4, _say(previousid="0" * 64), "does not follow the event before it"),
        (5, lambda e: replace(e, body='{"sha256": "0"}'), "no event before it has this file"),
    ],
)
def test_what_can_not_be_is_found_though_all_hashes_fit(
    ledger_place: str, tmp_path: Path, position: int, change: Callable[[Entry], Entry], message: str
) -> None:
    fill(ledger_place, tmp_path / "out")
    forge(ledger_place, "P01", 4, lambda e: e)
    assert check(ledger_place) > 10
    forge(ledger_place, "P01", position, change)
    with pytest.raises(InputError, match=message):
        check(ledger_place)


def test_missing_guards_are_found(ledger_place: str, tmp_path: Path) -> None:
    fill(ledger_place, tmp_path / "out")
    tamper(ledger_place, guarded=False)
    with pytest.raises(InputError, match="entries from being changed"):
        check(ledger_place)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE OR REPLACE FUNCTION entries_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$",
        "ALTER TABLE entries ENABLE REPLICA TRIGGER entries_no_change",
        "DROP TRIGGER entries_no_change ON entries; CREATE TRIGGER entries_no_change BEFORE UPDATE ON entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION entries_append_only()",
    ],
)
def test_guards_that_guard_nothing_are_found(postgresql_url: str, tmp_path: Path, statement: str) -> None:
    url = new_schema(postgresql_url)
    fill(url, tmp_path / "out")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
    with pytest.raises(InputError, match="entries from being changed is not as made"):
        check(url)


def rows(path: Path) -> list[tuple[object, ...]] | None:
    """Every value of every row, or None where SQLite can't read them."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT * FROM entries ORDER BY entry").fetchall()
    except sqlite3.DatabaseError:
        return None
    finally:
        connection.close()


def flip_and_check(whole: Path, place: Path, at: int, bit: int) -> bool:
    """Flip a bit of the database file; whether that is found, or has changed no row at all."""
    shutil.copy(whole, place)
    with place.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << bit)]))
    try:
        check(place)
    except InputError:
        return True
    return rows(place) == rows(whole)


def _whole(tmp_path: Path) -> Path:
    fill(tmp_path / "ledger.sqlite", tmp_path / "out")
    (tmp_path / "work").mkdir()
    assert not (tmp_path / "ledger.sqlite-wal").exists()
    return tmp_path / "ledger.sqlite"


def test_a_flipped_bit_of_the_database_file_is_found_where_it_changes_a_row(tmp_path: Path) -> None:
    whole = _whole(tmp_path)
    chance = random.Random(5)
    for number in range(150):
        at, bit = chance.randrange(whole.stat().st_size), chance.randrange(8)
        place = tmp_path / "work" / f"{number}.sqlite"
        assert flip_and_check(whole, place, at, bit), (at, bit)
        place.unlink()


@pytest.mark.slow
def test_every_byte_of_every_row_is_found_flipped(tmp_path: Path) -> None:
    """Each stored text of each row, at 20 places and all its hashes' digits, as bytes in the file."""
    whole = _whole(tmp_path)
    content, chance, tried = whole.read_bytes(), random.Random(6), 0
    for row in rows(whole) or []:
        for text in (str(v).encode() for v in row[1:]):
            at = content.find(text)
            if at < 0:  # runs over an overflow page
                text = text[:60]
                at = content.index(text)
            for offset in sorted(chance.sample(range(len(text)), min(len(text), 20))):
                place = tmp_path / "work" / f"{tried}.sqlite"
                assert flip_and_check(whole, place, at + offset, chance.randrange(8)), at + offset
                place.unlink()
                tried += 1
    assert tried > 1000
