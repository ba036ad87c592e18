from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from esr1call.rise import Count, combined_cv, compare, fraction_interval, log_sd, p_rise, power


@pytest.mark.parametrize(
    ("x1", "n1", "x2", "n2"), [(3, 5000, 9, 5000), (0, 8000, 6, 4000), (40, 3000, 41, 9000), (5, 10, 0, 10)]
)
def test_without_draw_variation_it_is_the_conditional_mid_p(x1: int, n1: int, x2: int, n2: int) -> None:
    exact = binom(x1 + x2, n2 / (n1 + n2))
    assert p_rise(Count(x1, n1), Count(x2, n2), 0.0) == pytest.approx(exact.sf(x2) + exact.pmf(x2) / 2, rel=1e-9)


def test_nothing_seen_says_nothing() -> None:
    ratio = compare(Count(0, 5000), Count(0, 5000), 0.2)
    assert math.isnan(ratio.ratio)
    assert (ratio.low, ratio.high, ratio.p) == (0.0, math.inf, 1.0)
    assert compare(Count(0, 5000), Count(9, 5000), 0.2).ratio == math.inf
    assert compare(Count(9, 5000), Count(0, 5000), 0.2).low == 0.0


def test_draw_variation_widens_the_interval() -> None:
    plain, wide = (compare(Count(50, 5000), Count(100, 5000), cv) for cv in (0.0, 0.2))
    assert plain.ratio == wide.ratio == pytest.approx(2)
    assert wide.low < plain.low < 2 < plain.high < wide.high
    assert wide.p > plain.p


def test_background_is_no_fraction() -> None:
    # 6 of 12 molecules are background in both: the rise of the rest is fourfold, and less sure.
    with_background = compare(Count(8, 5000, 6.0), Count(14, 5000, 6.0), 0.0)
    assert with_background.ratio == pytest.approx(4)
    clean = compare(Count(8, 5000), Count(14, 5000), 0.0)
    assert with_background.high > clean.high
    assert compare(Count(5, 5000, 6.0), Count(5, 5000, 6.0), 0.2).p == pytest.approx(0.5, abs=0.02)


def test_known_factor_moves_ratio_interval_and_p_together() -> None:
    plain, doubled = (compare(Count(50, 5000), Count(60, 5000), 0.2, factor=f) for f in (1.0, 2.0))
    assert doubled.ratio == pytest.approx(2 * plain.ratio)
    assert doubled.low == pytest.approx(2 * plain.low)
    assert doubled.p < plain.p


counts = st.builds(Count, st.integers(0, 300), st.integers(500, 20000), st.floats(0, 5))


@given(counts, counts, st.floats(0, 0.5))
def test_interval_and_p_agree(earlier: Count, later: Count, cv: float) -> None:
    ratio = compare(earlier, later, cv, 0.95)
    assert 0 <= ratio.low <= ratio.high
    assert 0 <= ratio.p <= 1
    if abs(ratio.p - 0.025) > 1e-6:
        assert (ratio.low > 1) == (ratio.p < 0.025)


@given(counts, counts)
def test_swapping_the_draws_inverts_the_interval(one: Count, two: Count) -> None:
    forth, back = compare(one, two, 0.2), compare(two, one, 0.2)
    if forth.low > 0 and forth.high < math.inf:
        assert back.low == pytest.approx(1 / forth.high, rel=1e-5)
        assert back.high == pytest.approx(1 / forth.low, rel=1e-5)


@given(st.integers(1, 200), st.integers(0, 200))
def test_more_molecules_later_are_more_of_a_rise(x1: int, x2: int) -> None:
    more, fewer = (p_rise(Count(x1, 5000), Count(x, 5000), 0.2) for x in (x2 + 1, x2))
    assert more < fewer or fewer > 1 - 1e-12


def test_power_is_the_frequency_of_a_significant_rise() -> None:
    rng = np.random.default_rng(7)
    earlier, fold, cv = Count(30, 5000, 0.5), 2.5, 0.2
    drift = np.exp(rng.normal(0, log_sd(cv) * math.sqrt(2), 4000))
    later = rng.poisson(8000 * earlier.fraction * fold * drift + 0.8)
    significant = {x: compare(earlier, Count(int(x), 8000, 0.8), cv).low > 1 for x in np.unique(later)}
    seen = np.mean([significant[x] for x in later])
    assert power(earlier, 8000, 0.8, fold, cv, 0.95) == pytest.approx(seen, abs=0.03)


def test_power_grows_with_molecules() -> None:
    powers = [power(Count(x, 5000), 5000, 0.0, 2.0, 0.2, 0.95) for x in (5, 20, 80)]
    assert powers == sorted(powers)
    assert powers[0] < 0.2


def test_cvs_combine() -> None:
    assert combined_cv(0.2) == pytest.approx(0.2)
    assert combined_cv(0.3, 0.4) == pytest.approx(math.sqrt(1.09 * 1.16 - 1))


def test_fraction_interval_holds_the_fraction() -> None:
    low, high = fraction_interval(Count(20, 5000, 2.0))
    assert low < 18 / 5000 < high
    assert fraction_interval(Count(0, 5000, 1.0))[0] == 0.0


def _simulated(mean: float, depths: tuple[int, int], background: float, rho: float, reps: int) -> tuple[float, float]:
    """(share of p <= 0.05, share of 95% intervals that hold the true ratio) of simulated pairs with 20% draw CV."""
    rng, cv = np.random.default_rng(round(mean * 1000) + depths[0]), 0.2
    drift = np.exp(rng.normal(0, log_sd(cv), (reps, 2)))
    f1 = mean / depths[0]
    one = rng.poisson(depths[0] * (f1 * drift[:, 0] + background))
    two = rng.poisson(depths[1] * (f1 * rho * drift[:, 1] + background))
    pairs, count = np.unique(np.stack([one, two], axis=1), axis=0, return_counts=True)
    p = np.array(
        [
            p_rise(
                Count(int(a), depths[0], background * depths[0]),
                Count(int(b), depths[1], background * depths[1]),
                cv,
                rho,
            )
            for a, b in pairs
        ]
    )
    inside = (p > 0.025) & (p < 0.975)
    return float((p <= 0.05) @ count / reps), float(inside @ count / reps)


@pytest.mark.slow
@pytest.mark.parametrize("mean", [8, 14, 60, 500])
@pytest.mark.parametrize("depths", [(5000, 5000), (5000, 15000), (15000, 5000)])
@pytest.mark.parametrize(("background", "rho"), [(0.0, 1.0), (3e-4, 1.0), (0.0, 2.0)])
def test_error_rates_are_as_stated(mean: float, depths: tuple[int, int], background: float, rho: float) -> None:
    type1, coverage = _simulated(mean, depths, background, rho, 20_000)
    assert 0.04 <= type1 <= 0.06
    assert 0.94 <= coverage <= 0.972  # counts of 8 and 3 are discrete, which errs to the safe side
