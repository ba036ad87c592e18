from __future__ import annotations

from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.background import Predictive
from esr1call.lod import MAX_STATISTIC, Cases, Power, limits, steps, tails
from esr1call.stats import nb_sf


def cases(depth: Any, rate: Any, size: float = 10.0, extra: float = 0.0, step: Any = None) -> Cases:
    """One case: depth [5], rate [5], one gamma component."""
    rate = np.broadcast_to(np.asarray(rate, dtype=float), (1, 5))[..., None].copy()
    background = Predictive(np.ones_like(rate), rate, np.full((1, 5), size))
    chosen = steps(background, 1e-3) if step is None else np.broadcast_to(np.array([step]), (1, 5)).copy()
    return Cases(np.array([depth], dtype=np.int64), np.array([0]), background, np.full((1, 5), extra), chosen)


def joined(given: list[Cases]) -> Cases:
    """Cases of different alleles as one."""
    background = Predictive(
        *(np.concatenate([getattr(c.background, f) for c in given]) for f in ("weight", "rate", "size"))
    )
    depth, extra, step = (np.concatenate([getattr(c, f) for c in given]) for f in ("depth", "extra", "step"))
    return Cases(depth, np.arange(len(given)), background, extra, step)


def power_at(case: Cases, critical: int, fraction: float, min_molecules: int = 2) -> tuple[float, float]:
    """Power and its slope."""
    [(_, block)] = case.blocks(8)
    tail, few = block.tail(critical + 8)
    value, slope = Power(block, tail, few, np.array([critical] * 2), min_molecules).at(np.array([fraction] * 2))
    return float(value[0]), float(slope[0])


ONE = (0, 0, 4000, 0, 0)


