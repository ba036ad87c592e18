from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from esr1call.errors import InputError
from esr1call.history import Kind, fold
from esr1call.io.audit import audit
from esr1call.io.corrections import reinstate, release, void
from esr1call.io.decisions import Outcome, take_results
from esr1call.io.ledger import Ledger
from esr1call.io.schema import validate
from esr1call.results import SampleResult
from esr1call.rule import Rule
from esr1call.trigger import Issued, kind_of
from tests.trigger_builders import pada1, rule, sample

N = 28
SWAPPED = "P01-2024-02-01"


@pytest.fixture
def ledger(ledger_place: str) -> Iterator[Ledger]:
    with Ledger(ledger_place) as ledger:
        yield ledger
        audit(ledger)


def take(ledger: Ledger, *results: SampleResult, by: Rule | None = None, batch: str = "batch1") -> list[Outcome]:
    with ledger.writing("S") as writer:
        return take_results(writer, results, by or pada1(), batch)


def strike(ledger: Ledger, name: str = SWAPPED, patient: str | None = None) -> Outcome:
    with ledger.writing("S") as writer:
        return void(writer, name, "qa-7", "tubes swapped", pada1(), patient)[0]


def restore(ledger: Ledger, name: str = SWAPPED, patient: str | None = None, by: Rule | None = None) -> Outcome:
    with ledger.writing("S") as writer:
        return reinstate(writer, name, "qa-7", "label checked", by or pada1(), patient)[0]


def let_out(ledger: Ledger, event_id: str, by: str = "md-2", meaning: str = "reviewed and approved") -> Issued:
    with ledger.writing("S") as writer:
        return release(writer, event_id, by, meaning)[0]


def issued(ledger: Ledger, patient: str = "P01") -> list[Issued]:
    with ledger.reading("S") as reader:
        return fold(reader.entries(patient=patient)).issued


def kinds(ledger: Ledger, patient: str = "P01") -> list[str]:
    return [kind_of(e.event) for e in issued(ledger, patient)]


def test_sample_voided_is_retracted_and_the_other_patient_is_decided_anew(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9), sample(0, patient="P02"))
    outcome = strike(ledger)
    assert outcome.new
    assert kinds(ledger) == ["raised", "retracted"]
    raised, retracted = (e.event for e in issued(ledger))
    assert retracted["data"]["supersedes"] == raised["id"]
    assert [retracted[f"authorised{k}"] for k in ("by", "meaning")] == ["qa-7", "tubes swapped"]
    validate(retracted, "event", file="event")
    # The blood is P02's: her result comes with the corrected sheet, under the sample's own name.
    [other] = take(ledger, sample(N, D538G=9, patient="P02", name=SWAPPED), batch="batch2")
    assert kinds(ledger, "P02") == ["not-raised", "raised"]
    assert other.new


