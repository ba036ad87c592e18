"""A reference in memory, error-free parameters, and slow readings of simulated reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from esr1call.contigs import Slice, place
from esr1call.panel import Panel
from esr1call.simulate import Simulation, SimulationParameters, simulate_sample
from tests.builders import esr1_panel, fetcher, slices

CLEAN: dict[str, Any] = {
    "deamination": 0.0, "oxidation": 0.0, "other_damage": 0.0, "end_deamination": 0.0, "polymerase_error": 0.0,
    "pcr_indel": 0.0, "umi_error": 0.0, "n_rate": 0.0, "low_quality": (0.0, 0.0), "quality_bins": (2, 23, 93),
}  # fmt: skip
"""Parameters of reads without any error (5e-10 per base)."""


@dataclass(frozen=True)
class Bases:
    """Reference sequences by name."""

    sequences: Mapping[str, str] = field(default_factory=slices)

    @property
    def slices(self) -> tuple[Slice, ...]:
        return tuple(place(name, len(bases)) for name, bases in self.sequences.items())

    def fetch(self, contig: str, start: int, end: int) -> str:
        return fetcher(self.sequences)(contig, start, end)


def simulate(seed: int = 1, panel: Panel | None = None, reference: Bases | None = None, **options: Any) -> Simulation:
    """A sample of the ESR1 panel with these parameters."""
    parameters = SimulationParameters(**options)
    rng = np.random.default_rng(seed)
    return simulate_sample(parameters, panel or esr1_panel(), reference or Bases(), rng)


def text(codes: np.ndarray) -> str:
    """Base codes as letters."""
    return "".join("ACGTN"[c] for c in codes)


def close(observed: float, n: float, p: float, sigmas: float = 4.5) -> bool:
    """Whether a count of a binomial(n, p) is within `sigmas` standard deviations (and one) of its mean."""
    return abs(observed - n * p) <= sigmas * (n * p * (1 - p)) ** 0.5 + 1
