"""A whole simulated sample, read back slowly: each error-free read is searched in the genomes it can come from."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from esr1call.counts import STRATA
from esr1call.errors import InputError
from esr1call.panel import Panel, reverse_complement
from esr1call.simulate import Simulation, parse_snp, parse_spike
from tests.builders import esr1_panel, slices, window_of
from tests.genes import made_up_gene
from tests.simulate.world import CLEAN, Bases, close, simulate, text

EXON_8 = "chr6:152098682-152099500"
LEFT = 152098681


def spikes(*texts: str, panel: Panel | None = None) -> dict[str, Any]:
    return {"spikes": tuple(parse_spike(t, panel or esr1_panel()) for t in texts)}


def all_reads(simulation: Simulation) -> list[tuple[int, bool, int, str, str]]:
    """(molecule, top, member, read 1, read 2) of every pair."""
    found = []
    for c in simulation.chunks():
        for i in range(len(c.molecule)):
            found.append((int(c.molecule[i]), bool(c.top[i]), int(c.member[i]), text(c.bases_1[i]), text(c.bases_2[i])))
    return found


def mutated(change: str) -> str:
    """Exon 8 with codons 536-538 (CTCTATGAC, once in the slice) written as `change`."""
    bases = slices()[EXON_8]
    assert bases.count("CTCTATGAC") == 1
    return bases.replace("CTCTATGAC", change)


def place_of(read: str, genomes: dict[str, str]) -> tuple[str, int] | None:
    """(genome, position) of an error-free template, whichever strand, in the first genome that has it."""
    for name, bases in genomes.items():
        for shown in (read, reverse_complement(read)):
            if shown in bases:
                return name, bases.index(shown)
    return None


def slow_strata(simulation: Simulation, window: str, genomes: dict[str, str], head: tuple[int, int]) -> dict[str, list]:
    """Families per haplotype and stratum, read by read: which reads show the whole window, and what they show."""
    w = window_of(esr1_panel(), window)
    seen: dict[tuple[int, bool], Counter[str]] = defaultdict(Counter)
    pairs: Counter[tuple[int, bool]] = Counter()
    for molecule, top, _, one, two in all_reads(simulation):
        pairs[molecule, top] += 1
        for read in (one[head[0] :], two[head[1] :]):
            m = simulation.molecules
            length = int(m.end[molecule] - m.start[molecule])
            for bases in genomes.values():
                read_part = read[: min(len(read), length + len(bases) - len(genomes["wt"]))]
                for shown in (read_part, reverse_complement(read_part)):
                    at = bases.find(shown)
                    end = w.end - LEFT + len(bases) - len(genomes["wt"])
                    if at >= 0 and at <= w.start - LEFT and end <= at + len(shown):
                        seen[molecule, top][bases[w.start - LEFT : end]] += 1
    found: dict[str, list] = defaultdict(lambda: [0] * 5)
    for molecule in {m for m, _ in seen}:
        shown = {h for t in (True, False) for h in seen[molecule, t]}
        assert len(shown) == 1
        sizes = [pairs[molecule, t] if seen[molecule, t] else 0 for t in (True, False)]
        both = all(sizes)
        stratum = 4 if both else (0 if sizes[0] else 1) + (0 if max(sizes) == 1 else 2)
        found[shown.pop()][stratum] += 1
    return dict(found)


@pytest.mark.parametrize("alternative", ["CTCTATGGC", "CTCAGTGAC", "CAGTATGAC"])
def test_truth_equals_what_the_reads_show(alternative: str) -> None:
    simulation = simulate(
        molecules=400, read_length=100, mean_family_size=1.8, duplex_rate=0.5, recovery=0.9,
        targets=(("chr6", 152098783, 152098792),), **spikes(f"536-538:{alternative}=0.2"), **CLEAN,
    )  # fmt: skip
    genomes = {"wt": slices()[EXON_8], "mutant": mutated(alternative)}
    shown = slow_strata(simulation, "536-538", genomes, (5, 5))
    truth = simulation.truth()["windows"]["536-538"]
    assert {h: v["sequenced"] for h, v in truth["haplotypes"].items()} == shown
    assert (np.array(shown[alternative]) > 0).all()
    assert truth["sequenced"] == np.sum(list(shown.values()), axis=0).tolist()


def test_truth_without_umis_counts_each_strand_by_itself() -> None:
    options = dict(molecules=300, read_length=100, duplex_rate=0.7, targets=(("chr6", 152098783, 152098792),), **CLEAN)
    truth = simulate(read_structure="8M+T +T", **options).truth()["windows"]["536-538"]
    with_umis = simulate(**options).truth()["windows"]["536-538"]
    assert truth["sequenced"][STRATA.index("duplex")] == 0
    assert sum(truth["sequenced"]) > 1.4 * sum(with_umis["sequenced"])


def test_each_pair_is_of_its_molecule() -> None:
    """Read 1 of the top strand is the forward strand from the left end, read 1 of the bottom strand the reverse
    strand from the right end; the pairs of a family are as many as the molecule table says."""
    simulation = simulate(molecules=60, **CLEAN)
    m = simulation.molecules
    pairs: Counter[tuple[int, bool]] = Counter()
    umis: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for molecule, top, member, one, two in all_reads(simulation):
        fragment = Bases().fetch("chr6", int(m.start[molecule]), int(m.end[molecule]))
        left, right = (one, two) if top else (two, one)
        n = min(145, len(fragment))
        assert left[5 : 5 + n] == fragment[:n]
        assert right[5 : 5 + n] == reverse_complement(fragment)[:n]
        umis[molecule].add((left[:5], right[:5]))
        size = m.top[molecule] if top else m.bottom[molecule]
        assert member < size
        pairs[molecule, top] += 1
    assert all(len(u) == 1 for u in umis.values())
    for i in range(len(m)):
        assert (pairs[i, True], pairs[i, False]) == (m.top[i], m.bottom[i])
    assert sum(pairs.values()) == simulation.read_pairs > 300


def test_deletion_is_in_the_reads() -> None:
    simulation = simulate(
        molecules=300, exact=True, targets=(("chr6", 152061015, 152061024),), **spikes("p.V422del=0.25"), **CLEAN
    )
    truth = simulation.truth()
    made = truth["spikes"][0]["windows"]["421-423"]
    assert made["mutant"] == round(0.25 * made["molecules"])
    haplotypes = truth["windows"]["421-423"]["haplotypes"]
    assert haplotypes["ATGGAG"]["protein"] == "p.V422del"
    assert haplotypes["ATGGAG"]["molecules"] == made["mutant"]
    exon = slices()["chr6:152060941-152061174"]
    at = 152061015 - 152060940
    assert exon[at : at + 9] == "ATGGTGGAG"
    # The two flanks of the window are unique, so a read that holds both shows the window.
    left, right = exon[at - 10 : at], exon[at + 9 : at + 19]
    inner = Counter()
    for molecule, *_, one, two in all_reads(simulation):
        for read in (one, two):
            for shown in (read, reverse_complement(read)):
                if left in shown and right in shown:
                    inner[shown.split(left)[1].split(right)[0], int(simulation.molecules.version[molecule]) // 2] += 1
    assert set(inner) == {("ATGGAG", 1), ("ATGGTGGAG", 0)}


def test_cis_on_one_molecule_trans_on_two() -> None:
    options = dict(molecules=2000, targets=(("chr6", 152098777, 152098792),), exact=True, **CLEAN)
    cis = simulate(**spikes("p.Y537S+p.D538G+p.V534E=0.1"), **options).truth()
    trans = simulate(**spikes("p.Y537S=0.1", "p.D538G=0.1"), **options).truth()
    assert set(cis["windows"]["536-538"]["haplotypes"]) == {"CTCTATGAC", "CTCTCTGGC"}
    assert cis["windows"]["536-538"]["haplotypes"]["CTCTCTGGC"]["protein"] == "p.[Y537S;D538G]"
    assert cis["spikes"][0]["windows"]["534-535"]["mutant"] > 0
    assert set(trans["windows"]["536-538"]["haplotypes"]) == {"CTCTATGAC", "CTCTCTGAC", "CTCTATGGC"}
    for spike in trans["spikes"]:
        made = spike["windows"]["536-538"]
        assert made["mutant"] == round(0.1 * made["molecules"])


def test_damage_is_never_on_both_strands_at_one_place() -> None:
    options = {**CLEAN, "deamination": 0.01, "oxidation": 0.005, "end_deamination": 0.02}
    simulation = simulate(molecules=400, duplex_rate=1.0, recovery=1.0, read_length=200, **options)
    m = simulation.molecules
    wrong: dict[tuple[int, bool], list[frozenset[tuple[int, str]]]] = defaultdict(list)
    for molecule, top, _, one, two in all_reads(simulation):
        fragment = Bases().fetch("chr6", int(m.start[molecule]), int(m.end[molecule]))
        n = min(195, len(fragment))
        shown = (one if top else two)[5 : 5 + n]
        wrong[molecule, top].append(
            frozenset((i, a + b) for i, (a, b) in enumerate(zip(fragment, shown, strict=False)) if a != b)
        )
    assert all(len(set(family)) == 1 for family in wrong.values()), "the whole strand family shows its damage"
    kinds: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for (_, top), family in wrong.items():
        kinds[top].update(change for _, change in family[0])
    assert set(kinds[True]) == {"CT", "GT"}
    assert set(kinds[False]) == {"GA", "CA"}
    both = [m for m, top in wrong if top and (m, False) in wrong]
    assert len(both) > 300
    assert sum(bool(wrong[m, True][0] & wrong[m, False][0]) for m in both) == 0


def test_default_error_rates_are_those_of_a_real_library() -> None:
    """Errors per base of the highest quality stay below what a raw read of a real library shows (about 5e-4)."""
    simulation = simulate(molecules=300, read_length=100)
    m = simulation.molecules
    wrong = bases = 0
    for c in simulation.chunks():
        for i in np.flatnonzero(c.top):
            molecule = int(c.molecule[i])
            fragment = Bases().fetch("chr6", int(m.start[molecule]), int(m.end[molecule]))[:95]
            shown = c.bases_1[i][5 : 5 + len(fragment)]
            good = c.quality_1[i][5 : 5 + len(fragment)] == 37
            wrong += int((shown != np.array(["ACGT".index(b) for b in fragment]))[good].sum())
            bases += int(good.sum())
    assert bases > 100_000
    assert 2e-4 < wrong / bases < 6e-4


def test_family_sizes_and_strands_of_a_sample() -> None:
    m = simulate(molecules=5000, mean_family_size=3.0, recovery=0.7, duplex_rate=0.4, top_fraction=0.25).molecules
    n = len(m)
    sizes = np.concatenate([m.top[m.top > 0], m.bottom[m.bottom > 0]])
    assert sizes.mean() == pytest.approx(3.0, abs=0.08)
    assert close(int(((m.top > 0) & (m.bottom > 0)).sum()), n, 0.7 * 0.4)
    assert close(int(((m.top > 0) & (m.bottom == 0)).sum()), n, 0.7 * 0.6 * 0.25)
    assert close(int(((m.top == 0) & (m.bottom == 0)).sum()), n, 0.3)


def test_germline_snps_are_in_half_of_the_molecules() -> None:
    at = 152098799
    base = Bases().fetch("chr6", at, at + 1)
    other = "A" if base != "A" else "C"
    simulation = simulate(
        molecules=3000, snps=(parse_snp(f"{at + 1}:{base}>{other}:het"),), **spikes("p.D538G=0.1"), **CLEAN
    )
    truth = simulation.truth()["windows"]["scan:539-541"]
    alternative = [h for h in truth["haplotypes"] if h != "CTGCTGCTG"]
    assert len(alternative) == 1
    assert truth["haplotypes"][alternative[0]]["molecules"] == pytest.approx(truth["molecules"] / 2, rel=0.08)


def test_amplicons_start_and_end_where_told() -> None:
    simulation = simulate(
        molecules=50, amplicons=(("chr6", 152098740, 152098860),), top_fraction=1.0, duplex_rate=0.0,
        read_structure="12M11S+T +T", read_length=100, **spikes("p.Y537S=0.5"), **CLEAN,
    )  # fmt: skip
    bases = mutated("CTCTCTGAC"), slices()[EXON_8]
    starts = {b[152098740 - LEFT : 152098860 - LEFT] for b in bases}
    reads = all_reads(simulation)
    assert {one[23:] for *_, one, _ in reads} == {s[:77] for s in starts}
    assert {two for *_, two in reads} == {reverse_complement(s)[:100] for s in starts}
    assert {one[12:23] for *_, one, _ in reads} == {"TGACTCAGTCC"}
    assert all(top for _, top, *_ in reads)


def test_stray_molecules_are_not_of_the_reference() -> None:
    simulation = simulate(molecules=0, stray_molecules=40, recovery=1.0, **CLEAN)
    reads = all_reads(simulation)
    assert len({m for m, *_ in reads}) == 40
    assert all(place_of(one[5:65], slices()) is None for *_, one, _ in reads)
    assert all(v["molecules"] == 0 for v in simulation.truth()["windows"].values())


def test_nothing_at_all() -> None:
    simulation = simulate(molecules=0)
    assert list(simulation.chunks()) == []
    assert simulation.truth()["read_pairs"] == 0


def test_a_gene_on_the_minus_strand() -> None:
    gene = made_up_gene("-")
    c = 120
    bases = {"A": "C", "C": "A", "G": "T", "T": "G"}[gene.cds[c - 1]]
    panel = gene.panel([gene.row(c, bases)])
    (variant,) = panel.variants
    simulation = simulate(
        panel=panel, reference=Bases(gene.sequences), molecules=300, exact=True, fragment_mode=120,
        fragment_minimum=40, **spikes(f"{variant.protein}=0.3", panel=panel), **CLEAN,
    )  # fmt: skip
    truth = simulation.truth()
    haplotypes = truth["windows"][variant.window]["haplotypes"]
    assert {h: v["cdna"] for h, v in haplotypes.items()} == {
        variant.haplotype: variant.cdna,
        panel.windows[0].reference: "c.=",
    }
    assert haplotypes[variant.haplotype]["molecules"] == round(0.3 * truth["windows"][variant.window]["molecules"])


def test_same_seed_same_reads_and_chunks_can_be_read_again() -> None:
    first, again, other = simulate(seed=5, molecules=50), simulate(seed=5, molecules=50), simulate(seed=6, molecules=50)
    assert all_reads(first) == all_reads(again) == all_reads(first)
    assert all_reads(first) != all_reads(other)
    assert first.truth() == again.truth()


@pytest.mark.parametrize("clumped", [False, True])
def test_chunks_hold_whole_molecules_and_about_as_many_pairs_as_asked(clumped: bool) -> None:
    simulation = simulate(molecules=200, chunk_pairs=500, clumped=clumped)
    chunks = list(simulation.chunks())
    assert len(chunks) > 3
    assert [c.first for c in chunks] == np.cumsum([0, *(len(c.molecule) for c in chunks[:-1])]).tolist()
    assert sum(len(c.molecule) for c in chunks) == simulation.read_pairs
    assert max(len(c.molecule) for c in chunks) < 600
    held = [set(c.molecule.tolist()) for c in chunks]
    assert sum(len(h) for h in held) == len(set().union(*held))
    order = np.concatenate([c.molecule for c in chunks])
    assert (np.diff(order) >= 0).all() == clumped


def test_bad_snp_and_missing_reference() -> None:
    with pytest.raises(InputError, match="disagrees with the reference"):
        simulate(snps=(parse_snp(f"152098800:{wrong_base()}>A:hom"),))
    with pytest.raises(InputError, match="not in the reference"):
        simulate(reference=Bases({EXON_8: slices()[EXON_8]}))


def wrong_base() -> str:
    base = Bases().fetch("chr6", 152098799, 152098800)
    return "C" if base != "C" else "G"
