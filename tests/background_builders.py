"""Blanks with known error rates, and a model fitted on them once, for tests of everything above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from esr1call.background import BackgroundModel, Blank, change_of
from esr1call.background_fit import fit
from esr1call.counts import STRATA, CountTable
from esr1call.io.model_file import model_to_json, write_model
from esr1call.panel import Panel
from esr1call.panel_file import parse, resolve
from tests.builders import PANEL_TSV, fetcher, haplotype_of, slices

RATES = {
    "A>G": 3e-4, "T>C": 3e-4, "G>A": 3e-4, "C>T": 2e-4, "T>A": 6e-5, "A>T": 6e-5, "C>A": 2.5e-5, "G>T": 2.5e-5,
    "A>C": 1.3e-5, "T>G": 1.3e-5, "G>C": 9e-6, "C>G": 9e-6,
}  # fmt: skip
"""Errors per simplex molecule, on its own strand."""
TIER_FACTOR = np.array([3.0, 3.0, 1.0, 1.0, 0.01])
DEPTH = (1500, 1500, 2000, 2000, 1500)


def hotspot_lines() -> list[str]:
    """The shipped panel file without its scan: ten times fewer windows to fit."""
    return [line for line in PANEL_TSV.read_text().splitlines() if not line.startswith("#scan")]


def hotspot_panel_file(folder: Path) -> Path:
    """The hotspot panel as a file."""
    path = folder / "hotspots.tsv"
    path.write_text("\n".join(hotspot_lines()) + "\n")
    return path


@cache
def hotspot_panel() -> Panel:
    """The shipped panel's hotspot windows."""
    return resolve(parse(hotspot_lines(), "hotspots.tsv"), "GRCh38", fetcher(slices()))


@dataclass(frozen=True)
class World:
    """True error rates [5] of each (window index, one-base haplotype); dirty ones have `dirty` times their class's."""

    rates: dict[tuple[int, str], np.ndarray]

    @classmethod
    def of(cls, panel: Panel, dirty: Sequence[tuple[str, str, float]] = ()) -> World:
        rates = {}
        for i, w in enumerate(panel.windows):
            for at, base in enumerate(w.reference):
                for alt in "ACGT".replace(base, ""):
                    shown = w.reference[:at] + alt + w.reference[at + 1 :]
                    names = [s for _, s in change_of(panel, w, shown).classes()]
                    rates[(i, shown)] = np.array([RATES[s] for s in names]) * TIER_FACTOR
        for window, name, factor in dirty:
            rates[(panel.window_index[window], haplotype_of(panel, window, name))] *= factor
        return cls(rates)

    def sample(
        self,
        panel: Panel,
        rng: np.random.Generator,
        depth: Sequence[int] = DEPTH,
        spikes: Sequence[tuple[str, str, float]] = (),
        between_samples: float = 30.0,
    ) -> CountTable:
        """Counts of a sample; `spikes`: (window, variant name or haplotype, fraction)."""
        rows = []
        for i, w in enumerate(panel.windows):
            n = np.array(depth)
            left = n.copy()
            fractions = [(haplotype_of(panel, a, b) if b[1] == "." else b, f) for a, b, f in spikes if a == w.name]
            shown = [(h, rng.binomial(n, f)) for h, f in fractions]
            for (j, h), rate in self.rates.items():
                if i == j:
                    shown.append((h, rng.poisson(n * rate * rng.gamma(between_samples, 1 / between_samples, 5))))
            for h, x in shown:
                x = np.minimum(x, left)
                left -= x
                rows.append((i, h, x))
            rows.append((i, w.reference, left))
        return CountTable.build([w.name for w in panel.windows], rows)


def blanks(panel: Panel, world: World, number: int, seed: int = 1) -> list[tuple[Blank, CountTable]]:
    """Blanks B0, B1, ..."""
    rng = np.random.default_rng(seed)
    return [(Blank(f"B{i}", f"{i:064x}"), world.sample(panel, rng)) for i in range(number)]


def fitted(panel: Panel, given: Sequence[tuple[Blank, CountTable]]) -> BackgroundModel:
    """A model on these blanks."""
    return fit(panel, given, chemistry="made up", lot="1", date="2024-01-31")


@cache
def hotspot_model() -> BackgroundModel:
    """A model of the hotspot panel on 12 blanks, with the hash it has in a file."""
    panel = hotspot_panel()
    model = fitted(panel, blanks(panel, World.of(panel), 12))
    return with_hash(model)


@cache
def three_blanks_counts() -> tuple[tuple[Blank, CountTable], ...]:
    """The fewest blanks that a model is fitted on."""
    panel = hotspot_panel()
    return tuple(blanks(panel, World.of(panel), 3))


@cache
def three_blanks() -> BackgroundModel:
    """The model on them."""
    return fitted(hotspot_panel(), three_blanks_counts())


def with_hash(model: BackgroundModel) -> BackgroundModel:
    """The model as a reader of its file sees it."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        written = write_model(Path(folder, "model.json"), model)
    assert written.sha256 == model_to_json(model)["sha256"]
    return written


def empty_counts(panel: Panel) -> CountTable:
    """A sample without a molecule."""
    return CountTable.build([w.name for w in panel.windows], [])


assert len(TIER_FACTOR) == len(STRATA)
