from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esr1call.calling import SampleInfo
from esr1call.quality.contamination import foreign_by_snps, judge_carry_over, judge_contamination, snp_shares
from esr1call.quality.evidence import Evidence
from esr1call.quality.shared import Share, SharedMolecules, poisson_share, shared_alleles, shared_molecules
from esr1call.results import CallStatus, Outcome, SampleResult, VariantCall
from esr1call.settings import QcSettings
from esr1call.snps import AlleleCounts
from tests.background_builders import hotspot_panel
from tests.builders import count_table, sample_result, variant_call
from tests.quality.batches import HET, SNPS, evidence, patient, variant

NOTHING_SHARED = SharedMolecules(*(np.zeros((3, 3)) for _ in range(5)))


def test_poisson_share_by_hand() -> None:
    """10 of 1,000, 2 by chance: Garwood's interval of 10 is 4.795 to 18.39."""
    found = poisson_share(10, 2, 1000)
    assert (found.value, found.low, found.high) == pytest.approx((0.008, 0.002795, 0.01639), rel=1e-3)
    assert poisson_share(0, 0, 1000) == Share(0.0, 0.0, pytest.approx(0.003689, rel=1e-3))
    assert poisson_share(1, 3, 10).value == 0.0


@pytest.mark.parametrize("share", [0.002, 0.01, 0.05])
def test_hopped_molecules_are_counted_and_come_from_the_giver(share: float) -> None:
    plans = [patient("P1"), patient("P2", hopped=((0, share),)), patient("P3")]
    shared = shared_molecules([s.sketches for s in evidence(plans, umi_bases=8)])
    pair = shared.pair(0, 1)
    assert pair is not None
    assert pair.low <= 1.3 * share
    assert pair.high >= 0.7 * share
    found = shared.contamination(1)
    assert found is not None
    assert found[1] == 0
    for giver, taker in ((1, 0), (0, 2), (2, 0), (1, 2), (2, 1)):
        other = shared.pair(giver, taker)
        assert other is not None
        assert other.value < 0.1 * share + 2e-4
    hops = shared.hop_rate()
    assert hops is not None
    assert hops.low > 0


def test_short_umis_agree_by_chance_as_often_as_is_taken_off() -> None:
    """UMIs of 2 bases on each end: some hundred molecules of 20 samples agree, and the estimate allows for them."""
    plans = [patient(f"P{i}", molecules=4000.0) for i in range(20)]
    shared = shared_molecules([s.sketches for s in evidence(plans, umi_bases=2)])
    assert shared.molecules.sum() > 100
    assert shared.molecules.sum() == pytest.approx(shared.chance.sum(), rel=0.25)
    hops = shared.hop_rate()
    assert hops is not None
    assert hops.value < 5e-4


def test_samples_without_sketches_cannot_be_compared() -> None:
    one, two = evidence([patient("P1"), patient("P2")])
    shared = shared_molecules([one.sketches, None, two.sketches, {}])
    assert [shared.contamination(i) is None for i in range(4)] == [False, True, False, True]
    assert shared.pair(0, 1) is None
    assert shared.pair(0, 2) is not None
    nothing = shared_molecules([None, None])
    assert (nothing.hop_rate(), nothing.contamination(0)) == (None, None)


def test_the_very_molecules_of_a_call() -> None:
    plans = [patient("P1", variants=(variant("p.D538G", 0.3),)), patient("P2", hopped=((0, 0.02),)), patient("P3")]
    one, two, three = (s.sketches for s in evidence(plans, umi_bases=8))
    assert one is not None
    assert two is not None
    assert three is not None
    window = "536-538"
    sketch = two[window]
    foreign = sketch.haplotype[~sketch.reference]
    code = np.uint64(max(foreign.tolist(), key=foreign.tolist().count))
    assert shared_alleles(one[window], sketch, code) >= 5
    assert shared_alleles(three[window], sketch, code) == 0


# ---------------------------------------------------------------- SNPs


def person(name: str, *alleles: tuple[int, int]) -> Evidence:
    """A sample in which SNPs show (ref, alt) molecules."""
    counts = tuple(AlleleCounts(s, *a, 0) for s, a in zip(SNPS, alleles, strict=False))
    table = count_table({}, hotspot_panel())
    return Evidence(SampleInfo(name, "patient", "B"), table, sample_result(sample=name), alleles=counts)


def test_the_giver_whose_alleles_a_homozygous_sample_shows() -> None:
    samples = [person("A", (2970, 30)), person("B", (1500, 1500)), person("C", (3000, 1)), person("D", (3000, 0))]
    shares = snp_shares(samples)
    found = shares[0][1]
    assert found is not None
    assert found.value == pytest.approx(0.02, rel=0.1)  # B is heterozygous: 1% of alleles is 2% of DNA
    assert found.low < 0.02 < found.high
    assert shares[0][2] is None
    assert shares[1] == [None] * 5  # a heterozygous sample tells nothing
    outside = shares[0][4]
    assert outside is not None
    assert outside.value == pytest.approx(0.01, rel=0.1)
    told = foreign_by_snps(samples, shares[0])
    assert told is not None
    assert told.source == "B"
    check = judge_contamination("A", [told], QcSettings())
    assert (check.outcome, check.threshold) == (Outcome.FAILED, 0.005)
    assert "of B" in check.explanation
    clean = foreign_by_snps(samples, shares[2])
    assert clean is not None
    assert judge_contamination("C", [clean], QcSettings()).outcome is Outcome.PASSED


