"""A file system of its own for tests of full disks; needs the right to mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """Holds so many kB while it lasts; skips the test where nothing can be mounted."""
    place.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode != 0:
        pytest.skip(f"file systems can't be mounted here (root only): {made.stderr}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def remount(place: Path, option: str) -> None:
    """Change it as it stands: ``size=4m``, ``ro``, ``rw``."""
    subprocess.run(["mount", "-o", f"remount,{option}", place], check=True)
