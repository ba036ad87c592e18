from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import nbinom, norm

from esr1call.background import LOG_RATES, BackgroundModel, Shape, TierModel, log_prior_on_grid
from esr1call.background_fit import TierData, _Tree, fit_tier, overdispersion
from esr1call.counts import STRATA
from esr1call.errors import InputError
from esr1call.lod import Cases, limits, steps
from tests.background_builders import (
    RATES,
    World,
    blanks,
    empty_counts,
    fitted,
    hotspot_model,
    hotspot_panel,
    three_blanks,
    three_blanks_counts,
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


def test_pooled_evidence_is_what_the_blanks_showed() -> None:
    panel, model = hotspot_panel(), three_blanks()
    tables = [t for _, t in three_blanks_counts()]
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
    x, depth, number = model.evidence.of(index, "deletion:3")
    assert (depth < model.evidence.depth[index]).all()
    assert number == pytest.approx(4)
    # B2 was never part of that deletion's background, and B0 was
    for blank, carrier in ((2, True), (0, False)):
        own = given[blank][1]
        rest = model.leaving_out(panel, f"B{blank}", own).evidence.of(index, "deletion:3")
        assert np.array_equal(rest[0], x if carrier else x - own.of(index, haplotype_of(panel, "421-423", "p.V422del")))
        assert np.array_equal(rest[1], depth if carrier else depth - own.depth()[index])
        assert rest[2] == pytest.approx(4 if carrier else 3)


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


def test_few_blanks_widen_the_tail_of_what_they_predict() -> None:
    """As many molecules in each blank: with 3 instead of 12, each allele needs a larger fraction to be called."""
    panel = hotspot_panel()
    alleles = [(v.window, v.haplotype) for v in panel.variants]
    wide, narrow = (limits_of(m, alleles) for m in (three_blanks(), hotspot_model()))
    assert (wide >= narrow * 0.98).mean() > 0.9
    assert np.exp(np.log(wide / narrow).mean()) > 1.05


def limits_of(model: BackgroundModel, alleles: list[tuple[str, str]]) -> np.ndarray:
    """LoD95 of simplex molecules."""
    background, m = model.predict(hotspot_panel(), alleles), len(alleles)
    depth = np.tile([0, 0, 4000, 4000, 0], (m, 1))
    cases = Cases(depth, np.arange(m), background, np.zeros((m, 5)), steps(background, 1e-3))
    return limits(cases, np.zeros((m, 5), dtype=np.int64), 1e-5, 2).lod95


def test_figures_of_the_fit_are_kept() -> None:
    panel, model = hotspot_panel(), hotspot_model()
    found = model.diagnostics
    tables = [t for _, t in blanks(panel, World.of(panel), 12)]
    shown = [
        (h, x)
        for t in tables
        for w, h, x in zip(t.window, t.haplotype, t.molecules, strict=True)
        if h != panel.windows[w].reference
    ]
    for tier, strata in (("singleton", (0, 1)), ("simplex", (2, 3)), ("duplex", (4,))):
        assert found[f"{tier}_molecules"] == sum(x[list(strata)].sum() for _, x in shown)
        assert found[f"{tier}_cells"] == len(strata) * sum(3 * len(w.reference) + 11 for w in panel.windows)
        assert found[f"{tier}_converged"] == 1
        assert found[f"{tier}_at_limit"] == 0
        assert found[f"{tier}_evaluations"] >= 9
        assert found[f"{tier}_log_marginal"] < 0
    assert found["singleton_overdispersion"] == pytest.approx(1, abs=0.1)


# ---------------------------------------------------------------- one tier, against its definition


def made(rate: np.ndarray, depth: float, size: float, classes: list[tuple[str, str]], seed: int = 0) -> TierData:
    """Cells with these true rates [cells] in 6 blanks that vary with gamma shape `size`."""
    rng = np.random.default_rng(seed)
    x = rng.poisson(rate[:, None] * depth * rng.gamma(size, 1 / size, (len(rate), 6)))
    group = np.zeros(len(rate), dtype=np.int64)
    return TierData.of(x, np.zeros(x.shape, dtype=bool), group, np.full((1, 6), depth), classes)


def test_marginal_likelihood_and_locations_are_those_of_the_written_model() -> None:
    """Two substitutions with three classes, two kinds, five cells; every sum written out, probabilities by scipy."""
    classes = [("AAC>G", "A>G"), ("AAC>G", "A>G"), ("TAC>G", "A>G"), ("GCT>A", "C>A"), ("mnv", "")]
    x = np.array([[2, 0], [0, 1], [7, 9], [0, 0], [1, 0]])
    dropped = np.array([[False, False], [True, False], [False] * 2, [False] * 2, [False] * 2])
    group, depth = np.array([0, 1, 0, 1, 0]), np.array([[3000.0, 5000.0], [800.0, 1200.0]])
    shape = Shape(between_samples=4.0)
    tree = _Tree(TierData.of(x, dropped, group, depth, classes), shape, coarse=4)
    model = tree.model(shape)

    grid = LOG_RATES[::4]
    prior = np.exp(shape.log_prior(LOG_RATES[:, None], grid))
    prior /= prior.sum(axis=0)
    cell = []
    for i in range(5):
        like = np.ones(len(LOG_RATES))
        for b in np.flatnonzero(~dropped[i]):
            mean = depth[group[i], b] * np.exp(LOG_RATES)
            like *= nbinom.pmf(x[i, b], 4.0, 4.0 / (4.0 + mean))
        cell.append(like @ prior)

    def normal(mean: float, sd: float) -> np.ndarray:
        p = norm.pdf(grid, mean, sd)
        return p / p.sum()

    to_class, to_substitution = (
        np.array([normal(m, sd) for m in grid]) for sd in (shape.spread, shape.substitution_spread)
    )
    tier = normal(np.log(2e-5), 2.5)
    a_to_g = (to_class @ (cell[0] * cell[1])) * (to_class @ cell[2])
    given_tier = (to_substitution @ a_to_g) * (to_substitution @ (to_class @ cell[3]))
    kind = cell[4] @ normal(np.log(1e-6), 2.5)
    assert tree.log_marginal == pytest.approx(np.log(tier @ given_tier) + np.log(kind), rel=1e-9)

    # location of class TAC>G: all sums but its own
    above = to_substitution.T @ (tier * (to_substitution @ (to_class @ cell[3])))
    posterior = (to_class.T @ (above * (to_class @ (cell[0] * cell[1])))) * cell[2]
    posterior /= posterior.sum()
    mean = posterior @ grid
    found = model.of("TAC>G", "A>G")
    assert found == (pytest.approx(mean), pytest.approx(np.sqrt(posterior @ grid**2 - mean**2), rel=1e-6))


def test_a_sparse_class_is_shrunk_to_its_substitution_and_a_rich_one_is_not() -> None:
    """Six classes at 1e-4; one with 200 sites and one with a single site show five times as much."""
    names = [*(f"c{i}" for i in range(6)), "rich", "sparse"]
    sites = [*[100] * 6, 200, 1]
    classes = [(n, "A>G") for n, k in zip(names, sites, strict=True) for _ in range(k)]
    rate = np.array([5e-4 if n in ("rich", "sparse") else 1e-4 for n, _ in classes])
    model = _Tree(made(rate, 3000.0, 20.0, classes), Shape(spread=0.3)).model(Shape(spread=0.3))
    middle = np.exp(model.substitutions["A>G"][0])
    rich, sparse = (np.exp(model.classes[n][0]) for n in ("rich", "sparse"))
    assert rich == pytest.approx(5e-4, rel=0.15)
    assert 1e-4 < middle < sparse < 3e-4
    assert model.classes["sparse"][1] > 2 * model.classes["rich"][1]


@pytest.mark.parametrize("size", [2.0, 60.0])
def test_variation_between_samples_is_fitted(size: float) -> None:
    classes = [("c0", "A>G"), ("c1", "A>G"), ("c2", "C>T")] * 60
    rate = np.random.default_rng(1).gamma(4, 1 / 4, len(classes)) * 4e-3
    data = made(rate, 3000.0, size, classes)
    tier, figures = fit_tier(data)
    assert tier.shape.between_samples == pytest.approx(size, rel=0.4)
    assert figures["overdispersion"] == pytest.approx(1, abs=0.15)
    wrong = overdispersion(data, 12.0)
    assert wrong is not None
    assert (wrong > 1.3) if size == 2.0 else (wrong < 0.8)


def test_dirty_sites_are_fitted_as_a_heavy_tail() -> None:
    """Where one site in ten has far more errors than its class, as much is expected of a site never seen."""
    classes = [("c0", "A>G"), ("c1", "C>T")] * 100
    rate = np.full(len(classes), 3e-4)
    clean, _ = fit_tier(made(rate, 3000.0, 20.0, classes))
    rate[::10] *= 20
    dirty, _ = fit_tier(made(rate, 3000.0, 20.0, classes))
    assert tail_of(dirty, 3e-3) > 5 * tail_of(clean, 3e-3)
    assert tail_of(dirty, 3e-3) == pytest.approx(0.1, abs=0.06)


def tail_of(tier: TierModel, rate: float) -> float:
    """How likely a new site of class c0 has at least this rate."""
    mean, sd = tier.of("c0", "A>G")
    prior = np.exp(log_prior_on_grid(tier.shape, np.array([mean]), np.array([sd]))[0])
    return float(prior[np.log(rate) <= LOG_RATES].sum())


def test_no_overdispersion_where_no_site_shows_two_molecules() -> None:
    assert overdispersion(made(np.full(3, 1e-12), 3000.0, 20.0, [("c", "A>G")] * 3), 20.0) is None
