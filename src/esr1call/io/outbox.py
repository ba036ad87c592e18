"""The outbox: a folder for each batch with one file per event, in which a file appears whole, once, and never changes.

Events are rows of the ledger first. Publishing writes the exact bytes of each row that has no file yet, then notes it
in the ledger; stopped anywhere and started again, it ends with the same files. The folder's other files (schema, table
of decisions, manifest) are derived from the ledger too, and replaced whole. Publishing holds the ledger, so two runs at
once take turns.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import rfc8785

from esr1call.cells import spreadsheet_safe
from esr1call.errors import InputError
from esr1call.history import DECIDED, Kind, fold
from esr1call.io.files import atomic_path, read_json
from esr1call.io.ledger import Ledger, Reader
from esr1call.io.signing import SUFFIX, Signer
from esr1call.trigger import Issued, file_name, to_bytes

MANIFEST = "manifest.json"
SCHEMA = "event.schema.json"
DECISIONS = "decisions.tsv"
EVENTS = "*.event.json"
COLUMNS = (
    "patient", "decision", "reasons", "variants", "redraw_requested", "collected", "samples",
    "event_type", "event_file", "sign_off",
)  # fmt: skip
# What a file system without hard links answers.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def publish(ledger: Ledger, study: str, batch: str, folder: str | Path, signer: Signer | None = None) -> list[Issued]:
    """Bring the folder of a batch up to date with the ledger, and return the batch's events in the ledger's order.

    Raises InputError where a file of another content is in the way: nothing is overwritten.
    """
    target = Path(folder)
    with ledger.writing(study) as writer:
        check_folder(writer, batch, target, signer)
        _make_ready(target)
        rows = writer.entries(kind=Kind.EVENT, batch=batch)
        noted = {e.name for e in writer.entries(kind=Kind.PUBLISHED, batch=batch)}
        events = [Issued.parse(e.body.encode()) for e in rows]
        for event in events:
            path = target / file_name(event.event)
            if signer is not None and not _signature(path).exists():
                place(_signature(path), signer.sign(event.content))  # first: who sees the event can check it
            place(path, event.content)
        others = {
            SCHEMA: files("esr1call").joinpath("schemas", SCHEMA).read_bytes(),
            DECISIONS: _decisions(writer, batch).encode(),
        }
        for name, content in others.items():
            write_if_changed(target / name, content)
        listing = to_bytes(manifest(study, batch, events, others))
        if signer is not None:
            write_if_changed(_signature(target / MANIFEST), signer.sign(listing))
        write_if_changed(target / MANIFEST, listing)
        _sync(target)
        for row, event in zip(rows, events, strict=True):
            if row.name not in noted:
                note = json.dumps({"folder": os.path.abspath(target), "sha256": event.sha256})
                writer.append(row.patient, Kind.PUBLISHED, row.name, note, batch)
    return events


def folder_of(reader: Reader, batch: str, given: str | None) -> Path:
    """The folder that a correction of a batch is published to: the one given, by default where its last event went.

    Raises InputError where the batch's earlier events are not there: who looks for them would not see the correction.
    """
    notes = reader.entries(kind=Kind.PUBLISHED, batch=batch)
    if not notes:
        if given is None:
            raise InputError(f"no event of batch {batch} was published yet", field="--out", expected="a folder for it")
        return Path(given)
    known = str(json.loads(notes[-1].body)["folder"])
    folder = Path(given or known)
    if not (folder / MANIFEST).exists():
        raise InputError(
            f"not the folder with the events of batch {batch}", file=folder, field="--out",
            expected=f"{known}, or where it was moved to",
        )  # fmt: skip
    return folder


def check_folder(reader: Reader, batch: str, folder: Path, signer: Signer | None) -> None:
    """A folder is new, or is of this batch and ledger, and signed if it was; InputError otherwise. Changes nothing."""
    if (folder / MANIFEST).exists():
        listing = read_json(folder / MANIFEST)
        found = (listing.get("study"), listing.get("batch")) if isinstance(listing, dict) else (None, None)
        if found != (reader.study, batch):
            raise InputError(
                "the folder is another batch's", file=folder / MANIFEST, found=" ".join(map(str, found)),
                expected=f"{reader.study} {batch}", hint="give each batch a folder of its own",
            )  # fmt: skip
    signed = next(folder.glob("*" + SUFFIX), None)
    if signer is None and signed is not None:
        raise InputError("the folder's events are signed", file=signed, hint="give the private key by --key")
    known = {file_name(Issued.parse(e.body.encode()).event) for e in reader.entries(kind=Kind.EVENT, batch=batch)}
    strange = next((p for p in sorted(folder.glob(EVENTS)) if p.name not in known), None)
    if strange is not None:
        raise InputError(
            "the ledger does not have this event", file=strange, expected="folder and ledger of one study",
            hint="was another ledger given before?",
        )  # fmt: skip


def _make_ready(folder: Path) -> None:
    """The folder is there, and holds nothing half-written by a run that was stopped."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", file=folder) from error
    for name in (EVENTS, EVENTS + SUFFIX, MANIFEST, MANIFEST + SUFFIX, SCHEMA, DECISIONS):
        for stale in folder.glob(f".{name}.*.tmp"):
            stale.unlink(missing_ok=True)


