"""Results into the ledger, each patient decided anew, and the event that a changed decision calls for."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esr1call.decision import decide
from esr1call.errors import InputError
from esr1call.history import History, Kind, fold, result_from_json
from esr1call.io.files import read_json
from esr1call.io.ledger import Writer
from esr1call.io.schema import validate
from esr1call.io.sheet import looks_personal, visit_order
from esr1call.results import SampleResult
from esr1call.rule import Rule
from esr1call.timeline import canonical, digest, rounded, to_json
from esr1call.trigger import (
    RETRACTED,
    Authorisation,
    Issued,
    authorised,
    decision_data,
    event,
    file_name,
    kind_of,
    plan,
    to_bytes,
)

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Outcome:
    """What a patient's decision is now. `data` as in an event; `event` the last one issued, `new` if by this run.

    `held`: the event that the decision calls for, which waits for a person's sign-off.
    """

    patient: str
    data: dict[str, Any]
    event: Issued | None
    new: bool
    held: Issued | None


def take_results(ledger: Writer, results: Iterable[SampleResult], rule: Rule, batch: str) -> list[Outcome]:
    """Record new result versions, decide each of their patients from all valid results, and record what changed.

    Samples that are not of patients are left out. Raises InputError where a patient's sample lacks a collection date
    or is recorded as another patient's.
    """
    if not ID.fullmatch(ledger.study):
        raise InputError("bad value", field="study", found=ledger.study, expected="letters, digits, '.', '_' and '-'")
    by_patient: dict[str, list[SampleResult]] = {}
    for result in results:
        if result.sample_type == "patient":
            by_patient.setdefault(_patient(result), []).append(result)
    _check_capitals(ledger, by_patient)
    owners = ledger.owners(r.sample for rs in by_patient.values() for r in rs)
    outcomes = []
    for patient in sorted(by_patient):
        history = fold(ledger.entries(patient=patient))
        for result in sorted(by_patient[patient], key=lambda r: (r.collected or "", r.sample)):
            for other in owners.setdefault(result.sample, set()) - {patient}:
                _check_voided(ledger, result, other)
            owners[result.sample].add(patient)
            _record(ledger, history, patient, result, batch)
        _check_order(history, (r for r in by_patient[patient] if r.sample not in history.voided))
        outcomes.append(decide_patient(ledger, history, patient, rule, batch))
    return outcomes


def _patient(result: SampleResult) -> str:
    """The patient's pseudonym, which names files and must be safe for it; InputError where it, or what else an event
    tells of a sample, is not what a sample sheet may hold."""
    for field, value in (("sample", result.sample), ("patient", result.patient or "")):
        if not ID.fullmatch(value):
            raise InputError(
                f"sample {result.sample} has no usable {field}", field=field, found=value,
                expected="letters, digits, '.', '_' and '-'",
            )  # fmt: skip
    patient = result.patient or ""
    found = looks_personal(patient)
    if found:
        raise InputError(
            f"sample {result.sample}: the patient looks like {found}", field="patient",
            expected="the trial's pseudonym, with a number and without dates", hint="no personal data here",
        )  # fmt: skip
    return patient


def _record(ledger: Writer, history: History, patient: str, result: SampleResult, batch: str) -> None:
    kept = rounded(result)
    text = canonical(to_json(kept))
    sha256 = digest(text)
    if history.is_new(result.sample, sha256):
        ledger.append(patient, Kind.RESULT, result.sample, text, batch)
        history.add_result(result.sample, sha256, kept)


def _check_capitals(ledger: Writer, patients: Iterable[str]) -> None:
    """A patient's history is not split by how her pseudonym is spelt."""
    known = ledger.patients()
    spelt = {p.casefold(): p for p in known}
    for patient in patients:
        other = spelt.setdefault(patient.casefold(), patient)
        if patient != other and patient not in known:
            raise InputError(
                "the ledger has this patient by a name that differs in capitals only", field="patient", found=patient,
                expected=other, hint="correct the sample sheet",
            )  # fmt: skip


def _check_order(history: History, results: Iterable[SampleResult]) -> None:
    """Dates must not contradict the order of visits in earlier batches either: a slip would make a rise of a fall."""
    valid = [v[-1][1] for s, v in sorted(history.versions.items()) if s not in history.voided]
    dated = [(r, r.collected or "", *visit_order(r.visit or "")) for r in valid]
    for result in results:
        day, (kind, number) = result.collected or "", visit_order(result.visit or "")
        for other, other_day, other_kind, other_number in dated:
            if kind != other_kind:
                continue
            if day < other_day and number > other_number:
                raise _disordered(result, result, other)
            if day > other_day and number < other_number:
                raise _disordered(result, other, result)


