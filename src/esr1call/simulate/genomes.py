"""The genomes that molecules come from: wild type and each clone, on both parental alleles, region by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError
from esr1call.panel import Panel, Window
from esr1call.simulate.fragments import STRAY_CONTIG, Region
from esr1call.simulate.parameters import Change, Snp, Spike

CODES = np.full(256, 4, dtype=np.uint8)
CODES[np.frombuffer(b"ACGT", dtype=np.uint8)] = np.arange(4)
"""ASCII -> base code; A, C, G, T are 0..3, so the complement of a code is its XOR with 3."""


def encode(bases: str) -> NDArray[np.uint8]:
    """Base codes of a string."""
    return CODES[np.frombuffer(bases.encode(), dtype=np.uint8)]


@dataclass(frozen=True, eq=False)
class Genomes:
    """Every region in every version, end to end in `codes` (uint8).

    Version 2k + a is clone k (0: wild type) on parental allele a. `position[origin[region, version] + p - low[region]]`
    is where in `codes` the 0-based genome position p of a region lies; of deleted bases, where the next base lies.
    """

    codes: NDArray[np.uint8]
    position: NDArray[np.int64]
    origin: NDArray[np.int64]
    low: NDArray[np.int64]

    def locate(
        self, region: NDArray[np.int64], version: NDArray[np.int64], genome: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Index into `codes` of 0-based genome positions, element by element."""
        found: NDArray[np.int64] = self.position[self.origin[region, version] + genome - self.low[region]]
        return found

    def show(self, region: int, version: int, start: int, end: int) -> str:
        """Bases that `version` has for the genome span [start, end)."""
        at = self.origin[region, version] - self.low[region]
        return "".join("ACGT"[c] for c in self.codes[self.position[at + start] : self.position[at + end]])


def build_genomes(regions: Sequence[Region], spikes: Sequence[Spike], snps: Sequence[Snp], contig: str) -> Genomes:
    """Apply each clone's changes and the SNPs of each parental allele to every region on `contig`.

    Raises InputError where a SNP's reference base is wrong or two changes of one molecule overlap.
    """
    codes: list[NDArray[np.uint8]] = []
    positions: list[NDArray[np.int64]] = []
    versions = 2 * (len(spikes) + 1)
    origin = np.zeros((len(regions), versions), dtype=np.int64)
    held = made = 0
    for r, region in enumerate(regions):
        for version in range(versions):
            changes: list[Change] = []
            if region.contig == contig:
                changes += [s.change for s in snps if s.homozygous or version % 2 == 1]
                changes += spikes[version // 2 - 1].changes if version >= 2 else ()
            sequence, mapping = _edit(region, changes)
            origin[r, version] = held
            positions.append(mapping + made)
            codes.append(encode(sequence))
            held, made = held + len(mapping), made + len(sequence)
    return Genomes(np.concatenate(codes), np.concatenate(positions), origin, np.array([r.low for r in regions]))


def _edit(region: Region, changes: Sequence[Change]) -> tuple[str, NDArray[np.int64]]:
    """The region's sequence with `changes`, and for each of its positions (and its end) where that now lies."""
    inside = sorted((c for c in changes if region.low <= c.start and c.end <= region.high), key=lambda c: c.start)
    size = len(region.sequence)
    mapping = np.arange(size + 1)
    parts: list[str] = []
    done = shift = 0
    for change in inside:
        at, ref, alt = change.start - region.low, change.ref, change.alt
        if at < done:
            raise InputError(
                "two changes of one molecule overlap", field="variant", found=f"position {change.start + 1}"
            )
        if region.sequence[at : at + len(ref)] != ref:
            raise InputError(
                "disagrees with the reference", field="snp", found=f"{ref} at {region.contig}:{change.start + 1}",
                expected=region.sequence[at : at + len(ref)],
            )  # fmt: skip
        parts += [region.sequence[done:at], alt]
        done = at + len(ref)
        mapping[at:done] = at + shift + np.minimum(np.arange(len(ref)), len(alt))
        shift += len(alt) - len(ref)
        mapping[done:] = np.arange(done, size + 1) + shift
    return "".join([*parts, region.sequence[done:]]), mapping


def covers(
    window: Window, start: NDArray[np.int64], end: NDArray[np.int64], on: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which fragments, of those `on` the panel's contig, span the whole window."""
    found: NDArray[np.bool_] = on & (start <= window.start) & (end >= window.end)
    return found


def assign_versions(
    regions: Sequence[Region], region: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64],
    spikes: Sequence[Spike], snps: Sequence[Snp], panel: Panel, exact: bool, rng: np.random.Generator,
) -> NDArray[np.int64]:  # fmt: skip
    """The genome version of each molecule.

    Each clone takes its VAF's share of molecules, each molecule at most one clone. A clone sits on one parental
    allele, drawn once; wild-type molecules fill both alleles up to one half where the VAFs allow.
    """
    on = np.array([r.contig != STRAY_CONTIG for r in regions], dtype=bool)[region]
    chosen = _exact(start, end, on, spikes, panel, rng) if exact else _binomial(on, spikes, rng)
    if not any(not s.homozygous for s in snps):
        return 2 * chosen
    allele_of = rng.integers(0, 2, len(spikes) + 1)
    vafs = np.array([0.0] + [s.vaf for s in spikes])
    rest = 1 - vafs.sum()
    share = min(max((0.5 - vafs[allele_of == 1].sum()) / rest, 0.0), 1.0) if rest > 0 else 0.5
    allele = np.where(chosen == 0, rng.random(len(chosen)) < share, allele_of[chosen])
    return 2 * chosen + allele


def _binomial(on: NDArray[np.bool_], spikes: Sequence[Spike], rng: np.random.Generator) -> NDArray[np.int64]:
    bounds = np.cumsum([s.vaf for s in spikes])
    place = np.searchsorted(bounds, rng.random(len(on)), side="right")
    return np.where(on & (place < len(spikes)), place + 1, 0)


def _exact(
    start: NDArray[np.int64], end: NDArray[np.int64], on: NDArray[np.bool_], spikes: Sequence[Spike], panel: Panel,
    rng: np.random.Generator,
) -> NDArray[np.int64]:  # fmt: skip
    """round(VAF x covering molecules) at each window of each spike; a molecule over several windows counts in each."""
    chosen = np.zeros(len(start), dtype=np.int64)
    for number, spike in enumerate(spikes, 1):
        seen = np.zeros(len(start), dtype=bool)
        for name in dict.fromkeys(c.window for c in spike.changes):
            cover = covers(panel.windows[panel.window_index[name]], start, end, on)
            want = round(spike.vaf * int(cover.sum())) - int((cover & (chosen == number)).sum())
            free = np.flatnonzero(cover & (chosen == 0) & ~seen)
            chosen[rng.permutation(free)[: max(want, 0)]] = number
            seen |= cover
    return chosen
