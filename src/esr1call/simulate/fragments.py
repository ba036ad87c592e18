"""Where cfDNA fragments lie: their lengths, the target regions, and the places of fragments over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from esr1call.contigs import Slice
from esr1call.errors import InputError
from esr1call.panel import Panel
from esr1call.simulate.parameters import SimulationParameters

MERGE_GAP = 200
"""Targets closer than this are captured as one region (a fragment could overlap both)."""
STRAY_CONTIG = "stray"
_STRAY_BASES = 5000


class ReferenceBases(Protocol):
    """What the simulator needs of a reference: `esr1call.io.reference.Reference` is one."""

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Sequences and where they lie on the genome."""

    def fetch(self, contig: str, start: int, end: int) -> str:
        """Upper-case bases of [start, end)."""


@dataclass(frozen=True)
class Region:
    """A target [start, end) and the bases `sequence` of [low, low + len(sequence)) its fragments can come from."""

    contig: str
    start: int
    end: int
    low: int
    sequence: str
    amplicon: bool = False

    @property
    def high(self) -> int:
        """0-based genome position after the last usable base."""
        return self.low + len(self.sequence)


def length_distribution(parameters: SimulationParameters) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Fragment lengths and their probabilities.

    A mononucleosomal peak at the mode that is steeper on its long side than on its short one, a ladder of peaks every
    10 bp below it (one turn of DNA on the nucleosome's surface), and a dinucleosomal peak.
    """
    mode = parameters.fragment_mode
    lengths = np.arange(parameters.fragment_minimum, 2 * mode + 80)
    peak = _peak(lengths, mode, np.where(lengths < mode, 12.0, 10.0))
    ladder = np.zeros(len(lengths))
    for step in range(1, 10):
        ladder += 0.85**step * _peak(lengths, mode - 10 * step, 2.0)
    pair = _peak(lengths, 2 * mode, 22.0)
    two, below = parameters.dinucleosome_fraction, parameters.ladder_fraction
    pmf = (1 - two) * ((1 - below) * peak / peak.sum() + below * ladder / ladder.sum()) + two * pair / pair.sum()
    return lengths, pmf / pmf.sum()


def _peak(lengths: NDArray[np.int64], centre: float, sd: float | NDArray[np.float64]) -> NDArray[np.float64]:
    shape: NDArray[np.float64] = np.exp(-0.5 * ((lengths - centre) / sd) ** 2)
    return shape


def regions_of(parameters: SimulationParameters, panel: Panel, reference: ReferenceBases) -> tuple[Region, ...]:
    """The regions fragments come from, by genome position; InputError where the reference does not hold a target."""
    longest = int(length_distribution(parameters)[0][-1])
    if parameters.amplicons:
        return tuple(_region(span, 0, reference, amplicon=True) for span in parameters.amplicons)
    spans = parameters.targets or tuple((w.contig, w.start, w.end) for w in panel.windows)
    return tuple(_region(span, longest, reference) for span in _merge(spans))


def hotspot_targets(panel: Panel) -> tuple[tuple[str, int, int], ...]:
    """The spans of the panel's hotspot windows, for a capture of the hotspots alone."""
    return tuple((w.contig, w.start, w.end) for w in panel.windows if w.kind == "hotspot")


def _merge(spans: Iterable[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    merged: list[tuple[str, int, int]] = []
    for contig, start, end in sorted(spans):
        if merged and merged[-1][0] == contig and start - merged[-1][2] <= MERGE_GAP:
            merged[-1] = contig, merged[-1][1], max(end, merged[-1][2])
        else:
            merged.append((contig, start, end))
    return merged


def _region(span: tuple[str, int, int], reach: int, reference: ReferenceBases, amplicon: bool = False) -> Region:
    contig, start, end = span
    shown = f"{contig}:{start + 1}-{end}"
    home = next((s for s in reference.slices if s.contig == contig and s.offset <= start and end <= s.end), None)
    if home is None or start >= end:
        raise InputError("a target is not in the reference", field="targets", found=shown)
    low, high = max(home.offset, start - reach), min(home.end, end + reach)
    sequence = reference.fetch(contig, low, high)
    if set(sequence) - set("ACGT"):
        raise InputError("the reference is not A, C, G, T around a target", field="targets", found=shown)
    return Region(contig, start, end, low, sequence, amplicon)


def stray_region(rng: np.random.Generator) -> Region:
    """A contig of random bases that no reference holds."""
    bases = "".join(np.array(list("ACGT"))[rng.integers(0, 4, _STRAY_BASES)])
    return Region(STRAY_CONTIG, 0, _STRAY_BASES, 0, bases)


def place(
    region: Region, expected: float, parameters: SimulationParameters, rng: np.random.Generator, exactly: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end (genome, 0-based half-open) of a Poisson number of fragments over `region`.

    Lengths follow `length_distribution` (those that fit in the sequence); starts are uniform over the places where
    the fragment lies in the sequence and overlaps the target. `expected` is the mean number of fragments over the
    target's best covered base, or with `exactly` the number of fragments.
    """
    if region.amplicon:
        count = int(rng.poisson(expected))
        return np.full(count, region.start), np.full(count, region.end)
    lengths, pmf = length_distribution(parameters)
    first = np.maximum(region.low, region.start - lengths + 1)
    last = np.minimum(region.high - lengths, region.end - 1)
    fits = first <= last
    if not fits.any():
        raise InputError(
            "the reference is too short around a target", field="reference",
            found=f"{region.high - region.low} bases at {region.contig}:{region.start + 1}-{region.end}",
            expected=f"at least {parameters.fragment_minimum} (fragment_minimum)",
        )  # fmt: skip
    lengths, first, last = lengths[fits], first[fits], last[fits]
    pmf = pmf[fits] / pmf[fits].sum()
    count = int(expected) if exactly else int(rng.poisson(expected / _best_covered(region, lengths, pmf, first, last)))
    drawn = rng.choice(len(lengths), size=count, p=pmf)
    start = rng.integers(first[drawn], last[drawn] + 1)
    return start, start + lengths[drawn]


def _best_covered(
    region: Region, lengths: NDArray[np.int64], pmf: NDArray[np.float64], first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> float:  # fmt: skip
    """The greatest probability, over the target's bases, that a fragment covers the base."""
    x = np.arange(region.start, region.end)[:, None]
    covering = np.minimum(x, last) - np.maximum(x - lengths + 1, first) + 1
    return float((np.maximum(covering, 0) / (last - first + 1) @ pmf).max())
