from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from esr1call.calling import PANEL_SHARE, SampleInfo, call_batch, call_sample
from esr1call.counts import CountTable
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall
from esr1call.settings import CallingSettings
from tests.background_builders import (
    World,
    empty_counts,
    hotspot_model,
    hotspot_panel,
    three_blanks,
    three_blanks_counts,
)
from tests.builders import haplotype_of

SETTINGS = CallingSettings()
WINDOW = "536-538"


def made(spikes: Any = (), seed: int = 3, **given: Any) -> CountTable:
    return World.of(hotspot_panel()).sample(hotspot_panel(), np.random.default_rng(seed), spikes=spikes, **given)


def call(table: CountTable, settings: CallingSettings = SETTINGS, **info: Any) -> SampleResult:
    values = {"sample": "S1", "type": "patient", "batch": "B", "plasma_ml": 4.0, "cfdna_ng": 33.0} | info
    return call_sample(SampleInfo(**values), table, hotspot_panel(), hotspot_model(), settings)


def detected(result: SampleResult) -> dict[str, VariantCall]:
    return {c.protein: c for c in result.calls if c.status is CallStatus.DETECTED}


def test_a_sample_without_variants() -> None:
    result = call(made())
    assert result.status is SampleStatus.NOT_DETECTED
    assert result.reasons == ()
    assert [(c.window, c.haplotype) for c in result.calls] == [
        (v.window, v.haplotype) for v in hotspot_panel().variants
    ]
    assert all(c.status is CallStatus.NOT_DETECTED and c.kind == "panel" for c in result.calls)
    assert all(c.lob < c.lod95 <= SETTINGS.required_lod for c in result.calls)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("window", "name", "fraction"),
    [
        (WINDOW, "p.D538G", 0.006),
        (WINDOW, "c.1610A>C", 0.003),
        (WINDOW, "c.1609_1610delinsAG", 0.002),
        (WINDOW, "p.L536K", 0.002),
        ("421-423", "p.V422del", 0.002),
        ("380", "p.E380Q", 0.4),
    ],
)
def test_a_spiked_variant_is_the_one_call(window: str, name: str, fraction: float) -> None:
    result = call(made([(window, name, fraction)]))
    [found] = detected(result).values()
    assert found.haplotype == haplotype_of(hotspot_panel(), window, name)
    assert result.status is SampleStatus.DETECTED
    assert found.vaf_low <= fraction <= found.vaf_high
    assert found.vaf == pytest.approx(fraction, rel=0.5)
    assert found.p_adjusted <= PANEL_SHARE * SETTINGS.alpha
    assert found.molecules == sum(found.alt_by_stratum)
    assert found.depth == sum(found.depth_by_stratum)


def test_copies_per_ml() -> None:
    """VAF x ng/mL x 1000 / 3.3."""
    found = detected(call(made([(WINDOW, "p.D538G", 0.01)])))["p.D538G"]
    assert found.copies_per_ml == pytest.approx(found.vaf * 33 / 4 * 1000 / 3.3)
    assert found.copies_per_ml_low == pytest.approx(found.vaf_low * 2500)
    assert found.copies_per_ml_high == pytest.approx(found.vaf_high * 2500)
    for missing in ({"plasma_ml": None}, {"cfdna_ng": None}):
        unknown = detected(call(made([(WINDOW, "p.D538G", 0.01)]), **missing))["p.D538G"]
        assert (unknown.copies_per_ml, unknown.copies_per_ml_low, unknown.copies_per_ml_high) == (None, None, None)
        assert unknown.vaf == found.vaf


def test_two_variants_in_trans_are_two_calls() -> None:
    found = detected(call(made([(WINDOW, "p.D538G", 0.01), (WINDOW, "c.1610A>C", 0.02)])))
    assert set(found) == {"p.D538G", "p.Y537S"}


def test_two_variants_in_cis_are_one_call_and_add_to_neither() -> None:
    both = "CTCTCTGGC"
    alone = call(made())
    result = call(made([(WINDOW, both, 0.01)]))
    [found] = detected(result).values()
    assert (found.kind, found.haplotype) == ("other", both)
    assert set(found.panel_variants) == {"p.Y537S", "p.D538G"}
    assert result.status is SampleStatus.DETECTED
    for name in ("p.Y537S", "p.D538G"):
        [a], [b] = ([c for c in r.calls if c.protein == name and c.kind == "panel" and len(c.ref) == 1]
                    for r in (alone, result))  # fmt: skip
        assert b.status is CallStatus.NOT_DETECTED
        assert abs(b.molecules - a.molecules) <= 8


