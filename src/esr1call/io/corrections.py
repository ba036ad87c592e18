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

_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # no '@': an address names a person


def void(
    ledger: Writer, sample: str, by: str, reason: str, rule: Rule, patient: str | None = None
) -> tuple[Outcome, str]:
    """Leave a sample out of its patient's decisions, and decide anew; also returns the batch that an event is of.

    Taking back what the sample had raised needs no further release: the person who voids it authorises that. The same
    once more (where a run was stopped before it had published) changes nothing.
    """
    return _correct(ledger, sample, by, reason, rule, patient, Kind.VOID)


def reinstate(
    ledger: Writer, sample: str, by: str, reason: str, rule: Rule, patient: str | None = None
) -> tuple[Outcome, str]:
    """Take a voided sample in again, and decide its patient anew; also returns the batch that an event is of."""
    return _correct(ledger, sample, by, reason, rule, patient, Kind.REINSTATE)


def release(ledger: Writer, event_id: str, by: str, meaning: str) -> tuple[Issued, str]:
    """Issue a held event with who released it and why; also returns its batch. The same once more changes nothing."""
    authorisation = _authorisation(ledger, by, meaning, "meaning")
    patients = {e.patient for e in ledger.entries(kind=Kind.HELD, name=event_id)}
    if not patients:
        raise InputError(
            "no such event was held", field="EVENT", found=event_id, expected="the id of an event that waits",
            hint="'esr1call ledger show' lists them",
        )  # fmt: skip
    (patient,) = patients
    history = fold(ledger.entries(patient=patient))
    if history.held is not None and history.held.id == event_id:
        batch = history.held_in
        issue(ledger, history, patient, authorised(history.held.event, authorisation), batch)
        return history.issued[-1], batch
    for entry in ledger.entries(kind=Kind.EVENT, name=event_id):
        event = Issued.parse(entry.body.encode())
        if (event.event.get("authorisedby"), event.event.get("authorisedmeaning")) == (by, meaning):
            return event, entry.batch  # the same command again
        raise InputError(f"patient {patient}: the event was released before", field="EVENT", found=event_id)
    hint = None if history.held is None else f"event {history.held.id} waits now"
    raise InputError(f"patient {patient}: the event no longer stands", field="EVENT", found=event_id, hint=hint)


def _correct(
    ledger: Writer, sample: str, by: str, reason: str, rule: Rule, patient: str | None, kind: Kind
) -> tuple[Outcome, str]:
    authorisation = _authorisation(ledger, by, reason, "reason")
    body = json.dumps({"by": by, "reason": reason}, sort_keys=True)
    histories = {p: fold(ledger.entries(patient=p)) for p in sorted(ledger.owners([sample]).get(sample, ()))}
    same = [p for p in histories if patient in (None, p)]
    if not same:
        raise InputError("no such sample in the ledger", field="SAMPLE", found=sample, expected="a patient's sample")
    candidates = [p for p in same if (sample in histories[p].voided) is (kind is Kind.REINSTATE)]
    if not candidates:
        last = ledger.entries(patient=same, name=sample, kind=(Kind.VOID, Kind.REINSTATE))[-1:]
        if [e.body for e in last] != [body]:
            state = "voided already" if kind is Kind.VOID else "not voided"
            raise InputError(f"the sample is {state}", field="SAMPLE", found=sample)
        [again] = last  # the same command again: nothing new
        return decide_patient(ledger, histories[again.patient], again.patient, rule, again.batch), again.batch
    owner = _owner(sample, candidates, histories, kind)
    batch = ledger.entries(kind=Kind.RESULT, name=sample, patient=owner)[-1].batch
    history = histories[owner]
    history.add(ledger.append(owner, kind, sample, body, batch))
    return decide_patient(ledger, history, owner, rule, batch, authorisation if kind is Kind.VOID else None), batch


def _owner(sample: str, candidates: list[str], histories: dict[str, History], kind: Kind) -> str:
    """The one of several patients whose sample is to be voided or reinstated."""
    if len(candidates) > 1:
        raise InputError(
            "the sample was voided for several patients", field="--patient", expected="one of " + ", ".join(candidates)
        )
    valid = [p for p, h in histories.items() if sample not in h.voided]
    if kind is Kind.REINSTATE and valid:
        raise InputError(
            "the sample is another patient's now", field="SAMPLE", found=sample, hint=f"void it at {valid[0]} first"
        )
    return candidates[0]


def _authorisation(ledger: Writer, by: str, meaning: str, field: str) -> Authorisation:
    if not _PERSON.fullmatch(by):
        raise InputError("not an ID", field="--by", found=by, expected="letters, digits, '.', '_' and '-'")
    if not meaning.strip() or not meaning.isprintable() or len(meaning) > 500:
        raise InputError(
            "no usable text", field=f"--{field}", found=meaning, expected="one line of at most 500 characters"
        )
    return Authorisation(by, meaning, ledger.now)
