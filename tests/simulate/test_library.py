from __future__ import annotations

import re

import numpy as np
import pytest

from esr1call.simulate import SimulationParameters, parse_read_structure
from esr1call.simulate.genomes import encode
from esr1call.simulate.library import (
    amplify,
    damage,
    draw_family_sizes,
    draw_strands,
    draw_umis,
    mutate_umis,
    rare,
    run_length,
)
from tests.simulate.world import CLEAN, close, text

A, C, G, T = range(4)


def random_strands(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (rows, columns), dtype=np.uint8)


def test_rare_events_are_distinct_and_as_frequent_as_asked() -> None:
    found = rare(np.random.default_rng(1), 1_000_000, 0.001)
    assert len(np.unique(found)) == len(found)
    assert close(len(found), 1_000_000, 0.001)
    assert (found < 1_000_000).all()
    assert len(rare(np.random.default_rng(1), 100, 0.0)) == 0
    assert len(rare(np.random.default_rng(1), 0, 0.5)) == 0
    assert rare(np.random.default_rng(1), 10, 1.0).tolist() == list(range(10))


@pytest.mark.parametrize(
    ("recovery", "duplex", "top"), [(0.6, 0.3, 0.5), (1.0, 0.0, 1.0), (0.4, 1.0, 0.5), (0.9, 0.2, 0.1)]
)
def test_strand_recovery(recovery: float, duplex: float, top: float) -> None:
    n = 100_000
    is_top, is_bottom = draw_strands(
        np.random.default_rng(2), n, SimulationParameters(recovery=recovery, duplex_rate=duplex, top_fraction=top)
    )
    assert close(int((is_top & is_bottom).sum()), n, recovery * duplex)
    assert close(int((is_top & ~is_bottom).sum()), n, recovery * (1 - duplex) * top)
    assert close(int((~is_top & ~is_bottom).sum()), n, 1 - recovery)


@pytest.mark.parametrize("mean", [1.05, 2.0, 4.0, 30.0])
@pytest.mark.parametrize("dispersion", [0.0, 0.5, 2.0])
def test_family_sizes(mean: float, dispersion: float) -> None:
    """Mean as asked; the rest as a zero-truncated gamma-Poisson drawn the slow way (gamma, Poisson, rejection)."""
    n = 100_000
    sizes = draw_family_sizes(np.random.default_rng(3), n, mean, dispersion)
    assert sizes.min() >= 1
    assert sizes.mean() == pytest.approx(mean, abs=5 * sizes.std() / n**0.5)
    rng = np.random.default_rng(4)
    parent = parent_mean(mean, dispersion)
    rates = rng.gamma(1 / dispersion, parent * dispersion, 3_000_000) if dispersion else np.full(3_000_000, parent)
    slow = rng.poisson(rates)
    slow = slow[slow > 0]
    assert sizes.var() == pytest.approx(slow.var(), rel=0.06)
    for size in (1, 2, 3, 5):
        assert close(int((sizes == size).sum()), n, float((slow == size).mean()), sigmas=6)


def parent_mean(mean: float, dispersion: float) -> float:
    """The gamma-Poisson mean whose zero-truncated mean is `mean`, by a fixed-point iteration."""
    parent = mean
    for _ in range(3000):
        none = np.exp(-parent) if not dispersion else (1 + dispersion * parent) ** (-1 / dispersion)
        parent = 0.5 * parent + 0.5 * mean * (1 - none)
    return float(parent)


def test_family_sizes_are_overdispersed() -> None:
    sizes = draw_family_sizes(np.random.default_rng(3), 50_000, 8.0, 0.5)
    assert sizes.var() > 3 * sizes.mean()
    assert set(draw_family_sizes(np.random.default_rng(3), 100, 1.0, 0.5)) == {1}


