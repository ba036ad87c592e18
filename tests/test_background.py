from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from esr1call.background import (
    LOG_RATES,
    NODES,
    Shape,
    TierModel,
    change_of,
    log_likelihood,
    log_prior_on_grid,
    nodes,
)
from esr1call.counts import STRATA
from esr1call.stats import mixture_table, nb_sf
from tests.background_builders import RATES, hotspot_model, hotspot_panel, three_blanks, three_blanks_counts
from tests.builders import esr1_panel, haplotype_of, window_of

F1, F2, DUPLEX = STRATA.index("simplex_F1R2"), STRATA.index("simplex_F2R1"), STRATA.index("duplex")


@pytest.mark.parametrize(
    ("window", "name", "kind", "key"),
    [
        ("536-538", "p.D538G", "substitution", "7G"),
        ("536-538", "c.1609_1610delinsAG", "mnv", "mnv"),
        ("536-538", "p.L536K", "mnv", "mnv"),
        ("421-423", "p.V422del", "deletion:3", "deletion:3"),
    ],
)
def test_kinds_of_change(window: str, name: str, kind: str, key: str) -> None:
    panel = esr1_panel()
    change = change_of(panel, window_of(panel, window), haplotype_of(panel, window, name))
    assert (change.kind, change.key) == (kind, key)


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        ("CTCTAGAC", "deletion:1"),
        ("CTCTATTGAC", "insertion:1"),
        ("CTCTATGACGGGGGG", "insertion:4"),
        ("", "deletion:4"),
        ("AAAAAAAA", "complex"),
        ("ATCTATGAG", "multi"),
    ],
)
def test_kinds_of_other_haplotypes(shown: str, kind: str) -> None:
    panel = esr1_panel()
    assert window_of(panel, "536-538").reference == "CTCTATGAC"
    assert change_of(panel, window_of(panel, "536-538"), shown).kind == kind


def test_strand_decides_the_class() -> None:
    """D538G is GAC > GGC: A>G where the forward strand is read, T>C where the reverse is; duplex has one class."""
    panel = esr1_panel()
    window = window_of(panel, "536-538")
    classes = change_of(panel, window, haplotype_of(panel, "536-538", "p.D538G")).classes()
    assert classes[F1] == ("GAC>G", "A>G")
    assert classes[F2] == ("GTC>C", "T>C")
    assert classes[DUPLEX] == classes[F2]
    leucine = change_of(panel, window, haplotype_of(panel, "536-538", "p.L536R")).classes()
    assert (leucine[F1], leucine[F2]) == (("CTC>G", "T>G"), ("GAG>C", "A>C"))
    assert leucine[DUPLEX] == leucine[F1]


def test_context_reaches_over_the_window_into_its_neighbour() -> None:
    panel = esr1_panel()
    window = window_of(panel, "380")
    change = change_of(panel, window, "C" + window.reference[1:])
    before = panel.exons[window.exon].sequence
    assert change.context[1:] == window.reference[:2]
    assert change.context in before


def test_the_reference_is_no_change() -> None:
    panel = esr1_panel()
    window = window_of(panel, "380")
    with pytest.raises(ValueError, match="no change"):
        change_of(panel, window, window.reference)


def test_prediction_is_a_distribution_for_every_haplotype_seen_or_not() -> None:
    panel, model = hotspot_panel(), hotspot_model()
    shown = [("536-538", h) for h in ("CTCTATGGC", "AAATATGAC", "CTCTATGACTTTT", "", "GTGTATGAC")]
    p = model.predict(panel, shown)
    assert p.weight.shape == p.rate.shape == (5, len(STRATA), NODES)
    assert p.size.shape == (5, len(STRATA))
    assert p.weight.sum(axis=-1) == pytest.approx(1)
    assert (p.mean > 0).all()
    assert (p.size > 0).all()
    again = model.predict(panel, shown[::-1])
    assert np.array_equal(again.rate, p.rate[::-1])
    assert model.predict(panel, []).rate.shape == (0, len(STRATA), NODES)


def test_predicted_rates_are_those_of_the_strand() -> None:
    panel, model = hotspot_panel(), hotspot_model()
    for name, forward, reverse in (("p.D538G", "A>G", "T>C"), ("p.L536R", "T>G", "A>C"), ("p.Y537N", "T>A", "A>T")):
        p = model.predict(panel, [("536-538", haplotype_of(panel, "536-538", name))])
        mean = p.mean[0]
        assert mean[F1] == pytest.approx(RATES[forward], rel=0.7)
        assert mean[F2] == pytest.approx(RATES[reverse], rel=0.7)
        assert mean[0] > mean[F1] > mean[DUPLEX]


def test_haplotypes_with_two_changes_have_a_rate_of_their_own() -> None:
    """Neither the rate of one base, nor the product of two: what blanks say of that kind, with the doubt they leave."""
    panel, model = hotspot_panel(), hotspot_model()
    p = model.predict(panel, [("536-538", haplotype_of(panel, "536-538", "c.1609_1610delinsAG"))])
    mean = p.mean[0]
    assert (mean < 1e-5).all()
    assert (mean > RATES["T>A"] * RATES["A>G"]).all()


