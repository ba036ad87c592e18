from __future__ import annotations

import os
from pathlib import Path

import pytest

from esr1call.errors import InputError
from esr1call.io.files import write_json
from esr1call.io.inputs import check_since_start, check_unchanged, look_at, unchanged


def aged(path: Path, by: int) -> None:
    """As old as before and `by` seconds more, its content what it was."""
    now = path.stat().st_mtime_ns
    os.utime(path, ns=(now, now - by * 10**9))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reads.fq"
    path.write_text("ACGT")
    return path


def change_it(file: Path, change: str) -> None:
    if change == "size":
        time = file.stat().st_mtime_ns
        file.write_text("ACGTA")
        os.utime(file, ns=(time, time))
    elif change == "gone":
        file.unlink()
    elif change == "replaced":
        other = file.with_name("other")
        other.write_text("TTTT")
        aged(other, 5)
        other.replace(file)
    else:
        aged(file, 3600 if change == "older" else -3600)


@pytest.mark.parametrize("change", ["size", "older", "newer", "gone", "replaced"])
def test_a_file_that_changes_is_named(change: str, file: Path) -> None:
    with pytest.raises(InputError) as caught, unchanged(file):
        change_it(file, change)
    assert str(caught.value).startswith(f"{file}: ")
    assert ("no such file" in str(caught.value).lower()) is (change == "gone")


def test_a_file_that_is_read_or_copied_from_is_as_it_was(file: Path) -> None:
    with unchanged(file):
        file.read_text()
        os.utime(file, ns=(1, file.stat().st_mtime_ns))


def test_a_pipe_has_neither_size_nor_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert look_at([tmp_path / "pipe"]) == {}


def test_what_a_run_began_with(file: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "seen.json", look_at([file]))
    check_since_start(tmp_path / "seen.json")
    aged(file, 1)
    with pytest.raises(InputError, match="changed while the run went on"):
        check_since_start(tmp_path / "seen.json")
    with pytest.raises(InputError, match="changed"):
        check_unchanged({str(file): "nonsense"})
    write_json(tmp_path / "seen.json", [])
    with pytest.raises(InputError, match="not a list of input files"):
        check_since_start(tmp_path / "seen.json")
