"""Random histories: results that arrive in any order, are made anew, and are voided and reinstated."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import pytest

from esr1call import decision
from esr1call.decision import decide
from esr1call.history import Kind, fold
from esr1call.io.corrections import reinstate, release, void
from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger, Writer
from esr1call.results import SampleResult
from esr1call.timeline import draws_of
from esr1call.trigger import decision_data, kind_of
from tests.trigger_builders import digest_of, pada1, sample

MOLECULES = (0, 0, 0, None, 8, 12, 40, 200)


@dataclass(frozen=True)
class Correction:
    """A void or a reinstatement of a sample; comes after a result of it."""

    sample: str
    kind: Kind


Step = SampleResult | Correction


def history(chance: random.Random, patient: str) -> list[list[Step]]:
    """For each sample what happens to it, in this order."""
    out: list[list[Step]] = []
    for number in range(chance.randint(1, 5)):
        day = 28 * number + chance.choice((0, 0, 1))
        versions = chance.choice((1, 1, 1, 2, 3))
        steps: list[Step] = [_result(chance, patient, number, day) for _ in range(versions)]
        if chance.random() < 0.15:
            name = f"{patient}-{number}"
            steps.insert(chance.randint(1, len(steps)), Correction(name, Kind.VOID))
            if chance.random() < 0.5:
                steps.append(Correction(name, Kind.REINSTATE))
        out.append(steps)
    return out


def _result(chance: random.Random, patient: str, number: int, day: int) -> SampleResult:
    plasma_ml = None if chance.random() < 0.05 else 4.0
    found = _shown(day, chance.random() < 0.1, plasma_ml, chance.choice(MOLECULES), chance.choice(MOLECULES))
    return replace(found, sample=f"{patient}-{number}", patient=patient)


@lru_cache(None)
def _shown(day: int, failed: bool, plasma_ml: float | None, first: int | None, second: int | None) -> SampleResult:
    """A draw that shows two variants, of one DNA form each."""
    found = sample(day, failed=failed, plasma_ml=plasma_ml, D538G=first, Y537S=second)
    return replace(found, calls=found.calls[:2])


def arrival(chance: random.Random, steps: Iterable[list[Step]]) -> list[Step]:
    """Any order that keeps what happens to one sample in order."""
    left = [list(s) for s in steps]
    out = []
    while left:
        first = chance.choice(left)
        out.append(first.pop(0))
        left = [s for s in left if s]
    return out


def play(writer: Writer, chance: random.Random, steps: list[Step]) -> None:
    """One after the other, or some results of different samples together, as batches come."""
    batch: dict[str, SampleResult] = {}
    for step in [*steps, None]:
        if batch and (not isinstance(step, SampleResult) or step.sample in batch or chance.random() < 0.5):
            take_results(writer, batch.values(), pada1(), "b1")
            batch = {}
        if isinstance(step, SampleResult):
            batch[step.sample] = step
        elif step is not None:
            change = void if step.kind is Kind.VOID else reinstate
            change(writer, step.sample, "qa-7", "checked", pada1())


def final(writer: Writer, patient: str) -> str:
    """The last decision, once what waits for sign-off is released; checks the events on the way."""
    state = fold(writer.entries(patient=patient))
    if state.held is not None:
        release(writer, state.held.id, "md-2", "approved")
        state = fold(writer.entries(patient=patient))
    live = False
    for number, event in enumerate(state.issued, 1):
        kind = kind_of(event.event)
        assert event.event["sequence"] == str(number)
        assert event.event.get("previousid") == (state.issued[number - 2].id if number > 1 else None)
        assert live == (kind in ("amended", "retracted")), "one live raised event at most"
        live = kind in ("raised", "amended")
    assert len({e.id for e in state.issued}) == len(state.issued)
    assert state.decision is not None
    assert live == ('"decision": "raised"' in state.decision)
    return state.decision


COMPARE, POWER = lru_cache(None)(decision.compare), lru_cache(None)(decision.power)


@pytest.fixture(autouse=True)
def compare_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rise test of the same two counts, which come again and again here, is computed once."""
    monkeypatch.setattr(decision, "compare", COMPARE)
    monkeypatch.setattr(decision, "power", POWER)


def expected(patient: str, steps: Iterable[list[Step]]) -> str:
    """The decision by the set of valid results alone, without a ledger or any order of arrival."""
    versions = []
    for of_sample in steps:
        corrections = [s.kind for s in of_sample if isinstance(s, Correction)]
        if corrections[-1:] != [Kind.VOID]:
            results = [s for s in of_sample if isinstance(s, SampleResult)]
            versions.append([(digest_of(r), r) for r in results])
    data = decision_data(decide(patient, draws_of(versions, pada1()), pada1()), "S", pada1())
    return json.dumps(data, sort_keys=True)


def study(number: int, seed: int) -> Counter[str]:
    """Play so many histories in a random order of arrival, and once more; how many events of each kind."""
    chance = random.Random(seed)
    kinds: Counter[str] = Counter()
    for start in range(0, number, 100):
        histories = {f"P{i}": history(chance, f"P{i}") for i in range(start, min(start + 100, number))}
        with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder, "ledger")) as ledger:
            with ledger.writing("S") as writer:
                for patient, steps in histories.items():
                    play(writer, chance, arrival(chance, steps))
                    assert final(writer, patient) == expected(patient, steps)
            with ledger.writing("S") as writer:
                before = writer.entries()
                for steps in histories.values():
                    last = {r.sample: r for s in steps for r in s if isinstance(r, SampleResult)}
                    take_results(writer, last.values(), pada1(), "b1")
                assert writer.entries() == before, "a second replay publishes nothing"
        kinds.update(e.body.split(".trigger.")[1].split(".")[0] for e in before if e.kind == Kind.EVENT)
    return kinds


def test_any_order_of_arrival_ends_the_same() -> None:
    kinds = study(100, seed=1)
    assert set(kinds) == {"raised", "not-raised", "inconclusive", "amended", "retracted"}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))  # for as many processors
def test_10000_random_histories(part: int) -> None:
    assert study(2500, seed=10 + part)["raised"] > 1250
