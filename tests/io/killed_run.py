"""A run that publishes many events, in a process of its own that a test may kill at any moment."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import publish
from esr1call.io.signing import Signer
from tests.trigger_builders import pada1, sample


def decide(folder: Path, patients: int, ledger_place: str = "") -> None:
    """The ledger (by default a file in the folder) has an event of each patient; again and again it is the same."""
    results = [sample(0, patient=f"P{i:03d}", D538G=0 if i % 3 else 50) for i in range(patients)]
    with Ledger(ledger_place or folder / "ledger.sqlite") as ledger, ledger.writing("S") as writer:
        take_results(writer, results, pada1(), "b1")


def run(folder: Path, patients: int, ledger_place: str = "") -> None:
    """As a user would: decide and publish. Without patients, publish what is decided already."""
    if patients:
        decide(folder, patients, ledger_place)
    with Ledger(ledger_place or folder / "ledger.sqlite") as ledger:
        publish(ledger, "S", "b1", folder / "out", Signer.load(folder.parent / "lab.pem"))


def killed(folder: Path, patients: int, ledger_place: str, after: float) -> bool:
    """Start a run and kill it after so many seconds; whether it was still running then."""
    child = os.fork()
    if child == 0:
        try:
            run(folder, patients, ledger_place)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main() -> None:
    """For each line on standard input (folder, patients, ledger, seconds), say whether a run was killed in time."""
    for line in sys.stdin:
        folder, patients, ledger_place, after = line.split("\t")
        print(int(killed(Path(folder), int(patients), ledger_place, float(after))), flush=True)


if __name__ == "__main__":
    main()
