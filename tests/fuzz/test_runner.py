from __future__ import annotations

import subprocess
import sys

from tests.builders import ROOT

PROGRAM = """
import os, time
from tests.fuzz import __main__ as runner
from tests.fuzz.surface import Attack, Surface

def make(folder):
    def check(given):
        if given == 3: os._exit(9)
        if given == 5: raise KeyError("five")
        if given == 7: bytearray(3 << 30)
        return given % 2 == 0
    return Attack(lambda number, seed: iter(range(number)), check)

surfaces = [Surface("killer", 10, 9, make)]
*_, tallies = runner._run(surfaces, [(0, 0, 0), (0, 1, 0)], time.time() + 60)
print(runner.table(surfaces, tallies), end="")
"""


KEPT = """
import mmap, time
from tests.fuzz import __main__ as runner
from tests.fuzz.surface import Attack, Surface

def make(folder):
    kept = []
    def check(given):
        kept.append(mmap.mmap(-1, 1 << 30))
        return True
    return Attack(lambda number, seed: iter(range(number)), check)

surfaces = [Surface("keeper", 10, 1, make)]
*_, tallies = runner._run(surfaces, [(0, turn, 0) for turn in range(4)], time.time() + 60)
print(runner.table(surfaces, tallies), end="")
"""


def test_memory_is_counted_from_round_to_round() -> None:
    """Not over hours, in which a process may come to hold addresses that it does not use."""
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[2] == "| keeper | 4 | 4 | 0 | 0 | 10 to 13 |"


def test_an_input_that_fails_kills_or_grows_is_named_and_the_others_are_tried() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=ROOT)
    _, _, killer, total, *told = done.stdout.splitlines()
    assert killer == "| killer | 18 | 10 | 2 | 6 | 10 to 11 |"
    assert total.startswith("| all | 18 | 10 | 2 | 6 |")
    assert [line.split(" (")[0] for line in told] == [
        f"killer: seed {seed}, input {what}"
        for seed in (10, 11)
        for what in ("3: the process died", "5: KeyError 'five'", "7: MemoryError ")
    ]
