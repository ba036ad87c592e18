"""The workflow on a real Slurm: what comes out is what a local run gives."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.builders import ROOT
from tests.workflow.conftest import SOME, Project

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
SCRIPT = ROOT / "scripts" / "slurm_local.sh"


def answers() -> bool:
    """Whether a Slurm runs here."""
    return subprocess.run(["sinfo", "--noheader"], capture_output=True, timeout=60).returncode == 0


@pytest.fixture(scope="module", autouse=True)
def slurm() -> Iterator[None]:
    """A running Slurm; one that this test starts ends with it."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="no Slurm plugin (pip install esr1call[workflow])")
    if any(shutil.which(name) is None for name in ("sbatch", "sinfo", "munge")):
        pytest.skip("Slurm is not installed (on Debian, as root: scripts/slurm_local.sh up)")
    if answers():
        yield
        return
    if os.geteuid() != 0:
        pytest.skip("Slurm does not run, and only root can start one (scripts/slurm_local.sh up)")
    subprocess.run([SCRIPT, "up"], check=True, timeout=300)
    yield
    subprocess.run([SCRIPT, "down"], check=True, timeout=60)


def test_a_batch_on_slurm_equals_a_local_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    samples = {"P002-V2", "P002-V3", "NTC-1"}
    local = Project.at(tmp_path_factory.mktemp("local"))
    cluster = Project.at(tmp_path_factory.mktemp("cluster"), slurm=True)
    for project in (local, cluster):
        project.sheet(samples)
    assert local.snakemake(*SOME).returncode == 0
    profile = ("--workflow-profile", "workflow/profiles/slurm", "--slurm-no-account")
    run = cluster.snakemake(*SOME, *profile, "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10")
    assert run.returncode == 0, run.stderr
    assert cluster.results() == local.results()
    assert {"demo/calls.tsv", "demo/samples/NTC-1/aligned.bam"} <= set(local.results())
    # The index, three samples, the calls and the provenance; ledger and summary run here.
    assert run.stderr.count("Submitted job") + run.stderr.count("has been submitted with SLURM jobid") == 6, run.stderr
