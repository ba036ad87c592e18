"""A bad batch stops the workflow with one line, before anything runs or is written."""

from __future__ import annotations

import pytest
import yaml

from tests.workflow.conftest import Project


def error_of(project: Project, *arguments: str) -> str:
    """The one line that Snakemake ends with."""
    run = project.snakemake(*arguments)
    (line,) = [text for text in run.stderr.splitlines() if not text.startswith("Using workflow specific profile")]
    assert run.returncode == 2
    assert line.startswith("esr1call: error: ")
    assert not (project.folder / "results").exists()
    return line


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"reference": {"path": "test_data/reference/esr1_lbd.GRCh38.fa", "build": "hg38"}}, ["'reference.build'"]),
        ({"samples": "no/such.tsv"}, ["no such file", "'samples'"]),
    ],
)
def test_a_bad_config(project: Project, spoil: dict[str, object], words: list[str]) -> None:
    settings = yaml.safe_load((project.folder / "test_data" / "config.yaml").read_text(encoding="utf-8"))
    (project.folder / "bad.yaml").write_text(yaml.safe_dump(settings | spoil))
    line = error_of(project, "--configfile", "bad.yaml")
    assert all(word in line for word in ["bad.yaml", *words])


def test_the_template_asks_for_samples(project: Project) -> None:
    assert "config/samples.tsv: no sample" in error_of(project)


def test_a_key_given_twice(project: Project) -> None:
    text = (project.folder / "test_data" / "config.yaml").read_text(encoding="utf-8")
    (project.folder / "twice.yaml").write_text(text + "study: OTHER\n")
    assert "a key is given twice" in error_of(project, "--configfile", "twice.yaml")
