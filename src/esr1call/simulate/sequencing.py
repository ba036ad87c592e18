"""From library copies to reads: what each cycle reads, its quality, and the errors the quality promises."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esr1call.simulate.genomes import encode
from esr1call.simulate.library import rare
from esr1call.simulate.parameters import SimulationParameters

ADAPTER_1 = "AGATCGGAAGAGCACACGTCTGAACTCCAGTCA"
ADAPTER_2 = "AGATCGGAAGAGCGTCGTGTAGGGAAAGAGTGT"
"""What read 1 and read 2 show after the end of a fragment (Illumina TruSeq)."""
N = 4
_POOL = 2048
_STAY_LOW = 0.5
_G = 2


def quality_pool(rng: np.random.Generator, parameters: SimulationParameters, mate: int) -> NDArray[np.uint8]:
    """Quality strings to draw from, [strings, cycles], for read `mate` (1 or 2).

    Qualities are binned; low bases come in runs and more often in late cycles.

    The lowest bin is kept for N. Bases below the highest bin are spread over the bins between, the better the more.
    """
    bins = np.array(parameters.quality_bins, dtype=np.uint8)
    cycles = parameters.read_length
    first, last = parameters.low_quality
    share = (first + (last - first) * (np.arange(cycles) / (cycles - 1)) ** 2) * (1.5 if mate == 2 else 1.0)
    middle = bins[1:-1]
    weights = 2.0 ** np.arange(len(middle))
    phred = np.empty((_POOL, cycles), dtype=np.uint8)
    low = rng.random(_POOL) < share[0]
    for cycle in range(cycles):
        enter = share[cycle] * (1 - _STAY_LOW) / (1 - share[cycle])
        low = rng.random(_POOL) < (np.where(low, _STAY_LOW, enter) if cycle else low)
        drawn = rng.choice(middle, size=_POOL, p=weights / weights.sum())
        phred[:, cycle] = np.where(low, drawn, bins[-1])
    phred[rng.random(phred.shape) < parameters.n_rate] = bins[0]
    return phred


def sequence(
    rng: np.random.Generator, true: NDArray[np.uint8], pool: NDArray[np.uint8], bins: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Called base codes (4 is N) and Phred qualities, [reads, cycles] each, for the `true` bases.

    Each read draws one quality string of the `pool`. A base of quality Q is wrong with probability 10^(-Q/10), and
    then each other base is as likely; a base of the lowest bin is N.
    """
    phred = pool[rng.integers(0, len(pool), len(true))]
    called = true.copy()
    flat, seen = called.reshape(-1), phred.reshape(-1)
    low = np.flatnonzero(seen < bins[-1])
    wrong_low = low[rng.random(len(low)) < 10.0 ** (seen[low] / -10.0)]
    # Errors of the many best bases are few: their places are drawn, not every base tried.
    wrong_best = rare(rng, flat.size, 10.0 ** (bins[-1] / -10.0))
    wrong = np.concatenate([wrong_low, wrong_best[seen[wrong_best] == bins[-1]]])
    flat[wrong] ^= rng.integers(1, 4, len(wrong), dtype=np.uint8)
    flat[low[seen[low] == bins[0]]] = N
    return called, phred


def true_bases(
    rng: np.random.Generator, copies: NDArray[np.uint8], length: NDArray[np.int64], forward: NDArray[np.bool_],
    prefix: NDArray[np.uint8], other_prefix: NDArray[np.uint8], mate: int, parameters: SimulationParameters,
) -> NDArray[np.uint8]:  # fmt: skip
    """What a perfect sequencer shows in one mate, codes [reads, cycles].

    Its own UMI and spacer, the fragment from the left (`forward`) or from the right on the reverse strand; past the
    fragment's end the reverse complement of the other mate's UMI and spacer, the adapter, and then poly-G or noise.
    """
    cycles, head = parameters.read_length, prefix.shape[1]
    out = np.empty((len(copies), cycles), dtype=np.uint8)
    out[:, :head] = prefix
    column = np.arange(cycles - head)
    at = np.where(forward[:, None], column, length[:, None] - 1 - column)
    np.clip(at, 0, copies.shape[1] - 1, out=at)
    at += (np.arange(len(copies)) * copies.shape[1])[:, None]
    out[:, head:] = copies.reshape(-1)[at] ^ np.where(forward, 0, 3).astype(np.uint8)[:, None]
    short = np.flatnonzero(length < cycles - head)
    if len(short):
        tail = _tail(rng, other_prefix[short], mate, parameters)
        past = np.arange(cycles) - (head + length[short])[:, None]
        out[short] = np.where(past < 0, out[short], np.take_along_axis(tail, np.maximum(past, 0), axis=1))
    return out


def _tail(
    rng: np.random.Generator, other_prefix: NDArray[np.uint8], mate: int, parameters: SimulationParameters
) -> NDArray[np.uint8]:
    adapter = encode(ADAPTER_1 if mate == 1 else ADAPTER_2)
    rows, cycles = len(other_prefix), parameters.read_length
    filler = rng.integers(0, 4, (rows, cycles), dtype=np.uint8)
    filler[rng.random(rows) < parameters.poly_g_fraction] = _G
    return np.concatenate([other_prefix[:, ::-1] ^ 3, np.broadcast_to(adapter, (rows, len(adapter))), filler], axis=1)
