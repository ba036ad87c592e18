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
from esr1call.results import SampleResult
from esr1call.rule import Rule
from esr1call.timeline import digest, to_json
from esr1call.trigger import RETRACTED, Issued, decision_data, event, plan, same_decision, to_bytes

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Outcome:
    """What a patient's decision is now. `data` as in an event; `event` the last one issued, `new` if by this run.

    `held`: the decision takes back a raised event, and waits for a person's sign-off.
    """

    patient: str
    data: dict[str, Any]
    event: Issued | None
    new: bool
    held: bool


def take_results(ledger: Writer, results: Iterable[SampleResult], rule: Rule, batch: str) -> list[Outcome]:
    """Record new result versions, decide each of their patients from all valid results, and record what changed.

    Samples that are not of patients are left out. Raises InputError where a patient's sample lacks a collection date
    or is recorded as another patient's.
    """
    if not _ID.fullmatch(ledger.study):
        raise InputError("bad value", field="study", found=ledger.study, expected="letters, digits, '.', '_' and '-'")
    by_patient: dict[str, list[SampleResult]] = {}
    for result in results:
        if result.sample_type == "patient":
            by_patient.setdefault(_patient(result), []).append(result)
    owners = ledger.owners()
    outcomes = []
    for patient in sorted(by_patient):
        history = fold(ledger.entries(patient=patient))
        for result in sorted(by_patient[patient], key=lambda r: (r.collected or "", r.sample)):
            for other in owners.setdefault(result.sample, set()) - {patient}:
                _check_voided(ledger, result, other)
            owners[result.sample].add(patient)
            _record(ledger, history, patient, result, batch)
        outcomes.append(decide_patient(ledger, history, patient, rule, batch))
    return outcomes


def _patient(result: SampleResult) -> str:
    """The patient's pseudonym, which names files and must be safe for it."""
    if not result.patient or not _ID.fullmatch(result.patient):
        raise InputError(
            f"sample {result.sample} has no usable patient", field="patient", found=result.patient,
            expected="letters, digits, '.', '_' and '-'",
        )  # fmt: skip
    return result.patient


def _record(ledger: Writer, history: History, patient: str, result: SampleResult, batch: str) -> None:
    sha256 = digest(result)
    if history.is_new(result.sample, sha256):
        body = json.dumps({"digest": sha256, "result": to_json(result)}, sort_keys=True, allow_nan=False)
        history.add(ledger.append(patient, Kind.RESULT, result.sample, body, batch))


def _check_voided(ledger: Writer, result: SampleResult, other: str) -> None:
    ledger.flush()
    if result.sample not in fold(ledger.entries(patient=other)).voided:
        raise InputError(
            f"sample {result.sample} is in the ledger as another patient's", field="patient",
            found=result.patient, expected=other, hint="if samples were swapped, void it there first",
        )  # fmt: skip


def decide_patient(ledger: Writer, history: History, patient: str, rule: Rule, batch: str) -> Outcome:
    """Decide from a patient's state; record the decision and its event where they are news."""
    data = decision_data(decide(patient, history.draws(rule), rule), ledger.study, rule)
    body = json.dumps(data, sort_keys=True, allow_nan=False)
    if body != history.decision:
        history.add(ledger.append(patient, Kind.DECISION, data["decision"], body, batch))
    planned = plan(data, history.issued)
    if planned is None:
        if history.held is not None:
            history.add(ledger.append(patient, Kind.WITHDRAWN, "", body, batch))
        return Outcome(patient, data, history.issued[-1], False, False)
    if planned.kind == RETRACTED:
        if history.held is None or not same_decision(history.held, data):
            history.add(ledger.append(patient, Kind.HELD, planned.kind, body, batch))
        return Outcome(patient, data, history.issued[-1], False, True)
    made = event(data, planned, rule, history.issued)
    text = to_bytes(made).decode()
    history.add(ledger.append(patient, Kind.EVENT, made["id"], text, batch))
    return Outcome(patient, data, history.issued[-1], True, False)


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
        return result_from_json(read_json(path))
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
