from __future__ import annotations

import numpy as np
import pytest

from esr1call.panel import reverse_complement
from esr1call.simulate import SimulationParameters
from esr1call.simulate.genomes import encode
from esr1call.simulate.sequencing import ADAPTER_1, ADAPTER_2, N, quality_pool, sequence, true_bases
from tests.simulate.world import close, text

BINS = (2, 12, 23, 37)


def test_errors_follow_the_qualities() -> None:
    parameters = SimulationParameters(low_quality=(0.1, 0.3), n_rate=0.002, read_length=100)
    rng = np.random.default_rng(1)
    pool = quality_pool(rng, parameters, 1)
    true = rng.integers(0, 4, (100_000, 100), dtype=np.uint8)
    called, phred = sequence(rng, true, pool, BINS)
    assert set(np.unique(phred)) == set(BINS)
    assert ((called == N) == (phred == 2)).all()
    for q in BINS[1:]:
        at = phred == q
        wrong = int((called[at] != true[at]).sum())
        assert close(wrong, int(at.sum()), 10 ** (-q / 10)), q
    wrong_as = np.bincount((called ^ true)[(called != true) & (called < N)], minlength=4)
    assert wrong_as[0] == 0
    for mask in (1, 2, 3):
        assert close(wrong_as[mask], wrong_as.sum(), 1 / 3)


def test_perfect_qualities_make_no_error() -> None:
    true = np.random.default_rng(1).integers(0, 4, (1000, 100), dtype=np.uint8)
    called, _ = sequence(np.random.default_rng(2), true, np.full((1, 100), 93, dtype=np.uint8), (2, 12, 93))
    assert (called == true).all()


@pytest.mark.parametrize(("mate", "factor"), [(1, 1.0), (2, 1.5)])
def test_low_qualities_grow_with_the_cycle(mate: int, factor: float) -> None:
    parameters = SimulationParameters(low_quality=(0.02, 0.2), n_rate=0.0, read_length=100)
    pools = [quality_pool(np.random.default_rng(s), parameters, mate) < 37 for s in range(20)]
    share = np.concatenate(pools).mean(axis=0)
    assert share[:5].mean() == pytest.approx(0.02 * factor, rel=0.2)
    assert share[-10:].mean() == pytest.approx(0.184 * factor, rel=0.1)
    assert share[-1] > share[50] > share[0]


def test_low_qualities_come_in_runs() -> None:
    low = quality_pool(np.random.default_rng(1), SimulationParameters(low_quality=(0.1, 0.1)), 1) < 37
    after_low = low[:, 1:][low[:, :-1]].mean()
    assert after_low > 3 * low.mean()


def reads_of(fragment: str, forward: bool, mate: int, poly_g: float, cycles: int = 80) -> str:
    parameters = SimulationParameters(read_structure="3M2S+T 3M2S+T", read_length=cycles, poly_g_fraction=poly_g)
    copies = encode(fragment + "AAAA")[None]
    mine, other = encode("GATCC")[None], encode("TTACG")[None]
    made = true_bases(
        np.random.default_rng(1), copies, np.array([len(fragment)]), np.array([forward]), mine, other, mate, parameters
    )
    return text(made[0])


FRAGMENT = "ACGGTCATTCAGGATCCTGAACTTGGCATTTACGGATCACG"


@pytest.mark.parametrize("mate", [1, 2])
def test_read_through_shows_umi_adapter_and_poly_g(mate: int) -> None:
    adapter = ADAPTER_1 if mate == 1 else ADAPTER_2
    for forward, shown in ((True, FRAGMENT), (False, reverse_complement(FRAGMENT))):
        whole = "GATCC" + shown + "CGTAA" + adapter
        assert reads_of(FRAGMENT, forward, mate, 1.0, 90) == whole[:90] + "G" * (90 - len(whole))
        noisy = reads_of(FRAGMENT, forward, mate, 0.0, 110)
        assert noisy[: len(whole)] == whole
        assert set(noisy[len(whole) :]) == set("ACGT")


def test_long_fragments_show_no_adapter() -> None:
    fragment = FRAGMENT * 4
    assert reads_of(fragment, True, 1, 1.0) == "GATCC" + fragment[:75]
    assert reads_of(fragment, False, 2, 1.0) == "GATCC" + reverse_complement(fragment)[:75]


@pytest.mark.parametrize("past", range(-1, 8))
def test_fragment_ends_near_the_read_end(past: int) -> None:
    fragment = (FRAGMENT * 2)[: 75 - past]
    whole = "GATCC" + fragment + "CGTAA" + ADAPTER_1
    assert reads_of(fragment, True, 1, 1.0) == whole[:80]
