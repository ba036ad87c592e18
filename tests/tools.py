"""Tools that are not ours: those that `make peers` installs, and what is on PATH."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ROOT

_PEERS = ROOT / ".venv-peers" / "bin"
_FROM = {"umi_tools": "make peers", "multiqc": "make peers", "fgumi": "cargo install fgumi"}


def need(*names: str) -> None:
    """Skip the test where a tool is missing, and say which and where it comes from."""
    for name in names:
        if _place(name) is None:
            pytest.skip(f"{name} is not installed ({_FROM.get(name, f'Debian: {name}')})")


def run_tool(name: str, *arguments: str | Path, **given: Any) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; the test fails, with what it said, where the tool does, and is skipped without it."""
    need(name)
    done = subprocess.run([str(_place(name)), *map(str, arguments)], capture_output=True, text=True, **given)
    assert done.returncode == 0, f"{name} {arguments}: {done.stderr[-2000:]}"
    return done


def ask(name: str, *arguments: str | Path) -> str:
    """What a tool prints on standard output."""
    return run_tool(name, *arguments).stdout


def _place(name: str) -> str | None:
    return shutil.which(name, path=str(_PEERS)) or shutil.which(name)
