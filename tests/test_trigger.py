from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import pytest
import rfc8785

from esr1call.decision import Decision
from esr1call.io.schema import validate
from esr1call.trigger import Issued, Plan, decision_data, event, event_id, file_name, kind_of, plan, to_bytes
from tests.test_decision import CASES
from tests.trigger_builders import decided, pada1, rule, sample

N = 28
NEGATIVE = decided(sample(0))
NEW = decided(sample(0), sample(N, D538G=9))
LATER_NEGATIVE = decided(sample(0), sample(N))


def data(decision: Decision) -> dict[str, Any]:
    return decision_data(decision, "PADA-1", pada1())


def send(issued: list[Issued], decision: Decision) -> dict[str, Any] | None:
    """The event that a decision calls for, appended to what was issued; None if none."""
    planned = plan(data(decision), issued, decision.raised_before)
    if planned is None:
        return None
    made = event(data(decision), planned, pada1(), issued)
    issued.append(Issued.parse(to_bytes(made)))
    return made


def sent(*decisions: Decision) -> list[str]:
    """Kinds of the events of decisions one after the other, '-' where there is none; '*' where one supersedes."""
    issued: list[Issued] = []
    out = []
    for decision in decisions:
        made = send(issued, decision)
        out.append("-" if made is None else kind_of(made) + ("*" if made["data"]["supersedes"] else ""))
    return out


RECALLED = decided(sample(0), [sample(N, D538G=9), sample(N)])
EARLIER = decided(sample(0), sample(14, D538G=9), sample(N, D538G=9))


@pytest.mark.parametrize(
    ("decisions", "events"),
    [
        pytest.param([NEGATIVE, NEW], ["not-raised", "raised"], id="new"),
        pytest.param([NEGATIVE, LATER_NEGATIVE], ["not-raised", "not-raised"], id="each draw is answered"),
        pytest.param([NEW, NEW], ["raised", "-"], id="re-run, same decision"),
        pytest.param(
            [NEW, decided(sample(0), [sample(N, D538G=9), sample(N, D538G=8)])],
            ["raised", "-"],
            id="re-run with other numbers, same decision",
        ),
        pytest.param(
            [NEW, decided(sample(0), sample(N, D538G=9), sample(3 * N, D538G=900))],
            ["raised", "-"],
            id="already raised",
        ),
        pytest.param(
            [NEW, decided(sample(0), sample(14), sample(N, D538G=9))],
            ["raised", "-"],
            id="late earlier negative arrives after a trigger",
        ),
        pytest.param([NEW, EARLIER], ["raised", "amended*"], id="late earlier positive arrives"),
        pytest.param([NEW, RECALLED], ["raised", "retracted*"], id="re-run flips the driving call"),
        pytest.param(
            [NEW, RECALLED, NEW],
            ["raised", "retracted*", "raised*"],
            id="reinstated after it was taken back",
        ),
        pytest.param(
            [NEGATIVE, LATER_NEGATIVE, decided(sample(0), [sample(N), sample(N, D538G=9)])],
            ["not-raised", "not-raised", "raised*"],
            id="last draw re-called positive",
        ),
        pytest.param(
            [decided(sample(0), sample(N, failed=True)), decided(sample(0), sample(N, failed=True), sample(30))],
            ["inconclusive", "not-raised"],
            id="redraw answers a failed draw",
        ),
    ],
)
def test_events_of_decisions(decisions: list[Decision], events: list[str]) -> None:
    assert sent(*decisions) == events


def test_a_later_trigger_of_a_rule_that_is_not_latched_replaces_the_live_one() -> None:
    by = rule(latched=False)
    draws = [sample(0), sample(N, D538G=20), sample(3 * N, D538G=24), sample(5 * N, D538G=90)]
    decisions = [decided(*draws[:n], by=by) for n in (1, 2, 3, 4)]
    late = decided(draws[0], sample(14, Y537S=9), *draws[1:], by=by)
    voided = decided(*draws[:3], by=by)
    assert sent(*decisions, late, voided) == ["not-raised", "raised", "-", "raised*", "-", "amended*"]


