"""What a person decides about the ledger: to void or reinstate a sample, or to release an event that is held."""

from __future__ import annotations

import json
import re

from esr1call.errors import InputError
from esr1call.history import History, Kind, fold
from esr1call.io.decisions import Outcome, decide_patient, issue
from esr1call.io.ledger import Writer
from esr1call.rule import Rule
from esr1call.trigger import Authorisation, Issued, authorised

_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")


def void(
    ledger: Writer, sample: str, by: str, reason: str, rule: Rule, patient: str | None = None
) -> tuple[Outcome, str]:
    """Leave a sample out of its patient's decisions, and decide anew; also returns the batch that an event is of.

    Taking back what the sample had raised needs no further release: the person who voids it authorises that.
    """
    return _correct(ledger, sample, by, reason, rule, patient, Kind.VOID)


def reinstate(
    ledger: Writer, sample: str, by: str, reason: str, rule: Rule, patient: str | None = None
) -> tuple[Outcome, str]:
    """Take a voided sample in again, and decide its patient anew; also returns the batch that an event is of."""
    return _correct(ledger, sample, by, reason, rule, patient, Kind.REINSTATE)


def release(ledger: Writer, event_id: str, by: str, meaning: str) -> tuple[Issued, str]:
    """Issue a held event with who released it and why; also returns its batch."""
    authorisation = _authorisation(ledger, by, meaning, "meaning")
    patients = {e.patient for e in ledger.entries(kind=Kind.HELD, name=event_id)}
    if not patients:
        raise InputError(
            "no such event was held", field="EVENT", found=event_id, expected="the id of an event that waits",
            hint="'esr1call ledger show' lists them",
        )  # fmt: skip
    (patient,) = patients
    history = fold(ledger.entries(patient=patient))
    if history.held is None or history.held.id != event_id:
        gone = "was released before" if event_id in {e.id for e in history.issued} else "no longer stands"
        hint = None if history.held is None else f"event {history.held.id} waits now"
        raise InputError(f"patient {patient}: the event {gone}", field="EVENT", found=event_id, hint=hint)
    batch = history.held_in
    issue(ledger, history, patient, authorised(history.held.event, authorisation), batch)
    return history.issued[-1], batch


def _correct(
    ledger: Writer, sample: str, by: str, reason: str, rule: Rule, patient: str | None, kind: Kind
) -> tuple[Outcome, str]:
    authorisation = _authorisation(ledger, by, reason, "reason")
    owner, history = _owner(ledger, sample, patient, kind)
    batch = ledger.entries(kind=Kind.RESULT, name=sample, patient=owner)[-1].batch
    body = json.dumps({"by": by, "reason": reason}, sort_keys=True)
    history.add(ledger.append(owner, kind, sample, body, batch))
    lets_out = kind is Kind.VOID
    return decide_patient(ledger, history, owner, rule, batch, authorisation if lets_out else None), batch


def _owner(ledger: Writer, sample: str, patient: str | None, kind: Kind) -> tuple[str, History]:
    """The patient whose sample is to be voided or reinstated, and her history."""
    histories = {p: fold(ledger.entries(patient=p)) for p in sorted(ledger.owners([sample]).get(sample, ()))}
    if not histories:
        raise InputError("no such sample in the ledger", field="SAMPLE", found=sample, expected="a patient's sample")
    valid = [p for p, h in histories.items() if sample not in h.voided]
    voided = [p for p in histories if p not in valid]
    candidates = [p for p in (valid if kind is Kind.VOID else voided) if patient in (None, p)]
    if not candidates:
        state = "voided already" if kind is Kind.VOID else "not voided"
        raise InputError(f"the sample is {state}", field="SAMPLE", found=sample)
    if len(candidates) > 1:
        raise InputError(
            "the sample was voided for several patients", field="--patient", expected="one of " + ", ".join(candidates)
        )
    if kind is Kind.REINSTATE and valid:
        raise InputError(
            "the sample is another patient's now", field="SAMPLE", found=sample, hint=f"void it at {valid[0]} first"
        )
    return candidates[0], histories[candidates[0]]


def _authorisation(ledger: Writer, by: str, meaning: str, field: str) -> Authorisation:
    if not _PERSON.fullmatch(by):
        raise InputError("not an ID", field="--by", found=by, expected="letters, digits, '.', '_', '@' and '-'")
    if not meaning.strip() or not meaning.isprintable() or len(meaning) > 500:
        raise InputError(
            "no usable text", field=f"--{field}", found=meaning, expected="one line of at most 500 characters"
        )
    return Authorisation(by, meaning, ledger.now)