def test_two_snps_say_more_than_one() -> None:
    taker, giver = ((2985, 15), (2985, 15)), ((0, 3000), (0, 3000))
    others = [person(n, (3000, 0), (3000, 0)) for n in "CD"]
    one = snp_shares([person("A", taker[0]), person("B", giver[0]), *others])[0][1]
    two = snp_shares([person("A", *taker), person("B", *giver), *others])[0][1]
    assert one is not None
    assert two is not None
    assert two.value == pytest.approx(0.005, rel=0.1)
    assert two.high - two.low < one.high - one.low


def test_foreign_dna_from_outside_the_batch() -> None:
    samples = [person("A", (2900, 100)), person("B", (3000, 0)), person("C", (3000, 0))]
    told = foreign_by_snps(samples, snp_shares(samples)[0])
    assert told is not None
    assert (told.source, told.above(0.005)) == (None, True)


def test_nothing_to_judge_by_is_not_assessed() -> None:
    assert judge_contamination("A", [], QcSettings()).outcome is Outcome.NOT_ASSESSED


@settings(max_examples=50)
@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 300))
def test_shares_are_shares(ref: int, alt: int, other: int) -> None:
    samples = [person("A", (ref, alt)), person("B", (other, 300 - other))]
    for share in (s for row in snp_shares(samples) for s in row if s is not None):
        assert 0 <= share.low <= share.value <= share.high <= 0.5


# ---------------------------------------------------------------- calls


def with_call(name: str, call: VariantCall | None, patient_id: str | None = None) -> Evidence:
    result: SampleResult = sample_result(sample=name, calls=() if call is None else (call,))
    info = SampleInfo(name, "patient", "B", patient=patient_id or name)
    return Evidence(info, count_table({}, hotspot_panel()), result)


GIVER = variant_call(vaf=0.3, molecules=900, depth=3000)


def small(molecules: int) -> VariantCall:
    return replace(variant_call(molecules=molecules, depth=3000, vaf=molecules / 3000), background=0.1)


@pytest.mark.parametrize(
    ("molecules", "outcome"), [(9, Outcome.FAILED), (15, Outcome.FAILED), (20, Outcome.PASSED), (300, Outcome.PASSED)]
)
def test_a_call_that_another_sample_explains(molecules: int, outcome: Outcome) -> None:
    """1% of 30% of 3,000 molecules is 9: P(X >= 15) = 0.04, P(X >= 20) = 0.001."""
    samples = [with_call("A", GIVER), with_call("B", small(molecules)), with_call("C", None)]
    check = judge_carry_over(samples, 1, NOTHING_SHARED, [None] * 4, QcSettings())
    assert check.outcome is outcome
    assert judge_carry_over(samples, 0, NOTHING_SHARED, [None] * 4, QcSettings()).outcome is Outcome.PASSED
    assert judge_carry_over(samples, 2, NOTHING_SHARED, [None] * 4, QcSettings()).value is None


def test_what_does_not_explain_a_call() -> None:
    giver, taker = with_call("A", GIVER), with_call("B", small(9))
    unlike = replace(GIVER, haplotype="CTCTCTGAC")
    negative = replace(GIVER, status=CallStatus.NOT_DETECTED)
    same_patient = [with_call("B-V1", GIVER, "B"), with_call("B-V2", small(9), "B")]
    for samples in ([with_call("A", unlike), taker], [with_call("A", negative), taker], same_patient):
        assert judge_carry_over(samples, 1, NOTHING_SHARED, [None] * 3, QcSettings()).outcome is Outcome.PASSED
    clean = [Share(0.0, 0.0, 0.0005), None, None]  # SNPs rule out more than 0.05%
    assert judge_carry_over([giver, taker], 1, NOTHING_SHARED, clean, QcSettings()).outcome is Outcome.PASSED
    assert judge_carry_over([giver, taker], 1, NOTHING_SHARED, [None] * 3, QcSettings(carry_over=0.0)).outcome is (
        Outcome.PASSED
    )


def test_shared_molecules_explain_a_call_between_draws_of_one_patient_too() -> None:
    plans = [
        patient("P1", "V1", HET, variants=(variant("p.D538G", 0.3),)),
        patient("P1", "V2", HET, "2024-02-15", molecules=6000.0, hopped=((0, 0.03),)),
    ]
    samples = evidence(plans, umi_bases=8)
    shared = shared_molecules([s.sketches for s in samples])
    assert any(c.protein == "p.D538G" and c.status is CallStatus.DETECTED for c in samples[1].result.calls)
    check = judge_carry_over(samples, 1, shared, [None] * 3, QcSettings())
    assert check.outcome is Outcome.FAILED
    assert "of the very same molecules" in check.explanation
