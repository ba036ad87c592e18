"""Each row of the decision table, from results that arrive to the files that a trial reads, on each kind of ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from esr1call.history import Kind
from esr1call.io.audit import audit
from esr1call.io.corrections import reinstate, release, void
from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import publish
from esr1call.io.verify import against_ledger, verify
from esr1call.results import SampleResult
from esr1call.rule import Rule
from tests.trigger_builders import pada1, rule, sample

N = 28
Event = dict[str, Any]


@dataclass(frozen=True)
class World:
    """A study's ledger and the folder of its one batch."""

    ledger: Ledger
    folder: Path
    by: Rule

    def arrive(self, *results: SampleResult) -> list[str]:
        """Results come together and are decided; the new files, in short."""
        with self.ledger.writing("S") as writer:
            take_results(writer, results, self.by, "b1")
        return self._publish()

    def correct(self, change: Callable[..., Any], *given: str) -> list[str]:
        """A void, a reinstatement or a release; the new files, in short."""
        with self.ledger.writing("S") as writer:
            if change is release:
                change(writer, *given, "md-2", "reviewed")
            else:
                change(writer, *given, "qa-7", "swapped", self.by)
        return self._publish()

    def _publish(self) -> list[str]:
        before = {p.name for p in self.folder.glob("*.event.json")}
        publish(self.ledger, "S", "b1", self.folder)
        return [in_short(e) for e in self.events() if f"{e['subject']}.{int(e['sequence']):04d}" not in _stems(before)]

    def events(self) -> list[Event]:
        """All published events, by patient and sequence."""
        return [json.loads(p.read_text()) for p in sorted(self.folder.glob("*.event.json"))]

    def kinds(self) -> list[str]:
        """What the ledger holds, but for notes of publication."""
        with self.ledger.reading("S") as reader:
            return [e.kind for e in reader.entries() if e.kind != Kind.PUBLISHED]

    def held(self) -> str:
        """The event that waits for sign-off."""
        with self.ledger.reading("S") as reader:
            return reader.entries(kind=Kind.HELD)[-1].name


def _stems(names: set[str]) -> set[str]:
    return {".".join(name.split(".")[:2]) for name in names}


def in_short(event: Event) -> str:
    """``P01 raised NEW p.D538G`` and the like; ``*`` where another event is superseded."""
    data = event["data"]
    parts = [event["subject"], event["type"].split(".")[-2] + ("*" if data["supersedes"] else ""), *data["reasons"]]
    parts += ["redraw"] * data["redraw_requested"] + [d["variant"] for d in data["drivers"]]
    return " ".join(parts)


@pytest.fixture
def world(ledger_place: str, tmp_path: Path) -> Iterator[World]:
    """By the shipped rule; in the end ledger and files are right."""
    with Ledger(ledger_place) as ledger:
        world = World(ledger, tmp_path / "out", pada1())
        yield world
        audit(ledger)
        verify([world.folder])
        against_ledger(world.folder, ledger)


def under(world: World, **changes: Any) -> World:
    """The same with another rule."""
    return World(world.ledger, world.folder, rule(**changes))


def test_earlier_draw_evaluable_and_negative_now_positive(world: World) -> None:
    assert world.arrive(sample(0)) == ["P01 not-raised NEGATIVE"]
    assert world.arrive(sample(N, D538G=9)) == ["P01 raised NEW p.D538G"]


def test_earlier_draw_had_no_power_for_that_variant_now_positive(world: World) -> None:
    assert world.arrive(sample(0, D538G=None)) == ["P01 inconclusive NO_POWER redraw"]
    assert world.arrive(sample(N, D538G=9)) == ["P01 raised NEW p.D538G"]
    [driver] = world.events()[-1]["data"]["drivers"]
    assert driver["caveats"] == ["NO_POWER_EARLIER"]
    assert driver["comparator"]["status"] == "NO_CALL"


def test_earlier_draw_had_no_power_for_that_variant_now_positive_inconclusive_by_rule(world: World) -> None:
    strict = under(world, new_without_power="inconclusive")
    assert strict.arrive(sample(0, D538G=None), sample(N, D538G=9)) == ["P01 inconclusive NO_POWER_EARLIER"]


@pytest.mark.parametrize("now", [50, 60, 9])
def test_positive_at_baseline_stable_or_falling(world: World, now: int) -> None:
    world.arrive(sample(0, D538G=50))
    assert world.arrive(sample(N, D538G=now)) == ["P01 not-raised PERSISTENT"]


def test_positive_at_baseline_significant_rise_over_nadir(world: World) -> None:
    world.arrive(sample(0, D538G=200), sample(N, D538G=40))
    assert world.arrive(sample(3 * N, D538G=180)) == ["P01 raised INCREASED p.D538G"]
    [driver] = world.events()[-1]["data"]["drivers"]
    assert driver["comparator"]["specimens"][0]["collected"] == "2024-02-01", "the nadir, not the baseline"
    assert driver["rise"]["vaf"]["ratio"] == 4.5
    assert driver["rise"]["vaf"]["low"] > 1


def test_cleared_then_positive_again(world: World) -> None:
    world.arrive(sample(0, D538G=50), sample(N))
    assert world.arrive(sample(3 * N, D538G=9)) == ["P01 raised REAPPEARED p.D538G"]


def test_cleared_then_positive_again_switched_off_by_rule(world: World) -> None:
    quiet = under(world, reappearance="compare")
    quiet.arrive(sample(0, D538G=50), sample(N))
    assert quiet.arrive(sample(3 * N, D538G=9)) == ["P01 not-raised PERSISTENT"]