def test_damage_has_the_asked_rates_and_lies_on_the_own_strand() -> None:
    before = random_strands(4000, 200)
    length = np.full(4000, 190)
    top = np.arange(4000) % 2 == 0
    parameters = SimulationParameters(**{**CLEAN, "deamination": 0.004, "oxidation": 0.002, "other_damage": 0.001})
    after = before.copy()
    damage(np.random.default_rng(5), after, length, top, parameters)
    assert (after[:, 190:] == before[:, 190:]).all()
    for strand, flip in ((True, 0), (False, 3)):
        old, new = before[top == strand, :190] ^ flip, after[top == strand, :190] ^ flip
        seen = np.array([[((old == x) & (new == y)).sum() for y in range(4)] for x in range(4)])
        n = seen.sum(axis=1)
        for x in range(4):
            for y in range(4):
                if x != y:
                    rate = 0.001 / 3 + (0.004 if (x, y) == (C, T) else 0.002 if (x, y) == (G, T) else 0)
                    assert close(seen[x, y], n[x], rate), (strand, x, y)


def test_end_damage_falls_with_the_distance_from_the_5_prime_end() -> None:
    strands = np.full((60_000, 60), C, dtype=np.uint8)
    strands[30_000:] = G  # the bottom strand reads C here
    top = np.arange(60_000) < 30_000
    length = np.where(np.arange(60_000) % 2 == 0, 60, 50)
    before = strands.copy()
    damage(
        np.random.default_rng(5), strands, length, top,
        SimulationParameters(**{**CLEAN, "end_deamination": 0.05, "end_decay": 3.0}),
    )  # fmt: skip
    for d in (0, 1, 3, 8):
        rate = 0.05 * np.exp(-d / 3)
        assert close(int((strands[top, d] == T).sum()), 30_000, rate)
        rows = np.flatnonzero(~top)
        assert close(int((strands[rows, length[rows] - 1 - d] == A).sum()), 30_000, rate)
    assert (strands[top, 40:] == before[top, 40:]).all()
    assert (strands[~top, :10] == before[~top, :10]).all()


def shares(cycles: int, rate: float) -> tuple[np.ndarray, int]:
    """Share of a family of 400 that carries each error, and the bases at risk."""
    strands = random_strands(40, 251)
    length, size = np.full(40, 250), np.full(40, 400)
    parameters = SimulationParameters(**{**CLEAN, "polymerase_error": rate, "pcr_cycles": cycles})
    copies, copy_length = amplify(np.random.default_rng(6), strands, length, size, parameters)
    assert (copy_length == 250).all()
    different = (copies != np.repeat(strands, size, axis=0)).reshape(40, 400, 251)
    assert not different[:, :, 250].any()
    counts = different.sum(axis=1)
    return counts[counts > 0] / 400, 40 * 250


def test_a_first_cycle_error_is_in_half_the_family() -> None:
    found, bases = shares(1, 0.001)
    assert len(found) == pytest.approx(bases * 0.001, abs=15)
    assert np.abs(found - 0.5).max() < 0.15


def test_later_cycles_hit_more_often_and_smaller_parts() -> None:
    found, bases = shares(3, 0.001)
    for cycle, low, high in ((1, 0.375, 0.65), (2, 0.19, 0.33), (3, 0.06, 0.185)):
        part = int(((found > low) & (found < high)).sum())
        assert close(part, bases, 0.001 * 2 ** (cycle - 1)), cycle


@pytest.mark.parametrize("cycles", [0, 4, 6, 15])
def test_each_cycle_adds_half_its_error_rate_to_the_reads(cycles: int) -> None:
    strands = random_strands(3000, 201)
    parameters = SimulationParameters(**{**CLEAN, "polymerase_error": 1e-4, "pcr_cycles": cycles})
    size = np.full(3000, 10)
    copies, _ = amplify(np.random.default_rng(7), strands, np.full(3000, 200), size, parameters)
    wrong = (copies != np.repeat(strands, size, axis=0)).mean()
    assert wrong == pytest.approx(cycles / 2 * 1e-4, rel=0.06)


