"""From a decision to the event that tells of it: a CloudEvents 1.0 object whose id is the hash of what it says.

The id is the SHA-256 of the canonical JSON (RFC 8785) of source, type, subject and data. Neither clock nor software
version is in them, so deciding the same again makes the same event. CloudEvents' optional `time` is left out: the lab
knows the day of a draw, not the time, and the time of a run is not part of what is said. Chain attributes (sequence,
previous event and the hash of its file) are in the envelope, beside what is hashed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import rfc8785

from esr1call.decision import Decision, Finding, Rise, State
from esr1call.results import VariantCall
from esr1call.rise import Ratio
from esr1call.rule import Rule
from esr1call.timeline import Draw, Evidence

STATE_NAMES = {
    State.RAISED: "bESR1mut rising",
    State.NOT_RAISED: "bESR1mut not rising",
    State.INCONCLUSIVE: "bESR1mut inconclusive",
}
DATA_SCHEMA = "urn:esr1call:schema:event:1"
RAISED, AMENDED, RETRACTED = "raised", "amended", "retracted"
LIVE = frozenset({RAISED, AMENDED})
"""Kinds of events that a trial may act on until a retracted one follows."""
_FORM_FIELDS = ("window", "haplotype", "protein", "cdna", "contig", "pos", "ref", "alt", "molecules")


@dataclass(frozen=True)
class Issued:
    """An event that the ledger holds, and the exact bytes of its file."""

    event: dict[str, Any]
    content: bytes

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """From an event's file."""
        return cls(json.loads(content), content)

    @property
    def id(self) -> str:
        """Event id."""
        return str(self.event["id"])

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Authorisation:
    """Who let an event out (an ID, no name), what that person meant by it, and when (ISO, UTC)."""

    by: str
    meaning: str
    time: str


@dataclass(frozen=True)
class Plan:
    """The event that a decision calls for."""

    kind: str
    supersedes: str | None


