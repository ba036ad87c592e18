"""The batch simulator draws what it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from esr1call.simulate.batch import Person
from tests.background_builders import World, hotspot_panel
from tests.quality.batches import HET, HOM, SNPS, patient, simulator, variant


def test_depth_variants_snps_and_strata() -> None:
    plan = patient("P1", person=HET, variants=(variant("p.D538G", 0.1), variant("p.E380Q", 0.02)))
    drawn = simulator().draw([plan, patient("P2", person=HOM)], np.random.default_rng(1))
    panel, table = hotspot_panel(), drawn[0].table
    depth = table.depth().sum(axis=1)
    assert depth.mean() == pytest.approx(3000, rel=0.1)
    assert table.depth()[:, 4].sum() / depth.sum() == pytest.approx(0.3, abs=0.02)
    for protein, fraction in (("p.D538G", 0.1), ("p.E380Q", 0.02)):
        window, haplotype, _ = variant(protein, fraction)
        w = panel.window_index[window]
        assert table.of(w, haplotype).sum() / depth[w] == pytest.approx(fraction, rel=0.3)
        assert drawn[1].table.of(w, haplotype).sum() < 0.004 * depth[w]
    shown = {a.snp.name: a.alt / (a.ref + a.alt) for a in drawn[0].alleles}
    assert shown == {"rs1801132": pytest.approx(0.5, abs=0.05), "rs2228480": 0.0}
    assert [a.genotype for a in drawn[1].alleles] == ["C/C", "A/G"]


def test_errors_come_at_their_rates() -> None:
    panel = hotspot_panel()
    drawn = simulator().draw([patient(f"P{i}", molecules=20000.0) for i in range(3)], np.random.default_rng(2))
    keys = list(World.of(panel).rates)
    seen = sum(d.table.of_all(keys) for d in drawn)
    depth = sum(d.table.depth() for d in drawn)
    expected = sum(rate * depth[w] for (w, _), rate in World.of(panel).rates.items())
    assert seen[:, :4].sum() == pytest.approx(expected[:4].sum(), rel=0.1)


@pytest.mark.parametrize("how", ["hopped", "mixed"])
def test_foreign_molecules(how: str) -> None:
    plans = [
        patient("P1", person=HOM, variants=(variant("p.D538G", 0.5),)),
        patient("P2", person=Person({"rs1801132": 0}), molecules=6000.0, **{how: ((0, 0.1),)}),
    ]
    taker = simulator().draw(plans, np.random.default_rng(3))[1]
    window, haplotype, _ = variant("p.D538G", 0.5)
    w = hotspot_panel().window_index[window]
    share = 0.1 if how == "mixed" else 0.1 / 1.1  # hopped molecules come on top
    assert taker.table.of(w, haplotype).sum() / taker.table.depth()[w].sum() == pytest.approx(0.5 * share, rel=0.2)
    snp = next(a for a in taker.alleles if a.snp is SNPS[0])
    assert snp.alt / (snp.ref + snp.alt) == pytest.approx(share, rel=0.2)
