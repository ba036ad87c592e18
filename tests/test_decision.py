from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.decision import Category, Reason, State
from esr1call.errors import InputError
from esr1call.results import SampleResult
from tests.trigger_builders import decided, draws, in_short, rule, sample

N = 28
SLOW = [sample(0, D538G=40), sample(N, D538G=70), sample(3 * N, D538G=100)]

# Each case of the decision table by its name: the draws in order, and the decision.
CASES: dict[str, tuple[list[SampleResult | list[SampleResult]], str]] = {
    "negative": ([sample(0), sample(N)], "not-raised NEGATIVE"),
    "first draw negative": ([sample(0)], "not-raised NEGATIVE"),
    "earlier draw evaluable and negative, now positive": (
        [sample(0), sample(N, D538G=9)],
        "raised NEW p.D538G=NEW",
    ),
    "earlier draw had no power for that variant, now positive": (
        [sample(0, D538G=None), sample(N, D538G=9)],
        "raised NEW p.D538G=NEW",
    ),
    "positive at baseline, stable": ([sample(0, D538G=50), sample(N, D538G=55)], "not-raised PERSISTENT"),
    "positive at baseline, falling": ([sample(0, D538G=50), sample(N, D538G=9)], "not-raised PERSISTENT"),
    "positive at baseline, risen by less than the fold": (
        [sample(0, D538G=500), sample(N, D538G=900)],
        "not-raised PERSISTENT",
    ),
    "positive at baseline, risen twofold but on few molecules": (
        [sample(0, D538G=6), sample(N, D538G=13)],
        "not-raised PERSISTENT",
    ),
    "positive at baseline, significant rise over nadir": (
        [sample(0, D538G=200), sample(N, D538G=40), sample(3 * N, D538G=180)],
        "raised INCREASED p.D538G=INCREASED",
    ),
    "cleared, then positive again": (
        [sample(0, D538G=50), sample(N), sample(3 * N, D538G=9)],
        "raised REAPPEARED p.D538G=REAPPEARED",
    ),
    "second variant appears in a baseline-positive patient": (
        [sample(0, D538G=50), sample(N, D538G=45, Y537S=8)],
        "raised NEW p.Y537S=NEW",
    ),
    "several variants, each by itself": (
        [sample(0, D538G=30), sample(N, D538G=150, Y537S=8, E380Q=7)],
        "raised INCREASED+NEW p.D538G=INCREASED p.E380Q=NEW p.Y537S=NEW",
    ),
    "two variants that rise only together": (
        [sample(0, D538G=10, Y537S=10), sample(N, D538G=25, Y537S=25)],
        "not-raised PERSISTENT",
    ),
    "one variant that rises as much as the two together": (
        [sample(0, D538G=20), sample(N, D538G=50)],
        "raised INCREASED p.D538G=INCREASED",
    ),
    "technical failure": ([sample(0), sample(N, failed=True)], "inconclusive QC_FAILED"),
    "a failed draw with molecules raises nothing": (
        [sample(0), sample(N, failed=True, D538G=50)],
        "inconclusive QC_FAILED",
    ),
    "a failed draw is no negative comparator": (
        [sample(0, failed=True), sample(N, D538G=9)],
        "inconclusive NO_COMPARATOR",
    ),
    "a failed draw does not clear": (
        [sample(0, D538G=50), sample(N, failed=True), sample(3 * N, D538G=50)],
        "not-raised PERSISTENT",
    ),
    "indeterminate": ([sample(0), sample(N, D538G=None)], "inconclusive NO_POWER"),
    "an indeterminate draw does not clear": (
        [sample(0, D538G=50), sample(N, D538G=None), sample(3 * N, D538G=50)],
        "not-raised PERSISTENT",
    ),
    "persistent, without power for another": (
        [sample(0, D538G=50), sample(N, D538G=50, E380Q=None)],
        "inconclusive NO_POWER",
    ),
    "first draw positive, no comparator": ([sample(0, D538G=50)], "inconclusive NO_COMPARATOR"),
    "first draw positive, a later significant rise raises": (
        [sample(0, D538G=50), sample(N, D538G=200)],
        "raised INCREASED p.D538G=INCREASED",
    ),
    "already raised: later positives change nothing": (
        [sample(0), sample(N, D538G=9), sample(3 * N, D538G=900, Y537S=90)],
        "raised NEW p.D538G=NEW",
    ),
    "already raised: later negatives change nothing": (
        [sample(0), sample(N, D538G=9), sample(3 * N)],
        "raised NEW p.D538G=NEW",
    ),
    "old negative re-called positive, later draw negative": (
        [sample(0), [sample(N), sample(N, D538G=9)], sample(3 * N)],
        "inconclusive STALE_POSITIVE",
    ),
    "old negative re-called positive, confirmed by the next": (
        [sample(0), [sample(N), sample(N, D538G=9)], sample(3 * N, D538G=12)],
        "raised NEW p.D538G=NEW",
    ),
    "a stale positive is no evidence against a new one": (
        [sample(0), [sample(N), sample(N, D538G=9)], sample(3 * N), sample(5 * N, D538G=30)],
        "raised NEW p.D538G=NEW",
    ),
    "a variant outside the rule is only reported": ([sample(0), sample(N, S463P=60)], "not-raised NEGATIVE"),
    "a change the panel does not name is only reported": ([sample(0), sample(N, Y537F=60)], "not-raised NEGATIVE"),
    "another DNA form of a known protein change is not new": (
        [sample(0, Y537S=40), sample(N, Y537S=36, Y537S_AGT=6)],
        "not-raised PERSISTENT",
    ),
    "DNA forms of one protein change rise together": (
        [sample(0, Y537S=40), sample(N, Y537S=80, Y537S_AGT=80)],
        "raised INCREASED p.Y537S=INCREASED",
    ),
    "two changes in cis count once for each": (
        [sample(0, D538G=40, Y537S=40), sample(N, D538G=10, Y537S=40, cis=160)],
        "raised INCREASED p.D538G=INCREASED p.Y537S=INCREASED",
    ),
    "a cis haplotype alone makes both new": ([sample(0), sample(N, cis=20)], "raised NEW p.D538G=NEW p.Y537S=NEW"),
    "a draw that looked at nothing that may trigger is no negative": (
        [sample(0), replace(sample(N), calls=())],
        "inconclusive NO_POWER",
    ),
    "no valid draw": ([], "inconclusive NO_RESULT"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    samples, expected = CASES[case]
    assert in_short(decided(*samples)) == expected


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_draws_does_not_matter(case: str) -> None:
    samples, expected = CASES[case]
    assert in_short(decided(*reversed(samples))) == expected


def test_no_power_earlier_is_a_caveat_or_inconclusive_by_rule() -> None:
    history = [sample(0, D538G=None), sample(N, D538G=9)]
    [finding] = decided(*history).drivers
    assert finding.caveats == (Reason.NO_POWER_EARLIER,)
    strict = decided(*history, by=rule(new_without_power="inconclusive"))
    assert in_short(strict) == "inconclusive NO_POWER_EARLIER"


def test_an_earlier_negative_with_power_leaves_no_caveat() -> None:
    [finding] = decided(sample(0), sample(N, D538G=None), sample(3 * N, D538G=9)).drivers
    assert finding.caveats == ()
    assert finding.comparator is not None
    assert finding.comparator.samples == ("P01-2024-01-01",)
    assert finding.comparator_lod95 == pytest.approx(8 / 5000)


def test_a_negative_below_the_rules_power_is_none() -> None:
    history = [sample(0), sample(N, D538G=9)]
    [finding] = decided(*history, by=rule(required_lod=0.001)).drivers
    assert finding.caveats == (Reason.NO_POWER_EARLIER,)


@pytest.mark.parametrize(
    ("changes", "history", "expected"),
    [
        ({"reappearance": "compare"}, [sample(0, D538G=50), sample(N), sample(3 * N, D538G=50)],
         "not-raised PERSISTENT"),
        ({"reappearance": "compare"}, [sample(0, D538G=10), sample(N), sample(3 * N, D538G=90)],
         "raised INCREASED p.D538G=INCREASED"),
        ({"comparator": "last_valid"}, SLOW,
         "not-raised PERSISTENT"),
        ({"first_positive": "not_raised"}, [sample(0, D538G=50)], "not-raised PERSISTENT"),
        ({"variants": frozenset({"p.S463P"})}, [sample(0), sample(N, S463P=60)], "raised NEW p.S463P=NEW"),
        ({"excluded": frozenset({"p.D538G"})}, [sample(0), sample(N, D538G=60)], "not-raised NEGATIVE"),
        ({"unlisted": True}, [sample(0), sample(N, Y537F=60)], "raised NEW p.Y537F=NEW"),
        ({"unlisted": True}, [sample(0, Y537F=60), sample(N, Y537F=60)], "not-raised PERSISTENT"),
        ({"codons": frozenset({380})}, [sample(0), sample(N, D538G=60)], "not-raised NEGATIVE"),
        ({"comparator_max_age_days": 60}, [sample(0), sample(3 * N, D538G=60)], "inconclusive NO_COMPARATOR"),
        ({"fold": 3.0}, [sample(0, D538G=50), sample(N, D538G=140)], "not-raised PERSISTENT"),
    ],
)  # fmt: skip
def test_rule_settings(changes: dict[str, object], history: list[SampleResult], expected: str) -> None:
    assert in_short(decided(*history, by=rule(**changes))) == expected


UNLATCHED = [sample(0), sample(N, D538G=20), sample(3 * N, D538G=24), sample(5 * N, D538G=90, Y537S=9)]


@pytest.mark.parametrize(
    ("history", "expected", "before"),
    [
        (UNLATCHED[:3], "raised NEW p.D538G=NEW", set()),
        (UNLATCHED, "raised INCREASED+NEW p.D538G=INCREASED p.Y537S=NEW", {UNLATCHED[1].sample}),
        # a rise is over the trigger, not over what was lower before it
        ([sample(0, D538G=20), sample(N, D538G=90), sample(3 * N, D538G=95)],
         "raised INCREASED p.D538G=INCREASED", set()),
        ([sample(0), sample(N, D538G=20), sample(3 * N), sample(5 * N, D538G=20)],
         "raised REAPPEARED p.D538G=REAPPEARED", {"P01-2024-02-01"}),
    ],
)  # fmt: skip
def test_a_rule_that_is_not_latched_raises_again(history: list[SampleResult], expected: str, before: set[str]) -> None:
    decision = decided(*history, by=rule(latched=False))
    assert in_short(decision) == expected
    assert decision.raised_before == before
    assert decided(*history).raised_before == frozenset()


def test_nadir_rise_by_last_valid_only_when_the_last_is_low() -> None:
    assert in_short(decided(*SLOW)) == "raised INCREASED p.D538G=INCREASED"


def test_the_nadir_of_many_draws_needs_a_surer_rise() -> None:
    few = [sample(0, D538G=20), sample(N, D538G=49)]
    many = [sample(i * N, D538G=20) for i in range(8)] + [sample(8 * N, D538G=49)]
    assert decided(*few).state is State.RAISED
    decision = decided(*many)
    assert decision.state is State.NOT_RAISED
    rise = decision.findings[0].rise
    assert rise is not None
    assert rise.comparisons == 8


def test_a_rise_must_show_in_copies_per_ml_too() -> None:
    diluted = [sample(0, D538G=50), sample(N, D538G=150, cfdna_ng=8.0)]
    assert in_short(decided(*diluted)) == "not-raised PERSISTENT"
    assert in_short(decided(*diluted, by=rule(measures=("vaf",)))) == "raised INCREASED p.D538G=INCREASED"


def test_unknown_volume_is_a_caveat_or_inconclusive_by_rule() -> None:
    history = [sample(0, D538G=50, plasma_ml=None), sample(N, D538G=200)]
    [finding] = decided(*history).drivers
    assert finding.caveats == (Reason.COPIES_UNKNOWN,)
    strict = decided(*history, by=rule(copies_unknown="inconclusive"))
    assert in_short(strict) == "inconclusive COPIES_UNKNOWN"
    assert strict.findings[0].category is Category.UNDECIDED


@pytest.mark.parametrize(("days", "redraw"), [("QC", True), ("NO_POWER", True), ("NO_COMPARATOR", False)])
def test_redraw_is_requested_where_it_would_help(days: str, redraw: bool) -> None:
    last = {
        "QC": sample(N, failed=True), "NO_POWER": sample(N, D538G=None), "NO_COMPARATOR": sample(N, D538G=50),
    }[days]  # fmt: skip
    assert decided(last).redraw_requested is redraw


def test_two_draws_in_one_visit_are_pooled() -> None:
    one = [sample(0, D538G=50), sample("2024-02-01", D538G=40), sample("2024-02-03", D538G=60)]
    [finding] = decided(*one).findings
    assert (finding.now.molecules, finding.now.depth) == (100, 10000)
    assert finding.now.copies_per_ml == pytest.approx(0.01 * 60 / 8 * 1000 / 3.3)
    far = decided(sample(0, D538G=50), sample("2024-02-01", D538G=40), sample("2024-02-05", D538G=60))
    assert far.findings[0].now.molecules == 60


def test_a_positive_that_its_visits_other_draw_outweighs_is_not_detected() -> None:
    pooled = decided(sample(0), sample("2024-02-01", D538G=4), sample("2024-02-02", depth=20000))
    assert in_short(pooled) == "not-raised NEGATIVE"


def test_a_redraw_of_the_same_visit_replaces_a_failed_draw() -> None:
    assert (
        in_short(decided(sample(0), sample("2024-02-01", failed=True), sample("2024-02-03"))) == "not-raised NEGATIVE"
    )


def test_a_draw_without_a_date_is_refused() -> None:
    with pytest.raises(InputError, match="P01-V2 has no collection date"):
        decided(sample(0), replace(sample(N, name="P01-V2"), collected=None))


def test_a_rise_says_what_it_rests_on() -> None:
    [finding] = decided(sample(0, D538G=50), sample(N, D538G=200)).drivers
    assert finding.before is not None
    assert finding.rise is not None
    assert (finding.before.molecules, finding.now.molecules) == (50, 200)
    assert finding.rise.vaf.ratio == pytest.approx(4)
    assert finding.rise.vaf.low > 1
    assert finding.rise.copies_per_ml is not None
    assert finding.rise.copies_per_ml.low < finding.rise.vaf.low
    assert 0.5 < finding.rise.power < 1


molecules = st.sampled_from([0, 0, None, 8, 12, 40, 200])
one_sample = st.builds(
    lambda failed, d, y: {"failed": failed, "D538G": d, "Y537S": y},
    st.sampled_from([False] * 5 + [True]),
    molecules,
    molecules,
)


@given(st.lists(one_sample, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_any_order_of_any_history_decides_the_same(history: list[dict[str, object]], random: object) -> None:
    samples = [sample(i * N, **h) for i, h in enumerate(history)]
    shuffled = list(samples)
    random.shuffle(shuffled)
    decision = decided(*samples)
    assert in_short(decided(*shuffled)) == in_short(decision)
    # What raises was detected there with an earlier valid draw to hold it against.
    for finding in decision.drivers:
        assert finding.comparator is not None
        assert finding.now.molecules > 0
    # Later draws never take a trigger back.
    if decision.state is State.RAISED:
        more = sample(20 * N, D538G=0, Y537S=300)
        assert in_short(decided(*samples, more)) == in_short(decision)


def test_draws_keep_what_earlier_versions_called_negative() -> None:
    [draw] = draws([sample(0, E380Q=None), sample(0, D538G=9)])
    assert draw.was_negative == frozenset()  # an indeterminate sample calls nothing negative
    [draw] = draws([sample(0), sample(0, D538G=9)])
    assert draw.was_negative == {"p.D538G", "p.Y537S", "p.E380Q"}