def test_another_dna_form_of_a_panel_protein_is_detected_and_named() -> None:
    result = call(made([(WINDOW, "CTCTCGGAC", 0.01)]))
    [found] = detected(result).values()
    assert (found.kind, found.protein, found.panel_variants) == ("other", "p.Y537S", ("p.Y537S",))
    assert result.status is SampleStatus.DETECTED


def test_a_variant_beyond_the_panel_is_reported_and_does_not_make_the_sample_positive() -> None:
    result = call(made([("463", "ACC", 0.01)]))
    [found] = detected(result).values()
    assert (found.kind, found.protein, found.panel_variants) == ("other", "p.S463T", ())
    assert result.status is SampleStatus.NOT_DETECTED
    assert result.reasons == ("variants beyond the panel: p.S463T",)


def test_a_synonymous_haplotype_is_not_reported() -> None:
    assert detected(call(made([("463", "TCA", 0.01)]))) == {}


def test_errors_on_molecules_of_a_true_variant_are_not_new_variants() -> None:
    """30% D538G, and one in 300 of its molecules with a transition somewhere else in the window."""
    table = made([(WINDOW, "p.D538G", 0.3)])
    index = hotspot_panel().window_index[WINDOW]
    molecules = table.of(index, "CTCTATGGC")
    slips = [(index, h, (molecules * 3e-4).round().astype(np.int64)) for h in ("CCCTATGGC", "CTCTACGGC", "CTTTATGGC")]
    table = table + CountTable.build(table.windows, slips)
    assert set(detected(call(table))) == {"p.D538G"}


def test_empty_sample_is_indeterminate() -> None:
    result = call(empty_counts(hotspot_panel()))
    assert result.status is SampleStatus.INDETERMINATE
    assert {c.status for c in result.calls} == {CallStatus.NO_CALL}
    first = result.calls[0]
    assert (first.molecules, first.depth, first.p, first.lod95, first.vaf, first.vaf_high) == (
        0,
        0,
        1.0,
        None,
        0.0,
        1.0,
    )
    assert "too little power at 0.5% for p.K303R" in result.reasons[0]


def test_low_depth_is_no_call_not_negative() -> None:
    result = call(made(depth=(50, 50, 200, 200, 50)))
    assert result.status is SampleStatus.INDETERMINATE
    low = next(c for c in result.calls if c.protein == "p.D538G")
    assert low.status is CallStatus.NO_CALL
    assert low.lod95 is not None
    assert low.lod95 > SETTINGS.required_lod


def test_one_dark_window_matters_only_if_it_may_trigger() -> None:
    table = made()
    panel = hotspot_panel()
    dark = table.window == panel.window_index["469"]
    rows = [
        (int(w), h, m) for w, h, m, d in zip(table.window, table.haplotype, table.molecules, dark, strict=True) if not d
    ]
    table = CountTable.build(table.windows, rows)
    info = SampleInfo("S1", "patient", "B")
    strict = call_sample(info, table, panel, hotspot_model(), SETTINGS)
    assert strict.status is SampleStatus.INDETERMINATE
    assert "p.L469V" in strict.reasons[0]
    lenient = call_sample(info, table, panel, hotspot_model(), SETTINGS, lambda protein: protein != "p.L469V")
    assert lenient.status is SampleStatus.NOT_DETECTED
    assert next(c for c in lenient.calls if c.protein == "p.L469V").status is CallStatus.NO_CALL


def test_detected_elsewhere_is_detected_in_spite_of_a_dark_window() -> None:
    table = made([(WINDOW, "p.D538G", 0.02)], depth=(0, 0, 500, 500, 0))
    assert call(table).status is SampleStatus.DETECTED


def test_required_lod_decides_between_negative_and_no_call() -> None:
    loose, tight = (call(made(), replace(SETTINGS, required_lod=lod)) for lod in (0.005, 1e-4))
    assert loose.status is SampleStatus.NOT_DETECTED
    assert tight.status is SampleStatus.INDETERMINATE


def test_a_batch_is_its_samples_alone() -> None:
    tables = [made(seed=s, spikes=[(WINDOW, "p.D538G", f)]) for s, f in ((1, 0.0), (2, 0.3), (3, 0.002))]
    infos = [SampleInfo(f"S{i}", "patient", "B") for i in range(3)]
    together = call_batch(list(zip(infos, tables, strict=True)), hotspot_panel(), hotspot_model(), SETTINGS)
    alone = [call_sample(i, t, hotspot_panel(), hotspot_model(), SETTINGS) for i, t in zip(infos, tables, strict=True)]
    assert together == alone
    assert call_batch([], hotspot_panel(), hotspot_model(), SETTINGS) == []


