from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esr1call.errors import InputError
from esr1call.history import Kind, fold
from esr1call.io.decisions import Outcome, read_results, take_results
from esr1call.io.ledger import Ledger
from esr1call.results import SampleResult
from esr1call.trigger import kind_of
from tests.trigger_builders import pada1, sample, write_results

N = 28


@pytest.fixture
def ledger(ledger_place: str) -> Iterator[Ledger]:
    with Ledger(ledger_place) as ledger:
        yield ledger


def take(ledger: Ledger, *results: SampleResult, study: str = "S") -> list[Outcome]:
    with ledger.writing(study) as writer:
        return take_results(writer, results, pada1(), "batch1")


def kinds(ledger: Ledger, study: str = "S") -> list[str]:
    with ledger.reading(study) as reader:
        return [e.kind for e in reader.entries()]


def test_history_is_carried_across_batches(ledger: Ledger) -> None:
    take(ledger, sample(0, batch="batch1"))
    [outcome] = take(ledger, sample(N, D538G=9, batch="batch2"))
    assert outcome.new
    assert outcome.event is not None
    assert kind_of(outcome.event.event) == "raised"
    assert outcome.event.event["sequence"] == "2"


def test_the_same_results_again_add_nothing(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    before = kinds(ledger)
    [outcome] = take(ledger, sample(0), sample(N, D538G=9))
    assert not outcome.new
    assert kinds(ledger) == before == ["result", "result", "decision", "event"]


def test_a_new_version_with_the_same_decision_is_noted_and_not_sent(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    [outcome] = take(ledger, sample(0), sample(N, D538G=10))
    assert not outcome.new
    assert kinds(ledger)[4:] == ["result", "decision"]


def test_another_version_of_the_software_is_noted_and_nothing_is_sent(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    monkeypatch.setattr("esr1call.io.ledger.__version__", "9.9.9")
    for _ in range(2):
        [outcome] = take(ledger, sample(0), sample(N, D538G=9))
        assert not outcome.new
        assert kinds(ledger)[4:] == ["decision"]
    with ledger.reading("S") as reader:
        first, second = reader.entries(kind=Kind.DECISION)
    assert first.body == second.body
    assert second.software == "9.9.9" != first.software


def test_a_flipped_driving_call_is_held_for_sign_off(ledger: Ledger) -> None:
    take(ledger, sample(0), sample(N, D538G=9))
    [outcome] = take(ledger, sample(N))
    assert outcome.held
    assert not outcome.new
    assert kinds(ledger)[4:] == ["result", "decision", "held"]
    take(ledger, sample(N))
    assert len(kinds(ledger)) == 7
    [back] = take(ledger, sample(N, D538G=9))
    assert not back.held
    assert kinds(ledger)[7:] == ["result", "decision", "withdrawn"]
    with ledger.reading("S") as reader:
        assert fold(reader.entries(patient="P01")).held is None


def test_controls_and_blanks_are_left_out(ledger: Ledger) -> None:
    blank = replace(sample(0), sample_type="blank", patient=None, collected=None)
    assert take(ledger, blank) == []
    assert kinds(ledger) == []


def test_a_sample_belongs_to_one_patient(ledger: Ledger) -> None:
    take(ledger, sample(0, name="X1"))
    with pytest.raises(InputError, match=r"X1 is in the ledger as another patient's.*found 'P02', expected P01"):
        take(ledger, sample(0, name="X1", patient="P02"))
    with ledger.writing("S") as writer:
        writer.append("P01", Kind.VOID, "X1", "{}", "batch1")
    [outcome] = take(ledger, sample(0, name="X1", patient="P02"))
    assert outcome.patient == "P02"


@pytest.mark.parametrize(
    ("changes", "study", "message"),
    [
        ({"collected": None}, "S", "no collection date"),
        ({"collected": "31.1.2024"}, "S", "no collection date"),
        ({"patient": None}, "S", "no usable patient"),
        ({"patient": "../P01"}, "S", "no usable patient"),
        ({"sample": "../P01"}, "S", "no usable sample"),
        ({"patient": "Doe-Jane"}, "S", "the patient looks like a name"),
        ({"patient": "P1960-02-03"}, "S", "the patient looks like a date"),
        ({}, "a study", "field 'study'"),
    ],
)
def test_bad_results_are_refused_and_leave_nothing(
    ledger: Ledger, changes: dict[str, object], study: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        take(ledger, sample(0, patient="P00"), replace(sample(N), **changes), study=study)
    assert kinds(ledger, study) == []


def test_results_are_read_from_files_and_batch_folders(tmp_path: Path) -> None:
    results = [sample(0), sample(N, D538G=9)]
    paths = write_results(tmp_path, *results)
    assert read_results(paths, None) == results
    assert read_results([], str(tmp_path)) == results
    with pytest.raises(InputError, match="two results of one sample"):
        read_results(paths, str(tmp_path))
    with pytest.raises(InputError, match="no results given"):
        read_results([], None)
    Path(paths[0]).write_text('{"sample": "x"}')
    with pytest.raises(InputError, match="missing"):
        read_results(paths, None)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (("calls", 0, "molecules"), "9", r"calls\.0\.molecules"),
        (("calls", 0, "molecules"), -3, r"calls\.0\.molecules"),
        (("calls", 0, "molecules"), 10**400, "too large a number"),
        (("calls", 0, "molecules"), 1e300, "too large a number"),
        (("calls", 0, "background"), 10**400, "too large a number"),
        (("calls", 0, "vaf"), "abc", r"calls\.0\.vaf"),
        (("calls", 0, "vaf"), 7.0, r"calls\.0\.vaf"),
        (("calls", 0, "depth"), None, r"calls\.0\.depth"),
        (("calls", 0, "protein"), 5, r"calls\.0\.protein"),
        (("calls", 0, "panel_variants"), "p.D538G", r"calls\.0\.panel_variants"),
        (("calls",), {}, "field 'calls'"),
        (("plasma_ml",), "4", "field 'plasma_ml'"),
        (("plasma_ml",), -4, "field 'plasma_ml'"),
        (("collected",), 20240101, "field 'collected'"),
        (("inputs",), None, "field 'inputs'"),
        (("sample_type",), "patien", "field 'sample_type'"),
        (("status",), "FINE", "field 'status'"),
        (("batch",), None, "field 'batch'"),
        (("surname",), "Doe", "unknown key"),
    ],
)
def test_a_result_that_was_edited_by_hand_is_refused(
    tmp_path: Path, at: tuple[str | int, ...], value: object, message: str
) -> None:
    [path] = write_results(tmp_path, sample(0, D538G=9))
    values = json.loads(Path(path).read_text())
    place = values
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    Path(path).write_text(json.dumps(values))
    with pytest.raises(InputError, match=message) as caught:
        read_results([path], None)
    assert caught.value.file == path or str(path) in str(caught.value)


molecules = st.sampled_from([0, 0, None, 9, 12, 40, 200])
draws = st.lists(st.tuples(st.booleans(), molecules, molecules), min_size=1, max_size=5)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draws, st.randoms(use_true_random=False))
def test_any_order_of_arrival_ends_the_same_and_a_replay_sends_nothing(
    tmp_path: Path, history: list[tuple[bool, int | None, int | None]], random: object
) -> None:
    results = [sample(i * N, failed=f and i % 2 == 1, D538G=d, Y537S=y) for i, (f, d, y) in enumerate(history)]
    shuffled = list(results)
    random.shuffle(shuffled)
    number = random.getrandbits(60)
    final = []
    for name, order in (("one", results), ("other", shuffled)):
        with Ledger(tmp_path / f"{number}.{name}") as ledger:
            for result in order:
                [outcome] = take(ledger, result)
            final.append(outcome.data)
            with ledger.reading("S") as reader:
                issued = fold(reader.entries()).issued
            assert [e.event["sequence"] for e in issued] == [str(i + 1) for i in range(len(issued))]
            assert len({e.id for e in issued}) == len(issued)
            live = 0
            for e in issued:
                live += {"raised": 1, "retracted": -1}.get(kind_of(e.event), 0)
                assert live in (0, 1)
            before = kinds(ledger)
            take(ledger, *order)
            assert kinds(ledger) == before
    assert final[0] == final[1]


def test_a_sample_in_two_batches_is_one_draw(ledger: Ledger) -> None:
    """Its molecules are not added up: the later result is another version of the same draw."""
    first, second = sample(0), sample(N, D538G=9)
    take(ledger, first, second)
    [again] = take(ledger, replace(second, batch="batch2"))
    assert not again.new
    assert [s["sample"] for s in again.data["specimens"]] == [second.sample]
    assert again.data["drivers"][0]["evidence"]["molecules"] == 9
    assert kinds(ledger).count("result") == 3


@pytest.mark.parametrize("other", ["p01", "P01"])
def test_a_patient_is_not_split_by_capitals(other: str, ledger: Ledger) -> None:
    take(ledger, sample(0))
    if other == "P01":
        assert take(ledger, sample(28, patient=other, D538G=50))[0].data["reasons"] == ["NEW"]
    else:
        with pytest.raises(InputError, match=r"differs in capitals only: found 'p01', expected P01"):
            take(ledger, sample(28, patient=other, D538G=50))


@pytest.mark.parametrize(
    ("visits", "good"),
    [
        ({"V1": "2024-01-10", "V2": "2024-02-07"}, True),
        ({"V1": "2024-01-10", "V2": "2023-02-07"}, False),
        ({"V2": "2024-02-07", "V1": "2024-01-10"}, True),
        ({"V2": "2024-02-07", "V1": "2042-01-10"}, False),
        ({"V2": "2024-02-07", "end": "2024-01-10"}, True),
    ],
)
def test_dates_follow_visits_over_batches(visits: dict[str, str], good: bool, ledger: Ledger) -> None:
    """A slip in a year makes the later draw the earlier one, and a rise a fall."""
    one, two = (replace(sample(day), visit=visit) for visit, day in visits.items())
    take(ledger, one)
    if good:
        assert take(ledger, two)[0].data["specimens"][0]["collected"] == max(visits.values())
        return
    with pytest.raises(InputError, match=r"patient P01: visit V[12] \(sample .*\) is dated before visit V[12]"):
        take(ledger, two)
    with ledger.reading("S") as reader:
        assert len(reader.entries(kind="result")) == 1


def test_dates_that_are_corrected_together_are_taken(ledger: Ledger) -> None:
    draws = [
        replace(sample("2024-03-01"), sample="a", visit="V1"),
        replace(sample("2024-05-01"), sample="b", visit="V2"),
    ]
    take(ledger, *draws)
    years = [replace(r, collected=(r.collected or "").replace("2024", "2025")) for r in draws]
    (outcome,) = take(ledger, *years)
    assert [s["collected"] for s in outcome.data["specimens"]] == ["2025-05-01"]
