"""Results of earlier batches that quality control compares a batch's patients with: from the ledger, or from a file.

The file is for jobs that run where the ledger may not be opened (SQLite wants all its users on one machine).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

from esr1call.errors import InputError
from esr1call.history import Entry, Kind, fold, result_from_json
from esr1call.io.batch import Batch
from esr1call.io.files import read_json, write_json
from esr1call.io.schema import validate
from esr1call.results import CallStatus, SampleResult, VariantCall
from esr1call.timeline import to_json

Earlier = dict[str, list[SampleResult]]
"""By patient, the results that count: the last version of each sample that is not voided."""


def from_ledger(batch: Batch) -> Earlier:
    """What the study's ledger holds of the batch's patients, without the batch's own samples and with detected calls
    alone; nothing before there is a ledger."""
    ledger = batch.config.trigger.ledger
    patients = sorted({s.patient for s in batch.samples if s.patient is not None})
    if not patients or ("://" not in ledger and not Path(ledger).exists()):
        return {}
    from esr1call.io.ledger import Ledger

    own = {s.sample for s in batch.samples}
    kinds = [Kind.RESULT.value, Kind.VOID.value, Kind.REINSTATE.value]
    entries: dict[str, list[Entry]] = {}
    with Ledger(ledger, create=False) as opened, opened.reading(batch.config.study) as reader:
        for entry in reader.entries(patient=patients, kind=kinds):
            entries.setdefault(entry.patient, []).append(entry)
    out: Earlier = {}
    for patient, found in sorted(entries.items()):
        history = fold(found)
        valid = [v[-1][1] for s, v in sorted(history.versions.items()) if s not in history.voided | own]
        if valid:  # none at all reads as before this batch was decided
            out[patient] = [replace(r, calls=_detected(r)) for r in valid]
    return out


def _detected(result: SampleResult) -> tuple[VariantCall, ...]:
    return tuple(c for c in result.calls if c.status is CallStatus.DETECTED)


def write_earlier(path: str | Path, earlier: Earlier) -> None:
    """Write them for `read_earlier`."""
    write_json(path, {patient: [to_json(r) for r in results] for patient, results in earlier.items()})


def read_earlier(path: str | Path) -> Earlier:
    """What `write_earlier` wrote; InputError where it is no such file."""
    try:
        found = {patient: list(results) for patient, results in read_json(path).items()}
        for result in chain.from_iterable(found.values()):
            validate(result, "result", file=path)
        return {patient: [result_from_json(r) for r in results] for patient, results in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"not earlier results: {error}", file=path, expected="a file of 'esr1call earlier'") from error
