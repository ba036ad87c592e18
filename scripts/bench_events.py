"""How long a PADA-1-sized history takes to decide from scratch: 1,017 patients, 12,525 samples, 26 calls each.

Seconds differ between machines and hours, so the deciding is also held against writing the same results as JSON and
reading them again, in the same run.

Writes nothing but a temporary ledger and outbox. Run it on one core: `taskset -c 0 python scripts/bench_events.py`.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from esr1call.decision import decide
from esr1call.history import fold
from esr1call.io.audit import audit
from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import publish
from esr1call.io.rule_file import load_rule
from esr1call.io.verify import verify
from esr1call.results import CallStatus, SampleResult, SampleStatus, VariantCall
from esr1call.timeline import to_json
from esr1call.trigger import kind_of

ROOT = Path(__file__).resolve().parent.parent
PATIENTS, SAMPLES, DEPTH = 1017, 12525, 5000
# Published for PADA-1: 77 of 12,525 samples failed, 3.2% of patients were positive at baseline, 267 turned positive.
FAILED, BASELINE, NEW = 77 / SAMPLES, 0.032, 267 / PATIENTS


def panel() -> list[VariantCall]:
    """A negative call of each variant of the shipped panel (rows of the same protein are DNA forms of it)."""
    lines = (ROOT / "config" / "panels" / "esr1_lbd.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    proteins = [next(cell for cell in row if cell.startswith("p.")) for row in rows[1:]][:26]
    strata = (0, 0, 0, 0, 0), (0, 0, DEPTH, 0, 0)
    return [
        VariantCall(
            f"window-{p[3:6]}", f"form-{i}", "panel", p, f"c.{i}", "missense", (p,), "chr6", 152_000_000 + i, "A", "G",
            0, DEPTH, *strata, 1.0, 1.0, 3 / DEPTH, 8 / DEPTH, 0.0, 0.0, 7e-4, 0.0, 0.0, 1.6,
            CallStatus.NOT_DETECTED, 0.3,
        )
        for i, p in enumerate(proteins)
    ]  # fmt: skip


def detected(call: VariantCall, molecules: int) -> VariantCall:
    """The same allele on so many molecules."""
    vaf = molecules / DEPTH
    values = {name: getattr(call, name) for name in call.__dataclass_fields__}
    values |= {
        "molecules": molecules, "vaf": vaf, "vaf_low": vaf * 0.7, "vaf_high": vaf * 1.4, "p": 1e-12,
        "p_adjusted": 1e-10, "copies_per_ml": vaf * 2272.7, "copies_per_ml_low": vaf * 1590.9,
        "copies_per_ml_high": vaf * 3181.8, "alt_by_stratum": (0, 0, molecules, 0, 0), "status": CallStatus.DETECTED,
    }  # fmt: skip
    return VariantCall(**values)


def study(rng: np.random.Generator) -> Iterator[SampleResult]:
    """All samples of a made-up study of PADA-1's size and rates."""
    calls = panel()
    triggering = [i for i, c in enumerate(calls) if int(c.protein[3:6]) in (380, 536, 537, 538)]
    sizes = np.full(PATIENTS, SAMPLES // PATIENTS) + (np.arange(PATIENTS) < SAMPLES % PATIENTS)
    for number, size in enumerate(sizes):
        onset = 0 if rng.random() < BASELINE else int(rng.integers(1, size)) if rng.random() < NEW else int(size)
        carried = rng.choice(triggering, size=int(rng.integers(1, 4)), replace=False)
        for draw in range(size):
            shown = list(calls)
            for i in carried if draw >= onset else ():
                shown[i] = detected(calls[i], int(rng.poisson(30 * 1.3 ** (draw - onset))) + 6)
            status = SampleStatus.DETECTED if draw >= onset else SampleStatus.NOT_DETECTED
            if rng.random() < FAILED:
                status = SampleStatus.QC_FAILED
            collected = date(2017, 3, 1) + timedelta(int(number + (0 if draw == 0 else 28 + 56 * (draw - 1))))
            yield SampleResult(
                f"P{number:04d}-{draw:02d}", f"P{number:04d}", f"V{draw}", collected.isoformat(), "patient", "all",
                "GRCh38", status, (), 4.0, 30.0, tuple(shown), {"counts": f"{number:032x}{draw:032x}"},
            )  # fmt: skip


def main() -> None:
    """Run each step once and print seconds of wall-clock and of processor time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rule = load_rule(ROOT / "config" / "rules" / "pada1.yaml")
    results = list(study(np.random.default_rng(given.seed)))
    figures: dict[str, float | int] = {"patients": PATIENTS, "samples": len(results), "calls": len(results[0].calls)}
    start = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder, "ledger.sqlite")) as ledger:

        def timed(name: str) -> None:
            nonlocal start
            now = time.perf_counter(), time.process_time()
            figures[f"{name}_seconds"], figures[f"{name}_cpu_seconds"] = (
                round(b - a, 2) for a, b in zip(start, now, strict=True)
            )
            start = now

        start = time.perf_counter(), time.process_time()
        for result in results:
            json.loads(json.dumps(to_json(result)))
        timed("json_there_and_back")
        with ledger.writing("S") as writer:
            outcomes = take_results(writer, results, rule, "all")
        timed("decide_into_empty_ledger")
        events = publish(ledger, "S", "all", Path(folder, "out"))
        timed("publish")
        with ledger.writing("S") as writer:
            again = take_results(writer, results, rule, "all")
        timed("replay")
        audit(ledger)
        timed("audit")
        verify([Path(folder, "out")])
        timed("verify")
        decisions = []
        with ledger.reading("S") as reader:
            for patient in reader.patients():
                decisions.append(decide(patient, fold(reader.entries(patient=patient)).draws(rule), rule))
        timed("decide_from_full_ledger")
        ratio = figures["decide_into_empty_ledger_cpu_seconds"] / figures["json_there_and_back_cpu_seconds"]
        figures["decide_to_json_cpu_ratio"] = round(ratio, 2)
        figures["events"] = len(events)
        figures["raised"] = sum(kind_of(e.event) == "raised" for e in events)
        figures["new_in_replay"] = sum(o.new for o in again)
        figures["ledger_mb"] = round(Path(folder, "ledger.sqlite").stat().st_size / 1e6)
        assert [o.data["decision"] for o in outcomes] == [d.state for d in decisions]
    figures["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    text = json.dumps(figures, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
