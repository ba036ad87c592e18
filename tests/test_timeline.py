from __future__ import annotations

from dataclasses import replace

import pytest

from esr1call.results import CallStatus, SampleResult
from esr1call.timeline import Visit, made_of, visits_of
from tests.trigger_builders import call, digest_of, draws, pada1, sample

D538G = ("536-538", "CTCTATGGC")


def visit(*samples: SampleResult) -> Visit:
    [found] = visits_of(draws(*samples), pada1())
    return found


def shows(molecules: int, status: CallStatus, day: str = "2024-02-01") -> SampleResult:
    """A draw with so many molecules of D538G, whatever its own call was."""
    made = sample(day)
    changed = call("D538G", molecules, status=status)
    return replace(made, calls=tuple(changed if c.protein == "p.D538G" else c for c in made.calls))


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ((0, CallStatus.NOT_DETECTED), (0, CallStatus.NOT_DETECTED), CallStatus.NOT_DETECTED),
        ((3, CallStatus.NOT_DETECTED), (0, CallStatus.NOT_DETECTED), CallStatus.NOT_DETECTED),
        # each within its limit of blank, together beyond it: neither negative nor detected
        ((3, CallStatus.NOT_DETECTED), (3, CallStatus.NOT_DETECTED), CallStatus.NO_CALL),
        ((9, CallStatus.DETECTED), (0, CallStatus.NOT_DETECTED), CallStatus.DETECTED),
        ((4, CallStatus.DETECTED), (0, CallStatus.NOT_DETECTED), CallStatus.NOT_DETECTED),
        ((4, CallStatus.DETECTED), (4, CallStatus.DETECTED), CallStatus.DETECTED),
        ((0, CallStatus.NO_CALL), (0, CallStatus.NO_CALL), CallStatus.NO_CALL),
        ((0, CallStatus.NO_CALL), (0, CallStatus.NOT_DETECTED), CallStatus.NOT_DETECTED),
    ],
)
def test_two_draws_of_a_visit_are_called_together(
    first: tuple[int, CallStatus], second: tuple[int, CallStatus], status: CallStatus
) -> None:
    """Limit of blank 3 of 5,000 molecules in each draw, so 4.2 of 10,000 together."""
    for one, other in ((first, second), (second, first)):
        pooled = visit(shows(*one), shows(*other, day="2024-02-02")).calls[D538G]
        assert pooled.status is status
        assert (pooled.molecules, pooled.depth) == (first[0] + second[0], 10000)


def test_a_failed_draw_is_not_pooled() -> None:
    found = visit(sample("2024-02-01", failed=True, D538G=90), sample("2024-02-02", D538G=9))
    assert found.calls[D538G].molecules == 9
    assert found.genomes_per_ml == pytest.approx(30 / 4 * 1000 / 3.3)
    assert len(found.draws) == 2


def test_volumes_are_pooled_only_where_all_are_known() -> None:
    found = visit(sample("2024-02-01"), sample("2024-02-02", plasma_ml=2.0, cfdna_ng=5.0))
    assert found.genomes_per_ml == pytest.approx(35 / 6 * 1000 / 3.3)
    assert visit(sample("2024-02-01"), sample("2024-02-02", plasma_ml=None)).genomes_per_ml is None


def test_a_window_that_was_not_looked_at_is_no_negative() -> None:
    """A variant that the panel does not list, in a window of which no panel allele is there."""
    other = sample(0)
    without = replace(other, calls=tuple(c for c in other.calls if c.window != "536-538"))
    assert visit(other).status_of("p.Y537F", "536-538") is CallStatus.NOT_DETECTED
    assert visit(without).status_of("p.Y537F", "536-538") is CallStatus.NO_CALL
    assert visit(without).status_of("p.D538G", "536-538") is CallStatus.NO_CALL


def test_a_result_is_the_same_to_six_digits_and_not_to_five() -> None:
    one = sample(0, D538G=9)
    moved = [replace(one, calls=(replace(one.calls[0], vaf=one.calls[0].vaf * (1 + e)), *one.calls[1:]))
             for e in (1e-9, 1e-4)]  # fmt: skip
    whole, same, other = (digest_of(r) for r in (one, *moved))
    assert whole == same != other


def test_a_call_made_at_once_is_as_one_made_by_its_constructor() -> None:
    one = call("D538G", 9, 9000)
    made = made_of(dict(vars(one)))
    assert made == replace(one)
    assert repr(made) == repr(one)
    assert hash(made) == hash(one)
    assert replace(made, vaf=0.5) == replace(one, vaf=0.5) != made