def test_second_variant_appears_in_a_baseline_positive_patient(world: World) -> None:
    world.arrive(sample(0, D538G=50))
    assert world.arrive(sample(N, D538G=45, Y537S=8)) == ["P01 raised NEW p.Y537S"]
    assert [f["variant"] for f in world.events()[-1]["data"]["other_findings"]] == ["p.D538G"]


def test_several_variants(world: World) -> None:
    world.arrive(sample(0))
    assert world.arrive(sample(N, D538G=10, E380Q=20, Y537S=40)) == ["P01 raised NEW p.D538G p.E380Q p.Y537S"]
    drivers = world.events()[-1]["data"]["drivers"]
    assert [d["evidence"]["vaf"] for d in drivers] == [10 / 5000, 20 / 5000, 40 / 5000], "each by itself"


def test_several_variants_are_never_summed_for_the_test(world: World) -> None:
    world.arrive(sample(0, D538G=10, Y537S=10), sample(0, patient="P02", D538G=20))
    both = world.arrive(sample(N, D538G=25, Y537S=25), sample(N, patient="P02", D538G=50))
    assert both == ["P01 not-raised PERSISTENT", "P02 raised INCREASED p.D538G"], "P02 has their sum"


def test_technical_failure_or_batch_control_failed(world: World) -> None:
    """A failed control makes each of its batch's samples QC_FAILED."""
    assert world.arrive(sample(0, failed=True)) == ["P01 inconclusive QC_FAILED redraw"]
    assert world.arrive(sample(N, D538G=9)) == ["P01 inconclusive NO_COMPARATOR"], "a failed draw is no negative"
    assert world.arrive(sample(3 * N, failed=True, D538G=900)) == ["P01 inconclusive QC_FAILED redraw"]


def test_first_draw_positive_no_comparator(world: World) -> None:
    assert world.arrive(sample(0, D538G=50)) == ["P01 inconclusive NO_COMPARATOR"]
    assert world.arrive(sample(N, D538G=200)) == ["P01 raised INCREASED p.D538G"]


def test_already_raised(world: World) -> None:
    world.arrive(sample(0), sample(N, D538G=9))
    before = world.events()
    assert world.arrive(sample(3 * N, D538G=900, Y537S=90)) == []
    assert world.arrive(sample(5 * N)) == []
    assert world.events() == before
    assert world.kinds().count("result") == 4, "later draws stay in the history"


def test_late_earlier_negative_arrives_after_a_trigger(world: World) -> None:
    world.arrive(sample(0), sample(N, D538G=9))
    assert world.arrive(sample(14)) == []


def test_late_earlier_positive_arrives(world: World) -> None:
    world.arrive(sample(0), sample(N, D538G=9))
    assert world.arrive(sample(14, D538G=9)) == ["P01 amended* NEW p.D538G"]
    raised, amended = world.events()
    assert amended["data"]["supersedes"] == raised["id"]
    assert amended["data"]["specimens"][0]["collected"] == "2024-01-15"


def test_old_negative_recalled_positive_later_draw_negative(world: World) -> None:
    world.arrive(sample(0), sample(N), sample(3 * N))
    assert world.arrive(sample(N, D538G=9)) == ["P01 inconclusive* STALE_POSITIVE"]


def test_rerun_with_a_new_version_same_decision(world: World) -> None:
    world.arrive(sample(0), sample(N, D538G=9))
    before = world.kinds()
    assert world.arrive(sample(0), sample(N, D538G=10)) == []
    assert world.kinds() == [*before, "result", "decision"]


def test_rerun_flips_the_driving_call(world: World) -> None:
    world.arrive(sample(0), sample(N, D538G=9))
    assert world.arrive(sample(N)) == [], "needs sign-off before it is published"
    assert world.correct(release, world.held()) == ["P01 retracted* NEGATIVE"]
    raised, retracted = world.events()
    assert retracted["data"]["supersedes"] == raised["id"]
    assert (retracted["authorisedby"], retracted["authorisedmeaning"]) == ("md-2", "reviewed")


def test_sample_voided_swap(world: World) -> None:
    swapped = "P01-2024-02-01"
    world.arrive(sample(0), sample(N, D538G=9), sample(0, patient="P02"))
    assert world.correct(void, swapped) == ["P01 retracted* NEGATIVE"]
    assert world.arrive(sample(N, D538G=9, patient="P02", name=swapped)) == ["P02 raised NEW p.D538G"]
    # It was right after all: taken from the other patient, and reinstated.
    assert world.correct(void, swapped) == ["P02 retracted* NEGATIVE"]
    with world.ledger.writing("S") as writer:
        reinstate(writer, swapped, "qa-7", "label checked", world.by, "P01")
    assert world._publish() == ["P01 raised* NEW p.D538G"]
    first, _, again = (e for e in world.events() if e["subject"] == "P01")
    assert first["id"] != again["id"]


def test_two_draws_in_one_visit(world: World) -> None:
    world.arrive(sample(0))
    assert world.arrive(sample("2024-02-01", D538G=40), sample("2024-02-04", D538G=60, cfdna_ng=20.0)) == [
        "P01 raised NEW p.D538G"
    ]
    data = world.events()[-1]["data"]
    [driver] = data["drivers"]
    assert [s["collected"] for s in data["specimens"]] == ["2024-02-01", "2024-02-04"]
    assert (driver["evidence"]["molecules"], driver["evidence"]["depth"]) == (100, 10000)
    assert driver["evidence"]["copies_per_ml"] == pytest.approx(0.01 * (30 + 20) / (4 + 4) * 1000 / 3.3, rel=1e-5)


def test_two_draws_further_apart_than_the_rules_window_are_two_visits(world: World) -> None:
    world.arrive(sample(0))
    world.arrive(sample("2024-02-01", D538G=40), sample("2024-02-05", D538G=60))
    assert world.events()[-1]["data"]["drivers"][0]["evidence"]["molecules"] == 40
