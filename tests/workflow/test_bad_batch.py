"""A bad batch stops the workflow with one line, before anything runs or is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import Snakemake


def lines_of_ours(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if not line.startswith("Using workflow specific profile")]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"reference": {"path": "test_data/reference/esr1_lbd.GRCh38.fa", "build": "hg38"}}, ["'reference.build'"]),
        ({"samples": "no/such.tsv"}, ["no such file", "'samples'"]),
    ],
)
def test_one_line_and_exit_2(project: Path, snakemake: Snakemake, spoil: dict[str, object], words: list[str]) -> None:
    settings = yaml.safe_load((project / "test_data" / "config.yaml").read_text(encoding="utf-8"))
    (project / "bad.yaml").write_text(yaml.safe_dump(settings | spoil))
    run = snakemake("--configfile", "bad.yaml")
    (line,) = lines_of_ours(run.stderr)
    assert run.returncode == 2
    assert line.startswith("esr1call: error: ")
    assert all(word in line for word in ["bad.yaml", *words])
    assert not (project / "results").exists()


def test_the_template_asks_for_samples(project: Path, snakemake: Snakemake) -> None:
    run = snakemake()
    assert run.returncode == 2
    (line,) = lines_of_ours(run.stderr)
    assert "config/samples.tsv: no sample" in line


def test_a_key_given_twice(project: Path, snakemake: Snakemake) -> None:
    text = (project / "test_data" / "config.yaml").read_text(encoding="utf-8")
    (project / "twice.yaml").write_text(text + "study: OTHER\n")
    run = snakemake("--configfile", "twice.yaml")
    assert run.returncode == 2
    (line,) = lines_of_ours(run.stderr)
    assert "a key is given twice" in line
