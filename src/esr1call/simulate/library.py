"""From source molecules to the copies that are sequenced: strands, families, UMIs, damage and PCR errors.

Matrices hold one row per strand family or read pair and one column per base of the fragment, as base codes on the
genome's forward strand; columns from the row's length on hold nothing of meaning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from esr1call.simulate.genomes import encode
from esr1call.simulate.parameters import Layout, SimulationParameters

SPACER = "TGACTCAGTCCGATGA"
"""Fixed bases between UMI and template; longer spacers repeat it."""
MAX_RUN = 8
"""Homopolymers longer than this slip no more often."""
_SHARED_CYCLES = 6
"""Errors of later cycles are in less than 1 % of a family, so they are drawn for each read pair alone."""
_TRANSITION = 2 / 3


def rare(rng: np.random.Generator, cells: int, probability: float) -> NDArray[np.int64]:
    """Sorted indices of the cells, of `cells`, in which an event of a small probability happens."""
    count = int(rng.binomial(cells, probability)) if cells and probability > 0 else 0
    found = np.unique(rng.integers(0, cells, count)) if count else np.zeros(0, dtype=np.int64)
    while len(found) < count:
        found = np.unique(np.concatenate([found, rng.integers(0, cells, count - len(found))]))
    return found


def draw_strands(
    rng: np.random.Generator, count: int, parameters: SimulationParameters
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which molecules are recovered as their top and as their bottom strand, bool [count] each."""
    recovered = rng.random(count) < parameters.recovery
    both = rng.random(count) < parameters.duplex_rate
    top = rng.random(count) < parameters.top_fraction
    return recovered & (both | top), recovered & (both | ~top)


def draw_family_sizes(rng: np.random.Generator, count: int, mean: float, dispersion: float) -> NDArray[np.int64]:
    """Read pairs in `count` families: gamma-Poisson given at least one, with this mean after the truncation."""
    if mean <= 1 + 1e-6:
        return np.ones(count, dtype=np.int64)
    low, high = 1e-9, mean
    for _ in range(100):
        middle = (low + high) / 2
        none = float(np.exp(_log_gamma_poisson(np.zeros(1), middle, dispersion))[0])
        low, high = (middle, high) if middle / (1 - none) < mean else (low, middle)
    sd = np.sqrt(mean + dispersion * mean**2)
    sizes = np.arange(1, int(mean + 40 * sd) + 50)
    cumulative = np.cumsum(np.exp(_log_gamma_poisson(sizes, low, dispersion)))
    return sizes[np.searchsorted(cumulative / cumulative[-1], rng.random(count), side="right")]


def _log_gamma_poisson(
    x: NDArray[np.int64] | NDArray[np.float64], mean: float, dispersion: float
) -> NDArray[np.float64]:
    if dispersion < 1e-9:
        poisson: NDArray[np.float64] = x * np.log(mean) - mean - gammaln(x + 1)
        return poisson
    k = 1 / dispersion
    gamma_poisson: NDArray[np.float64] = (
        gammaln(x + k) - gammaln(k) - gammaln(x + 1) - k * np.log1p(mean / k) + x * np.log(mean / (k + mean))
    )
    return gamma_poisson


