from __future__ import annotations

import pytest

from tests.trigger_builders import pada1, rule


@pytest.mark.parametrize(
    ("protein", "listed", "may"),
    [
        ("p.D538G", True, True),
        ("p.E380Q", True, True),
        ("p.L536K", True, True),
        ("p.S463P", True, False),
        ("p.V422del", True, False),
        ("p.V534E", True, False),
        ("p.Y537F", False, False),
        ("p.Y537=", False, False),
        ("p.Y537*", False, False),
        ("p.L536_D538del", False, False),
        ("p.D" + "9" * 5000 + "G", True, False),
    ],
)
def test_shipped_rule_covers_the_codons_of_the_trial_assay(protein: str, listed: bool, may: bool) -> None:
    assert pada1().may_trigger(protein, listed) is may


def test_a_named_variant_wins_over_codons_and_exclusion_over_both() -> None:
    changed = rule(variants=frozenset({"p.V422del"}), excluded=frozenset({"p.D538N"}), unlisted=True)
    assert changed.may_trigger("p.V422del", True)
    assert not changed.may_trigger("p.D538N", True)
    assert changed.may_trigger("p.Y537F", False)
    assert not changed.may_trigger("p.Y537*", False)
