"""Checking published folders the way a consumer does, with nothing but the files and the public keys.

The first thing that is wrong is an InputError that names its file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esr1call.errors import InputError
from esr1call.history import Kind
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import EVENTS, MANIFEST, manifest_digest
from esr1call.io.schema import validate, validator
from esr1call.io.signing import SUFFIX, Verifier
from esr1call.trigger import LIVE, RETRACTED, Issued, event_id, file_name, kind_of, to_bytes


@dataclass(frozen=True)
class Verified:
    """How much was checked, and found right; `live`: patient -> id of the event that a trial may act on.

    `missing`: events that others are chained to and that are not in the folders.
    """

    folders: int
    events: int
    signatures: int
    live: dict[str, str]
    missing: int


def folders_of(given: Iterable[str | Path]) -> list[Path]:
    """Folders of events: those given, and for one that is none itself all that lie in it (a study's results)."""
    out = []
    for folder in map(Path, given):
        inside = {p.parent for pattern in (MANIFEST, EVENTS) for p in folder.rglob(pattern)}
        out += [folder] if folder in inside or not inside else sorted(inside)
    return out


def verify(
    folders: Iterable[str | Path], keys: Verifier | None = None, *, unsigned: bool = False, part: bool = False
) -> Verified:
    """Check manifests, hashes, schema, ids, signatures, and each patient's chain over all the folders.

    With `keys` every event and manifest must have a signature that holds. Without, there must be none, unless
    `unsigned` says that signatures may be left unchecked. A chain must be there from its first event, unless the
    folders are only `part` of a study's.
    """
    events: dict[tuple[str, str], dict[int, tuple[Path, Issued]]] = {}
    count = signatures = 0
    for folder in map(Path, folders):
        count += 1
        signatures += _check_signatures(folder, keys, unsigned)
        listing = _manifest(folder)
        _check_files(folder, listing)
        for item in listing["events"]:
            path = folder / item["file"]
            event = _event(path, item, listing["study"])
            chain = events.setdefault((event.event["source"], event.event["subject"]), {})
            first = chain.setdefault(int(event.event["sequence"]), (path, event))
            if first[1].content != event.content:
                raise _wrong("another event has the same place in the patient's chain", path, first[0].name)
    live = {}
    for (_, patient), chain in sorted(events.items()):
        current = _check_chain(chain, part)
        if current is not None:
            live[patient] = current
    missing = sum(max(chain) - len(chain) for chain in events.values())
    return Verified(count, sum(map(len, events.values())), signatures, live, missing)


def against_ledger(folder: str | Path, ledger: Ledger) -> None:
    """Check that a folder (verified before) holds the events that the ledger has of its batch, and no others."""
    listing = _manifest(Path(folder))
    with ledger.reading(listing["study"]) as reader:
        rows = reader.entries(kind=Kind.EVENT, batch=listing["batch"])
    told = {e.name: e.body.encode() for e in rows}
    for item in listing["events"]:
        path = Path(folder, item["file"])
        if told.pop(item["id"], None) != _read(path):
            raise _wrong("not an event of the ledger", path)
    if told:
        raise InputError("the ledger has an event that is not here", file=folder, found=next(iter(told)))


def _wrong(problem: str, path: Path, found: object = None, expected: str | None = None) -> InputError:
    return InputError(problem, file=path, found=found, expected=expected)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", file=path) from error


def _json(path: Path, content: bytes) -> Any:
    """The value of a file in the one form in which such files are written."""
    try:
        value = json.loads(content)
        same = isinstance(value, dict) and to_bytes(value) == content
    except (ValueError, RecursionError) as error:
        raise _wrong(f"not JSON: {error}", path) from error
    if not same:
        raise _wrong("not written by this software, or changed since", path)
    return value


def _check_signatures(folder: Path, keys: Verifier | None, unsigned: bool) -> int:
    """Check the signature of each event and manifest; how many were checked."""
    if not folder.is_dir():
        raise InputError("no such folder", file=folder)
    found = sorted(folder.glob("*" + SUFFIX))
    if keys is None:
        if found and not unsigned:
            raise InputError("the file's signature is not checked", file=found[0], hint="give the public key by --key")
        return 0
    signed = [p for p in sorted([*folder.glob(EVENTS), folder / MANIFEST]) if p.exists()]
    for path in signed:
        signature = path.with_name(path.name + SUFFIX)
        if not signature.exists():
            raise _wrong("no signature", path, None, f"{signature.name} beside it")
        problem = keys.problem(_read(path), _read(signature))
        if problem is not None:
            raise _wrong(problem, signature)
    for signature in found:
        if not signature.with_name(signature.name.removesuffix(SUFFIX)).exists():
            raise _wrong("a signature without its file", signature)
    return len(signed)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    listing: dict[str, Any] = _json(path, _read(path))
    validate(listing, "manifest", file=path)
    if listing["sha256"] != manifest_digest(listing):
        raise _wrong("changed since it was written", path, listing["sha256"], f"SHA-256 {manifest_digest(listing)}")
    return listing


def _check_files(folder: Path, listing: dict[str, Any]) -> None:
    """Every listed file is there with its hash, and no event beside."""
    for item in [*listing["events"], *listing["files"]]:
        path = folder / item["file"]
        if not path.exists():
            raise _wrong("missing, and the manifest lists it", path)
        found = hashlib.sha256(_read(path)).hexdigest()
        if found != item["sha256"]:
            raise _wrong("changed since it was published", path, found, f"SHA-256 {item['sha256']}")
    listed = {item["file"] for item in listing["events"]}
    for path in sorted(folder.glob(EVENTS)):
        if path.name not in listed:
            raise _wrong("an event that the manifest does not list", path)


def _event(path: Path, item: dict[str, Any], study: str) -> Issued:
    """The event in a file, right by itself: schema, id, file name, manifest."""
    content = _read(path)
    value = _json(path, content)
    error = next(validator("event").iter_errors(value), None)
    if error is not None:
        field = ".".join(str(p) for p in error.absolute_path)
        told = error.message if len(error.message) < 200 else f"rule {error.validator!r} does not hold"
        raise InputError(f"against the schema: {told}", file=path, field=field or None)
    try:
        expected = event_id(value)
    except ValueError as error:
        raise _wrong(f"has no canonical form: {error}", path) from error
    if value["id"] != expected:
        raise _wrong("its id is not the hash of what it says", path, value["id"], expected)
    if path.name != file_name(value):
        raise _wrong("the file's name is another event's", path, None, file_name(value))
    data = value["data"]
    if (value["subject"], value["source"], data["study"]) != (data["patient"], f"/esr1call/studies/{study}", study):
        raise _wrong("subject or source are not those of its data and manifest", path, value["source"])
    if any(value[k] != item.get(k) for k in ("id", "type", "subject", "sequence")):
        raise _wrong("the manifest tells of another event", path)
    return Issued(value, content)


def _check_chain(chain: dict[int, tuple[Path, Issued]], part: bool) -> str | None:
    """One patient's events follow each other; the id of the live one, None where there is none."""
    before: list[Issued] = []
    for number in range(1, max(chain) + 1):
        if number not in chain:
            if part:
                before = []
                continue
            path, event = chain[min(n for n in chain if n > number)]
            raise InputError(
                f"event {number} of patient {event.event['subject']} comes before it and is missing", file=path,
                hint="give the folders of earlier batches too (or --part, to check these by themselves)",
            )  # fmt: skip
        path, event = chain[number]
        if before:
            expected = before[-1].id, before[-1].sha256
            if (event.event["previousid"], event.event["previoussha256"]) != expected:
                raise _wrong("does not follow the event before it", path, event.event["previousid"], expected[0])
        if before or number == 1:
            _check_turn(path, event, before)
        before.append(event)
    return before[-1].id if kind_of(before[-1].event) in LIVE else None


def _check_turn(path: Path, event: Issued, before: list[Issued]) -> None:
    """At most one event is live: what follows a live one supersedes it, and only a live one is amended or retracted."""
    kind, supersedes = kind_of(event.event), event.event["data"]["supersedes"]
    if event.id in {e.id for e in before}:
        raise _wrong("the same event twice", path, event.id)
    if supersedes is not None and (not before or supersedes != before[-1].id):
        raise _wrong("supersedes another event than the one before it", path, supersedes)
    live = bool(before) and kind_of(before[-1].event) in LIVE
    if live and (kind not in (*LIVE, RETRACTED) or supersedes is None):
        raise _wrong(f"{kind}, while an event before it is live", path)
    if not live and kind in ("amended", RETRACTED):
        raise _wrong(f"{kind}, and no event before it is live", path)
