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
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from tests.fuzz import test_batch_inputs, test_counts_model, test_reads, test_results
from tests.fuzz.surface import Attack, Surface

SURFACES = [
    *test_reads.SURFACES, *test_batch_inputs.SURFACES, *test_counts_model.SURFACES, *test_results.SURFACES
]  # fmt: skip
SECONDS, BYTES = 30, 2 << 30
"""What an input may take: longer, or more memory, is a violation."""


@dataclass
class Tally:
    """What came of a surface's inputs; `bad` tells of each violation: seed, place and what was raised."""

    inputs: int = 0
    answered: int = 0
    bad: list[str] = field(default_factory=list)
    first_seed: int | None = None
    last_seed: int = 0


class Hung(BaseException):
    """An input took too long. Not an Exception, which the code under test may catch."""


def _hung(number: int, frame: FrameType | None) -> None:
    raise Hung(f"more than {SECONDS} s")


def _work(surfaces: list[Surface], rounds: list[tuple[int, int, int]], inbox: Connection, out: Connection) -> None:
    """Rounds (surface, turn, inputs to leave out) in turn; tells what begins, and what came of each round."""
    inbox.close()  # so that this process ends when nobody listens any more
    faulthandler.enable()
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _hung)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    attacks: dict[int, Attack] = {}
    try:
        for number, turn, skip in rounds:
            surface = surfaces[number]
            if number not in attacks:
                place = folder / str(number)
                place.mkdir()
                attacks[number] = surface.make(place)
            _round(attacks[number], surface, turn, skip, number, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _round(attack: Attack, surface: Surface, turn: int, skip: int, number: int, out: Connection) -> None:
    seed = surface.seed + turn
    for place, given in enumerate(attack.inputs(surface.share, seed)):
        if place < skip:
            continue
        out.send(("try", number, turn, place))
        signal.alarm(SECONDS)
        try:
            answered, told = attack.check(given), ""
        except (Exception, Hung) as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} {error} ({Path(where.filename).name}:{where.lineno})"
            answered, told = False, f"seed {seed}, input {place}: {what[:600]}"
        finally:
            signal.alarm(0)
        out.send(("done", number, answered, told))


def _run(surfaces: list[Surface], rounds: list[tuple[int, int, int]], until: float) -> Iterator[dict[int, Tally]]:
    """Yields the tallies now and then. A worker that dies or hangs has its input counted, and a new one goes on."""
    tallies, told = {i: Tally() for i in range(len(surfaces))}, time.monotonic()
    context = multiprocessing.get_context("fork")
    while rounds and time.time() < until:
        inbox, outbox = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(surfaces, rounds, inbox, outbox), daemon=True)
        worker.start()
        outbox.close()
        now = rounds[0]
        try:
            while time.time() < until:
                if not inbox.poll(SECONDS + 30):
                    raise EOFError(f"more than {SECONDS} s, in C")
                kind, number, *rest = inbox.recv()
                tally = tallies[number]
                if kind == "try":
                    now = number, rest[0], rest[1]
                    seed = surfaces[number].seed + rest[0]
                    tally.first_seed = seed if tally.first_seed is None else tally.first_seed
                    tally.last_seed = seed
                else:
                    tally.inputs += 1
                    tally.answered += rest[0]
                    tally.bad += [rest[1]] if rest[1] else []
                if time.monotonic() - told > 60:
                    told = time.monotonic()
                    yield tallies
            rounds = []
        except EOFError as error:
            worker.kill()
            worker.join()
            number, turn, place = now
            at = next((i for i, r in enumerate(rounds) if r[:2] == (number, turn)), len(rounds))
            if worker.exitcode == 0:
                rounds = []
                continue
            tallies[number].inputs += 1
            what = str(error) or f"the process died ({worker.exitcode})"
            tallies[number].bad.append(f"seed {surfaces[number].seed + turn}, input {place}: {what}")
            rounds = [(number, turn, place + 1), *rounds[at + 1 :]]
        finally:
            worker.kill()
            worker.join()
            inbox.close()
    yield tallies


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
