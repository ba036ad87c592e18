from __future__ import annotations

from pathlib import Path

import pytest

from esr1call.cli import run
from tests.report.batches import BATCH, folder


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """The folder of a finished batch."""
    return folder(tmp_path)


def test_one_page_for_the_batch_and_one_for_each_sample(batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(batch)]) == 0
    assert capsys.readouterr().err == f"{batch / 'report.html'} and 6 pages of samples written\n"
    page = (batch / "report.html").read_text(encoding="utf-8")
    assert f"<title>{BATCH} of study S1</title>" in page
    assert "p.D538G: raised NEW" in page
    assert page.count("<polyline") > 3, "courses over earlier batches, from the ledger"
    assert "B5" in page
    samples = sorted(p.parent.name for p in batch.glob("samples/*/report.html"))
    assert samples == ["NTC-1", "P000-V4", "P001-V4", "P002-V4", "PC-1", "WT-1"]
    assert "bESR1mut rising" in (batch / "samples" / "P001-V4" / "report.html").read_text(encoding="utf-8")


def test_written_again_and_elsewhere_it_is_the_same(batch: Path, tmp_path: Path) -> None:
    assert run(["report", str(batch)]) == 0
    before = {p.relative_to(batch): p.read_bytes() for p in batch.rglob("report.html")}
    other = tmp_path / "other"
    assert run(["report", str(batch), "--out", str(other)]) == 0
    assert {p.relative_to(other): p.read_bytes() for p in other.rglob("report.html")} == before


def test_without_a_ledger_the_batchs_own_results_are_the_course(batch: Path, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").unlink()
    assert run(["report", str(batch)]) == 0
    page = (batch / "samples" / "P001-V4" / "report.html").read_text(encoding="utf-8")
    assert "bESR1mut inconclusive" in page


def test_what_is_not_there_yet_is_left_out(batch: Path) -> None:
    (batch / "provenance.json").unlink()
    for file in batch.glob("samples/*/align.json"):
        file.unlink()
    assert run(["report", str(batch)]) == 0


def test_a_result_of_another_sample_is_refused(batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = batch / "samples" / "P000-V4" / "result.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"P000-V4"', '"../../P000-V4"'), encoding="utf-8")
    assert run(["report", str(batch)]) == 2
    assert "of another sample" in capsys.readouterr().err
    assert not list(batch.parent.rglob("report.html"))


@pytest.mark.parametrize("missing", ["config.json", "qc.json", "samples/P000-V4/result.json"])
def test_not_a_finished_batch(batch: Path, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    (batch / missing).unlink()
    assert run(["report", str(batch)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(batch / missing) in line
    assert not list(batch.rglob("report.html"))
