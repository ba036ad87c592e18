"""What was really made: molecules, and per panel window the haplotypes that source molecules and families carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esr1call.counts import STRATA
from esr1call.haplotype import describe
from esr1call.panel import Panel, Window
from esr1call.simulate.fragments import Region
from esr1call.simulate.genomes import Genomes, covers
from esr1call.simulate.parameters import SimulationParameters


@dataclass(frozen=True, eq=False)
class Molecules:
    """Every double-stranded source molecule, one array element each (int64); the index is the molecule's id.

    `start`, `end`: 0-based half-open genome span. `version`: see `Genomes`. `top`, `bottom`: read pairs of the strand
    family, 0 where the strand was not recovered.
    """

    region: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    version: NDArray[np.int64]
    top: NDArray[np.int64]
    bottom: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)


def strata_of(
    molecules: Molecules, window: Window, covering: NDArray[np.int64], genomes: Genomes,
    parameters: SimulationParameters,
) -> NDArray[np.bool_]:  # fmt: skip
    """Families that show the window, bool [molecules `covering`, stratum] in the order of `counts.STRATA`.

    A family shows a window that lies wholly in read 1 or in read 2. Without a UMI at both ends nothing tells that two
    strand families are of one molecule, so each then counts by itself.
    """
    region, version = molecules.region[covering], molecules.version[covering]
    left = genomes.locate(region, version, molecules.start[covering])
    length = genomes.locate(region, version, molecules.end[covering]) - left
    edge = np.full(len(covering), window.start)
    first = genomes.locate(region, version, edge) - left
    last = genomes.locate(region, version, np.full(len(covering), window.end)) - left
    reach_1, reach_2 = (parameters.read_length - len(layout) for layout in parameters.layouts)
    top = np.where((last <= reach_1) | (first >= length - reach_2), molecules.top[covering], 0)
    bottom = np.where((last <= reach_2) | (first >= length - reach_1), molecules.bottom[covering], 0)
    duplex = (top > 0) & (bottom > 0) & parameters.duplex_umis
    alone = ~duplex
    return np.stack(
        [alone & (top == 1), alone & (bottom == 1), alone & (top > 1), alone & (bottom > 1), duplex], axis=1
    )


def window_truth(
    molecules: Molecules, regions: Sequence[Region], genomes: Genomes, panel: Panel, parameters: SimulationParameters
) -> dict[str, Any]:
    """Per window: source molecules that span it and families that show it (by stratum), in all and per haplotype."""
    found: dict[str, Any] = {}
    for window in panel.windows:
        home = [
            r for r, region in enumerate(regions)
            if region.contig == window.contig and region.low <= window.start and window.end <= region.high
        ]  # fmt: skip
        if not home:
            continue
        covering = np.flatnonzero(covers(window, molecules.start, molecules.end, np.isin(molecules.region, home)))
        strata = strata_of(molecules, window, covering, genomes, parameters)
        version = molecules.version[covering]
        haplotypes: dict[str, Any] = {}
        for v in range(genomes.origin.shape[1]):
            mine = version == v
            if mine.any():
                bases = genomes.show(home[0], v, window.start, window.end)
                name = describe(panel, window, bases)
                entry = haplotypes.setdefault(
                    bases, {"protein": name.protein, "cdna": name.cdna, "molecules": 0, "sequenced": [0] * len(STRATA)}
                )
                entry["molecules"] += int(mine.sum())
                entry["sequenced"] = (strata[mine].sum(axis=0) + entry["sequenced"]).tolist()
        found[window.name] = {
            "molecules": len(covering), "sequenced": strata.sum(axis=0).tolist(), "haplotypes": haplotypes,
        }  # fmt: skip
    return found


def spike_truth(
    molecules: Molecules, regions: Sequence[Region], genomes: Genomes, panel: Panel, parameters: SimulationParameters
) -> list[dict[str, Any]]:
    """Per spike and window it changes: the mutant source molecules and families that were made."""
    found = []
    for number, spike in enumerate(parameters.spikes, 1):
        windows: dict[str, Any] = {}
        for name in dict.fromkeys(c.window for c in spike.changes):
            window = panel.windows[panel.window_index[name]]
            on = np.array([r.contig == window.contig for r in regions], dtype=bool)[molecules.region]
            covering = np.flatnonzero(covers(window, molecules.start, molecules.end, on))
            mutant = covering[molecules.version[covering] // 2 == number]
            strata = strata_of(molecules, window, mutant, genomes, parameters)
            windows[name] = {
                "mutant": len(mutant), "molecules": len(covering), "mutant_sequenced": strata.sum(axis=0).tolist(),
            }  # fmt: skip
        found.append({"name": spike.name, "vaf": spike.vaf, "windows": windows})
    return found


def truth_of(
    molecules: Molecules, regions: Sequence[Region], genomes: Genomes, panel: Panel, parameters: SimulationParameters
) -> dict[str, Any]:
    """The truth as JSON values. Lists of five are by stratum, in the order of the `strata` field."""
    return {
        "parameters": asdict(parameters),
        "panel": {"name": panel.name, "version": panel.version, "build": panel.build, "sha256": panel.sha256},
        "strata": list(STRATA),
        "molecules": len(molecules),
        "molecules_recovered": int(((molecules.top > 0) | (molecules.bottom > 0)).sum()),
        "molecules_duplex": int(((molecules.top > 0) & (molecules.bottom > 0)).sum()),
        "read_pairs": int(molecules.top.sum() + molecules.bottom.sum()),
        "spikes": spike_truth(molecules, regions, genomes, panel, parameters),
        "windows": window_truth(molecules, regions, genomes, panel, parameters),
    }
