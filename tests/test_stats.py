from __future__ import annotations

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.stats import add_to_tail, benjamini_hochberg, holm, mixture_table, nb_log_pmf, nb_log_sf, nb_sf

mp.mp.dps = 50


def oracle(x: int, mean: float, size: float) -> mp.mpf:
    """P(X >= x) of the negative binomial by its hypergeometric series, to 50 digits."""
    m, r = mp.mpf(mean), mp.mpf(size)
    q = m / (m + r)
    at_x = mp.gamma(x + r) / mp.gamma(r) / mp.factorial(x) * (1 - q) ** r * q**x
    return at_x * mp.hyp2f1(1, x + r, x + 1, q)


CASES = [
    (mean, size, x)
    for mean in (1e-6, 1e-3, 0.2, 3.0, 40.0, 700.0)
    for size in (0.05, 1.0, 7.3, 300.0, 1e4)
    for x in (1, 2, 7, 40, 150, 900)
]


@pytest.mark.parametrize(("mean", "size", "x"), CASES)
def test_tail_is_exact_to_1e10_down_to_1e_200(mean: float, size: float, x: int) -> None:
    true = oracle(x, mean, size)
    if true > mp.mpf("1e-200"):
        assert float(nb_sf(x, mean, size)) == pytest.approx(float(true), rel=1e-10)
    assert float(nb_log_sf(x, mean, size)) == pytest.approx(float(mp.log(true)), rel=1e-10, abs=1e-10)


def test_log_tail_goes_on_where_a_float_ends() -> None:
    assert nb_sf(400, 1e-3, 50.0) == 0
    assert float(nb_log_sf(400, 1e-3, 50.0)) == pytest.approx(float(mp.log(oracle(400, 1e-3, 50.0))), rel=1e-10)


def test_tail_of_nothing() -> None:
    assert nb_sf([0, 1], 0.0, 3.0).tolist() == [1.0, 0.0]
    assert nb_log_pmf(0, 0.0, 3.0) == 0.0
    assert nb_log_sf(2, 0.0, 3.0) == -np.inf


@given(st.floats(1e-6, 100), st.floats(0.1, 1e4), st.integers(1, 60))
def test_tails_differ_by_the_probability(mean: float, size: float, x: int) -> None:
    tail = nb_sf(np.arange(x, x + 2), mean, size)
    assert tail[0] - tail[1] == pytest.approx(float(np.exp(nb_log_pmf(x, mean, size))), rel=1e-6, abs=1e-13)


WEIGHT = np.array([0.9, 0.0999, 1e-4])


@pytest.mark.parametrize("top", [1, 10, 200])
@pytest.mark.parametrize("size", [0.7, 20.0, 300.0])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 300.0])
def test_mixture_table(top: int, size: float, scale: float) -> None:
    mean = np.array([0.5, 4.0, 60.0]) * scale
    pmf, tail = mixture_table(WEIGHT, np.stack([mean, mean / 7], axis=1), size, top)
    for column, means in enumerate((mean, mean / 7)):
        for x in {0, 1, top // 2, top}:
            true = sum(mp.mpf(w) * oracle(x, m, size) for w, m in zip(WEIGHT, means, strict=True)) if x else 1
            assert tail[x, column] == pytest.approx(float(true), rel=1e-10, abs=1e-290)
            shown = WEIGHT @ np.exp(nb_log_pmf(x, means, size))
            assert pmf[x, column] == pytest.approx(float(shown), rel=1e-9, abs=1e-290)


def test_mixture_tail_is_exact_to_1e10_where_a_few_sites_are_dirty() -> None:
    """Weights over many orders of magnitude: no part of the tail may be lost beside the bulk."""
    weight = np.array([1.0, 1e-5, 1e-9, 1e-14])
    weight /= weight.sum()
    mean = np.array([0.1, 2.0, 20.0, 300.0])
    for size in (3.0, 25.0, 400.0):
        _, tail = mixture_table(weight, np.stack([mean, mean], axis=1), size, 120)
        for x in (3, 12, 40, 120):
            true = sum(mp.mpf(w) * oracle(x, m, size) for w, m in zip(weight, mean, strict=True))
            assert tail[x, 0] == pytest.approx(float(true), rel=1e-10)


@pytest.mark.parametrize("weights", [(1, 1), (3, 1, 5), (2, 2, 7, 1)])
def test_convolution_equals_enumeration(weights: tuple[int, ...]) -> None:
    top, reach = 20, 60
    rng = np.random.default_rng(1)
    tables = []
    for _ in weights:
        tables.append(mixture_table(rng.dirichlet(np.ones(2)), rng.uniform(0.1, 2, (2, 1)), rng.uniform(0.5, 9), reach))
    tail = np.zeros((top + 1, 1))
    tail[0] = 1
    for (pmf, above), w in zip(tables, weights, strict=True):
        tail = add_to_tail(tail, pmf, above, w, top)
    for t in range(top + 1):
        # all ways of staying below t, which are finitely many
        ranges = [range(-(-t // w)) for w in weights]
        below = sum(
            math.prod(table[0][x, 0] for table, x in zip(tables, xs, strict=True))
            for xs in itertools.product(*ranges)
            if sum(w * x for w, x in zip(weights, xs, strict=True)) < t
        )
        assert tail[t, 0] == pytest.approx(1 - below, abs=1e-12)


def test_convolution_keeps_relative_accuracy_far_out() -> None:
    means, size, weights, top = (1e-4, 3e-3), 5.0, (5, 2), 200
    tail = np.zeros((top + 1, 1))
    tail[0] = 1
    for m, w in zip(means, weights, strict=True):
        pmf, above = mixture_table(np.ones(1), np.array([[m]]), size, -(-top // w))
        tail = add_to_tail(tail, pmf, above, w, top)
    true = mp.mpf(0)
    for x in range(top // weights[0]):
        at_x = oracle(x, means[0], size) - oracle(x + 1, means[0], size)
        true += at_x * oracle(-(-(top - weights[0] * x) // weights[1]), means[1], size)
    true += oracle(top // weights[0], means[0], size)
    assert 1e-200 < true < 1e-130
    assert tail[top, 0] == pytest.approx(float(true), rel=1e-10)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, 0.5], tests=10).tolist() == pytest.approx([0.1, 1.0])
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_values(p: list[float]) -> None:
    strict, mild = holm(p), benjamini_hochberg(p)
    assert (strict >= np.array(p)).all()
    assert (strict <= 1).all()
    assert (mild >= np.array(p) * (1 - 1e-12)).all()
    assert (mild <= strict + 1e-12).all()
    assert np.array_equal(np.argsort(strict[np.argsort(p)], kind="stable"), np.arange(len(p)))


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.5]).tolist() == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