def test_one_stratum_is_the_textbook_case() -> None:
    """k_c = least k with P(X >= k) <= alpha; LoB = (k_c - 1) / N net of background; LoD95 by simulation."""
    case, alpha = cases(ONE, 2e-4), 1e-4
    tail = nb_sf(np.arange(40), 4000 * 2e-4, 10.0)
    k = int((tail <= alpha).argmax())
    step = int(case.step[0, 2])
    found = limits(case, np.array([[0, 0, 3, 0, 0]]), alpha, 2)
    assert found.p[0] == pytest.approx(tail[3], rel=1e-12)
    assert -(-found.critical[0] // step) == k
    assert found.lob[0] == pytest.approx((k - 1) / 4000 - 2e-4)
    rng = np.random.default_rng(1)
    x = rng.poisson(4000 * found.lod95[0], 200_000) + rng.negative_binomial(10, 10 / (10 + 0.8), 200_000)
    assert (x >= k).mean() == pytest.approx(0.95, abs=0.002)


def test_lod_of_all_strata_by_simulation() -> None:
    depth, rate = (1500, 1500, 2000, 2000, 3000), np.array([9e-4, 9e-4, 3e-4, 3e-4, 3e-6])
    case = cases(depth, rate)
    found = limits(case, np.zeros((1, 5), dtype=np.int64), 2e-5, 2)
    rng = np.random.default_rng(2)
    x = rng.binomial(depth, found.lod95[0], (200_000, 5))
    x += rng.poisson(np.array(depth) * rate * rng.gamma(10, 0.1, (200_000, 5)))
    called = (x @ case.step[0] >= found.critical[0]) & (x.sum(axis=1) >= 2)
    assert called.mean() == pytest.approx(0.95, abs=0.003)
    null = rng.poisson(np.array(depth) * rate * rng.gamma(10, 0.1, (400_000, 5)))
    assert (null @ case.step[0] >= found.critical[0]).mean() < 6e-5


def test_one_molecule_is_never_enough() -> None:
    """Where a single duplex molecule passes the tail, power counts from two molecules on."""
    case = cases((0, 0, 0, 0, 2000), 1e-9)
    loose = limits(case, np.array([[0, 0, 0, 0, 1]]), 1e-4, 1)
    strict = limits(case, np.array([[0, 0, 0, 0, 1]]), 1e-4, 2)
    assert loose.critical[0] <= case.step[0, 4]
    assert loose.lod95[0] == pytest.approx(-np.log(0.05) / 2000, rel=1e-3)
    assert strict.lod95[0] == pytest.approx(4.744 / 2000, rel=1e-3)  # 95% point of two or more Poisson molecules
    assert strict.lob[0] == pytest.approx(1 / 2000)


def test_no_depth_no_limits() -> None:
    found = limits(cases((0, 0, 0, 0, 0), 1e-4), np.zeros((1, 5), dtype=np.int64), 1e-4, 2)
    assert found.p[0] == 1
    assert np.isnan(found.lob[0])
    assert np.isnan(found.lod95[0])


def test_too_few_molecules_for_any_fraction() -> None:
    found = limits(cases((1, 0, 0, 0, 0), 1e-4), np.zeros((1, 5), dtype=np.int64), 1e-4, 2)
    assert np.isnan(found.lod95[0])


def test_a_deep_dirty_site_has_limits() -> None:
    case = cases((20_000, 20_000, 20_000, 20_000, 20_000), 3e-3, size=3.0)
    found = limits(case, np.full((1, 5), 100), 1e-5, 2)
    assert 100 < found.critical[0] <= MAX_STATISTIC
    assert 1e-3 < found.lob[0] < found.lod95[0] < 0.02
    assert found.p[0] == pytest.approx(tails(case, 600)[0, (100 * case.step[0]).sum()])


def test_a_site_too_dirty_for_any_call() -> None:
    case = cases((20_000, 20_000, 20_000, 20_000, 20_000), 0.03, size=3.0)
    found = limits(case, np.full((1, 5), 3000), 1e-5, 2)
    assert found.critical[0] == 0
    assert np.isnan([found.lob[0], found.lod95[0]]).all()
    assert found.p[0] > 1e-5


def test_rows_do_not_influence_each_other() -> None:
    one = [cases((900, 800, n, n, 700), r) for n, r in ((100, 1e-5), (3000, 1e-3), (40_000, 2e-4))]
    together = joined(one)
    x = np.array([[0, 0, 1, 2, 1], [3, 2, 9, 9, 0], [300, 1, 9, 9, 20]])
    found = limits(together, x, 1e-4, 2)
    for i, case in enumerate(one):
        alone = limits(case, x[i : i + 1], 1e-4, 2)
        for name in ("p", "critical", "lob", "lod95"):
            assert getattr(found, name)[i] == getattr(alone, name)[0], name


def test_the_whole_tail_is_exact_to_1e10_down_to_1e_200() -> None:
    """Three strata, each a mixture of a clean and a rare dirty rate, and molecules on top: sums to 50 digits."""
    weight, size = np.array([1 - 1e-9, 1e-9]), (3.0, 20.0, 250.0)
    rate = np.array([[1e-4, 4e-3], [2e-5, 1e-3], [1e-7, 3e-6]])
    depth, extra, step = (2000, 3000, 4000), (0.02, 0.0, 0.0), (3, 5, 11)
    background = Predictive(
        np.tile(weight, (1, 5, 1)), np.array([[*rate, rate[0], rate[0]]]), np.array([[*size, 1.0, 1.0]])
    )
    case = Cases(
        np.array([[*depth, 0, 0]]), np.array([0]), background, np.array([[*extra, 0, 0]]), np.array([[*step, 1, 1]])
    )
    top = MAX_STATISTIC
    found = tails(case, top)[0]
    checked = [5, 40, 150, 500, 1000, top]
    with mp.workdps(50):
        pmfs = [
            [mp.fsum(mp.mpf(w) * _pmf(x, r * d + e, s) for w, r in zip(weight, row, strict=True))
             for x in range(top // k + 200)]
            for row, d, e, s, k in zip(rate, depth, extra, size, step, strict=True)
        ]  # fmt: skip
        first, second = (_above(p) for p in pmfs[:2])
        for t in checked:
            # by the molecules of the last two strata: what the first must reach
            true = mp.fsum(
                pmfs[2][z] * pmfs[1][y] * first[max(-(-(t - 11 * z - 5 * y) // 3), 0)]
                for z in range(-(-t // 11))
                for y in range(-(-(t - 11 * z) // 5))
            )
            true += mp.fsum(pmfs[2][z] * second[-(-(t - 11 * z) // 5)] for z in range(-(-t // 11)))
            true += _above(pmfs[2])[-(-t // 11)]
            assert found[t] == pytest.approx(float(true), rel=1e-10), t
    assert found[40] < 1e-3
    assert 1e-200 < found[top] < 1e-190


def _pmf(x: int, mean: float, size: float) -> mp.mpf:
    m, r = mp.mpf(mean), mp.mpf(size)
    q = m / (m + r)
    return mp.gamma(x + r) / mp.gamma(r) / mp.factorial(x) * (1 - q) ** r * q**x


def _above(pmf: list[mp.mpf]) -> list[mp.mpf]:
    """P(X >= x), the far end left out: it is too small to matter."""
    out = [mp.mpf(0)]
    for p in reversed(pmf):
        out.append(out[-1] + p)
    return out[:0:-1]


COUNTS = st.tuples(*[st.integers(0, 12)] * 5)
DEPTHS = st.tuples(*[st.integers(0, 6000)] * 5)
RATES = st.tuples(*[st.floats(1e-7, 1e-3)] * 5)


@given(DEPTHS, RATES, COUNTS, st.integers(0, 4))
def test_p_falls_with_each_molecule(depth: Any, rate: Any, x: Any, more: int) -> None:
    case, x = cases(depth, rate), np.array([x])
    added = x.copy()
    added[0, more] += 1
    few, many = limits(case, x, 1e-4, 2).p[0], limits(case, added, 1e-4, 2).p[0]
    assert 0 < many <= few <= 1


@given(DEPTHS, RATES, COUNTS, st.integers(0, 4), st.floats(1.0, 5.0))
def test_more_background_never_lowers_p(depth: Any, rate: Any, x: Any, where: int, factor: float) -> None:
    """With weights held fixed: a re-weighted test is another test."""
    low = cases(depth, rate)
    raised = np.array(rate)
    raised[where] *= factor
    high = cases(depth, raised, step=low.step[0])
    dirty = cases(depth, rate, extra=0.5, step=low.step[0])
    p = limits(low, np.array([x]), 1e-4, 2).p[0]
    assert limits(high, np.array([x]), 1e-4, 2).p[0] >= p * (1 - 1e-9)
    assert limits(dirty, np.array([x]), 1e-4, 2).p[0] >= p * (1 - 1e-9)


@given(DEPTHS, RATES)
def test_lob_lies_below_lod(depth: Any, rate: Any) -> None:
    found = limits(cases(depth, rate), np.zeros((1, 5), dtype=np.int64), 1e-4, 2)
    if not np.isnan(found.lod95[0]):
        assert 0 <= found.lob[0] < found.lod95[0] <= 1


@given(DEPTHS, RATES)
def test_power_grows_with_the_fraction(depth: Any, rate: Any) -> None:
    case = cases(depth, rate)
    seen = [power_at(case, 30, f)[0] for f in (0.0, 1e-4, 1e-3, 1e-2, 0.3)]
    assert all(low <= high + 1e-12 for low, high in pairwise(seen))


def test_slope_of_power() -> None:
    case = cases((900, 800, 3000, 2500, 700), (9e-4, 9e-4, 3e-4, 3e-4, 3e-6))
    for f in (1e-4, 1e-3, 3e-3):
        difference = (power_at(case, 40, f * 1.001, 1)[0] - power_at(case, 40, f * 0.999, 1)[0]) / (0.002 * f)
        assert power_at(case, 40, f, 1)[1] == pytest.approx(difference, rel=1e-3)


def test_duplex_molecules_weigh_more_where_singletons_are_noisy() -> None:
    case = cases((1000,) * 5, (1e-3, 1e-3, 2e-4, 2e-4, 1e-6))
    assert case.step[0, 4] > case.step[0, 2] > case.step[0, 0] >= 1


def test_orientation_is_evidence_and_not_a_filter() -> None:
    """Errors of one orientation: there a molecule says little, in the other much, and none of either is asked for."""
    case = cases((0, 0, 3000, 3000, 0), (1e-9, 1e-9, 1e-3, 1e-5, 1e-9))
    assert case.step[0, 3] > case.step[0, 2] >= 1

    def p(noisy: int, clean: int) -> float:
        return float(limits(case, np.array([[0, 0, noisy, clean, 0]]), 1e-4, 2).p[0])

    assert p(0, 4) < p(2, 2) < p(4, 0)
    assert p(0, 2) < 1e-3  # two molecules of one orientation alone
    assert p(4, 0) > 0.1
    # what the other orientation shows is never held against the variant
    assert p(1, 3) < p(0, 3)
