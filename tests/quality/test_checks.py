"""Checks of one sample: identity, yield, germline; and drift of the batch's errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from esr1call.calling import SampleInfo
from esr1call.counts import TIERS
from esr1call.quality.error_rates import ErrorCounter, error_ratio, judge_errors
from esr1call.quality.evidence import Evidence
from esr1call.quality.germline import judge_germline
from esr1call.quality.identity import earlier_genotypes, judge_identity
from esr1call.quality.yields import judge_yield, measures, window_yields
from esr1call.results import Check, ErrorRate, Outcome, SampleStatus
from esr1call.settings import QcSettings
from esr1call.snps import AlleleCounts
from tests.background_builders import World, hotspot_model, hotspot_panel
from tests.builders import count_table, sample_result, variant_call
from tests.quality.batches import SNPS

SETTINGS = QcSettings()


def sample(
    name: str = "A", day: str = "2024-02-01", alleles: tuple[tuple[int, int], ...] = (), **given: Any
) -> Evidence:
    info = SampleInfo(name, "patient", "B", "P1", "V1", day, 4.0, given.pop("ng", 15.0))
    found = tuple(AlleleCounts(s, *a, 0) for s, a in zip(SNPS, alleles, strict=False))
    table = count_table(
        given.pop("counts", {}), hotspot_panel(), given.pop("depth", {"duplex": 500, "simplex_F1R2": 1500})
    )
    result = sample_result(sample=name, collected=day, calls=given.pop("calls", ()))
    return Evidence(info, table, result, alleles=found, **given)


# ---------------------------------------------------------------- identity

EARLIER = [("before", {"rs1801132": "C/G", "rs2228480": "G/G"})]


@pytest.mark.parametrize(
    ("alleles", "earlier", "outcome", "said"),
    [
        (((500, 500), (900, 0)), EARLIER, Outcome.PASSED, "concordant: agrees with before at 2 SNPs; so would 24%"),
        (((500, 500),), EARLIER, Outcome.PASSED, "38%"),
        (((0, 900), (900, 0)), EARLIER, Outcome.FAILED, "discordant with before: rs1801132 is C/C, there C/G"),
        (
            ((5, 5), (900, 0)),
            EARLIER,
            Outcome.NOT_ASSESSED,
            "not informative: agrees with before at 1 SNP; so would 64%",
        ),
        (((5, 5), (5, 5)), EARLIER, Outcome.NOT_ASSESSED, "too few molecules"),
        (((5, 5), (900, 0)), [("before", {"rs1801132": "C/G"})], Outcome.NOT_ASSESSED, "no SNP has a genotype both"),
        (((500, 500),), [], Outcome.NOT_ASSESSED, "no earlier sample"),
        (((500, 500),), [*EARLIER, ("other", {"rs1801132": "G/G"})], Outcome.FAILED, "discordant with other"),
    ],
)
def test_identity(alleles: Any, earlier: Any, outcome: Outcome, said: str) -> None:
    check = judge_identity(sample(alleles=alleles), earlier, SNPS, SETTINGS)
    assert check.outcome is outcome
    assert said in check.explanation
    assert bool(check.next_step) == (outcome is Outcome.FAILED or "SNP" in check.next_step)


def test_without_snps_identity_is_not_assessed() -> None:
    assert judge_identity(sample(), EARLIER, (), SETTINGS).outcome is Outcome.NOT_ASSESSED


def test_which_earlier_samples_are_compared() -> None:
    batch = [sample("A", "2024-02-01", ((9, 0),)), sample("B", "2024-03-01"), sample("C", "2024-03-01")]
    other = replace(batch[0], info=replace(batch[0].info, sample="Q", patient="P2"))
    before = [
        sample_result(sample="old", collected="2024-01-01"),
        sample_result(sample="failed", collected="2024-01-02", status=SampleStatus.QC_FAILED),
        sample_result(sample="later", collected="2024-04-01"),
        sample_result(sample="A", collected="2024-02-01"),
    ]
    found = {s.info.sample: [n for n, _ in earlier_genotypes(s, [*batch, other], before)] for s in batch}
    assert found == {"A": ["old"], "B": ["old", "A"], "C": ["old", "A", "B"]}


# ---------------------------------------------------------------- yield

SUMMARY = {
    "reads_mapped": 100_000, "on_target_rate": 0.4, "fragment_bin": 10,
    "fragment_lengths": [0] * 15 + [40, 60, 10], "snps": [],
    "windows": [
        {"family_sizes": [0, 100, 50], "umi_error_rate": 0.001, "templates": 200},
        {"family_sizes": [0, 10], "umi_error_rate": None, "templates": 10},
    ],
}  # fmt: skip


def yields(own: Evidence, settings: QcSettings = SETTINGS) -> tuple[dict[str, Any], dict[str, Check]]:
    windows = window_yields(own, hotspot_panel())
    measured = measures(own, windows)
    return measured, {c.name: c for c in judge_yield(own, windows, measured, settings)}


def test_what_is_measured() -> None:
    own = sample(counts={("380", "?"): {"duplex": 500}, ("380", "ref"): {"duplex": 500, "simplex_F1R2": 1500}},
                 summary=SUMMARY)  # fmt: skip
    measured, checks = yields(own, replace(SETTINGS, min_on_target=0.5))
    windows = len(hotspot_panel().windows)
    assert measured["molecules"] == 2000
    assert measured["duplex_molecules"] == 500
    assert measured["duplex_yield"] == pytest.approx((500 * windows + 500) / (2000 * windows + 500))
    assert measured["undecided_rate"] == pytest.approx(500 / (2000 * windows + 500))
    assert measured["input_hge"] == pytest.approx(15 / 3.3 * 1000)
    assert measured["conversion"] == pytest.approx(2000 / (15 / 3.3 * 1000))
    assert measured["family_size"] == pytest.approx((110 + 2 * 50) / 160)
    assert measured["umi_error_rate"] == 0.001
    assert measured["fragment_length"] == 165
    assert measured["family_sizes"] == (0, 110, 50)
    outcomes = {name: c.outcome for name, c in checks.items()}
    assert outcomes == {
        "depth": Outcome.PASSED, "duplex_yield": Outcome.PASSED, "conversion": Outcome.PASSED,
        "on_target": Outcome.WARNING, "fragment_length": Outcome.PASSED,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "name", "outcome"),
    [
        ({"depth": 499}, "depth", Outcome.WARNING),
        ({"depth": 500}, "depth", Outcome.PASSED),
        ({"depth": 2000, "summary": SUMMARY}, "duplex_yield", Outcome.WARNING),
        ({"summary": {}}, "duplex_yield", Outcome.NOT_ASSESSED),
        ({"depth": None}, "duplex_yield", Outcome.NOT_ASSESSED),
        ({"ng": None}, "conversion", Outcome.NOT_ASSESSED),
        ({"ng": 200.0}, "conversion", Outcome.WARNING),
        ({"ng": 2.0}, "conversion", Outcome.WARNING),
        ({"summary": SUMMARY}, "on_target", Outcome.NOT_ASSESSED),
        ({"summary": {}}, "fragment_length", Outcome.NOT_ASSESSED),
        ({"summary": {**SUMMARY, "fragment_lengths": [0] * 40 + [9]}}, "fragment_length", Outcome.WARNING),
        ({"summary": {**SUMMARY, "fragment_lengths": [0] * 8 + [9]}}, "fragment_length", Outcome.WARNING),
    ],
)
def test_yield(given: dict[str, Any], name: str, outcome: Outcome) -> None:
    check = yields(sample(**given))[1][name]
    assert check.outcome is outcome
    assert bool(check.next_step) == (outcome is Outcome.WARNING or (name == "conversion" and outcome != Outcome.PASSED))


# ---------------------------------------------------------------- germline


@pytest.mark.parametrize(
    ("vaf", "outcome"),
    [
        (0.5, Outcome.WARNING),
        (0.97, Outcome.WARNING),
        (0.3, Outcome.PASSED),
        (0.7, Outcome.PASSED),
        (0.01, Outcome.PASSED),
    ],
)
def test_near_half_or_all(vaf: float, outcome: Outcome) -> None:
    own = sample_result(calls=(variant_call(vaf=vaf, vaf_low=0.9 * vaf, vaf_high=min(1.1 * vaf, 1.0)),))
    assert judge_germline(own, []).outcome is outcome


@pytest.mark.parametrize(
    ("before", "outcome"),
    [
        ((0.05, 0.055), Outcome.WARNING),
        ((0.05,), Outcome.PASSED),
        ((0.05, 0.1), Outcome.PASSED),
        ((0.05, None), Outcome.PASSED),
    ],
)
def test_constant_through_treatment(before: tuple[float | None, ...], outcome: Outcome) -> None:
    def draw(number: int, vaf: float | None) -> Any:
        call = () if vaf is None else (variant_call(vaf=vaf, vaf_low=0.85 * vaf, vaf_high=1.15 * vaf),)
        return sample_result(sample=f"S{number}", collected=f"2024-0{number}-01", calls=call)

    check = judge_germline(draw(9, 0.052), [draw(i + 1, v) for i, v in enumerate(before)])
    assert check.outcome is outcome
    assert ("draws" in check.explanation) == (outcome is Outcome.WARNING)


# ---------------------------------------------------------------- errors


@pytest.fixture(scope="module")
def counter() -> ErrorCounter:
    return ErrorCounter(hotspot_panel(), hotspot_model(), SNPS)


def drawn(factor: float, samples: int = 12) -> list[Evidence]:
    """Samples whose errors are `factor` times those of the blanks."""
    panel = hotspot_panel()
    world = World({key: factor * rate for key, rate in World.of(panel).rates.items()})
    rng = np.random.default_rng(5)
    return [replace(sample(f"S{i}"), table=world.sample(panel, rng)) for i in range(samples)]


def test_errors_as_the_model_expects_them(counter: ErrorCounter) -> None:
    errors = [counter.of(s) for s in drawn(1.0)]
    check = judge_errors(errors, SETTINGS)
    assert check.outcome is Outcome.PASSED
    assert check.value == pytest.approx(1.0, abs=0.25)
    ratios = [error_ratio(e) for e in errors]
    assert np.mean([r for r in ratios if r is not None]) == pytest.approx(1.0, abs=0.25)
    assert {e.tier for e in errors[0]} == set(TIERS)
    duplex = {e.substitution for e in errors[0] if e.tier == "duplex"}
    assert duplex == {"C>A", "C>G", "C>T", "T>A", "T>C", "T>G"}


@pytest.mark.parametrize(("factor", "outcome"), [(6.0, Outcome.FAILED), (1.5, Outcome.PASSED), (0.1, Outcome.WARNING)])
def test_drift(factor: float, outcome: Outcome, counter: ErrorCounter) -> None:
    check = judge_errors([counter.of(s) for s in drawn(factor)], SETTINGS)
    assert check.outcome is outcome
    assert check.sample is None
    assert bool(check.next_step) == (outcome is not Outcome.PASSED)


def test_real_variants_are_no_errors(counter: ErrorCounter) -> None:
    clean = sample(depth=2000)
    silent = {("380", "AAG"): 100, ("380", "ref"): 2000, ("536-538", "CTCTATGAT"): 30, ("536-538", "ref"): 2000}
    found = counter.of(sample(counts=silent, depth=2000))
    assert sum(e.molecules for e in found) == sum(e.molecules for e in counter.of(clean)) == 0


def test_too_few_molecules_to_see_errors() -> None:
    assert judge_errors([(ErrorRate("C>T", "simplex", 0, 0.1, 100),)], SETTINGS).outcome is Outcome.NOT_ASSESSED
    assert judge_errors([], SETTINGS).outcome is Outcome.NOT_ASSESSED
    assert error_ratio(()) is None
