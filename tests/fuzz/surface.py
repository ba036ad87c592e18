"""A surface: one kind of input, how it is damaged, and what is asked of each damaged one."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from esr1call.cli import run
from esr1call.errors import InputError
from tests.fuzz.mutate import count


class Attack(NamedTuple):
    """`inputs(number, seed)` are damaged inputs, the same for the same seed; `check` whether one was answered (False:
    refused in one clear line), and raises where it was neither refused nor answered right."""

    inputs: Callable[[int, int], Iterator[Any]]
    check: Callable[[Any], bool]


@dataclass(frozen=True)
class Surface:
    """Inputs come in rounds of `share`, each from a seed of its own: `seed`, `seed` + 1, ... `make` gets a folder."""

    name: str
    seed: int
    share: int
    make: Callable[[Path], Attack]

    def __str__(self) -> str:
        return self.name

    def rounds(self, folder: Path) -> tuple[int, int]:
        """Try as many rounds as FUZZ says; (inputs answered, inputs refused). Raises at the first violation."""
        attack, answered, tried = self.make(folder), 0, 0
        for turn in range(count(1)):
            for given in attack.inputs(self.share, self.seed + turn):
                answered += attack.check(given)
                tried += 1
        return answered, tried - answered


def refused(call: Callable[[], Any], name: str | Path = "") -> bool:
    """Whether it ends in one clear line, which names the file `name`; any other error is a bug."""
    try:
        call()
    except InputError as error:
        told = str(error)
        assert told.isprintable()
        assert len(told) < 2700
        assert str(name) in told, told
        return True
    return False


def command(arguments: list[str], name: str | Path = "") -> bool:
    """Run the command line; whether it did its work. Else it must have told why in one line that names `name`."""
    err = io.StringIO()
    sys.stderr.flush()
    shown, kept = os.memfd_create("stderr"), os.dup(2)
    os.dup2(shown, 2)  # libraries in C write there, past Python
    try:
        with redirect_stderr(err), redirect_stdout(io.StringIO()):
            code = run(arguments)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.lseek(shown, 0, os.SEEK_SET)
        with os.fdopen(shown, "rb") as file:
            told = file.read().decode(errors="replace") + err.getvalue()
    assert code in (0, 2), (arguments, told)
    if code == 2:
        lines = told.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("esr1call: error: "), told
        assert str(name) in told, told
    else:
        assert "Traceback" not in told, told
        assert "Warning" not in told, told
    return code == 0