def test_null_samples_are_not_called() -> None:
    infos = [(SampleInfo(f"S{s}", "patient", "B"), made(seed=100 + s)) for s in range(60)]
    results = call_batch(infos, hotspot_panel(), hotspot_model(), SETTINGS)
    assert [detected(r) for r in results if detected(r)] == []


def test_holms_correction_is_over_the_panels_alleles() -> None:
    """By hand: the k-th smallest p times the number of alleles that are left, never below the one before."""
    result = call(made([(WINDOW, "p.D538G", 0.01), (WINDOW, "c.1610A>C", 0.004)]))
    panel = sorted((c for c in result.calls if c.kind == "panel"), key=lambda c: c.p)
    m, before = len(hotspot_panel().variants), 0.0
    assert len(panel) == m
    for k, c in enumerate(panel):
        before = max(before, min((m - k) * c.p, 1.0))
        assert c.p_adjusted == pytest.approx(before)
        assert (c.status is CallStatus.DETECTED) == (before <= PANEL_SHARE * SETTINGS.alpha)
    assert len(detected(result)) == 2


def test_an_alleles_level_falls_with_the_others_that_are_called() -> None:
    """Holm's second step: the same evidence passes beside another variant where it just fails alone."""
    panel, table = hotspot_panel(), made([(WINDOW, "p.D538G", 0.0015)])
    strong = [(panel.window_index["380"], haplotype_of(panel, "380", "p.E380Q"), np.full(5, 9))]
    weak = next(c for c in call(table).calls if c.protein == "p.D538G")
    settings = replace(SETTINGS, alpha=(len(panel.variants) - 0.5) * weak.p / PANEL_SHARE)
    assert settings.alpha < 1
    alone, beside = (
        next(c for c in call(t, settings).calls if c.protein == "p.D538G")
        for t in (table, table + CountTable.build(table.windows, strong))
    )
    assert alone.p == beside.p
    assert alone.status is not CallStatus.DETECTED
    assert beside.status is CallStatus.DETECTED


def test_vaf_is_over_all_strata() -> None:
    """The same variant molecules, in whatever tier and orientation they lie, and all molecules as the denominator."""
    index, haplotype = hotspot_panel().window_index[WINDOW], haplotype_of(hotspot_panel(), WINDOW, "c.1610A>C")
    reference = hotspot_panel().windows[index].reference
    for stratum in range(5):
        x = np.zeros(5, dtype=np.int64)
        x[stratum] = 40
        depth = np.full(5, 2000)
        table = CountTable.build(made().windows, [(index, haplotype, x), (index, reference, depth - x)])
        found = detected(call(table))["p.Y537S"]
        assert found.depth == 10_000
        assert found.vaf == pytest.approx(40 / 10_000, rel=0.1)
        assert found.vaf_low < 40 / 10_000 < found.vaf_high


def test_a_blank_of_the_model_is_tested_by_the_other_blanks() -> None:
    """The allele that this blank shows most above the other two: its own molecules don't speak for background."""
    panel, given, model = hotspot_panel(), three_blanks_counts(), three_blanks()
    name, table = given[1]
    x = np.array([t.of_all([(panel.window_index[v.window], v.haplotype) for v in panel.variants]) for _, t in given])
    molecules = x.sum(axis=2)
    seen = panel.variants[int((molecules[1] - (molecules[0] + molecules[2]) / 2).argmax())]
    samples = [
        (SampleInfo(n, "blank", "B", counts_sha256=sha), t)
        for n, sha, t in (("other", "c" * 64, table), ("own", name.sha256, table), ("last", "d" * 64, given[0][1]))
    ]
    other, own, last = call_batch(samples, panel, model, SETTINGS)
    assert [r.sample for r in (other, own, last)] == ["other", "own", "last"]
    with_it, without = (
        next(c for c in r.calls if (c.window, c.haplotype) == (seen.window, seen.haplotype)) for r in (other, own)
    )
    assert without.background < with_it.background
    assert without.p < with_it.p
    assert own.inputs["background"] == other.inputs["background"] == model.sha256
    left_out = model.leaving_out(panel, name.id, table)
    assert own == call_sample(samples[1][0], table, panel, replace(left_out, blanks=()), SETTINGS)
    assert last == call_sample(samples[2][0], given[0][1], panel, model, SETTINGS)


def test_inputs_are_named_by_their_hashes() -> None:
    result = call(made(), counts_sha256="c" * 64)
    assert result.inputs["counts"] == "c" * 64
    assert result.inputs["panel"] == hotspot_panel().sha256
    assert result.inputs["background"] == hotspot_model().sha256
    other = call(made(), replace(SETTINGS, alpha=0.002))
    assert other.inputs["settings"] != result.inputs["settings"]
