"""Tools that are not ours, as they are found on PATH."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def need(*names: str) -> None:
    """Skip the test, by name, where a tool is missing."""
    for name in names:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not on PATH")


def ask(*command: str | Path) -> str:
    """What a tool prints on standard output; the test fails, with what it said, where the tool does."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout
