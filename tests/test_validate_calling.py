"""The study of calling, each part on far fewer draws than docs/validation_calling.md tells of."""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import nbinom

from esr1call.background import LOG_RATES, BackgroundModel, Shape, TierModel
from esr1call.panel import Panel
from tests.background_builders import hotspot_panel
from tests.builders import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from validate_calling_power import beside_shearwater, lod_and_sensitivity, sensitivity_over_worlds, shearwater_like
from validate_calling_real import Sites, held_out, read_sites, real_data
from validate_calling_report import BARS, ratio_plot, verdicts, write_report
from validate_calling_samples import blanks_end_to_end, one_allele, rise, simulated_nulls, speed
from validate_calling_world import NAMED, SIMPLEX, Study, World, depth_of, model_of, named_alleles

COLUMNS = [
    *("CHROM", "POS", "REF", "A/G", "G/A", "C/T", "T/C", "A/C", "C/A", "A/T", "T/A", "C/G", "G/C", "G/T", "T/G"),
    *("negStrand", "posStrand", "AllSMT"),
]


@pytest.fixture(scope="module")
def known() -> tuple[Panel, World, BackgroundModel]:
    """A world on the hotspot panel and the model that three blanks give of it."""
    rng = np.random.default_rng(3)
    world = World(hotspot_panel(), rng)
    return world.panel, world, model_of(world, rng, blanks=3)