def same_decision(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two decisions' data are the same news to a consumer: numbers, comparators and caveats may differ."""
    return _essence(a) == _essence(b)


def _essence(data: dict[str, Any]) -> tuple[Any, ...]:
    drivers = [(d["variant"], d["category"]) for d in data["drivers"]]
    return data["decision"], data["reasons"], [s["sample"] for s in data["specimens"]], drivers


def as_of(data: dict[str, Any]) -> str:
    """ISO collection date of the last driving draw; empty where there is none."""
    return max((str(s["collected"]) for s in data["specimens"]), default="")


def plan(data: dict[str, Any], issued: Sequence[Issued], raised_before: frozenset[str] = frozenset()) -> Plan | None:
    """What to send of a decision after the patient's `issued` events (in sequence): None where the last one says it.

    A raised event stays live until it is retracted. While it is, only a changed trigger (amended), its loss (retracted)
    or, where the live one's samples are in `raised_before`, a later trigger (raised) is news. An event that is not
    about a later draw than all before it supersedes the last one, which also keeps ids unique where a decision comes
    back; so does all that follows a live one.
    """
    if issued and same_decision(issued[-1].event["data"], data):
        return None
    last = issued[-1].id if issued else None
    if issued and kind_of(issued[-1].event) in LIVE:
        if data["decision"] != State.RAISED:
            return Plan(RETRACTED, last)
        samples = {s["sample"] for s in issued[-1].event["data"]["specimens"]}
        return Plan(RAISED if samples <= raised_before else AMENDED, last)
    later = all(as_of(data) > as_of(e.event["data"]) for e in issued)
    return Plan(data["decision"], None if later else last)


def decision_data(decision: Decision, study: str, rule: Rule) -> dict[str, Any]:
    """A decision as JSON values with all it rests on: the event's data but for `supersedes`."""
    return {
        "study": study,
        "patient": decision.patient,
        "state": STATE_NAMES[decision.state],
        "decision": decision.state.value,
        "reasons": [r.value for r in decision.reasons],
        "redraw_requested": decision.redraw_requested,
        "drivers": [_finding(f) for f in decision.drivers],
        "other_findings": [_finding(f) for f in decision.findings if f not in decision.drivers],
        "without_power": list(decision.without_power),
        "specimens": [_specimen(d) for d in decision.draws],
        "rule": {"name": rule.name, "version": rule.version, "sha256": rule.sha256},
    }


def authorised(value: dict[str, Any], authorisation: Authorisation) -> dict[str, Any]:
    """An event with who let it out."""
    return {
        **value,
        "authorisedby": authorisation.by,
        "authorisedmeaning": authorisation.meaning,
        "authorisedtime": authorisation.time,
    }


def event(data: dict[str, Any], planned: Plan, rule: Rule, issued: Sequence[Issued]) -> dict[str, Any]:
    """The CloudEvents object for `decision_data`'s data, next in the patient's chain."""
    said = {
        "source": f"/esr1call/studies/{data['study']}",
        "type": f"{rule.event_prefix}.trigger.{planned.kind}.v1",
        "subject": data["patient"],
        "data": {**data, "supersedes": planned.supersedes},
    }
    previous = issued[-1] if issued else None
    chain = {} if previous is None else {"previousid": previous.id, "previoussha256": previous.sha256}
    return {
        "specversion": "1.0",
        "id": event_id(said),
        **said,
        "datacontenttype": "application/json",
        "dataschema": DATA_SCHEMA,
        "sequence": str(len(issued) + 1),
        "sequencetype": "Integer",
        **chain,
    }


def event_id(said: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON of an event's source, type, subject and data."""
    content = {k: said[k] for k in ("source", "type", "subject", "data")}
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def to_bytes(value: dict[str, Any]) -> bytes:
    """An event as it is published: indented JSON, keys sorted, UTF-8."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def file_name(value: dict[str, Any]) -> str:
    """The name of an event's file: patient, sequence and kind."""
    return f"{value['subject']}.{int(value['sequence']):04d}.{kind_of(value)}.event.json"


def kind_of(value: dict[str, Any]) -> str:
    """The word in an event's type that says what it is."""
    return str(value["type"].split(".")[-2])


def _number(value: float | None) -> float | None:
    """6 significant digits, so that the last bits of another machine do not make another event; None if not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _specimen(draw: Draw) -> dict[str, Any]:
    r = draw.result
    return {
        "sample": r.sample, "visit": r.visit, "collected": r.collected, "status": r.status.value,
        "result_sha256": draw.digest,
    }  # fmt: skip


def _finding(finding: Finding) -> dict[str, Any]:
    out: dict[str, Any] = {
        "variant": finding.variant,
        "category": finding.category.value,
        "reason": finding.reason.value,
        "caveats": [c.value for c in finding.caveats],
        "evidence": _evidence(finding.now),
        "comparator": None,
        "rise": None if finding.rise is None else _rise(finding.rise),
    }
    if finding.comparator is not None and finding.comparator_status is not None:
        out["comparator"] = {
            "specimens": [_specimen(d) for d in finding.comparator.draws],
            "status": finding.comparator_status.value,
            "lod95": _number(finding.comparator_lod95),
            "evidence": None if finding.before is None else _evidence(finding.before),
        }
    return out


def _evidence(e: Evidence) -> dict[str, Any]:
    numbers = (
        "vaf", "vaf_low", "vaf_high", "copies_per_ml", "copies_per_ml_low", "copies_per_ml_high",
    )  # fmt: skip
    return {
        "molecules": e.molecules,
        "depth": e.depth,
        **{n: _number(getattr(e, n)) for n in numbers},
        "forms": [_form(f) for f in e.forms],
    }


def _form(call: VariantCall) -> dict[str, Any]:
    return {name: getattr(call, name) for name in _FORM_FIELDS}


def _rise(rise: Rise) -> dict[str, Any]:
    return {
        "vaf": _ratio(rise.vaf),
        "copies_per_ml": None if rise.copies_per_ml is None else _ratio(rise.copies_per_ml),
        "power": _number(rise.power),
        "comparisons": rise.comparisons,
    }


def _ratio(ratio: Ratio) -> dict[str, Any]:
    return {
        "ratio": _number(ratio.ratio),
        "low": _number(ratio.low),
        "high": _number(ratio.high),
        "p": _number(ratio.p),
    }
