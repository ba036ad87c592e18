from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from esr1call.errors import InputError
from esr1call.panel import Panel
from esr1call.simulate import Snp, Spike, parse_spike
from esr1call.simulate.fragments import Region
from esr1call.simulate.genomes import assign_versions, build_genomes
from esr1call.simulate.parameters import Change

REGION = Region("chr6", 1010, 1020, 1000, "AAAACCCCGGGGTTTTACGTACGTACGTAC")


@pytest.mark.parametrize(
    ("change", "shown", "length"),
    [
        (Change(1006, "C", "T"), "AACCTCGG", 8),
        (Change(1006, "CC", "GT"), "AACCGTGG", 8),
        (Change(1005, "CCC", ""), "AACGG", 5),
        (Change(1006, "", "TTT"), "AACCTTTCCGG", 11),
        (Change(1006, "CC", "G"), "AACCGGG", 7),
    ],
)
def test_versions_show_their_change(change: Change, shown: str, length: int) -> None:
    genomes = build_genomes([REGION], [Spike("s", 0.5, (change,))], [], "chr6")
    assert genomes.show(0, 0, 1002, 1010) == "AACCCCGG"
    assert genomes.show(0, 2, 1002, 1010) == shown
    assert genomes.show(0, 3, 1002, 1010) == shown
    first, last = (genomes.locate(np.array([0]), np.array([2]), np.array([p]))[0] for p in (1002, 1010))
    assert last - first == length
    assert genomes.show(0, 2, 1012, 1030) == REGION.sequence[12:]


def test_changes_in_cis_and_snps_add_up() -> None:
    spike = Spike("s", 0.5, (Change(1001, "A", "G"), Change(1005, "CCC", ""), Change(1012, "T", "A")))
    genomes = build_genomes([REGION], [spike], [Snp(Change(1016, "A", "T"), False)], "chr6")
    assert genomes.show(0, 2, 1000, 1020) == "AGAACGGGGATTTACGT"
    assert genomes.show(0, 3, 1000, 1020) == "AGAACGGGGATTTTCGT"
    assert genomes.show(0, 1, 1000, 1020) == "AAAACCCCGGGGTTTTTCGT"


def test_other_contigs_are_left_alone() -> None:
    genomes = build_genomes([replace(REGION, contig="chr1")], [Spike("s", 0.5, (Change(1006, "C", "T"),))], [], "chr6")
    assert genomes.show(0, 2, 1000, 1030) == REGION.sequence


def test_snp_that_contradicts_the_reference() -> None:
    with pytest.raises(InputError, match="C at chr6:1001', expected A"):
        build_genomes([REGION], [], [Snp(Change(1000, "C", "T"), True)], "chr6")


def test_snp_under_a_spike_is_refused() -> None:
    with pytest.raises(InputError, match="overlap"):
        build_genomes(
            [REGION], [Spike("s", 0.5, (Change(1005, "CCC", ""),))], [Snp(Change(1006, "C", "T"), True)], "chr6"
        )


def assigned(panel: Panel, texts: list[str], exact: bool, snps: tuple[Snp, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Versions of 20,000 molecules, half over codon 380 and half over 536-538."""
    regions = [Region("chr6", 152011696, 152011699, 0, ""), Region("chr6", 152098783, 152098792, 0, "")]
    region = np.repeat([0, 1], 10_000)
    start = np.where(region == 0, 152011600, 152098700)
    spikes = [parse_spike(t, panel) for t in texts]
    rng = np.random.default_rng(8)
    return region, assign_versions(regions, region, start, start + 166, spikes, snps, panel, exact, rng)


def test_exact_spikes(panel: Panel) -> None:
    region, version = assigned(panel, ["p.D538G=0.0123", "p.E380Q+p.Y537S=0.0371", "p.E380K=0"], exact=True)
    count = {(r, k): int(((region == r) & (version // 2 == k)).sum()) for r in (0, 1) for k in (1, 2, 3)}
    assert count == {(0, 1): 0, (1, 1): 123, (0, 2): 371, (1, 2): 371, (0, 3): 0, (1, 3): 0}


def test_binomial_spikes_scatter_about_the_vaf(panel: Panel) -> None:
    region, version = assigned(panel, ["p.D538G=0.01", "p.Y537S=0.3", "p.E380Q=0.69"], exact=False)
    on = version[region == 1] // 2
    assert abs((on == 1).sum() - 100) < 45
    assert abs((on == 2).sum() - 3000) < 200
    assert (on > 0).all()


def test_heterozygous_snps_sit_on_half_the_molecules_and_clones_on_one_allele(panel: Panel) -> None:
    snp = Snp(Change(152098750, "A", "G"), False)
    _, version = assigned(panel, ["p.D538G=0.2", "p.Y537S=0.1"], exact=False, snps=(snp,))
    assert abs((version % 2 == 1).mean() - 0.5) < 0.02
    for clone in (1, 2):
        assert len(set(version[version // 2 == clone])) == 1
    _, plain = assigned(panel, ["p.D538G=0.2"], exact=False)
    assert (plain % 2 == 0).all()