def test_every_figure_is_measured_and_reported(known: tuple[Panel, World, BackgroundModel], tmp_path: Path) -> None:
    panel, world, model = known
    study, rng = Study(), np.random.default_rng(4)
    real_data(study, None)
    lod_and_sensitivity(study, world, model, panel, rng, samples=400)
    speed(study, world, model, panel, rng, samples=5)
    beside_shearwater(study, world, model, panel, rng, nulls=10_000, samples=200)
    one_allele(study, world, model, panel, 2, rng)
    rise(study, 20, rng)
    simulated_nulls(study, model, panel, rng, n=4000)
    blanks_end_to_end(study, world, model, panel, 10, rng)
    assert set(BARS) <= set(study.figures)
    none = {key for key, value in study.figures.items() if value is None}
    assert none == {"fpr_ratio_1e2", "fpr_ratio_1e3", "fpr_ratio_1e4"}
    assert study.figures["one_allele_share"] == 1
    assert 0.7 < study.figures["lod95_detection_min"] <= study.figures["lod95_detection_max"] <= 1  # type: ignore[operator]
    assert study.figures["false_samples_per_1000_blanks"] == 0
    write_report(study, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    for name, title, columns, rows in study.tables:
        assert escape(title) in page
        lines = (tmp_path / "report" / f"{name}.tsv").read_text().splitlines()
        assert lines[0].split("\t") == columns
        assert len(lines) == 1 + len(rows)
    assert page.count("<svg") == len(study.plots) == 1
    json.dumps(study.figures)


def test_a_figure_is_held_against_its_bar() -> None:
    study = Study({"fpr_ratio_1e2": 1.26, "fpr_ratio_1e3": 0.8, "fpr_ratio_1e4": None, "another": 3.0})
    assert verdicts(study) == [
        ["fpr_ratio_1e2", 1.26, "0.8 to 1.25", "missed"],
        ["fpr_ratio_1e3", 0.8, "0.8 to 1.25", "met"],
        ["fpr_ratio_1e4", "", "0 to 2", "not measured"],
        ["another", 3.0, "", ""],
    ]


@pytest.mark.slow
def test_sensitivity_over_worlds_is_the_mean_of_each_allele() -> None:
    study = Study()
    sensitivity_over_worlds(study, hotspot_panel(), 1, worlds=2, samples=200, blanks=3)
    [(_, _, columns, rows)] = study.tables
    assert columns[:2] == ["allele", "kind"]
    transversions = [r[2] for r in rows if r[1] == "transversion"]
    assert study.figures["sens_0p1pct_transversions_worlds"] == min(transversions)
    assert study.figures["sens_0p1pct_transversions_worlds_mean"] == pytest.approx(np.mean(transversions))
    assert study.figures["sens_0p3pct_worlds"] == min(r[4] for r in rows)
    assert all(r[3] <= r[2] <= r[4] + 0.05 for r in rows)


def test_a_sample_of_the_world_shows_its_rates_and_what_is_spiked() -> None:
    world = World(hotspot_panel(), np.random.default_rng(1))
    allele = named_alleles(world.panel)["p.D538G"]
    key = (world.panel.window_index[allele[0]], allele[1])
    depth, rng = depth_of(1_000_000, SIMPLEX), np.random.default_rng(2)
    plain, spiked = world.sample(depth, rng), world.sample(depth, rng, (key, 0.01))
    assert plain.depth()[key[0]].tolist() == [0, 0, 500_000, 500_000, 0]
    assert plain.of(*key)[2:4] == pytest.approx(world.rate(*allele)[2:4] * 500_000, rel=0.8)
    assert spiked.of(*key)[2:4] == pytest.approx(0.01 * 500_000, rel=0.1)
    assert set(named_alleles(world.panel)) == set(NAMED)


def table(path: Path, rows: list[tuple[str, int, str, dict[str, int]]]) -> Path:
    """A file as published: position, reference, and counts by column."""
    lines = ["\t".join(COLUMNS)]
    for contig, position, ref, counts in rows:
        lines.append("\t".join([contig, str(position), ref, *(str(counts.get(c, 0)) for c in COLUMNS[3:])]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_sites_are_read_on_their_own_strand(tmp_path: Path) -> None:
    """Three neighbours, one far away; a germline variant left out, and a strand without molecules."""
    path = table(tmp_path / "errors.tsv", [
        ("chr1", 100, "C", {"negStrand": 900, "posStrand": 800}),
        ("chr1", 101, "G", {"G/A": 4, "C/T": 3, "G/C": 200, "negStrand": 1000, "posStrand": 2000}),
        ("chr1", 102, "T", {"negStrand": 900}),
        ("chr1", 400, "A", {"T/C": 6, "posStrand": 700}),
    ])  # fmt: skip
    sites = read_sites(path, 2)
    at = {(c, n): x for c, n, x in zip(sites.classes, sites.depth.tolist(), sites.x.tolist(), strict=True)}
    assert at[("CGT>A", "G>A"), 1000] == 4
    assert at[("ACG>T", "C>T"), 2000] == 3
    assert (("CGT>C", "G>C"), 1000) not in at
    assert at[("T>C anywhere", "T>C"), 700] == 6
    assert len(at) == 6 + 5 + 3 + 3
    assert sites.fold.tolist() == [0] * 14 + [1] * 3


def test_held_out_sites_against_the_mixture_written_out() -> None:
    """p and attainable levels of two depths, from a class at a known place."""
    shape = Shape(between_samples=5.0)
    tier = TierModel(shape, (-9.0, 1.0), {}, {"CGT>A": (-8.0, 1e-9)})
    sites = Sites(np.array([2, 30]), np.array([3000, 9000]), [("CGT>A", "G>A")] * 2, np.zeros(2, dtype=int))
    p, level = held_out(sites, tier, np.arange(2), np.array([0.3, 1e-3]))
    prior = np.exp(shape.log_prior(LOG_RATES, np.array(-8.0)))
    prior /= prior.sum()
    for i, n in enumerate(sites.depth):
        mean = n * np.exp(LOG_RATES)
        tail = np.array([nbinom.sf(x - 1, 5.0, 5.0 / (5.0 + mean)) @ prior for x in range(200)])
        assert p[i] == pytest.approx(tail[sites.x[i]], rel=0.02)
        for k, alpha in enumerate((0.3, 1e-3)):
            assert level[i, k] == pytest.approx(tail[tail <= alpha].max(), rel=0.02)
            assert level[i, k] <= alpha


@pytest.mark.slow
def test_ratios_of_data_as_the_model_has_it_are_near_one(tmp_path: Path) -> None:
    """Rates that vary by a gamma factor, in 30 regions: as many false positives as counts can attain."""
    rng = np.random.default_rng(8)
    for name in ("dropped", "included"):
        rows = []
        for region in range(30):
            for at in range(15):
                ref = "ACGT"[rng.integers(4)]
                counts = {"negStrand": 8000, "posStrand": 8000}
                for own in (ref, dict(zip("ACGT", "TGCA", strict=True))[ref]):
                    for alt in "ACGT".replace(own, ""):
                        counts[f"{own}/{alt}"] = int(rng.poisson(8000 * 2e-4 * rng.gamma(4, 1 / 4)))
                rows.append(("chr1", 1000 * region + 2 * at, ref, counts))
        table(tmp_path / f"qiaseq_molecule_errors.singletons_{name}.tsv", rows)
    study = Study()
    real_data(study, tmp_path)
    assert study.figures["fpr_ratio_1e2"] == pytest.approx(1, abs=0.5)
    [(_, _, columns, rows_found)] = study.tables
    assert len(rows_found) == 9
    low, ratio, high = (columns.index(c) for c in ("low", "ratio", "high"))
    assert all(r[low] <= r[ratio] <= r[high] for r in rows_found)


def test_the_other_test_asks_how_much_likelier_two_rates_are_than_one() -> None:
    blanks, depths = np.full(24, 2), np.full(24, 8000)
    assert shearwater_like(2, 8000, blanks, depths, 1e-4) == 0
    rising = [shearwater_like(x, 8000, blanks, depths, 1e-4) for x in (4, 8, 16)]
    assert 0 < rising[0] < rising[1] < rising[2]
    # where the tested sample widens its own dispersion, it says less
    assert shearwater_like(16, 8000, blanks, depths, None) < rising[2]


def test_a_plot_holds_every_point_inside_its_frame() -> None:
    picture = ratio_plot([(1e-2, 1.2, 1.0, 1.4), (1e-4, 0.0, 0.0, 99.0)])
    assert picture.count("<circle") == 2
    heights = [float(v.split('"')[1]) for v in picture.split("cy=")[1:]]
    assert all(50 <= h <= 230 for h in heights)
