"""Whether input files are still what they were: a file that is replaced while a run reads it gives half of each."""

from __future__ import annotations

import datetime
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from esr1call.errors import InputError
from esr1call.io.files import read_json

_SKEW_SECONDS = 60
Look = dict[str, list[int]]
"""File -> bytes, and when it was written last (ns); only regular files, since a pipe has neither."""


def look_at(files: Iterable[str | Path]) -> Look:
    """How the files are now; InputError where one is not there."""
    out = {}
    for file in files:
        try:
            info = os.stat(file)
        except FileNotFoundError as error:
            raise InputError("no such file", file=file) from error
        except OSError as error:
            raise InputError(f"cannot read: {error.strerror}", file=file) from error
        if stat.S_ISREG(info.st_mode):
            out[str(file)] = [info.st_size, info.st_mtime_ns]
    return out


def check_unchanged(before: Mapping[str, object]) -> None:
    """InputError for the first file that is not as it was."""
    now = look_at(before)
    for file, seen in before.items():
        if now.get(file) != seen:
            raise InputError("changed while the run went on", file=file, hint="run again when nothing writes it")


def check_not_of_the_future(files: Iterable[str | Path], now: float) -> None:
    """InputError for a file written after `now` (seconds since 1970), give or take a minute.

    Snakemake takes whatever is made of such a file for older than it, and throws it away.
    """
    for file, (_, written) in look_at(files).items():
        if written > (now + _SKEW_SECONDS) * 1e9:
            day = datetime.datetime.fromtimestamp(written / 1e9, datetime.UTC)
            raise InputError(
                "was written in the future", file=file, found=day.isoformat(timespec="seconds"),
                hint="set this machine's clock, or touch the file if its time is wrong",
            )  # fmt: skip


@contextmanager
def unchanged(*files: str | Path) -> Iterator[None]:
    """InputError at the block's end where one of the files has changed since its beginning."""
    before = look_at(files)
    yield
    check_unchanged(before)


def check_since_start(path: str | Path) -> None:
    """InputError where a file listed in the JSON at `path` (see `look_at`), written when the run began, has changed."""
    before = read_json(path)
    if not isinstance(before, dict):
        raise InputError("not a list of input files", file=path, expected="what the workflow writes at its start")
    check_unchanged(before)
