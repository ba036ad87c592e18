from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from esr1call.cli import run
from esr1call.io.counts_file import write_counts
from esr1call.io.model_file import read_model, write_model
from tests.background_builders import World, blanks, fitted, hotspot_model, hotspot_panel, hotspot_panel_file
from tests.builders import REFERENCE_FASTA


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with a panel and the counts of three blanks, each in its own folder."""
    hotspot_panel_file(tmp_path)
    panel = hotspot_panel()
    for blank, table in blanks(panel, World.of(panel), 3):
        write_counts(tmp_path / blank.id / "counts.tsv", table, panel)
    return tmp_path


def arguments(lab: Path, *counts: str, **options: str) -> list[str]:
    given = {
        "panel": str(lab / "hotspots.tsv"), "reference": str(REFERENCE_FASTA), "chemistry": "C", "lot": "7",
        "date": "2024-01-31", "out": str(lab / "model.json"),
    } | options  # fmt: skip
    out = ["background", "fit"]
    for name, value in given.items():
        out += [f"--{name}", value]
    return out + (["--counts", *counts] if counts else [])


def test_fit_and_show(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of the blanks is a patient's sample, which the command and the model name."""
    counts, panel = [str(lab / f"B{i}" / "counts.tsv") for i in range(3)], hotspot_panel()
    patient = World.of(panel).sample(panel, np.random.default_rng(1), spikes=[("380", "p.E380Q", 0.03)])
    write_counts(counts[1], patient, panel)
    assert run(arguments(lab, *counts)) == 0
    model = read_model(lab / "model.json", hotspot_panel())
    assert [b.id for b in model.blanks] == ["B0", "B1", "B2"]
    assert (model.chemistry, model.lot, model.date) == ("C", "7", "2024-01-31")
    carried, written = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"B1 carries p\.E380Q \(\d+/8500\), left out of its background", carried)
    assert "3 blanks" in written
    assert run(["background", "show", str(lab / "model.json")]) == 0
    shown = capsys.readouterr().out
    for text in (
        model.sha256, "lot\t7", "blank\tB2", "carrier\tB1\t380\tCAA\tp.E380Q\t", "simplex\tA>G\t", "between samples",
        "diagnostic\tsimplex_converged\t1\n", "diagnostic\tsingleton_overdispersion\t",
    ):  # fmt: skip
        assert text in shown


def test_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new lot with ten times the errors of D538G's site: the substitution stays, the allele is marked."""
    panel = hotspot_panel()
    panel_file = hotspot_panel_file(tmp_path)
    write_model(tmp_path / "old.json", hotspot_model())
    lot = fitted(panel, blanks(panel, World.of(panel, [("536-538", "p.D538G", 10.0)]), 12, seed=5))
    write_model(tmp_path / "new.json", lot)
    paths = [str(tmp_path / n) for n in ("old.json", "new.json")]
    assert run(["background", "compare", *paths, "--panel", str(panel_file), "--reference", str(REFERENCE_FASTA)]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    by_name = {(r[0], r[1]): r for r in rows if len(r) == 7}
    found = by_name["simplex_F1R2", "536-538:CTCTATGGC"]
    assert found[6] == "yes"
    assert float(found[4]) == pytest.approx(10, rel=0.4)
    assert by_name["simplex_F1R2", "536-538:CTCTCTGAC"][6] == ""
    assert by_name["simplex", "C>T"][6] == ""
    assert run(["background", "compare", paths[0], paths[0]]) == 0
    assert {r.split("\t")[5] for r in capsys.readouterr().out.splitlines()[6:]} == {"0.0"}
    assert run(["background", "compare", *paths, "--panel", str(panel_file)]) == 2
    assert "both a panel and a reference" in capsys.readouterr().err


def test_ids_are_taken_in_order_and_must_be_complete(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = [str(lab / f"B{i}" / "counts.tsv") for i in range(3)]
    assert run([*arguments(lab, *counts), "--id", "x"]) == 2
    assert "field '--id'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("counts", "options", "said"),
    [
        ((), {}, "no blanks"),
        (("B0", "B1"), {}, "too few blanks: found '2', expected at least 3"),
        (("B0", "B1", "B1"), {}, "a blank is given twice: found 'B1'"),
        (("B0", "B1", "none"), {}, "no such file"),
        (("B0", "B1", "B2"), {"date": "2024-02-30"}, "no such day"),
        (("B0", "B1", "B2"), {"panel": "none.tsv"}, "none.tsv"),
    ],
)
def test_bad_input(
    lab: Path, capsys: pytest.CaptureFixture[str], counts: tuple[str, ...], options: dict[str, str], said: str
) -> None:
    assert run(arguments(lab, *(str(lab / c / "counts.tsv") for c in counts), **options)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (lab / "model.json").exists()


def test_show_refuses_what_is_no_model(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["background", "show", str(lab / "hotspots.tsv")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