def draw_umis(
    rng: np.random.Generator, molecule: NDArray[np.int64], top: NDArray[np.bool_], parameters: SimulationParameters
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What read 1 and read 2 of each strand family start with, [families, layout length] each.

    With a UMI at both ends the molecule's left end carries alpha and its right end beta: read 1 of the top strand
    starts with alpha, read 1 of the bottom strand with beta. Otherwise each strand gets UMIs of its own.
    """
    one, two = parameters.layouts
    if parameters.duplex_umis:
        names, index = np.unique(molecule, return_inverse=True)
        left = rng.integers(0, 4, (len(names), one.umi_length), dtype=np.uint8)[index]
        right = rng.integers(0, 4, (len(names), one.umi_length), dtype=np.uint8)[index]
        umi_1, umi_2 = np.where(top[:, None], left, right), np.where(top[:, None], right, left)
    else:
        umi_1 = rng.integers(0, 4, (len(molecule), one.umi_length), dtype=np.uint8)
        umi_2 = rng.integers(0, 4, (len(molecule), two.umi_length), dtype=np.uint8)
    return _prefix(one, umi_1), _prefix(two, umi_2)


def _prefix(layout: Layout, umi: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = np.empty((len(umi), len(layout)), dtype=np.uint8)
    is_umi = umi_columns(layout)
    spacer = encode(SPACER * (len(layout) // len(SPACER) + 1))
    out[:, is_umi] = umi
    out[:, ~is_umi] = spacer[: int((~is_umi).sum())]
    return out


def umi_columns(layout: Layout) -> NDArray[np.bool_]:
    """Which bases of a layout are UMI."""
    return np.array([k == "M" for k in layout.kinds], dtype=bool)


def mutate_umis(rng: np.random.Generator, prefix: NDArray[np.uint8], layout: Layout, rate: float) -> NDArray[np.uint8]:
    """`prefix` [read pairs, layout length] with UMI bases substituted at `rate`."""
    columns = np.flatnonzero(umi_columns(layout))
    hit = rare(rng, len(prefix) * len(columns), rate)
    if len(hit):
        row, column = np.divmod(hit, len(columns))
        prefix = prefix.copy()
        prefix[row, columns[column]] ^= rng.integers(1, 4, len(hit), dtype=np.uint8)
    return prefix


def damage(
    rng: np.random.Generator, strands: NDArray[np.uint8], length: NDArray[np.int64], top: NDArray[np.bool_],
    parameters: SimulationParameters,
) -> None:  # fmt: skip
    """Damage single strands in place; `strands` [families, bases] are forward-strand codes, whichever strand it is."""
    c, g, t = 1, 2, 3
    cells, width = strands.size, strands.shape[1]
    for rate, old in ((parameters.deamination, c), (parameters.oxidation, g), (parameters.other_damage, None)):
        row, column = np.divmod(rare(rng, cells, rate), width)
        inside = column < length[row]
        row, column = row[inside], column[inside]
        flip = np.where(top[row], 0, 3).astype(np.uint8)
        own = strands[row, column] ^ flip
        if old is None:
            strands[row, column] = (own ^ rng.integers(1, 4, len(row), dtype=np.uint8)) ^ flip
        else:
            hit = own == old
            strands[row[hit], column[hit]] = t ^ flip[hit]
    reach = int(10 * parameters.end_decay) + 1
    row, distance = np.divmod(rare(rng, len(strands) * reach, parameters.end_deamination), reach)
    kept = (rng.random(len(row)) < np.exp(-distance / parameters.end_decay)) & (distance < length[row])
    row, distance = row[kept], distance[kept]
    column = np.where(top[row], distance, length[row] - 1 - distance)
    flip = np.where(top[row], 0, 3).astype(np.uint8)
    hit = (strands[row, column] ^ flip) == c
    strands[row[hit], column[hit]] = t ^ flip[hit]


def amplify(
    rng: np.random.Generator, strands: NDArray[np.uint8], length: NDArray[np.int64], size: NDArray[np.int64],
    parameters: SimulationParameters,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:  # fmt: skip
    """Copies of each strand, family by family, with polymerase errors and slippage.

    `strands` [families, bases] needs one spare column. Returns codes [read pairs, bases] and the copies' lengths.

    Cycle j makes as many copies as there are molecules before it, 2^(j-1), and what goes wrong in one of them is in
    2^-j of all molecules in the end; so each base has Poisson(rate x 2^(j-1)) errors, in each read with 2^-j.
    """
    family = np.repeat(np.arange(len(strands)), size)
    copies, copy_length = strands[family], length[family]
    for row, column in _cycle_errors(rng, parameters.polymerase_error, strands.shape[1], size, family, parameters):
        inside = column < copy_length[row]
        row, column = row[inside], column[inside]
        copies[row, column] ^= _exchange(rng, len(row))[_same_event(family[row], column)]
    _slip(rng, copies, copy_length, size, family, parameters)
    return copies, copy_length


def _exchange(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """XOR masks that turn a base into another: mostly transitions (A-G, C-T)."""
    kind = rng.random(count)
    transversion = rng.integers(0, 2, count, dtype=np.uint8) * 2 + 1
    return np.where(kind < _TRANSITION, 2, transversion).astype(np.uint8)


def _same_event(family: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each copy of an error a number that all copies of the same error share."""
    events: NDArray[np.int64] = np.unique(family * (column.max(initial=0) + 1) + column, return_inverse=True)[1]
    return events


def _cycle_errors(
    rng: np.random.Generator, rate: float, width: int, size: NDArray[np.int64], family: NDArray[np.int64],
    parameters: SimulationParameters,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:  # fmt: skip
    """For each cycle the (read pair, column) cells its errors are in; later cycles are taken together."""
    first = np.cumsum(size) - size
    shared = min(parameters.pcr_cycles, _SHARED_CYCLES)
    found = []
    for cycle in range(1, shared + 1):
        event_family, column = np.divmod(rare(rng, len(size) * width, rate * 2.0 ** (cycle - 1)), width)
        event = np.repeat(np.arange(len(column)), size[event_family])
        within = np.arange(len(event)) - np.repeat(
            np.cumsum(size[event_family]) - size[event_family], size[event_family]
        )
        carried = rng.random(len(event)) < 2.0**-cycle
        row = first[event_family][event] + within
        found.append((row[carried], column[event][carried]))
    alone = rare(rng, len(family) * width, rate / 2 * (parameters.pcr_cycles - shared))
    row, column = np.divmod(alone, width)
    found.append((row, column))
    return found


def _slip(
    rng: np.random.Generator, copies: NDArray[np.uint8], length: NDArray[np.int64], size: NDArray[np.int64],
    family: NDArray[np.int64], parameters: SimulationParameters,
) -> None:  # fmt: skip
    """Lengthen or shorten homopolymers by one base, in place; a read pair slips once at most."""
    width = copies.shape[1]
    cycles = _cycle_errors(rng, parameters.pcr_indel * MAX_RUN, width, size, family, parameters)
    row = np.concatenate([r for r, _ in cycles])
    column = np.concatenate([c for _, c in cycles])
    inside = column < length[row] - 1
    row, column = row[inside], column[inside]
    event = _same_event(family[row], column)
    share, shortens = rng.random(len(row))[event], rng.random(len(row))[event] < 2 / 3
    kept = share < run_length(copies, row, column, length) / MAX_RUN
    row, index = np.unique(row[kept], return_index=True)
    at, shortens = column[kept][index][:, None], shortens[kept][index][:, None]
    columns = np.arange(width)
    source = np.where(shortens, columns + (columns >= at), columns - (columns > at))
    copies[row] = copies[row[:, None], np.minimum(source, width - 1)]
    length[row] += np.where(shortens[:, 0], -1, 1)


def run_length(
    codes: NDArray[np.uint8], row: NDArray[np.int64], column: NDArray[np.int64], length: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Length of the homopolymer at each (row, column), at most MAX_RUN."""
    run = np.ones(len(row), dtype=np.int64)
    base = codes[row, column]
    for step in (-1, 1):
        same = np.ones(len(row), dtype=bool)
        for distance in range(1, MAX_RUN):
            at = column + step * distance
            same &= (at >= 0) & (at < length[row])
            same &= codes[row, np.clip(at, 0, codes.shape[1] - 1)] == base
            run += same
    return np.minimum(run, MAX_RUN)
