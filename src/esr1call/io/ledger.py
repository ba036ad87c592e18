"""The ledger: one append-only table with every result version, decision and event, chained by hash per patient.

SQLite in one file by default, any SQLAlchemy URL otherwise. Rows can't be changed or deleted: triggers in the database
refuse it. A writer holds the whole ledger for its transaction, so two runs at once take turns.
"""

from __future__ import annotations

import datetime
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from esr1call import __version__
from esr1call.errors import InputError
from esr1call.history import GENESIS, Entry, Kind

WAIT_SECONDS = 60
_LOCK = 0x65737231  # any number of our own: the key of PostgreSQL's advisory lock
_METADATA = sa.MetaData()
_ENTRIES = sa.Table(
    "entries", _METADATA,
    sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("patient", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("batch", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("recorded", sa.Text, nullable=False),
    sa.Column("software", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.UniqueConstraint("study", "patient", "position"),
    sa.Index("entries_by_name", "study", "kind", "name"),
    sa.Index("entries_by_batch", "study", "kind", "batch"),
)  # fmt: skip
_SQLITE_GUARDS = tuple(
    f"CREATE TRIGGER entries_no_{verb.lower()} BEFORE {verb} ON entries "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for verb in ("UPDATE", "DELETE")
)
_POSTGRESQL_BODY = " BEGIN RAISE EXCEPTION 'the ledger is append-only'; END "
_POSTGRESQL_GUARDS = (
    f"CREATE FUNCTION entries_append_only() RETURNS trigger LANGUAGE plpgsql AS $${_POSTGRESQL_BODY}$$",
    "CREATE TRIGGER entries_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON entries "
    "FOR EACH STATEMENT EXECUTE FUNCTION entries_append_only()",
)


_FIELDS = tuple(f.name for f in fields(Entry))
_LAST = sa.select(sa.func.max(_ENTRIES.c.entry))


@cache
def _query(columns: tuple[str, ...], where: tuple[tuple[str, bool], ...], distinct: bool = False) -> sa.Select[Any]:
    """Columns of a study's entries, as written, where each column of `where` has one value (True) or any of several.

    Made once and its values bound later: to make a query costs far more than to run it.
    """
    query = sa.select(*(_ENTRIES.c[column] for column in columns)).where(_ENTRIES.c.study == sa.bindparam("study"))
    for column, one in where:
        c = _ENTRIES.c[column]
        value: sa.BindParameter[str] = sa.bindparam(column, expanding=not one)
        query = query.where(c == value if one else c.in_(value))
    return query.distinct() if distinct else query.order_by(_ENTRIES.c.entry)


_HEAD = _query(("position", "hash"), (("patient", True),)).order_by(None).order_by(_ENTRIES.c.position.desc()).limit(1)


class Ledger:
    """An open ledger; a context manager. `where` is a path (SQLite) or a SQLAlchemy URL; `is_new`: it was made now."""

    def __init__(self, where: str | Path, *, create: bool = True) -> None:
        """Open it, or make it where `create` is set; InputError where it can't be, or is no ledger."""
        self.where = str(where)
        try:
            url = sa.make_url(self.where) if "://" in self.where else None
            self.shown = self.where if url is None else url.render_as_string(hide_password=True)
            if url is None:
                url = sa.URL.create("sqlite", database=_sqlite_file(Path(where), create))
            if url.get_backend_name() not in ("sqlite", "postgresql"):
                raise sa.exc.ArgumentError(f"unknown kind {url.get_backend_name()}")
            self._engine = sa.create_engine(url)
        except (SQLAlchemyError, ImportError) as error:
            raise InputError(
                f"not a database that can be opened: {error}", field="ledger",
                expected="a path, or a SQLAlchemy URL of SQLite or PostgreSQL whose driver is installed",
            ) from error  # fmt: skip
        sqlite = url.get_backend_name() == "sqlite"
        if sqlite:
            _take_turns(self._engine)
        self.is_new = False
        with self._errors():
            if not self._is_made(create):
                self._make()
            if sqlite and create:
                # Kept in the file, so only once it is known to be ours; not possible inside a transaction.
                with self._engine.connect() as connection:
                    connection.connection.execute("PRAGMA journal_mode = WAL")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def _is_made(self, create: bool) -> bool:
        """Whether its table is there; False where it may be made. Waits for no other run."""
        with self._transaction(writing=False) as connection:
            tables = sa.inspect(connection).get_table_names()
        if "entries" not in tables and (tables or not create):
            raise InputError("is no ledger", file=self.shown, expected="a ledger of this software, or a new file")
        return bool(tables)

    def _make(self) -> None:
        with self._transaction(writing=True) as connection:
            if sa.inspect(connection).get_table_names():
                return  # another run was faster
            _METADATA.create_all(connection)
            for statement in _POSTGRESQL_GUARDS if connection.dialect.name == "postgresql" else _SQLITE_GUARDS:
                connection.exec_driver_sql(statement)
            self.is_new = True

    @contextmanager
    def _transaction(self, *, writing: bool) -> Iterator[sa.Connection]:
        postgresql = self._engine.dialect.name == "postgresql"
        options: dict[str, Any] = {"writing": writing}
        if postgresql and not writing:
            options["isolation_level"] = "REPEATABLE READ"  # all queries see the same, as SQLite's do
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            if writing and postgresql:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise self._unusable(error.orig) from error
        except sqlite3.Error as error:  # of a pragma, which goes by SQLAlchemy
            raise self._unusable(error) from error
        except DatabaseError as error:
            raise InputError(f"the ledger can't be used: {error.orig}", file=self.shown) from error
        except UnicodeDecodeError as error:  # what the database says of itself is no text
            raise InputError("the database is damaged", file=self.shown) from error

    def _unusable(self, error: BaseException | None) -> InputError:
        text = str(error)
        if "locked" in text or "lock timeout" in text:
            return InputError("another run holds the ledger", file=self.shown, hint="try again when it is done")
        hint = "is its disk full?" if "disk" in text else None
        return InputError(f"the ledger can't be used: {text}", file=self.shown, hint=hint)

    @contextmanager
    def writing(self, study: str) -> Iterator[Writer]:
        """A transaction on one study that nobody else can write in; all of it is kept, or nothing."""
        with self._errors(), self._transaction(writing=True) as connection:
            writer = Writer(connection, study)
            yield writer
            writer.flush()

    @contextmanager
    def reading(self, study: str) -> Iterator[Reader]:
        """A consistent view of one study."""
        with self._errors(), self._transaction(writing=False) as connection:
            yield Reader(connection, study)

    @contextmanager
    def inspecting(self) -> Iterator[tuple[str | None, Iterator[tuple[Any, Entry, Any]]]]:
        """For an audit: what is wrong with the database itself, and (number, entry, hash) of all rows as they stand."""
        with self._errors(), self._transaction(writing=False) as connection:
            query = sa.select(_ENTRIES).order_by(_ENTRIES.c.entry)
            problem = _database_problem(connection)
            with connection.execution_options(yield_per=200).execute(query) as rows:
                yield problem, ((row[0], _entry(row[1:-1]), row[-1]) for row in rows)


def _entry(values: Sequence[Any]) -> Entry:
    """A row, after the hash's own columns were taken off."""
    for column, value in zip(_FIELDS, values, strict=True):
        _check_kind(column, value)
    return Entry(*values)


def _check_kind(column: str, value: Any) -> None:
    """InputError for a value of another kind than its column's: SQLite hands out what a damaged file holds."""
    if not isinstance(value, int if column == "position" else str):
        raise InputError(
            "the database is damaged", field=f"ledger.{column}", found=repr(value),
            expected="a number" if column == "position" else "text",
            hint="restore the ledger from a backup",
        )  # fmt: skip


class Reader:
    """Looks at one study's entries."""

    def __init__(self, connection: sa.Connection, study: str) -> None:
        self._connection = connection
        self.study = study

    def _execute(self, query: sa.Select[Any], values: Mapping[str, Any]) -> sa.CursorResult[Any]:
        return self._connection.execute(query, {"study": self.study, **values})

    def entries(self, **where: str | Collection[str]) -> list[Entry]:
        """Entries with the given column values (patient, kind, name, batch; one, or any of several), as written.

        InputError where one was changed since, or is missing of a whole patient's: nothing is decided from such.
        """
        query = _query((*_FIELDS, "hash"), tuple((column, isinstance(value, str)) for column, value in where.items()))
        entries, whole, previous = [], where.keys() == {"patient"} and isinstance(where["patient"], str), GENESIS
        for *values, sha256 in self._execute(query, where):
            entry = _entry(values)
            if entry.hash != sha256:
                raise self._damaged(entry, "its hash does not fit its content")
            if whole and entry.previous != previous:
                raise self._damaged(entry, "does not follow the patient's entry before it")
            previous = sha256
            entries.append(entry)
        return entries

    def _damaged(self, entry: Entry, problem: str) -> InputError:
        return InputError(
            f"entry {entry.position} of patient {entry.patient}: {problem}", field="ledger",
            hint="see 'esr1call ledger verify'; restore the ledger from a backup",
        )  # fmt: skip

    def owners(self, samples: Iterable[str]) -> dict[str, set[str]]:
        """Sample -> the patients that results of it were recorded for (none: not a key)."""
        query = _query(("name", "patient"), (("kind", True), ("name", False)))
        out: dict[str, set[str]] = {}
        names = sorted(set(samples))
        for start in range(0, len(names), 1000):  # databases limit the values of one query
            values = {"kind": Kind.RESULT.value, "name": names[start : start + 1000]}
            for sample, patient in self._execute(query, values):
                out.setdefault(sample, set()).add(patient)
        return out

    def patients(self, batch: str | None = None) -> list[str]:
        """Patients with any entry (of a batch), by name."""
        where = {} if batch is None else {"batch": batch}
        query = _query(("patient",), tuple((column, True) for column in where), distinct=True)
        found = list(self._execute(query, where).scalars())
        for patient in found:
            _check_kind("patient", patient)
        return sorted(found)


class Writer(Reader):
    """Looks at and adds to one study's entries; `now` is the time of its transaction, `software` our version."""

    def __init__(self, connection: sa.Connection, study: str) -> None:
        super().__init__(connection, study)
        self._pending: list[dict[str, Any]] = []
        self._heads: dict[str, tuple[int, str]] = {}
        self._last_entry: int | None = None
        self.software = __version__
        self.now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

    def _execute(self, query: sa.Select[Any], values: Mapping[str, Any]) -> sa.CursorResult[Any]:
        self.flush()
        return super()._execute(query, values)

    def append(self, patient: str, kind: Kind, name: str, body: str, batch: str) -> Entry:
        """Add the next entry of a patient."""
        position, previous = self._heads.get(patient) or self._head(patient)
        entry = Entry(
            self.study, patient, position + 1, kind.value, name, batch, body, self.now, self.software, previous
        )
        sha256 = entry.hash
        self._heads[patient] = entry.position, sha256
        if self._last_entry is None:
            self._last_entry = self._execute(_LAST, {}).scalar() or 0
        self._last_entry += 1
        self._pending.append({"entry": self._last_entry, **vars(entry), "hash": sha256})
        return entry

    def _head(self, patient: str) -> tuple[int, str]:
        """(position, hash) of a patient's last entry."""
        row = self._execute(_HEAD, {"patient": patient}).first()
        return (0, GENESIS) if row is None else (row.position, row.hash)

    def flush(self) -> None:
        """Write what was added."""
        if self._pending:
            self._connection.execute(sa.insert(_ENTRIES), self._pending)
            self._pending = []


def _sqlite_file(path: Path, create: bool) -> str:
    """The file of a SQLite ledger, made with access for its owner only."""
    if not path.exists() and not create:
        raise InputError("no such ledger", file=path)
    if path.is_dir():
        raise InputError("is a folder, expected a ledger file", file=path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise InputError(f"the ledger can't be made: {error.strerror}", file=path) from error
    return os.path.abspath(path)


def _take_turns(engine: sa.Engine) -> None:
    """Let SQLite lock for a writer at the start of its transaction, and wait for another."""

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        connection.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")
        connection.execute("PRAGMA synchronous = FULL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _database_problem(connection: sa.Connection) -> str | None:
    """What is wrong with the database under the rows: damage, or guards that are not as they were made."""
    if connection.dialect.name != "sqlite":
        # 58: before, each statement, DELETE, UPDATE, TRUNCATE (pg_trigger.h); O: on.
        guards = connection.exec_driver_sql(
            "SELECT t.tgtype, t.tgenabled, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE t.tgrelid = 'entries'::regclass AND NOT t.tgisinternal"
        )
        whole = [tuple(row) for row in guards] == [(58, "O", _POSTGRESQL_BODY)]
        return None if whole else "the trigger that keeps entries from being changed is not as made"
    damage = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    if damage != ["ok"]:
        return f"the database is damaged: {damage[0]}"
    memory = sa.create_engine("sqlite://")
    with memory.begin() as fresh:
        _METADATA.create_all(fresh)
        for statement in _SQLITE_GUARDS:
            fresh.exec_driver_sql(statement)
        made, found = (
            sorted(map(tuple, c.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master")), key=str)
            for c in (fresh, connection)
        )
    memory.dispose()
    return None if made == found else "its tables and the triggers that keep entries from being changed are not as made"
