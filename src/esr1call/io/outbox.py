"""The outbox: a folder with one file per event, in which a file appears whole, once, and never changes.

Events are rows of the ledger first. Publishing writes the exact bytes of each row that has no file yet, then notes it
in the ledger; stopped anywhere and started again, it ends with the same files.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from esr1call.errors import InputError
from esr1call.history import Kind
from esr1call.io.files import atomic_path
from esr1call.io.ledger import Ledger
from esr1call.trigger import Issued, file_name

MANIFEST = "manifest.json"
SCHEMA = "event.schema.json"


def publish(ledger: Ledger, study: str, batch: str, folder: str | Path) -> list[Issued]:
    """Bring the folder of a batch up to date with its events in the ledger, and return them in the ledger's order.

    Raises InputError where a file of another content is in the way: nothing is overwritten.
    """
    with ledger.reading(study) as reader:
        rows = reader.entries(kind=Kind.EVENT, batch=batch)
        noted = {e.name for e in reader.entries(kind=Kind.PUBLISHED, batch=batch)}
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", file=target) from error
    write_if_changed(target / SCHEMA, files("esr1call").joinpath("schemas", SCHEMA).read_bytes())
    events = [Issued.parse(e.body.encode()) for e in rows]
    for event in events:
        place(target / file_name(event.event), event.content)
    _sync(target)
    new = [(row, event) for row, event in zip(rows, events, strict=True) if row.name not in noted]
    if new:
        with ledger.writing(study) as writer:
            noted = {e.name for e in writer.entries(kind=Kind.PUBLISHED, batch=batch)}
            for row, event in new:
                if row.name not in noted:
                    writer.append(row.patient, Kind.PUBLISHED, row.name, f'{{"sha256": "{event.sha256}"}}', batch)
    return events


def place(path: Path, content: bytes) -> bool:
    """Put a whole file at `path` unless it is there; True if it was written. InputError where another file is there."""
    if path.exists():
        _same(path, content)
        return False
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
        os.link(name, path)
    except FileExistsError:
        _same(path, content)
        return False
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", file=path) from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
    return True


def _same(path: Path, content: bytes) -> None:
    if path.read_bytes() != content:
        raise InputError(
            "another event's file is there, and is never overwritten", file=path,
            found=hashlib.sha256(path.read_bytes()).hexdigest(), expected=hashlib.sha256(content).hexdigest(),
            hint="use a folder of its own for each study and ledger",
        )  # fmt: skip


def _sync(folder: Path) -> None:
    """Make the folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file that may change, whole or not at all, and not where it is the same already."""
    if path.exists() and path.read_bytes() == content:
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def manifest(study: str, batch: str, events: list[Issued]) -> dict[str, Any]:
    """The list of a batch's event files with their SHA-256."""
    return {
        "study": study,
        "batch": batch,
        "events": [
            {
                "file": file_name(e.event),
                "sha256": e.sha256,
                **{k: e.event[k] for k in ("id", "type", "subject", "sequence")},
            }
            for e in events
        ],
    }
