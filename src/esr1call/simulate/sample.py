"""One simulated sample: draw its molecules, then make its reads chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esr1call.panel import Panel
from esr1call.simulate.fragments import ReferenceBases, Region, place, regions_of, stray_region
from esr1call.simulate.genomes import Genomes, assign_versions, build_genomes
from esr1call.simulate.library import amplify, damage, draw_family_sizes, draw_strands, draw_umis, mutate_umis
from esr1call.simulate.parameters import SimulationParameters
from esr1call.simulate.sequencing import quality_pool, sequence, true_bases
from esr1call.simulate.truth import Molecules, truth_of


@dataclass(frozen=True, eq=False)
class ReadChunk:
    """Read pairs in sequencing order: base codes (A, C, G, T, N are 0..4) and Phred, uint8 [pairs, cycles] each.

    `molecule` is the index into `Simulation.molecules`, `top` whether the pair is of the top strand (F1R2), `member`
    its number within the strand family; `first` the number of the first pair in the sample.
    """

    bases_1: NDArray[np.uint8]
    quality_1: NDArray[np.uint8]
    bases_2: NDArray[np.uint8]
    quality_2: NDArray[np.uint8]
    molecule: NDArray[np.int64]
    top: NDArray[np.bool_]
    member: NDArray[np.int64]
    first: int


@dataclass(frozen=True, eq=False)
class Simulation:
    """A sample whose molecules and families are drawn; `chunks` makes the reads, the same ones every time."""

    parameters: SimulationParameters
    panel: Panel
    regions: tuple[Region, ...]
    genomes: Genomes
    molecules: Molecules
    qualities: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    bounds: NDArray[np.int64]
    seeds: tuple[np.random.SeedSequence, ...]

    @property
    def read_pairs(self) -> int:
        """Read pairs in all."""
        return int(self.molecules.top.sum() + self.molecules.bottom.sum())

    def truth(self) -> dict[str, Any]:
        """What was made, as JSON values; see `truth.truth_of`."""
        return truth_of(self.molecules, self.regions, self.genomes, self.panel, self.parameters)

    def chunks(self) -> Iterator[ReadChunk]:
        """The reads, about `parameters.chunk_pairs` pairs at a time; memory does not grow with the sample."""
        first = 0
        for i, seed in enumerate(self.seeds):
            chunk = self._chunk(np.arange(self.bounds[i], self.bounds[i + 1]), first, np.random.default_rng(seed))
            first += len(chunk.molecule)
            yield chunk

    def _chunk(self, molecule: NDArray[np.int64], first: int, rng: np.random.Generator) -> ReadChunk:
        m, parameters = self.molecules, self.parameters
        size = np.concatenate([m.top[molecule], m.bottom[molecule]])
        top = np.repeat([True, False], len(molecule))[size > 0]
        molecule = np.concatenate([molecule, molecule])[size > 0]
        size = size[size > 0]
        left = self.genomes.locate(m.region[molecule], m.version[molecule], m.start[molecule])
        length = self.genomes.locate(m.region[molecule], m.version[molecule], m.end[molecule]) - left
        columns = left[:, None] + np.arange(int(length.max(initial=0)) + 1)
        strands = self.genomes.codes[np.minimum(columns, len(self.genomes.codes) - 1)]
        damage(rng, strands, length, top, parameters)
        copies, copy_length = amplify(rng, strands, length, size, parameters)
        family = np.repeat(np.arange(len(size)), size)
        member = np.arange(len(family)) - np.repeat(np.cumsum(size) - size, size)
        prefixes = [
            mutate_umis(rng, prefix[family], layout, parameters.umi_error)
            for prefix, layout in zip(draw_umis(rng, molecule, top, parameters), parameters.layouts, strict=True)
        ]
        order = np.lexsort((member, ~top[family], molecule[family]))
        if not parameters.clumped:
            order = rng.permutation(len(family))
        copies, copy_length, family = copies[order], copy_length[order], family[order]
        one, two = (prefix[order] for prefix in prefixes)
        is_top, bins = top[family], parameters.quality_bins
        true_1 = true_bases(rng, copies, copy_length, is_top, one, two, 1, parameters)
        bases_1, quality_1 = sequence(rng, true_1, self.qualities[0], bins)
        true_2 = true_bases(rng, copies, copy_length, ~is_top, two, one, 2, parameters)
        bases_2, quality_2 = sequence(rng, true_2, self.qualities[1], bins)
        return ReadChunk(bases_1, quality_1, bases_2, quality_2, molecule[family], is_top, member[order], first)


def simulate_sample(
    parameters: SimulationParameters, panel: Panel, reference: ReferenceBases, rng: np.random.Generator
) -> Simulation:
    """Draw a sample's molecules from `rng`; the result makes the reads and knows the truth.

    Raises InputError where a target or a change does not fit the reference.
    """
    placing, choosing, library, reads, seeds = rng.spawn(5)
    regions = regions_of(parameters, panel, reference)
    placed = [place(region, parameters.molecules, parameters, placing) for region in regions]
    if parameters.stray_molecules:
        regions += (stray_region(placing),)
        placed.append(place(regions[-1], parameters.stray_molecules, parameters, placing, exactly=True))
    region = np.repeat(np.arange(len(regions)), [len(start) for start, _ in placed])
    start, end = (np.concatenate([p[i] for p in placed]).astype(np.int64) for i in (0, 1))
    order = np.lexsort((end, start, region)) if parameters.clumped else placing.permutation(len(region))
    region, start, end = region[order], start[order], end[order]
    genomes = build_genomes(regions, parameters.spikes, parameters.snps, panel.contig)
    version = assign_versions(
        regions, region, start, end, parameters.spikes, parameters.snps, panel, parameters.exact, choosing
    )
    top, bottom = (
        np.where(
            seen, draw_family_sizes(library, len(seen), parameters.mean_family_size, parameters.family_dispersion), 0
        )
        for seen in draw_strands(library, len(region), parameters)
    )
    molecules = Molecules(region, start, end, version, top, bottom)
    pairs = np.cumsum(top + bottom)
    total = int(pairs[-1]) if len(pairs) else 0
    cuts = np.searchsorted(pairs, np.arange(parameters.chunk_pairs, total, parameters.chunk_pairs), side="left") + 1
    bounds = np.unique(np.concatenate([[0], cuts, [len(region)]])) if total else np.zeros(1, dtype=np.int64)
    children = seeds.bit_generator.seed_seq.spawn(len(bounds) - 1)  # type: ignore[attr-defined]
    qualities = quality_pool(reads, parameters, 1), quality_pool(reads, parameters, 2)
    return Simulation(parameters, panel, regions, genomes, molecules, qualities, bounds, tuple(children))
