"""Whole batches by molecule, without reads: fragments, UMIs, families, variants, SNPs, and foreign molecules.

For studies of quality control, which need hundreds of batches. What is left out against `simulate.sample`: sequences,
read errors, and everything between reads and molecules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from esr1call.calling import SampleInfo
from esr1call.counts import STRATA, CountTable
from esr1call.molecules.sketch import FRAGMENT_BIN, Sketch, collect
from esr1call.panel import Panel, Window
from esr1call.pileup.windows import code_of
from esr1call.snps import AlleleCounts, Snp
from esr1call.stats import Floats

REACH = 400
"""Windows nearer to each other than this lie on the same fragments."""
_LONGEST = 400

Ints = NDArray[np.int64]
Errors = Mapping[tuple[int, str], Floats]
"""(window number, haplotype) -> error rate per molecule of each stratum."""


@dataclass(frozen=True)
class Person:
    """Number of alternative alleles (0, 1, 2) by SNP name."""

    doses: Mapping[str, int]

    @classmethod
    def draw(cls, rng: np.random.Generator, snps: Sequence[Snp]) -> Person:
        """Someone of the population, in Hardy-Weinberg proportions."""
        return cls({s.name: int(rng.binomial(2, s.frequency)) for s in snps})


@dataclass(frozen=True)
class Plan:
    """One sample. `molecules`: source molecules over each base; `variants`: (window name, haplotype, fraction).

    `mixed`: (number of another sample of the batch, share) of DNA that came in before UMIs did; `hopped`: the same, of
    molecules by read pairs of that sample that turned up here. Both are shares of this sample's molecules.
    """

    info: SampleInfo
    person: Person
    molecules: float = 3000.0
    variants: tuple[tuple[str, str, float], ...] = ()
    mixed: tuple[tuple[int, float], ...] = ()
    hopped: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Library:
    """How molecules are made and read; UMIs are `umi_bases` on each end."""

    duplex_rate: float = 0.3
    mean_family_size: float = 3.0
    family_dispersion: float = 0.5
    fragment_length: float = 166.0
    fragment_sd: float = 18.0
    umi_bases: int = 3


@dataclass(frozen=True, eq=False)
class Drawn:
    """A simulated sample, as `quality.evidence.Evidence` wants it (but for its result)."""

    info: SampleInfo
    table: CountTable
    alleles: tuple[AlleleCounts, ...]
    sketches: dict[str, Sketch]
    summary: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Fragments:
    """Molecules [n] of one locus; `shown` int64 [places, n]: which of the place's haplotypes each carries."""

    start: Ints
    end: Ints
    left: NDArray[np.uint64]
    right: NDArray[np.uint64]
    forward: Ints
    reverse: Ints
    shown: Ints

    def take(self, rows: Ints, forward: Ints, reverse: Ints) -> _Fragments:
        return _Fragments(
            self.start[rows], self.end[rows], self.left[rows], self.right[rows], forward, reverse, self.shown[:, rows]
        )

    def join(self, other: _Fragments) -> _Fragments:
        one, two = vars(self), vars(other)
        return _Fragments(*(np.concatenate([one[k], two[k]], axis=-1) for k in one))