def _disordered(result: SampleResult, before: SampleResult, after: SampleResult) -> InputError:
    return InputError(
        f"patient {result.patient}: visit {before.visit} (sample {before.sample}) is dated before visit "
        f"{after.visit} (sample {after.sample})", field="collected", found=before.collected,
        expected=f"{after.collected} or later",
        hint="correct the sheet that is wrong and run its batch again, or void its sample",
    )  # fmt: skip


def _check_voided(ledger: Writer, result: SampleResult, other: str) -> None:
    if result.sample not in fold(ledger.entries(patient=other)).voided:
        raise InputError(
            f"sample {result.sample} is in the ledger as another patient's", field="patient",
            found=result.patient, expected=other, hint="if samples were swapped, first 'esr1call ledger void' it there",
        )  # fmt: skip


def decide_patient(
    ledger: Writer,
    history: History,
    patient: str,
    rule: Rule,
    batch: str,
    authorisation: Authorisation | None = None,
) -> Outcome:
    """Decide from a patient's state; record the decision (where it or the software is new) and the event it calls for.

    An event of a kind that the rule wants signed off is held, but for a retraction that `authorisation` speaks of.
    """
    decision = decide(patient, history.draws(rule), rule)
    data = decision_data(decision, ledger.study, rule)
    body = json.dumps(data, sort_keys=True, allow_nan=False)
    if (body, ledger.software) != (history.decision, history.decided_by):
        history.add(ledger.append(patient, Kind.DECISION, data["decision"], body, batch))
    planned = plan(data, history.issued, decision.raised_before)
    if planned is None:
        if history.held is not None:
            history.add(ledger.append(patient, Kind.WITHDRAWN, history.held.id, "{}", batch))
        return Outcome(patient, data, _last(history), False, None)
    made = event(data, planned, rule, history.issued)
    if planned.kind in rule.sign_off and (authorisation is None or planned.kind != RETRACTED):
        if history.held is None or history.held.id != made["id"]:
            history.add(ledger.append(patient, Kind.HELD, made["id"], to_bytes(made).decode(), batch))
        return Outcome(patient, data, _last(history), False, history.held)
    issue(ledger, history, patient, made if authorisation is None else authorised(made, authorisation), batch)
    return Outcome(patient, data, _last(history), True, None)


def issue(ledger: Writer, history: History, patient: str, made: dict[str, Any], batch: str) -> None:
    """Record an event with the bytes of its file; publishing is the outbox's."""
    history.add(ledger.append(patient, Kind.EVENT, made["id"], to_bytes(made).decode(), batch))


def news(outcome: Outcome) -> str:
    """What became of a patient, in one line."""
    data = outcome.data
    if outcome.held is not None:
        told = f"{kind_of(outcome.held.event)} event {outcome.held.id} waits for 'esr1call release'"
    else:
        told = f"new event {file_name(outcome.event.event)}" if outcome.new and outcome.event else "no new event"
    drivers = ", ".join(f"{f['variant']} {f['category']}" for f in data["drivers"])
    return f"{outcome.patient}: {data['state']} ({drivers or ', '.join(data['reasons'])}); {told}"


def _last(history: History) -> Issued | None:
    return history.issued[-1] if history.issued else None


def read_results(paths: Iterable[str], batch_dir: str | None) -> list[SampleResult]:
    """The results in files, and in the samples' folders of a batch; InputError where one is no result."""
    given = [Path(p) for p in paths]
    if batch_dir is not None:
        found = sorted(Path(batch_dir).glob("samples/*/result.json"))
        if not found:
            raise InputError("no results in the folder", file=batch_dir, expected="samples/<sample>/result.json")
        given += found
    if not given:
        raise InputError("no results given", expected="result.json files, or --batch-dir")
    results = [read_result(p) for p in given]
    twice = [name for name, count in Counter(r.sample for r in results).items() if count > 1]
    if twice:
        raise InputError("two results of one sample", field="sample", found=twice[0], expected="each sample once")
    return results


def read_result(path: Path) -> SampleResult:
    """One sample's result file."""
    try:
        values = read_json(path, file_names=False)
        validate(values, "result", file=path)
        return result_from_json(values)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a result: {error}", file=path, expected="a result.json of this software") from error


def batch_of(results: Iterable[SampleResult]) -> str:
    """The one batch that results are of."""
    names = sorted({r.batch for r in results})
    if len(names) != 1:
        raise InputError(
            "results of several batches", field="batch", found=", ".join(names), hint="name one by --batch"
        )
    return names[0]
