"""Checking a ledger: guards, numbering, every hash and chain, and that its events are what they say they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from esr1call.errors import InputError
from esr1call.history import GENESIS, Entry, Kind
from esr1call.io.ledger import Ledger
from esr1call.timeline import canonical
from esr1call.trigger import Issued, event_id, to_bytes


@dataclass(frozen=True)
class Audited:
    """How much was checked, and found right."""

    patients: int
    entries: int
    events: int


class _Chain:
    """One patient's entries as far as they were read."""

    def __init__(self) -> None:
        self.position, self.hash = 0, GENESIS
        self.events: list[Issued] = []
        self.files: dict[str, str] = {}

    def add(self, entry: Entry, sha256: str) -> str | None:
        """Take in the next entry; what is wrong with it."""
        if any(type(getattr(entry, f.name)) is not (int if f.name == "position" else str) for f in fields(Entry)):
            return "a field is not of its type"
        if entry.hash != sha256:
            return "its hash does not fit its content"
        if (entry.position, entry.previous) != (self.position + 1, self.hash):
            return "does not follow the patient's entry before it"
        self.position, self.hash = entry.position, sha256
        try:
            return self._content(entry)
        except (KeyError, TypeError, ValueError) as error:
            return f"can't be read: {type(error).__name__} {error}"

    def _content(self, entry: Entry) -> str | None:
        match Kind(entry.kind):
            case Kind.RESULT:
                if canonical(json.loads(entry.body)) != entry.body:
                    return "not a result as it is kept"
            case Kind.EVENT:
                event = Issued.parse(entry.body.encode())
                before = self.events[-1] if self.events else None
                chained = (event.event.get("previousid"), event.event.get("previoussha256"))
                if (
                    entry.name != event.id
                    or event.id != event_id(event.event)
                    or to_bytes(event.event) != event.content
                ):
                    return "its id is not the hash of what it says"
                if event.event["sequence"] != str(len(self.events) + 1):
                    return "out of sequence"
                if chained != ((None, None) if before is None else (before.id, before.sha256)):
                    return "does not follow the event before it"
                self.events.append(event)
                self.files[event.id] = event.sha256
            case Kind.PUBLISHED:
                if self.files.get(entry.name) != json.loads(entry.body)["sha256"]:
                    return "no event before it has this file"
        return None


def audit(ledger: Ledger) -> Audited:
    """Check everything in a ledger; InputError names the first entry that is wrong."""
    with ledger.inspecting() as (problem, rows):
        if problem is not None:
            raise InputError(problem, file=ledger.shown)
        return _audit(rows, ledger.shown)


def _audit(rows: Iterator[tuple[Any, Entry, Any]], shown: str) -> Audited:
    chains: dict[tuple[str, str], _Chain] = {}
    number = 0
    for number, (given, entry, sha256) in enumerate(rows, 1):
        problem = None if given == number else f"entry {number} is missing"
        problem = problem or chains.setdefault((entry.study, entry.patient), _Chain()).add(entry, sha256)
        if problem is not None:
            raise InputError(
                f"entry {given} ({entry.kind} of patient {entry.patient}): {problem}", file=shown,
                hint="restore the ledger from a backup and run again",
            )  # fmt: skip
    return Audited(len(chains), number, sum(len(c.events) for c in chains.values()))