def test_reinstating_raises_with_a_new_id(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    strike(ledger)
    assert restore(ledger).new
    assert kinds(ledger) == ["raised", "retracted", "raised"]
    first, retracted, again = issued(ledger)
    assert again.id not in (first.id, retracted.id)
    assert again.event["data"]["supersedes"] == retracted.id
    assert {**again.event["data"], "supersedes": None} == first.event["data"]


def test_reinstating_lets_nothing_out_that_needs_sign_off(ledger: Ledger) -> None:
    strict = rule(sign_off=frozenset({"raised", "retracted"}))
    [held] = take(ledger, sample(0), sample(N, D538G=9), by=strict)
    assert held.held is not None
    let_out(ledger, held.held.id)
    strike(ledger)
    assert restore(ledger, by=strict).held is not None
    assert kinds(ledger) == ["raised", "retracted"]


def test_the_same_correction_again_changes_nothing(ledger: Ledger) -> None:
    """As after a run that was stopped before it had published."""
    take(ledger, sample(0), sample(N, D538G=9))
    for change in (strike, restore):
        change(ledger)
        with ledger.reading("S") as reader:
            before = reader.entries()
        assert not change(ledger).new
        with ledger.reading("S") as reader:
            assert reader.entries() == before
    assert kinds(ledger) == ["raised", "retracted", "raised"]


def test_voiding_lets_no_other_event_out_that_needs_sign_off(ledger: Ledger) -> None:
    strict = rule(sign_off=frozenset({"raised", "amended", "retracted"}))
    [held] = take(ledger, sample(0), sample(N, D538G=9), sample(3 * N, D538G=30), by=strict)
    assert held.held is not None
    let_out(ledger, held.held.id)
    with ledger.writing("S") as writer:
        outcome, _ = void(writer, SWAPPED, "qa-7", "tubes swapped", strict)
    assert outcome.held is not None
    assert kind_of(outcome.held.event) == "amended"
    assert kinds(ledger) == ["raised"]


def test_a_voided_sample_stays_out_when_its_result_comes_again(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    strike(ledger)
    [outcome] = take(ledger, sample(N, D538G=9))
    [other_version] = take(ledger, sample(N, D538G=12))
    assert not outcome.new
    assert not other_version.new
    assert kinds(ledger) == ["raised", "retracted"]


def test_voiding_the_driver_where_a_later_draw_raises_too_amends(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9), sample(3 * N, D538G=30))
    strike(ledger)
    assert kinds(ledger) == ["raised", "amended"]
    assert [s["sample"] for s in issued(ledger)[-1].event["data"]["specimens"]] == ["P01-2024-04-01"]


def test_voiding_the_only_sample_leaves_an_answer(ledger: Ledger) -> None:
    take(ledger, sample(0, name=SWAPPED))
    outcome = strike(ledger)
    assert outcome.data["reasons"] == ["NO_RESULT"]
    assert kinds(ledger) == ["not-raised", "inconclusive"]


def test_a_flipped_call_is_published_only_once_released(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    [outcome] = take(ledger, sample(N))
    assert outcome.held is not None
    assert kinds(ledger) == ["raised"]
    event = let_out(ledger, outcome.held.id)
    assert kinds(ledger) == ["raised", "retracted"]
    assert event.id == outcome.held.id
    assert event.event["authorisedby"] == "md-2"
    assert event.event["authorisedmeaning"] == "reviewed and approved"
    validate(json.loads(event.content), "event", file="event")
    assert not take(ledger, sample(N))[0].new


def test_what_is_released_is_what_was_looked_at(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    [first] = take(ledger, sample(N))
    [second] = take(ledger, sample(N, depth=6000))  # negative again, by other numbers
    assert first.held is not None
    assert second.held is not None
    with pytest.raises(InputError, match=f"no longer stands.*event {second.held.id} waits now"):
        let_out(ledger, first.held.id)
    released = let_out(ledger, second.held.id)
    with pytest.raises(InputError, match="was released before"):
        let_out(ledger, second.held.id, by="md-3")
    assert let_out(ledger, second.held.id) == released, "the same command again changes nothing"
    assert kinds(ledger) == ["raised", "retracted"]


def test_a_held_event_that_no_longer_stands_can_not_be_released(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    [outcome] = take(ledger, sample(N))
    take(ledger, sample(N, D538G=9))
    assert outcome.held is not None
    with pytest.raises(InputError, match="no longer stands"):
        let_out(ledger, outcome.held.id)
    assert kinds(ledger) == ["raised"]


@pytest.mark.parametrize(
    ("by", "meaning", "message"),
    [
        ("Dr Jane Roe", "approved", "not an ID"),
        ("", "approved", "not an ID"),
        ("jane.roe@lab.example", "approved", "not an ID"),
        ("md-2", " ", "no usable text"),
        ("md-2", "two\nlines", "no usable text"),
        ("md-2", "x" * 501, "no usable text"),
    ],
)
def test_who_and_why_must_be_usable(ledger: Ledger, by: str, meaning: str, message: str) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    [outcome] = take(ledger, sample(N))
    assert outcome.held is not None
    with pytest.raises(InputError, match=message):
        let_out(ledger, outcome.held.id, by, meaning)


def test_what_can_not_be_corrected_is_refused(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    with pytest.raises(InputError, match="no such event was held"):
        let_out(ledger, issued(ledger)[0].id)
    with pytest.raises(InputError, match="no such sample"):
        strike(ledger, "X")
    with pytest.raises(InputError, match="the sample is not voided"):
        restore(ledger)
    strike(ledger)
    with pytest.raises(InputError, match="the sample is voided already"), ledger.writing("S") as writer:
        void(writer, SWAPPED, "qa-8", "tubes swapped", pada1())
    take(ledger, sample(N, D538G=9, patient="P02", name=SWAPPED))
    with pytest.raises(InputError, match=r"another patient's now.*void it at P02 first"):
        restore(ledger)
    strike(ledger)  # P02's, the only valid one
    with pytest.raises(InputError, match=r"several patients.*expected one of P01, P02"):
        restore(ledger)
    assert restore(ledger, patient="P02").patient == "P02"
    with ledger.reading("S") as reader:
        assert [e.patient for e in reader.entries(kind=(Kind.VOID, Kind.REINSTATE))] == ["P01", "P02", "P02"]
