"""What the ledger's entries of one patient add up to: result versions, what is voided, what was decided and sent.

Entries are never changed, so the present state is a fold over them in order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from typing import Any

from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall
from esr1call.rule import Rule
from esr1call.timeline import Draw, digest, draws_of, made_of
from esr1call.trigger import Issued

GENESIS = "0" * 64
"""`previous` of a patient's first entry."""


class Kind(StrEnum):
    """What an entry records. `name` is the sample of RESULT, VOID and REINSTATE, otherwise the event's id.

    HELD: an event that waits for sign-off; WITHDRAWN: its decision has changed back before that.
    """

    RESULT = "result"
    VOID = "void"
    REINSTATE = "reinstate"
    DECISION = "decision"
    HELD = "held"
    WITHDRAWN = "withdrawn"
    EVENT = "event"
    PUBLISHED = "published"


DECIDED = frozenset({Kind.DECISION, Kind.HELD, Kind.WITHDRAWN, Kind.EVENT})
"""Entries that say what was decided, without the results it rests on."""


@dataclass(frozen=True)
class Entry:
    """One row of the ledger. `position` counts a patient's entries from 1, `previous` is the hash of the one before.

    `body` is JSON; of an EVENT the exact text of its file, of a HELD one that text before sign-off. `recorded` is when
    (UTC), `software` by what version.
    """

    study: str
    patient: str
    position: int
    kind: str
    name: str
    batch: str
    body: str
    recorded: str
    software: str
    previous: str

    @property
    def hash(self) -> str:
        """SHA-256 over all fields, in order and each as a netstring (its length in bytes, ':', the bytes, ',')."""
        total = hashlib.sha256()
        for text in map(str, vars(self).values()):
            content = text.encode()
            total.update(b"%d:%b," % (len(content), content))
        return total.hexdigest()


@dataclass
class History:
    """A patient's state; `versions`: sample -> its result versions, oldest first, each with its digest.

    `decision` is the last one's body, `decided_by` the version of the software that made it. `held` is the event that
    waits for sign-off, `held_in` its batch.
    """

    versions: dict[str, list[tuple[str, SampleResult]]] = field(default_factory=dict)
    voided: set[str] = field(default_factory=set)
    issued: list[Issued] = field(default_factory=list)
    published: set[str] = field(default_factory=set)
    decision: str | None = None
    decided_by: str = ""
    held: Issued | None = None
    held_in: str = ""

    def add(self, entry: Entry) -> None:
        """Take in the next entry."""
        match entry.kind:
            case Kind.RESULT:
                self.add_result(entry.name, digest(entry.body), result_from_json(json.loads(entry.body)))
            case Kind.VOID:
                self.voided.add(entry.name)
            case Kind.REINSTATE:
                self.voided.discard(entry.name)
            case Kind.DECISION:
                self.decision, self.decided_by = entry.body, entry.software
            case Kind.HELD:
                self.held, self.held_in = Issued.parse(entry.body.encode()), entry.batch
            case Kind.WITHDRAWN:
                self.held = None
            case Kind.EVENT:
                self.issued.append(Issued.parse(entry.body.encode()))
                self.held = None
            case Kind.PUBLISHED:
                self.published.add(entry.name)

    def add_result(self, sample: str, sha256: str, result: SampleResult) -> None:
        """Take in the next version of a sample's result."""
        self.versions.setdefault(sample, []).append((sha256, result))

    def is_new(self, sample: str, sha256: str) -> bool:
        """Whether this is another result than the sample's last version."""
        versions = self.versions.get(sample)
        return versions is None or versions[-1][0] != sha256

    def draws(self, rule: Rule) -> list[Draw]:
        """The valid draws."""
        return draws_of((v for sample, v in self.versions.items() if sample not in self.voided), rule)


def fold(entries: Iterable[Entry]) -> History:
    """The state after all of a patient's entries."""
    history = History()
    for entry in entries:
        history.add(entry)
    return history


def result_from_json(values: dict[str, Any]) -> SampleResult:
    """A result from its values in JSON; KeyError, TypeError or ValueError where they are none."""
    calls = tuple(_call(c) for c in values["calls"])
    status = SampleStatus(values["status"])
    return SampleResult(**{**values, "calls": calls, "status": status, "reasons": tuple(values["reasons"])})


_NAMES = tuple(f.name for f in fields(VariantCall))
_DEFAULTS = {f.name: f.default for f in fields(VariantCall) if f.default is not MISSING}
_TUPLES = tuple(f.name for f in fields(VariantCall) if "tuple" in str(f.type))


def _call(values: dict[str, Any]) -> VariantCall:
    whole = {**_DEFAULTS, **values, "status": CallStatus(values["status"])}
    if len(whole) != len(_NAMES):
        raise TypeError(f"a call has the fields {', '.join(_NAMES)}")
    for name in _TUPLES:
        whole[name] = tuple(whole[name])
    return made_of({name: whole[name] for name in _NAMES})
