from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from esr1call.background import BackgroundModel
from esr1call.counts import STRATA
from esr1call.errors import InputError
from tests.background_builders import (
    RATES,
    World,
    blanks,
    empty_counts,
    fitted,
    hotspot_model,
    hotspot_panel,
)
from tests.builders import haplotype_of

F1 = STRATA.index("simplex_F1R2")


def mean_rate(model: BackgroundModel, window: str, name: str) -> np.ndarray:
    panel = hotspot_panel()
    p = model.predict(panel, [(window, haplotype_of(panel, window, name))])
    return p.mean[0]


def test_rates_by_substitution_are_found() -> None:
    simplex = hotspot_model().tiers[1]
    for substitution in ("A>G", "T>C", "G>A", "C>T", "T>A"):
        mean, sd = simplex.substitutions[substitution]
        assert np.exp(mean) == pytest.approx(RATES[substitution], rel=max(0.3, 3 * sd)), substitution


@cache
def three_blanks() -> BackgroundModel:
    panel = hotspot_panel()
    return fitted(panel, blanks(panel, World.of(panel), 3))


def test_pooled_evidence_is_what_the_blanks_showed() -> None:
    panel, model = hotspot_panel(), three_blanks()
    tables = [t for _, t in blanks(panel, World.of(panel), 3)]
    assert np.array_equal(model.evidence.depth, sum(t.depth() for t in tables))
    assert model.evidence.blanks == pytest.approx(3)
    index = panel.window_index["536-538"]
    for haplotype in ("CTCTATGGC", "CTCTACGAC"):
        at = next(i for i in range(9) if haplotype[i] != "CTCTATGAC"[i])
        x, _, _ = model.evidence.of(index, f"{at}{haplotype[at]}")
        assert np.array_equal(x, sum(t.of(index, haplotype) for t in tables))


def test_a_dirty_site_is_known_for_it() -> None:
    panel = hotspot_panel()
    model = fitted(panel, blanks(panel, World.of(panel, [("536-538", "p.L536R", 30.0)]), 6))
    dirty, clean = mean_rate(model, "536-538", "p.L536R"), mean_rate(model, "469", "p.L469V")
    assert dirty[:2].mean() == pytest.approx(30 * 3 * RATES["T>G"], rel=0.4)
    assert clean[:2].mean() < 5 * 3 * RATES["C>G"]
    assert not model.carriers


def test_blanks_that_carry_a_variant_are_named_and_left_out() -> None:
    """Half of the molecules of one, 2% and 0.5% of others; two carriers of one variant do not hide each other."""
    panel, rng = hotspot_panel(), np.random.default_rng(9)
    given = blanks(panel, World.of(panel), 6)
    spikes = {
        1: [("380", "p.E380Q", 0.5)],
        2: [("536-538", "p.Y537N", 0.02), ("421-423", "p.V422del", 0.01)],
        4: [("469", "p.L469V", 0.005), ("421-423", "p.V422del", 0.01)],
    }
    for i, variants in spikes.items():
        given[i] = (given[i][0], World.of(panel).sample(panel, rng, spikes=variants))
    model = fitted(panel, given)
    assert {(c.blank, c.window, c.name) for c in model.carriers} == {
        (f"B{i}", window, name) for i, variants in spikes.items() for window, name, _ in variants
    }
    for c in model.carriers:
        true = next(f for w, n, f in spikes[int(c.blank[1])] if (w, n) == (c.window, c.name))
        assert c.molecules / c.depth == pytest.approx(true, rel=0.4)
    assert mean_rate(model, "536-538", "p.Y537N")[F1] < 3 * RATES["T>A"]
    assert mean_rate(model, "421-423", "p.V422del")[F1] < 1e-4
    index = panel.window_index["421-423"]
    _, depth, number = model.evidence.of(index, "deletion:3")
    assert (depth < model.evidence.depth[index]).all()
    assert number == pytest.approx(4)


def test_blanks_without_a_variant_are_not_accused() -> None:
    assert hotspot_model().carriers == ()


@pytest.mark.parametrize(
    ("number", "said"), [(0, "no blanks"), (1, "too few blanks"), (2, "found '2', expected at least 3")]
)
def test_too_few_blanks(number: int, said: str) -> None:
    panel = hotspot_panel()
    with pytest.raises(InputError, match=said):
        fitted(panel, blanks(panel, World.of(panel), number))


def test_one_blank_twice() -> None:
    panel = hotspot_panel()
    given = blanks(panel, World.of(panel), 3)
    with pytest.raises(InputError, match="a blank is given twice: found 'B0'"):
        fitted(panel, [*given, given[0]])


def test_empty_blanks() -> None:
    panel = hotspot_panel()
    with pytest.raises(InputError, match="no molecules"):
        fitted(panel, [(b, empty_counts(panel)) for b, _ in blanks(panel, World.of(panel), 3)])


def test_neither_an_empty_blank_nor_the_order_changes_the_rates() -> None:
    panel, without = hotspot_panel(), three_blanks()
    given = blanks(panel, World.of(panel), 3)
    model = fitted(panel, [*given[::-1], (replace(given[0][0], id="empty"), empty_counts(panel))])
    assert [b.id for b in model.blanks] == ["B2", "B1", "B0", "empty"]
    assert np.array_equal(model.evidence.depth, without.evidence.depth)
    one, other = (mean_rate(m, "536-538", "p.D538G") for m in (model, without))
    assert one == pytest.approx(other, rel=1e-3)