def test_a_class_that_blanks_never_showed_falls_back_to_its_substitution_then_to_the_tier() -> None:
    tier = TierModel(
        Shape(spread=0.3, substitution_spread=0.4), (-9.0, 1.2), {"A>G": (-8.0, 0.4)}, {"GAC>G": (-7.5, 0.1)}
    )
    assert tier.of("GAC>G", "A>G") == (-7.5, 0.1)
    assert tier.of("TAC>G", "A>G") == (-8.0, pytest.approx(0.5))
    assert tier.of("TAC>C", "A>C") == (-9.0, pytest.approx(1.3))


def test_a_blank_is_left_out_of_every_sites_evidence() -> None:
    """What is left is what the other blanks show; rates of classes stay."""
    panel, given, model = hotspot_panel(), three_blanks_counts(), three_blanks()
    rest = model.leaving_out(panel, "B1", given[1][1])
    depths = np.stack([t.depth() for _, t in (given[0], given[2])])
    assert np.array_equal(rest.evidence.depth, depths.sum(axis=0))
    assert rest.evidence.blanks == pytest.approx(depths.sum(axis=0) ** 2 / (depths.astype(float) ** 2).sum(axis=0))
    for (window, key), x in model.evidence.cells.items():
        own = sum(
            given[1][1].of(window, h)
            for h in given[1][1].observed(window)
            if h != panel.windows[window].reference and change_of(panel, panel.windows[window], h).key == key
        )
        left, depth, _ = rest.evidence.of(window, key)
        assert np.array_equal(left, x - own)
        assert np.array_equal(depth, rest.evidence.depth[window])
    assert all(x.any() for x in rest.evidence.cells.values())
    assert (rest.tiers, rest.blanks, rest.sha256) == (model.tiers, model.blanks, model.sha256)


def test_a_model_of_one_blank_without_it_knows_only_its_classes() -> None:
    panel, [(blank, table), *_], model = hotspot_panel(), three_blanks_counts(), three_blanks()
    for other, counts in three_blanks_counts()[1:]:
        model = model.leaving_out(panel, other.id, counts)
    alone = model.leaving_out(panel, blank.id, table)
    assert not alone.evidence.depth.any()
    assert not alone.evidence.cells
    assert not alone.evidence.blanks.any()
    assert np.isfinite(alone.predict(panel, [("536-538", "CTCTATGGC")]).mean).all()


def test_error_on_another_haplotype() -> None:
    """Y537C arises from Y537S (TCT) by C>G; the context is that of the molecule, not of the reference."""
    panel, model = hotspot_panel(), hotspot_model()
    window = window_of(panel, "536-538")
    parent, child = (haplotype_of(panel, "536-538", n) for n in ("c.1610A>C", "c.1610A>G"))
    rate = model.error_rate(panel, window, parent, child)
    assert rate[F1] == pytest.approx(RATES["C>G"], rel=1.5)
    assert rate[F2] == pytest.approx(RATES["G>C"], rel=1.5)


# ---------------------------------------------------------------- priors and their compression


def test_prior_is_heavy_tailed_and_normalised() -> None:
    shape = Shape()
    log = log_prior_on_grid(shape, np.array([np.log(1e-5)]), np.array([0.1]))[0]
    p = np.exp(log)
    assert p.sum() == pytest.approx(1)
    beyond = [p[np.log(1e-5 * y) < LOG_RATES].sum() for y in (20, 200)]
    assert np.log(beyond[0] / beyond[1]) / np.log(10) == pytest.approx(shape.dirty_index, rel=0.1)


@pytest.mark.parametrize("between_samples", [2.0, 20.0, 200.0])
@pytest.mark.parametrize(("x", "depth"), [(0, 0), (0, 20_000), (3, 20_000), (200, 400_000), (20_000, 400_000)])
def test_nodes_have_the_posteriors_tail(x: int, depth: int, between_samples: float) -> None:
    """Against the mixture over a grid twenty times finer."""
    shape, n = Shape(between_samples=between_samples), 5000
    mean, sd, pooled = np.array([np.log(1e-4)]), np.array([0.2]), np.array([between_samples * 10])
    log = log_prior_on_grid(shape, mean, sd) + log_likelihood(np.array([float(x)]), np.array([float(depth)]), pooled)
    weight, rate = nodes(log)
    ours = mixture_table(weight[0], n * np.repeat(rate[0][:, None], 2, axis=1), between_samples, 60)[1][:, 0]
    fine = np.arange(LOG_RATES[0], LOG_RATES[-1], 0.005)
    posterior = np.exp(CubicSpline(LOG_RATES, log[0] - log.max())(fine))
    posterior /= posterior.sum()
    exact = nb_sf(np.arange(61)[:, None], n * np.exp(fine), between_samples) @ posterior
    for k in (1, 2, 4, 8, 15, 30, 60):
        if exact[k] > 1e-14:
            assert ours[k] == pytest.approx(exact[k], rel=0.02), k


def test_few_blanks_widen_the_tail() -> None:
    shape = Shape()
    mean, sd = np.array([np.log(1e-4)]), np.array([0.2])
    tails = []
    for blanks in (3, 12, 48):
        depth, pooled = np.array([2000.0 * blanks]), np.array([shape.between_samples * blanks])
        log = log_prior_on_grid(shape, mean, sd) + log_likelihood(depth * 1e-4, depth, pooled)
        weight, rate = nodes(log)
        tails.append(mixture_table(weight[0], 5000 * rate[0][:, None], shape.between_samples, 20)[1][8, 0])
    assert tails[0] > tails[1] > tails[2]
