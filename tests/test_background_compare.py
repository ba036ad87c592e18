from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from esr1call.background import BackgroundModel, Evidence, TierModel
from esr1call.background_compare import Difference, compare_haplotypes, compare_substitutions
from esr1call.counts import STRATA
from tests.background_builders import hotspot_model, hotspot_panel

ALLELE = ("536-538", "CTCTATGGC")
KEY = "7G"


def with_substitutions(*tiers: dict[str, tuple[float, float]]) -> BackgroundModel:
    """The model with other substitution rates: (mean, standard deviation) of their logs."""
    model = hotspot_model()
    changed = tuple(replace(t, substitutions=s) for t, s in zip(model.tiers, tiers, strict=True))
    return replace(model, tiers=changed)


def with_molecules(factor: float, blanks: float = 1.0) -> BackgroundModel:
    """The model with `factor` times the molecules at one allele's site; all its blanks `blanks` times over."""
    model = hotspot_model()
    e, at = model.evidence, (hotspot_panel().window_index[ALLELE[0]], KEY)
    cells = {k: np.rint(x * blanks).astype(np.int64) for k, x in e.cells.items()}
    cells[at] = np.rint(cells[at] * factor).astype(np.int64)
    depth = np.rint(e.depth * blanks).astype(np.int64)
    return replace(model, evidence=Evidence(depth, e.blanks * blanks, cells, e.without))


def test_substitutions_by_hand() -> None:
    """A doubled rate, standard deviations 0.3 and 0.4: z = log 2 / 0.5. What one model lacks is not compared."""
    old = with_substitutions({"A>G": (-8.0, 0.3), "C>T": (-8.0, 0.1)}, {"T>A": (-9.0, 0.2)}, {})
    new = with_substitutions(
        {"A>G": (-8.0 + np.log(2), 0.4), "G>A": (-8.0, 0.1)}, {"T>A": (-9.0, 0.2)}, {"T>A": (-9, 1)}
    )
    first, second = compare_substitutions(old, new)
    assert (first.tier, first.name, second.tier, second.name) == ("singleton", "A>G", "simplex", "T>A")
    assert first.old == pytest.approx(np.exp(-8))
    assert first.ratio == pytest.approx(2)
    assert first.z == pytest.approx(np.log(2) / 0.5)
    assert (second.ratio, second.z) == (1, 0)


def test_a_model_does_not_differ_from_itself() -> None:
    model, panel = hotspot_model(), hotspot_panel()
    found = compare_substitutions(model, model) + compare_haplotypes(model, model, panel, [ALLELE])
    assert {(d.ratio, d.z) for d in found} == {(1.0, 0.0)}
    substitutions = [d.name for d in found if d.tier == "simplex"]
    assert len(substitutions) == 12
    assert {d.name for d in found if d.tier == "duplex"} >= {"T>C", "536-538:CTCTATGGC"}


def by_stratum(old: BackgroundModel, new: BackgroundModel) -> dict[str, Difference]:
    found = compare_haplotypes(old, new, hotspot_panel(), [ALLELE])
    assert [d.tier for d in found] == list(STRATA)
    assert {d.name for d in found} == {"536-538:CTCTATGGC"}
    return {d.tier: d for d in found}


def test_an_alleles_rates_are_those_predicted() -> None:
    old, new, panel = hotspot_model(), with_molecules(8.0), hotspot_panel()
    found = by_stratum(old, new)
    for t, stratum in enumerate(STRATA):
        assert found[stratum].old == old.predict(panel, [ALLELE]).mean[0, t]
        assert found[stratum].new == new.predict(panel, [ALLELE]).mean[0, t]
    for stratum in ("singleton_F1R2", "singleton_F2R1"):
        assert found[stratum].ratio == pytest.approx(8, rel=0.4)
        assert found[stratum].z > 3
    assert found["duplex"].z == pytest.approx(0, abs=0.5)  # no molecule in either


def test_z_changes_sign_and_grows_with_evidence() -> None:
    forth, back = by_stratum(with_molecules(1), with_molecules(2)), by_stratum(with_molecules(2), with_molecules(1))
    more = by_stratum(with_molecules(1, blanks=10), with_molecules(2, blanks=10))
    for stratum in ("singleton_F1R2", "singleton_F2R1"):
        assert back[stratum].z == pytest.approx(-forth[stratum].z)
        assert back[stratum].ratio == pytest.approx(1 / forth[stratum].ratio)
        assert more[stratum].z > 1.5 * forth[stratum].z > 0


def test_unused_tier_is_left_alone() -> None:
    """A lot without duplex molecules: nothing to compare there."""
    model = hotspot_model()
    empty = TierModel(model.tiers[2].shape, model.tiers[2].location, {}, {})
    without = replace(model, tiers=(*model.tiers[:2], empty))
    assert {d.tier for d in compare_substitutions(model, without)} == {"singleton", "simplex"}
