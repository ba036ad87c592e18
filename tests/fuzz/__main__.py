"""Many damaged inputs on every surface, in a process that may hang, grow or die: `python -m tests.fuzz --help`.

Prints how many inputs each surface had, how many were refused, and what went wrong with which one: an input is named by
the surface, the seed of its round and its place in it, and comes out the same everywhere.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from ctypes import Array, c_double, c_int64
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from types import FrameType

from tests.fuzz import test_batch_inputs, test_counts_model, test_events, test_reads, test_results
from tests.fuzz.surface import Attack, Surface

SURFACES = [
    *test_reads.SURFACES, *test_batch_inputs.SURFACES, *test_counts_model.SURFACES, *test_results.SURFACES,
    *test_events.SURFACES,
]  # fmt: skip
Round = tuple[int, int, int]
"""Surface, turn, and how many of its inputs to leave out."""
SECONDS, BYTES = 30, 2 << 30
"""What an input may take: longer, or more memory, is a violation."""


@dataclass
class Tally:
    """What came of a surface's inputs; `bad` tells of each violation: seed, place and what was raised."""

    inputs: int = 0
    answered: int = 0
    bad: list[str] = field(default_factory=list)
    first_seed: int = 0
    last_seed: int = 0


class Hung(BaseException):
    """An input took too long. Not an Exception, which the code under test may catch."""


def _hung(number: int, frame: FrameType | None) -> None:
    raise Hung(f"more than {SECONDS} s")


@dataclass
class Board:
    """Memory that worker and watcher share: the input at work (surface, turn, place, when it began), and of each
    surface how many inputs were tried, how many answered, and the first and the last seed."""

    now: Array[c_double]
    tried: Array[c_int64]
    answered: Array[c_int64]
    first: Array[c_int64]
    last: Array[c_int64]

    @classmethod
    def of(cls, surfaces: int) -> Board:
        """All zero."""
        return cls(RawArray(c_double, 4), *(RawArray(c_int64, surfaces) for _ in range(4)))


def _work(
    surfaces: list[Surface], rounds: list[Round], folder: Path, board: Board, inbox: Connection, bad: Connection
) -> None:
    """Do the rounds in turn."""
    inbox.close()  # so that this process ends when nobody listens any more
    faulthandler.enable()
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _hung)
    attacks: dict[int, Attack] = {}
    for number, turn, skip in rounds:
        if number not in attacks:
            place = folder / str(number)
            place.mkdir()
            attacks[number] = surfaces[number].make(place)
        _limit_memory()
        _round(attacks[number], surfaces[number], (number, turn, skip), board, bad)