def test_polymerase_errors_are_the_same_in_all_copies_and_mostly_transitions() -> None:
    strands = random_strands(40, 251)
    parameters = SimulationParameters(**{**CLEAN, "polymerase_error": 1e-3, "pcr_cycles": 2})
    copies, _ = amplify(np.random.default_rng(6), strands, np.full(40, 250), np.full(40, 50), parameters)
    masks = (copies.reshape(40, 50, 251) ^ strands[:, None]).transpose(0, 2, 1).reshape(-1, 50)
    kinds = [set(m) - {0} for m in masks if m.any()]
    assert sum(len(k) == 1 for k in kinds) / len(kinds) > 0.99
    transitions = sum(k == {2} for k in kinds)
    assert close(transitions, len(kinds), 2 / 3)


def test_slippage_changes_homopolymers_by_one_base() -> None:
    sequence = "ACGT" * 10 + "AAAAAA" + "CGTA" * 10 + "G"
    strands = np.tile(encode(sequence), (3000, 1))
    n = len(sequence) - 1
    parameters = SimulationParameters(**{**CLEAN, "pcr_indel": 2e-5, "pcr_cycles": 4})
    copies, length = amplify(np.random.default_rng(9), strands, np.full(3000, n), np.full(3000, 10), parameters)
    shorter, longer, slipped = (length == n - 1).sum(), (length == n + 1).sum(), (length != n).sum()
    assert shorter + longer == slipped
    # Families share their slips, so the bounds are wider than binomial: rate x run length at each base, cycles / 2.
    per_read = 2e-5 * (80 * 1 + 6 * 6) * 4 / 2
    assert slipped / len(length) == pytest.approx(per_read, rel=0.2)
    assert shorter / slipped == pytest.approx(2 / 3, abs=0.1)
    poly = [re.search("TA{5}C|TA{7}C", text(c[:k])) is not None for c, k in zip(copies, length, strict=True) if k != n]
    assert np.mean(poly) == pytest.approx(36 / 116, abs=0.1)
    for c, k in list(zip(copies, length, strict=True))[:20_000]:
        if k == n:
            assert text(c[:k]) == sequence[:n]
        else:
            assert text(c[:k]) in single_slips(sequence[:n])


def single_slips(sequence: str) -> set[str]:
    removed = {sequence[:i] + sequence[i + 1 :] for i in range(len(sequence))}
    return removed | {sequence[:i] + sequence[i] + sequence[i:] for i in range(len(sequence))}


def test_run_length() -> None:
    codes = encode("ACCCGAAAAAAAAAAAAT")[None]
    row, columns = np.zeros(5, dtype=np.int64), np.array([0, 2, 4, 8, 17])
    assert run_length(codes, row, columns, np.array([18])).tolist() == [1, 3, 1, 8, 1]
    assert run_length(codes, row[:1], columns[1:2], np.array([3])).tolist() == [2]


def test_duplex_umis_swap_between_the_strands() -> None:
    parameters = SimulationParameters(read_structure="3M2S+T 3M2S+T")
    molecule = np.concatenate([np.arange(500), np.arange(500)])
    top = np.arange(1000) < 500
    one, two = draw_umis(np.random.default_rng(1), molecule, top, parameters)
    assert (one[:500] == two[500:]).all()
    assert (two[:500] == one[500:]).all()
    assert {text(x) for x in one[:, 3:]} == {"TG"}
    assert len({text(x) for x in one[:500, :3]}) == 64
    assert (one[:500, :3] != two[:500, :3]).any()


def test_a_umi_in_one_read_is_each_strands_own() -> None:
    parameters = SimulationParameters(read_structure="8M4S+T +T")
    molecule = np.concatenate([np.arange(100), np.arange(100)])
    one, two = draw_umis(np.random.default_rng(1), molecule, np.arange(200) < 100, parameters)
    assert two.shape == (200, 0)
    assert len({text(x) for x in one[:, :8]}) > 190
    assert {text(x) for x in one[:, 8:]} == {"TGAC"}


def test_umi_errors_leave_the_spacer_alone() -> None:
    layout = parse_read_structure("5M3S+T +T")[0]
    before = np.zeros((20_000, 8), dtype=np.uint8)
    after = mutate_umis(np.random.default_rng(1), before, layout, 0.01)
    assert not after[:, 5:].any()
    assert close(int((after[:, :5] > 0).sum()), 100_000, 0.01)
    assert not before.any()