class BatchSimulator:
    """Draws batches over a panel's hotspot windows and SNPs."""

    def __init__(self, panel: Panel, snps: Sequence[Snp], errors: Errors, library: Library | None = None) -> None:
        self.panel, self.snps, self.library = panel, tuple(snps), library or Library()
        places = [(w.start, w.end, w.name, i) for i, w in enumerate(panel.windows) if w.kind == "hotspot"]
        places += [(s.position, s.position + 1, s.name, -1) for s in snps if s.contig == panel.contig]
        self._loci: list[list[tuple[int, int, str, int]]] = []
        for place in sorted(places):
            if self._loci and place[0] - self._loci[-1][-1][1] < REACH:
                self._loci[-1].append(place)
            else:
                self._loci.append([place])
        self._errors: dict[int, list[tuple[str, Floats]]] = {}
        for (w, haplotype), rate in errors.items():
            self._errors.setdefault(w, []).append((haplotype, rate))

    def draw(self, plans: Sequence[Plan], rng: np.random.Generator) -> list[Drawn]:
        """The samples of one batch."""
        own = [[self._fragments(plan, plans, locus, rng) for locus in self._loci] for plan in plans]
        out = []
        for plan, loci in zip(plans, own, strict=True):
            held = list(loci)
            for giver, share in plan.hopped:
                held = [m.join(self._hop(g, share * len(m.start), rng)) for m, g in zip(held, own[giver], strict=True)]
            out.append(self._drawn(plan, plans, held, rng))
        return out

    def _fragments(
        self, plan: Plan, plans: Sequence[Plan], locus: Sequence[tuple[int, int, str, int]], rng: np.random.Generator
    ) -> _Fragments:
        library = self.library
        low, high = locus[0][0] - _LONGEST, locus[-1][1]
        n = int(rng.poisson(plan.molecules / library.fragment_length * (high - low)))
        start = rng.integers(low, high, n)
        length = np.clip(rng.normal(library.fragment_length, library.fragment_sd, n), 60, _LONGEST).astype(np.int64)
        source = np.full(n, -1)
        for giver, share in plan.mixed:
            source[rng.random(n) < share] = giver
        shown = np.zeros((len(locus), n), dtype=np.int64)
        first_allele = rng.random(n) < 0.5
        for who in np.unique(source):
            other = plan if who < 0 else plans[who]
            rows = source == who
            for p, (_, _, name, window) in enumerate(locus):
                if window < 0:
                    dose = other.person.doses.get(name, 0)
                    shown[p, rows] = (first_allele[rows] if dose == 1 else dose == 2) * 1
                else:
                    shown[p, rows] = self._carried(other, name, int(rows.sum()), plans, rng)
        both = rng.random(n) < library.duplex_rate
        forward_only = rng.random(n) < 0.5
        sizes = self._families(2 * n, rng).reshape(2, n)
        umis = rng.integers(0, 4**library.umi_bases, (2, n))
        left, right = (self._pack(u) for u in umis)
        return _Fragments(
            start, start + length, left, right, sizes[0] * (both | forward_only), sizes[1] * (both | ~forward_only),
            shown,
        )  # fmt: skip

    def _carried(self, plan: Plan, window: str, n: int, plans: Sequence[Plan], rng: np.random.Generator) -> Ints:
        """Numbers of the batch's variants of a window (0: none) on n molecules of a sample."""
        names = _variants(plans, window)
        fractions = [sum(f for w, h, f in plan.variants if w == window and h == name) for name in names]
        return rng.choice(len(names) + 1, size=n, p=[1 - sum(fractions), *fractions])

    def _families(self, n: int, rng: np.random.Generator) -> Ints:
        """Zero-truncated gamma-Poisson sizes, near enough: one read pair and a gamma-Poisson number of others."""
        shape = 1 / self.library.family_dispersion
        others = max(self.library.mean_family_size - 1, 1e-9)
        return rng.poisson(rng.gamma(shape, others / shape, n)) + 1

    def _pack(self, umi: Ints) -> NDArray[np.uint64]:
        packed = np.zeros(len(umi), dtype=np.uint64)
        for i in range(self.library.umi_bases):
            packed |= ((umi >> (2 * i) & 3) + 1).astype(np.uint64) << np.uint64(3 * i)
        return packed

    def _hop(self, giver: _Fragments, wanted: float, rng: np.random.Generator) -> _Fragments:
        """Read pairs of a giver that turn up elsewhere, as about `wanted` molecules."""
        rate = min(wanted / max(float((giver.forward + giver.reverse).sum()), 1.0), 1.0)
        forward, reverse = rng.binomial(giver.forward, rate), rng.binomial(giver.reverse, rate)
        rows = np.flatnonzero(forward + reverse)
        return giver.take(rows, forward[rows], reverse[rows])

    def _drawn(self, plan: Plan, plans: Sequence[Plan], held: Sequence[_Fragments], rng: np.random.Generator) -> Drawn:
        rows: list[tuple[int, str, Ints]] = []
        alleles, sketches = {}, {}
        families = np.zeros(101, dtype=np.int64)
        lengths = np.zeros(0, dtype=np.int64)
        for locus, m in zip(self._loci, held, strict=True):
            stratum = np.select(
                [(m.forward > 0) & (m.reverse > 0), m.forward > 0],
                [4, np.where(m.forward > 1, 2, 0)],
                np.where(m.reverse > 1, 3, 1),
            )
            for p, (low, high, name, number) in enumerate(locus):
                over = np.flatnonzero((m.start <= low) & (m.end >= high))
                if number < 0:
                    alt = int(m.shown[p, over].sum())
                    alleles[name] = len(over) - alt, alt
                    continue
                window = self.panel.windows[number]
                haplotypes = [window.reference, *_variants(plans, name)]
                shown = self._with_errors(number, window, m.shown[p, over], haplotypes, stratum[over], rng)
                counts = np.zeros((len(haplotypes), len(STRATA)), dtype=np.int64)
                np.add.at(counts, (shown, stratum[over]), 1)
                rows += [(number, h, c) for h, c in zip(haplotypes, counts, strict=True)]
                codes = np.array([code_of(h) for h in haplotypes], dtype=np.uint64)
                kept = collect(
                    m.start[over], m.end[over], m.left[over], m.right[over], codes[shown],
                    m.forward[over] + m.reverse[over], code_of(window.reference),
                )  # fmt: skip
                sketches[name] = kept.sketch
                lengths = kept.lengths if len(lengths) == 0 else lengths + kept.lengths
                sizes = np.concatenate([m.forward[over], m.reverse[over]])
                families += np.bincount(np.minimum(sizes[sizes > 0], 100), minlength=101)
        table = CountTable.build((w.name for w in self.panel.windows), rows)
        summary: dict[str, object] = {
            "windows": [{"family_sizes": families.tolist(), "umi_error_rate": 0.0, "templates": int(families.sum())}],
            "fragment_bin": FRAGMENT_BIN, "fragment_lengths": lengths.tolist(),
        }  # fmt: skip
        found_alleles = tuple(AlleleCounts(s, *alleles[s.name], 0) for s in self.snps if s.name in alleles)
        return Drawn(plan.info, table, found_alleles, sketches, summary)

    def _with_errors(
        self, number: int, window: Window, shown: Ints, haplotypes: list[str], stratum: Ints, rng: np.random.Generator
    ) -> Ints:
        """The haplotypes shown once errors have struck; new ones are added to `haplotypes`."""
        shown = shown.copy()
        for haplotype, rate in self._errors.get(number, ()):
            hit = np.flatnonzero((rng.random(len(shown)) < rate[stratum]) & (shown == 0))
            if len(hit):
                if haplotype not in haplotypes:
                    haplotypes.append(haplotype)
                shown[hit] = haplotypes.index(haplotype)
        return shown


def _variants(plans: Sequence[Plan], window: str) -> list[str]:
    """Haplotypes of a window that any sample of the batch carries."""
    return sorted({h for plan in plans for w, h, _ in plan.variants if w == window})
