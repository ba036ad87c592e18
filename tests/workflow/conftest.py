from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders import ROOT

Run = subprocess.CompletedProcess[str]
Snakemake = Callable[..., Run]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder to run in, with the project's workflow, config and test data in place."""
    for name in ("workflow", "config", "test_data"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture
def snakemake(project: Path) -> Snakemake:
    """Runs Snakemake in `project`, as a user would."""

    def run(*arguments: str, cores: int = 2) -> Run:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments],
            cwd=project, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=600,
        )  # fmt: skip

    return run
