from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from scipy.stats import binom, nbinom

from esr1call.background import Predictive
from esr1call.fraction import fractions
from esr1call.lod import Cases
from tests.test_lod import COUNTS, DEPTHS, RATES, cases


@given(DEPTHS, RATES, COUNTS)
def test_vaf_lies_in_its_interval(depth: Any, rate: Any, x: Any) -> None:
    x = np.minimum(np.array([x]), depth)
    vaf, low, high = fractions(cases(depth, rate), x)
    if sum(depth) == 0:
        assert np.isnan([vaf[0], low[0], high[0]]).all()
    else:
        assert 0 <= low[0] <= vaf[0] <= high[0] <= 1
        assert vaf[0] <= x.sum() / sum(depth) + 1e-9


def test_vaf_of_a_clean_site_is_the_plain_fraction_with_its_likelihood_interval() -> None:
    vaf, low, high = fractions(cases((0, 0, 5000, 0, 5000), 1e-10), np.array([[0, 0, 12, 0, 18]]))
    assert vaf[0] == pytest.approx(0.003, rel=1e-4)

    def drop(f: float) -> float:
        return float(30 * np.log(0.003 / f) + 9970 * np.log(0.997 / (1 - f)))

    assert drop(low[0]) == pytest.approx(1.920729, rel=1e-3)
    assert drop(high[0]) == pytest.approx(1.920729, rel=1e-3)


def test_vaf_ends() -> None:
    vaf, low, high = fractions(cases((0, 0, 1000, 0, 0), 1e-4), np.array([[0, 0, 0, 0, 0]]))
    assert (vaf[0], low[0]) == (0, 0)
    assert high[0] == pytest.approx(1.920729 / 1000, rel=0.01)
    vaf, low, high = fractions(cases((0, 0, 1000, 0, 0), 1e-4), np.array([[0, 0, 1000, 0, 0]]))
    assert (vaf[0], high[0]) == (1, 1)


def test_likelihood_is_that_of_background_and_variant_together() -> None:
    """Against enumeration with scipy.stats."""
    n, x, rate, size = 3000, 9, 1e-3, 4.0
    vaf, low, high = fractions(cases((0, 0, n, 0, 0), rate, size), np.array([[0, 0, x, 0, 0]]))
    b = np.arange(x + 1)
    background = nbinom.pmf(b, size, size / (size + n * rate))

    def log_likelihood(f: float) -> float:
        return float(np.log(background @ binom.pmf(x - b, n - b, f)))

    grid = np.linspace(0, 0.01, 4001)
    values = np.array([log_likelihood(f) for f in grid])
    inside = grid[values >= values.max() - 1.920729]
    assert vaf[0] == pytest.approx(grid[values.argmax()], abs=5e-6)
    assert low[0] == pytest.approx(inside[0], abs=5e-6)
    assert high[0] == pytest.approx(inside[-1], abs=5e-6)


def test_interval_covers_the_truth_where_the_background_is_uncertain() -> None:
    """Rates of the next sample are drawn from what the blanks leave open: 95% of intervals hold the true VAF."""
    rng = np.random.default_rng(4)
    weight, rate = np.array([0.3, 0.4, 0.3]), np.array([3e-4, 6e-4, 1.2e-3])
    n, f, number = 6000, 1.5e-3, 2000
    mu = rng.choice(rate, number, p=weight) * rng.gamma(8, 1 / 8, number)
    x = np.zeros((number, 5), dtype=np.int64)
    x[:, 2] = rng.binomial(n, f, number) + rng.poisson(n * mu)
    depth = np.zeros_like(x)
    depth[:, 2] = n
    background = Predictive(np.tile(weight, (1, 5, 1)), np.tile(rate, (1, 5, 1)), np.full((1, 5), 8.0))
    case = Cases(depth, np.zeros(number, dtype=np.int64), background, np.zeros((number, 5)), np.full((1, 5), 3))
    _, low, high = fractions(case, x)
    assert ((low <= f) & (f <= high)).mean() == pytest.approx(0.95, abs=0.02)
