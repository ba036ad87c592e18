from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import ROOT

Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Project:
    """A folder to run in, with the project's workflow, config and test data in place."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Project:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("workflow", "config", "test_data"):
            (folder / name).symlink_to(ROOT / name)
        return cls(folder)

    def snakemake(self, *arguments: str) -> Run:
        """Run Snakemake as a user would."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
            cwd=self.folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=900,
        )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.at(tmp_path)
