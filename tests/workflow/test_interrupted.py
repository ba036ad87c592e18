"""Stopped anywhere and started again, with any number of threads: the same bytes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.workflow.conftest import DEMO, SOME, Project, kill_all, some, start

pytestmark = pytest.mark.slow
STEPS = ("sample/P002-V2", "call", "trigger", "summary")


def jobs_of(process: psutil.Process) -> list[psutil.Process]:
    """The `esr1call` processes below a Snakemake."""
    return [p for p in process.children(recursive=True) if p.name() == "esr1call"]


def start_until(project: Project, log: str) -> psutil.Process:
    """Start a run; returns its process when the job that writes `log` has begun."""
    begun = project.folder / "results" / log
    begun.unlink(missing_ok=True)
    process = start(project)
    limit = time.monotonic() + 120
    while not (begun.exists() and jobs_of(process)):
        assert process.poll() is None, f"ended before {log}"
        assert time.monotonic() < limit
        time.sleep(0.02)
    return process


def kill_snakemake(process: psutil.Process) -> None:
    """Its jobs go on alone."""
    process.kill()
    process.wait()


def kill_jobs(process: psutil.Process) -> None:
    """As when memory is short: Snakemake itself sees them fail."""
    for job in jobs_of(process):
        job.kill()
    assert process.wait(120) == 1


@pytest.mark.parametrize("kill", [kill_all, kill_snakemake, kill_jobs], ids=lambda f: f.__name__)
def test_killed_at_every_step(
    kill: Callable[[psutil.Process], None], tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    project = some(tmp_path)
    for log in ("index/esr1_lbd.GRCh38.fa.GRCh38/index.log", *(f"demo/logs/{name}.log" for name in STEPS)):
        kill(start_until(project, log))
        if kill is not kill_jobs:  # a run that was killed leaves its lock
            assert project.snakemake(*SOME, "--unlock").returncode == 0
    run = project.snakemake(*SOME)
    assert run.returncode == 0, run.stderr
    assert project.results() == undisturbed
    assert list((project.folder / "results" / "demo").rglob(".*.tmp")) == []


def test_threads_and_removed_alignments_change_nothing(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    project = some(tmp_path)
    options = (*DEMO, "--config", "samples=some.tsv", "alignment={threads: 2}")
    run = project.snakemake(*options)
    assert run.returncode == 0, run.stderr
    expected = {name: value for name, value in undisturbed.items() if name != "demo/config.json"}
    assert {name: value for name, value in project.results().items() if name != "demo/config.json"} == expected

    options = (*options[:-1], "alignment={threads: 2, keep_bam: false}")
    run = project.snakemake(*options, "--forceall")
    assert run.returncode == 0, run.stderr
    found = {name: value for name, value in project.results().items() if name != "demo/config.json"}
    assert found == {name: value for name, value in expected.items() if "aligned.bam" not in name}
    again = project.snakemake(*options[:-1], "alignment={threads: 2}", "--dry-run")
    assert re.search(r"^sample +2$", again.stdout + again.stderr, re.MULTILINE)
    run = project.snakemake(*options)
    assert "Nothing to be done" in run.stderr
