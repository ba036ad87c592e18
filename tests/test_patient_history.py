from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from esr1call.history import Entry, Kind, fold
from esr1call.io.corrections import void
from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger
from esr1call.patient_history import history_text, overview
from tests.trigger_builders import pada1, sample

N = 28


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger") as ledger:
        yield ledger


def entries(ledger: Ledger) -> list[Entry]:
    with ledger.reading("S") as reader:
        return reader.entries(patient="P01")


def shown(ledger: Ledger, as_of: date | None = None, inclusion: date | None = None) -> list[str]:
    return history_text("S", "P01", entries(ledger), pada1(), as_of, inclusion).splitlines()


def test_an_event_that_waits_is_told_of(ledger: Ledger) -> None:
    with ledger.writing("S") as writer:
        take_results(writer, [sample(0), sample(N, D538G=9)], pada1(), "b1")
    with ledger.writing("S") as writer:
        take_results(writer, [sample(N)], pada1(), "b1")
    held = fold(entries(ledger)).held
    assert held is not None
    assert shown(ledger)[1] == (
        f"bESR1mut not rising (NEGATIVE); last event P01.0001.raised.event.json; "
        f"retracted event {held.id} waits for release"
    )
    assert overview([("P01", fold(entries(ledger)))]).splitlines()[2].split()[-1] == held.id
    with ledger.writing("S") as writer:
        take_results(writer, [sample(N, D538G=9)], pada1(), "b1")
    assert "waits" not in shown(ledger)[1]
    assert any(line.split()[2] == "withdrawn" and line.split()[3] == held.id[:12] for line in shown(ledger)[-2:])


def test_without_a_valid_draw_there_is_no_schedule_but_with_inclusion(ledger: Ledger) -> None:
    with ledger.writing("S") as writer:
        take_results(writer, [sample(0)], pada1(), "b1")
        void(writer, "P01-2024-01-01", "qa-7", "swapped", pada1())
    lines = shown(ledger)
    assert lines[:2] == [
        "patient P01 of study S",
        "bESR1mut inconclusive (NO_RESULT); last event P01.0002.inconclusive.event.json",
    ]
    assert not any(line.startswith("C1D1") for line in lines)
    assert any(line.startswith("P01-2024-01-01") and line.endswith("voided") for line in lines)
    asked = shown(ledger, as_of=date(2024, 1, 20))
    assert "next due: unknown without inclusion" in asked
    assert any(
        line.startswith("C1D1") and "missing" in line for line in shown(ledger, date(2024, 1, 20), date(2024, 1, 1))
    )


def test_before_any_decision_it_says_so(ledger: Ledger) -> None:
    with ledger.writing("S") as writer:
        writer.append("P01", Kind.VOID, "P01-V1", '{"by": "qa-7", "reason": "spilt"}', "b1")
    assert shown(ledger)[1] == "not decided"
    assert overview([("P01", fold(entries(ledger)))]).splitlines()[2].strip() == "P01"
