"""What a simulation is asked for: its parameters, the spiked haplotypes and the shape of a read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from esr1call.alignment.read_structure import ReadStructure, parse_structures
from esr1call.errors import InputError
from esr1call.panel import Panel, Window

_SNP = re.compile(r"([0-9]{1,9}):([ACGT])>([ACGT]):(het|hom)")


@dataclass(frozen=True)
class Change:
    """Forward-strand `ref` bases at the 0-based genome position `start` become `alt`; `window` names its window."""

    start: int
    ref: str
    alt: str
    window: str = ""

    @property
    def end(self) -> int:
        """0-based genome position after the changed bases."""
        return self.start + len(self.ref)


@dataclass(frozen=True)
class Spike:
    """One clone: all its changes lie in cis on the same molecules, `vaf` (0..1) of those that cover them.

    Two spikes of a sample are in trans: no molecule carries both.
    """

    name: str
    vaf: float
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Snp:
    """A germline substitution; a heterozygous one lies on parental allele 1, so all of them are in phase."""

    change: Change
    homozygous: bool


@dataclass(frozen=True)
class SimulationParameters:
    """Everything but the seed. Rates are probabilities per base (and per copying cycle where said so).

    `molecules`: genome equivalents, the expected number of double-stranded fragments over the best covered base of
    each target region. `targets`: 0-based half-open genome spans (contig, start, end) that fragments overlap; empty
    means all windows of the panel. With `amplicons` every fragment is exactly one of those spans instead.

    Library: a molecule is recovered with probability `recovery`, and then with both strands with probability
    `duplex_rate`, else with the top strand with probability `top_fraction`. A recovered strand has a zero-truncated
    gamma-Poisson number of read pairs with mean `mean_family_size`; `family_dispersion` is the squared coefficient of
    variation of the gamma.

    Damage lies on one strand of the source molecule and so in its whole strand family: `deamination` C>T,
    `oxidation` G>T, `other_damage` any substitution, and `end_deamination` C>T at the 5' end, falling by
    exp(-distance / `end_decay`). `polymerase_error` and `pcr_indel` (the latter times the homopolymer's length) are
    per base and cycle. An error of cycle j is in 2^-j of the family on average.

    Sequencing: `quality_bins` ascend; bases of the lowest are N, all others are wrong with probability 10^(-Q/10).
    `low_quality` is the share of bases below the highest bin in the first and last cycle of read 1 (1.5 times that
    in read 2). `stray_molecules` come from random sequence that is not in the reference.

    `clumped` writes the reads by place and family, which gzip makes far smaller, and not in random order.

    `exact` spikes round(VAF x covering molecules) molecules instead of a binomial number.
    """

    molecules: float = 3000.0
    spikes: tuple[Spike, ...] = ()
    snps: tuple[Snp, ...] = ()
    exact: bool = False
    targets: tuple[tuple[str, int, int], ...] = ()
    amplicons: tuple[tuple[str, int, int], ...] = ()
    stray_molecules: int = 0
    fragment_mode: int = 166
    fragment_minimum: int = 50
    ladder_fraction: float = 0.15
    dinucleosome_fraction: float = 0.04
    recovery: float = 0.6
    duplex_rate: float = 0.3
    top_fraction: float = 0.5
    mean_family_size: float = 4.0
    family_dispersion: float = 0.5
    read_length: int = 150
    read_structure: str = "3M2S+T 3M2S+T"
    deamination: float = 3e-5
    oxidation: float = 2e-5
    other_damage: float = 5e-6
    end_deamination: float = 1e-3
    end_decay: float = 4.0
    pcr_cycles: int = 12
    polymerase_error: float = 1e-6
    pcr_indel: float = 2e-8
    umi_error: float = 5e-4
    quality_bins: tuple[int, ...] = (2, 12, 23, 37)
    low_quality: tuple[float, float] = (0.02, 0.08)
    n_rate: float = 1e-4
    poly_g_fraction: float = 0.8
    clumped: bool = False
    chunk_pairs: int = 50_000

    def __post_init__(self) -> None:
        for name in (
            "recovery", "duplex_rate", "top_fraction", "ladder_fraction", "dinucleosome_fraction", "deamination",
            "oxidation", "other_damage", "end_deamination", "umi_error", "n_rate", "poly_g_fraction",
        ):  # fmt: skip
            _within(name, getattr(self, name), 0.0, 1.0)
        # One error per base and cycle must stay rare: the model counts errors, not what overwrites what.
        _within("polymerase_error", self.polymerase_error, 0.0, 0.001)
        _within("pcr_indel", self.pcr_indel, 0.0, 0.0001)
        _within("molecules", self.molecules, 0, 1e8)
        _within("stray_molecules", self.stray_molecules, 0, 1e8)
        _within("mean_family_size", self.mean_family_size, 1.0, 1000.0)
        _within("family_dispersion", self.family_dispersion, 0.0, 20.0)
        _within("fragment_mode", self.fragment_mode, 60, 1000)
        _within("fragment_minimum", self.fragment_minimum, 20, self.fragment_mode - 20)
        _within("end_decay", self.end_decay, 0.1, 100.0)
        _within("pcr_cycles", self.pcr_cycles, 0, 40)
        _within("chunk_pairs", self.chunk_pairs, 1, 10_000_000)
        _within("read_length", self.read_length, 20, 1000)
        for share in self.low_quality:
            _within("low_quality", share, 0.0, 0.6)
        bins = self.quality_bins
        if len(bins) < 3 or list(bins) != sorted(set(bins)) or bins[0] < 0 or bins[-1] > 93:
            raise InputError("bad qualities", field="quality_bins", found=bins, expected="three or more, ascending")
        for spike in self.spikes:
            _within(f"VAF of {spike.name}", spike.vaf, 0.0, 1.0)
        total = sum(s.vaf for s in self.spikes)
        if total > 1 + 1e-9:
            raise InputError("the VAFs add up to more than 1", field="variant", found=f"{total:g}")
        shortest = min(len(layout) for layout in self.layouts) + 20
        longest = max(len(layout) for layout in self.layouts)
        if self.read_length < longest + 20:
            raise InputError(
                "reads are too short for the read structure", field="read_length", found=self.read_length,
                expected=f"at least {max(shortest, longest + 20)}",
            )  # fmt: skip

    @property
    def layouts(self) -> tuple[Layout, Layout]:
        """What comes before the template in read 1 and read 2."""
        return parse_read_structure(self.read_structure)

    @property
    def duplex_umis(self) -> bool:
        """Whether both ends of a fragment carry a UMI, so that its two strands can be told to belong together."""
        one, two = self.layouts
        return one == two and one.umi_length > 0


@dataclass(frozen=True)
class Layout:
    """The bases of a read before its template: `kinds` holds 'M' (UMI) or 'S' (fixed spacer) for each base."""

    kinds: str

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def umi_length(self) -> int:
        """UMI bases in the read."""
        return self.kinds.count("M")


def parse_read_structure(text: str) -> tuple[Layout, Layout]:
    """Two fgbio read structures, such as ``3M2S+T 3M2S+T``; the template must come last and take the rest.

    Raises InputError for anything else.
    """
    one, two = parse_structures(text)
    if one.template_end is not None or two.template_end is not None:
        raise InputError(
            "bad read structure", field="read_structure", found=text, expected="the template last in each, as +T"
        )
    return _layout(one), _layout(two)


def _layout(structure: ReadStructure) -> Layout:
    umi = {i for start, end in structure.umi for i in range(start, end)}
    return Layout("".join("M" if i in umi else "S" for i in range(structure.template_start)))


def parse_spike(text: str, panel: Panel) -> Spike:
    """``SPEC=VAF``, where SPEC is one or several (in cis, joined with '+') of: a panel protein name (its first DNA
    form), a panel cDNA name, or ``window:haplotype`` in forward-strand bases. Raises InputError."""
    spec, equals, value = text.rpartition("=")
    try:
        vaf = float(value) if equals else -1.0
    except ValueError:
        vaf = -1.0
    if not spec or not 0 <= vaf <= 1:
        raise InputError("bad variant", field="variant", found=text, expected="SPEC=VAF with a VAF of 0 to 1")
    changes = tuple(_change_of(part, panel, text) for part in spec.split("+"))
    ordered = sorted(changes, key=lambda c: c.start)
    for left, right in pairwise(ordered):
        if right.start < left.end or right.start == left.start:
            raise InputError("changes in cis overlap", field="variant", found=text)
    return Spike(spec, vaf, tuple(ordered))


def _change_of(spec: str, panel: Panel, text: str) -> Change:
    for v in panel.variants:
        if spec in (v.protein, v.cdna, v.protein.removeprefix("p.")):
            return _difference(panel.windows[panel.window_index[v.window]], v.haplotype)
    name, _, haplotype = spec.rpartition(":")
    if name not in panel.window_index:
        raise InputError(
            "unknown variant", field="variant", found=text,
            expected=f"a protein or cDNA name of panel {panel.name}, or window:haplotype",
        )  # fmt: skip
    window = panel.windows[panel.window_index[name]]
    if set(haplotype) - set("ACGT") or haplotype == window.reference:
        raise InputError(
            "bad haplotype", field="variant", found=text, expected=f"bases that differ from {window.reference}"
        )
    return _difference(window, haplotype)


def _difference(window: Window, haplotype: str) -> Change:
    """The least change that turns the window's reference into `haplotype`."""
    ref, alt, start = window.reference, haplotype, window.start
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    return Change(start, ref, alt, window.name)


def parse_snp(text: str) -> Snp:
    """``POS:REF>ALT:het`` or ``...:hom``; POS is 1-based on the panel's contig. Raises InputError."""
    match = _SNP.fullmatch(text)
    if match is None or match[2] == match[3] or int(match[1]) < 1:
        raise InputError("bad SNP", field="snp", found=text, expected="POS:REF>ALT:het or POS:REF>ALT:hom")
    return Snp(Change(int(match[1]) - 1, match[2], match[3]), match[4] == "hom")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also refuses NaN
        raise InputError("out of range", field=name, found=value, expected=f"{low:g} to {high:g}")