def _limit_memory() -> None:
    """BYTES more than now: a process that has run for hours has address space that it no longer uses."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def _round(attack: Attack, surface: Surface, which: Round, board: Board, bad: Connection) -> None:
    number, turn, skip = which
    seed = surface.seed + turn
    board.first[number] = board.first[number] or seed
    board.last[number] = seed
    inputs = enumerate(attack.inputs(surface.share, seed))
    while True:
        board.now[3] = time.monotonic()
        try:
            place, given = next(inputs)
        except StopIteration:
            return
        except Exception as error:  # no input is to blame
            bad.send((number, f"seed {seed}: no more inputs: {type(error).__name__} {error}"))
            return
        if place < skip:
            continue
        board.now[:] = [number, turn, place, time.monotonic()]
        signal.alarm(SECONDS)
        try:
            board.answered[number] += attack.check(given)
        except (Exception, Hung) as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} {error} ({Path(where.filename).name}:{where.lineno})"
            bad.send((number, f"seed {seed}, input {place}: {what[:600]}"))
        finally:
            signal.alarm(0)
        board.tried[number] += 1


def _run(surfaces: list[Surface], rounds: list[Round], until: float) -> Iterator[dict[int, Tally]]:
    """Yields the tallies now and then. Where the worker dies or hangs, its input is told and a new one goes on."""
    tallies, board = {i: Tally() for i in range(len(surfaces))}, Board.of(len(surfaces))
    context = multiprocessing.get_context("fork")
    while rounds and time.time() < until:
        inbox, outbox = context.Pipe(duplex=False)
        board.now[:] = [*rounds[0], time.monotonic()]
        folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        given = surfaces, rounds, folder, board, inbox, outbox
        worker = context.Process(target=_work, args=given, daemon=True)
        worker.start()
        outbox.close()
        try:
            died = _watch(worker, inbox, tallies, board, until)
            while died is None:
                yield _told(tallies, board)
                died = _watch(worker, inbox, tallies, board, until)
        finally:
            worker.kill()
            worker.join()
            inbox.close()
            shutil.rmtree(folder, ignore_errors=True)
        if not died:
            break
        number, turn, place = (int(x) for x in board.now[:3])
        tallies[number].bad.append(f"seed {surfaces[number].seed + turn}, input {place}: {died}")
        board.tried[number] += 1
        at = next(i for i, r in enumerate(rounds) if r[:2] == (number, turn))
        rounds = [(number, turn, place + 1), *rounds[at + 1 :]]
    yield _told(tallies, board)


def _watch(worker: BaseProcess, inbox: Connection, tallies: dict[int, Tally], board: Board, until: float) -> str | None:
    """Wait a minute for violations. None while all goes well, '' at the end, else what became of the worker."""
    for _ in range(60):
        if time.time() > until:
            return ""
        try:
            while inbox.poll(1.0):
                number, told = inbox.recv()
                tallies[number].bad.append(told)
        except EOFError:
            worker.join()
            return f"the process died ({worker.exitcode})" if worker.exitcode else ""
        if time.monotonic() - board.now[3] > SECONDS + 30:
            return f"more than {SECONDS} s, outside Python"
    return None


def _told(tallies: dict[int, Tally], board: Board) -> dict[int, Tally]:
    for i, t in tallies.items():
        t.inputs, t.answered, t.first_seed, t.last_seed = (
            board.tried[i],
            board.answered[i],
            board.first[i],
            board.last[i],
        )
    return tallies


def table(surfaces: list[Surface], tallies: dict[int, Tally]) -> str:
    """The tallies as a table in Markdown, the violations below."""
    lines = ["| surface | inputs | answered | refused | violations | seeds |", "| --- | --- | --- | --- | --- | --- |"]
    total = Tally()
    for surface, t in zip(surfaces, tallies.values(), strict=True):
        refused, seeds = t.inputs - t.answered - len(t.bad), f"{t.first_seed} to {t.last_seed}"
        lines.append(f"| {surface} | {t.inputs:,} | {t.answered:,} | {refused:,} | {len(t.bad)} | {seeds} |")
        total.inputs, total.answered, total.bad = (
            total.inputs + t.inputs,
            total.answered + t.answered,
            total.bad + t.bad,
        )
    refused = total.inputs - total.answered - len(total.bad)
    lines.append(f"| all | {total.inputs:,} | {total.answered:,} | {refused:,} | {len(total.bad)} | |")
    for surface, t in zip(surfaces, tallies.values(), strict=True):
        lines += [f"{surface}: {told}" for told in t.bad[:20]]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run; 1 where an input was neither refused nor answered right."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="about how many, over all surfaces")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after these")
    parser.add_argument("--first", type=int, default=0, help="number of the first round (to go on where another ended)")
    parser.add_argument("--surface", default="", help="only those with this in their name")
    parser.add_argument("--out", type=Path, help="file to keep the table in, written anew each minute")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    surfaces = [s for s in SURFACES if given.surface.casefold() in s.name.casefold()]
    turns = max(1, round(given.inputs / sum(s.share for s in surfaces)))
    rounds = [(i, turn, 0) for turn in range(given.first, given.first + turns) for i in range(len(surfaces))]
    tallies: dict[int, Tally] = {}
    for tallies in _run(surfaces, rounds, time.time() + 60 * given.minutes):
        if given.out is not None:
            given.out.write_text(table(surfaces, tallies))
    print(table(surfaces, tallies), end="")
    return 1 if any(t.bad for t in tallies.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
