from __future__ import annotations

import numpy as np
import pytest

from esr1call.errors import InputError
from esr1call.panel import Panel
from esr1call.simulate import SimulationParameters, hotspot_targets
from esr1call.simulate.fragments import Region, length_distribution, place, regions_of, stray_region
from tests.simulate.world import Bases

WIDE = Region("chr6", 10_000, 10_030, 5_000, "ACGT" * 2_500)


def chi_square_per_bin(observed: np.ndarray, expected: np.ndarray) -> float:
    keep = expected >= 10
    return float((((observed - expected) ** 2 / np.where(keep, expected, 1))[keep]).sum() / keep.sum())


def test_lengths_peak_at_the_nucleosome_with_a_10_bp_ladder_below() -> None:
    lengths, pmf = length_distribution(SimulationParameters())
    assert pmf.sum() == pytest.approx(1)
    assert lengths[pmf.argmax()] == 166
    at = dict(zip(lengths.tolist(), pmf.tolist(), strict=True))
    for peak in range(96, 156, 10):
        assert at[peak] > 1.15 * (at[peak - 5] + at[peak + 5]) / 2
    assert sum(p for x, p in at.items() if 130 <= x <= 200) > 0.75
    assert sum(p for x, p in at.items() if x > 250) == pytest.approx(0.04, abs=0.002)


def test_fragment_mode_and_fractions_are_parameters() -> None:
    lengths, pmf = length_distribution(
        SimulationParameters(fragment_mode=145, dinucleosome_fraction=0.0, ladder_fraction=0.0)
    )
    assert lengths[pmf.argmax()] == 145
    assert pmf[lengths > 220].sum() < 1e-6


def test_placed_lengths_follow_the_distribution() -> None:
    parameters = SimulationParameters()
    start, end = place(WIDE, 40_000, parameters, np.random.default_rng(3))
    lengths, pmf = length_distribution(parameters)
    observed = np.bincount(end - start, minlength=lengths[-1] + 1)[lengths]
    assert 0.7 < chi_square_per_bin(observed, pmf * len(start)) < 1.3


def test_fragments_overlap_the_target_and_start_anywhere() -> None:
    start, end = place(WIDE, 200_000, SimulationParameters(dinucleosome_fraction=0.0), np.random.default_rng(4))
    assert (start < WIDE.end).all()
    assert (end > WIDE.start).all()
    same = end - start == 166
    observed = np.bincount(start[same] - (WIDE.start - 165))
    assert len(observed) == 166 + 29
    assert 0.7 < chi_square_per_bin(observed, np.full(len(observed), same.sum() / len(observed))) < 1.3


@pytest.mark.parametrize("target", [(10_000, 10_030), (10_000, 10_400), (5_060, 5_070)])
def test_molecules_are_the_depth_of_the_best_covered_base(target: tuple[int, int]) -> None:
    region = Region("chr6", *target, 5_000, WIDE.sequence)
    start, end = place(region, 30_000, SimulationParameters(), np.random.default_rng(5))
    depth = [int(((start <= x) & (x < end)).sum()) for x in range(*target)]
    assert max(depth) == pytest.approx(30_000, rel=0.025)


def test_fragments_stay_inside_a_short_reference() -> None:
    region = Region("chr6", 130, 139, 100, "ACGT" * 40)
    start, end = place(region, 1000, SimulationParameters(), np.random.default_rng(5))
    assert start.min() >= 100
    assert end.max() <= 260
    with pytest.raises(InputError, match="too short"):
        place(Region("chr6", 100, 109, 100, "ACGT" * 5), 10, SimulationParameters(), np.random.default_rng(5))


def test_amplicons_have_fixed_ends(panel: Panel) -> None:
    parameters = SimulationParameters(amplicons=(("chr6", 152098740, 152098840),))
    (region,) = regions_of(parameters, panel, Bases())
    start, end = place(region, 500, parameters, np.random.default_rng(1))
    assert 400 < len(start) < 600
    assert set(start) == {152098740}
    assert set(end) == {152098840}


def test_regions_of_the_panel(panel: Panel) -> None:
    everything = regions_of(SimulationParameters(), panel, Bases())
    assert len(everything) == 5
    assert all(r.sequence == Bases().fetch("chr6", r.low, r.high) for r in everything)
    hotspots = regions_of(SimulationParameters(targets=hotspot_targets(panel)), panel, Bases())
    assert [(r.start, r.end) for r in hotspots][-1] == (152098777, 152098792)


@pytest.mark.parametrize("span", [("chr6", 1, 100), ("chr7", 152098740, 152098840), ("chr6", 152098840, 152098840)])
def test_target_outside_the_reference(panel: Panel, span: tuple[str, int, int]) -> None:
    for parameters in (SimulationParameters(targets=(span,)), SimulationParameters(amplicons=(span,))):
        with pytest.raises(InputError, match="targets"):
            regions_of(parameters, panel, Bases())


def test_stray_molecules_are_as_many_as_asked() -> None:
    start, _ = place(stray_region(np.random.default_rng(1)), 17, SimulationParameters(), np.random.default_rng(1), True)
    assert len(start) == 17
