"""The workflow as a module of another one."""

from __future__ import annotations

import json

import pytest

from tests.workflow.conftest import Project

pytestmark = pytest.mark.slow
OUTER = """
configfile: "outer.yaml"


module esr1call:
    snakefile:
        "workflow/Snakefile"
    config:
        config["esr1"]


use rule * from esr1call as esr1call_*


rule report:
    default_target: True
    input:
        rules.esr1call_summary.output.summary,
        rules.esr1call_provenance.output,
    output:
        "report.txt",
    shell:
        "cp {input[0]} {output}"
"""


def test_another_workflow_uses_it(project: Project) -> None:
    project.sheet({"P002-V3"})
    own = (project.folder / "test_data" / "config.yaml").read_text(encoding="utf-8")
    own = own.replace("test_data/samples.tsv", "some.tsv").replace("output: results", "output: inner")
    text = "esr1:\n" + "".join(f"  {line}\n" for line in own.splitlines())
    (project.folder / "outer.yaml").write_text(text, encoding="utf-8")
    (project.folder / "Snakefile").write_text(OUTER, encoding="utf-8")
    run = project.snakemake("--snakefile", "Snakefile")
    assert run.returncode == 0, run.stderr
    found = (project.folder / "report.txt").read_text(encoding="utf-8")
    assert "p.D538G c.1613A>G" in found
    assert found == (project.folder / "inner" / "demo" / "summary.txt").read_text(encoding="utf-8")
    assert json.loads((project.folder / "inner" / "demo" / "config.json").read_text())["samples"] == "some.tsv"
    assert json.loads((project.folder / "inner" / "demo" / "provenance.json").read_text())["batch"] == "demo"
    assert not (project.folder / "results" / "demo").exists()


def test_a_bad_config_of_a_module_is_one_line(project: Project) -> None:
    (project.folder / "outer.yaml").write_text("esr1: {batch: b}\n", encoding="utf-8")
    (project.folder / "Snakefile").write_text(OUTER, encoding="utf-8")
    run = project.snakemake("--snakefile", "Snakefile")
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("esr1call: error: config, field ")