def _signature(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def place(path: Path, content: bytes) -> bool:
    """Put a whole file at `path` unless it is there; True if it was written. InputError where another file is there."""
    if path.exists():
        _same(path, content)
        return False
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
        _link(name, path)
    except FileExistsError:
        _same(path, content)
        return False
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", file=path) from error
    finally:
        if name is not None:
            with suppress(FileNotFoundError):
                os.unlink(name)
    return True


def _link(name: str, path: Path) -> None:
    """Give a finished file its name, FileExistsError where it is taken.

    Where there are no hard links, it is renamed: whole too, but a file that another program put there since we looked
    would be replaced. Runs on one ledger take turns, so none of ours does.
    """
    try:
        os.link(name, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError from error
        os.rename(name, path)


def _same(path: Path, content: bytes) -> None:
    if path.read_bytes() != content:
        raise InputError(
            "another event's file is there, and is never overwritten", file=path,
            found=hashlib.sha256(path.read_bytes()).hexdigest(), expected=hashlib.sha256(content).hexdigest(),
            hint="use a folder of its own for each study and ledger",
        )  # fmt: skip


def _sync(folder: Path) -> None:
    """Make the folder's entries durable."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise InputError(f"cannot be made to last: {error.strerror}", file=folder) from error


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file that may change, whole or not at all, and not where it is the same already."""
    if path.exists() and path.read_bytes() == content:
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def manifest(study: str, batch: str, events: list[Issued], others: dict[str, bytes]) -> dict[str, Any]:
    """The list of a batch's files with their SHA-256; `sha256` is that of the rest of it as canonical JSON."""
    listing: dict[str, Any] = {
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
        "files": [{"file": n, "sha256": hashlib.sha256(others[n]).hexdigest()} for n in sorted(others)],
    }
    return {**listing, "sha256": manifest_digest(listing)}


def manifest_digest(listing: dict[str, Any]) -> str:
    """What a manifest's `sha256` must be."""
    return hashlib.sha256(rfc8785.dumps({k: v for k, v in listing.items() if k != "sha256"})).hexdigest()


def _decisions(reader: Reader, batch: str) -> str:
    """The table of decisions as they are now: a row for each patient with anything in the batch."""
    lines = ["\t".join(COLUMNS)]
    for patient in reader.patients(batch):
        state = fold(reader.entries(patient=patient, kind=DECIDED))
        if state.decision is None:
            raise InputError(f"no decision of patient {patient}", field="ledger", hint="see 'esr1call ledger verify'")
        data = json.loads(state.decision)
        last = state.issued[-1].event if state.issued else None
        cells = (
            patient, data["decision"], ",".join(data["reasons"]),
            ",".join(f"{f['variant']}={f['category']}" for f in [*data["drivers"], *data["other_findings"]]),
            str(data["redraw_requested"]).lower(), max((s["collected"] for s in data["specimens"]), default=""),
            ",".join(s["sample"] for s in data["specimens"]), "" if last is None else last["type"],
            "" if last is None else file_name(last), "" if state.held is None else state.held.id,
        )  # fmt: skip
        lines.append("\t".join(map(spreadsheet_safe, cells)))
    return "\n".join(lines) + "\n"
