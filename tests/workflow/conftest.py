from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.builders import ROOT

Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Project:
    """A folder to run in, with the project's workflow, config and test data in place."""

    folder: Path
    slurm: bool = False

    @classmethod
    def at(cls, folder: Path, slurm: bool = False) -> Project:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("workflow", "config", "test_data"):
            (folder / name).symlink_to(ROOT / name)
        return cls(folder, slurm)

    def snakemake(self, *arguments: str) -> Run:
        """Run Snakemake as a user would."""
        return subprocess.run(
            [*SNAKEMAKE, *arguments],
            cwd=self.folder, env=environment(self.slurm), capture_output=True, text=True, timeout=900,
        )  # fmt: skip

    def sheet(self, samples: Collection[str]) -> None:
        """A sample sheet `some.tsv` with these samples of the demo batch, in the demo's order."""
        head, *lines = (ROOT / "test_data" / "samples.tsv").read_text(encoding="utf-8").splitlines()
        chosen = [line.replace("fastq/", "test_data/fastq/") for line in lines if line.split("\t")[0] in samples]
        (self.folder / "some.tsv").write_text("\n".join([head, *chosen]) + "\n", encoding="utf-8")

    def results(self) -> dict[str, str]:
        """The hash of every result; left out is what tells of a run (its times, its logs) and the ledger's pages."""
        folder = self.folder / "results"
        return {
            str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*"))
            if p.is_file() and p.suffix not in (".log", ".sqlite") and not p.name.endswith(".benchmark.tsv")
            if p.name != "provenance.json" and not any(part.startswith(".") for part in p.parts)
        }


SNAKEMAKE = (sys.executable, "-m", "snakemake", "--cores", "2")
DEMO = ("--configfile", "test_data/config.yaml")
SOME = (*DEMO, "--config", "samples=some.tsv")


def environment(slurm: bool = False) -> dict[str, str]:
    """The environment with this Python's commands on PATH, without Slurm unless it is asked for, and with one time for
    the files that must tell when they were made.

    Snakemake's Slurm plugin asks the controller something whenever Snakemake starts: 9 seconds where one is
    installed that does not run.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    fixed = {"PATH": path, "SOURCE_DATE_EPOCH": "1767225600"}
    return {**os.environ, **fixed, **({} if slurm else {"SLURM_CONF": os.devnull})}


def some(folder: Path) -> Project:
    """A project with a batch of two samples."""
    project = Project.at(folder)
    project.sheet({"P002-V2", "P002-V3"})
    return project


def start(project: Project, *arguments: str, **environ: str) -> psutil.Popen:
    """Begin a run of `some` (or of what the arguments name), as a group of processes of its own."""
    return psutil.Popen(
        [*SNAKEMAKE, *(arguments or SOME)], cwd=project.folder, env=environment() | environ, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def kill_all(process: psutil.Popen) -> None:
    """As when the power fails."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Results of `some` after a run that nothing stopped."""
    project = some(tmp_path_factory.mktemp("undisturbed"))
    run = project.snakemake(*SOME)
    assert run.returncode == 0, run.stderr
    found = project.results()
    assert sum(name.endswith(".event.json") for name in found) == 1
    return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.at(tmp_path)