@pytest.mark.parametrize("case", CASES)
def test_every_decision_makes_a_valid_event(case: str) -> None:
    made = send([], decided(*CASES[case][0]))
    assert made is not None
    validate(json.loads(to_bytes(made)), "event", file=case)
    assert "eligib" not in to_bytes(made).decode()


def test_the_id_is_the_hash_of_what_is_said() -> None:
    made = send([], NEW)
    assert made is not None
    said = {k: made[k] for k in ("source", "type", "subject", "data")}
    assert made["id"] == event_id(made) == hashlib.sha256(rfc8785.dumps(said)).hexdigest()
    assert "time" not in made
    assert made["type"] == "org.esr1call.trigger.raised.v1"
    assert made["data"]["state"] == "bESR1mut rising"


def test_deciding_again_makes_the_same_bytes() -> None:
    first, second = ([send([], d) for d in [decided(sample(0), sample(N, D538G=9))]] for _ in range(2))
    assert first[0] is not None
    assert second[0] is not None
    assert to_bytes(first[0]) == to_bytes(second[0])


def test_another_rule_study_or_result_is_another_event() -> None:
    ids = {
        event(decision_data(d, study, r), Plan("raised", None), r, [])["id"]
        for d, study, r in [
            (NEW, "PADA-1", pada1()),
            (NEW, "PADA-2", pada1()),
            (NEW, "PADA-1", rule(sha256="0" * 64)),
            (decided(sample(0), sample(N, D538G=10)), "PADA-1", pada1()),
        ]
    }
    assert len(ids) == 4


def test_events_are_chained() -> None:
    issued: list[Issued] = []
    made = [send(issued, d) for d in (NEGATIVE, NEW, RECALLED, NEW)]
    assert [m and m["sequence"] for m in made] == ["1", "2", "3", "4"]
    assert len({m["id"] for m in made if m}) == 4
    for before, after in itertools.pairwise(issued):
        assert after.event["previousid"] == before.id
        assert after.event["previoussha256"] == hashlib.sha256(before.content).hexdigest()
    assert "previousid" not in issued[0].event


def test_all_drivers_are_in_one_event_each_with_its_own_numbers() -> None:
    made = send([], decided(sample(0, D538G=30), sample(N, D538G=150, Y537S=8)))
    assert made is not None
    rising, new = made["data"]["drivers"]
    assert (rising["variant"], rising["category"], rising["evidence"]["molecules"]) == ("p.D538G", "INCREASED", 150)
    assert rising["rise"]["vaf"]["ratio"] == 5.0
    assert rising["comparator"]["evidence"]["molecules"] == 30
    assert (new["variant"], new["category"], new["evidence"]["vaf"]) == ("p.Y537S", "NEW", 0.0016)
    assert new["comparator"]["status"] == "NOT_DETECTED"
    assert new["comparator"]["lod95"] == 0.0016


def test_the_file_is_named_by_patient_sequence_and_kind() -> None:
    made = send([], NEW)
    assert made is not None
    assert file_name(made) == "P01.0001.raised.event.json"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("type",), "org.esr1call.trigger.eligible.v1"),
        (("data", "state"), "eligible"),
        (("data", "drivers"), []),
        (("data", "decision"), "not-raised"),
        (("id",), "1234"),
        (("time",), "2024-01-01T00:00:00Z"),
        (("sequence",), "0"),
        (("data", "birth_date"), "1960-01-01"),
    ],
)
def test_the_schema_refuses_what_is_no_event(path: tuple[str, ...], value: object) -> None:
    from esr1call.errors import InputError

    made = send([], NEW)
    assert made is not None
    broken = json.loads(to_bytes(made))
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError):
        validate(broken, "event", file="event")
