"""`esr1call trigger`: decide each patient of a batch and publish the events that are news."""

from __future__ import annotations

import json
from pathlib import Path

import click

COLUMNS = (
    "patient", "decision", "reasons", "variants", "redraw_requested", "collected", "samples",
    "event_type", "event_file", "sign_off",
)  # fmt: skip


@click.command(name="trigger")
@click.argument("results", nargs=-1)
@click.option("--batch-dir", help="A batch's results: takes its samples/*/result.json.")
@click.option("--rule", "rule_path", required=True, help="Trigger rule YAML.")
@click.option("--ledger", "ledger_path", required=True, help="The study's ledger: a file, or a SQLAlchemy URL.")
@click.option("--study", required=True, help="The study's identifier.")
@click.option("--batch", help="The batch's name (default: that of the results).")
@click.option("--out", "folder", required=True, help="Folder for the event files.")
def command(
    results: tuple[str, ...],
    batch_dir: str | None,
    rule_path: str,
    ledger_path: str,
    study: str,
    batch: str | None,
    folder: str,
) -> None:
    """Take RESULTS (result.json files) into the ledger, decide their patients, and write event files to --out.

    A second run on the same results writes nothing new.
    """
    from esr1call.io.decisions import Outcome, batch_of, read_results, take_results
    from esr1call.io.ledger import Ledger
    from esr1call.io.outbox import MANIFEST, manifest, publish, write_if_changed
    from esr1call.io.rule_file import load_rule
    from esr1call.trigger import file_name

    def row(outcome: Outcome) -> str:
        data, event = outcome.data, outcome.event
        cells = (
            outcome.patient, data["decision"], ",".join(data["reasons"]),
            ",".join(f"{f['variant']}={f['category']}" for f in [*data["drivers"], *data["other_findings"]]),
            str(data["redraw_requested"]).lower(), max((s["collected"] for s in data["specimens"]), default=""),
            ",".join(s["sample"] for s in data["specimens"]),
            "" if event is None else event.event["type"], "" if event is None else file_name(event.event),
            "needed" if outcome.held else "",
        )  # fmt: skip
        return "\t".join(cells)

    rule = load_rule(rule_path)
    taken = read_results(results, batch_dir)
    name = batch or batch_of(taken)
    with Ledger(ledger_path) as ledger:
        with ledger.writing(study) as writer:
            outcomes = take_results(writer, taken, rule, name)
        events = publish(ledger, study, name, folder)
    table = "\n".join(["\t".join(COLUMNS), *map(row, outcomes)]) + "\n"
    write_if_changed(Path(folder, "decisions.tsv"), table.encode())
    listing = json.dumps(manifest(study, name, events), indent=2, sort_keys=True) + "\n"
    write_if_changed(Path(folder, MANIFEST), listing.encode())
    for outcome in outcomes:
        data = outcome.data
        if outcome.held:
            news = "takes back a raised event: held until a person signs it off"
        else:
            news = f"new event {file_name(outcome.event.event)}" if outcome.new and outcome.event else "no new event"
        drivers = ", ".join(f"{f['variant']} {f['category']}" for f in data["drivers"])
        because = drivers or ", ".join(data["reasons"])
        click.echo(f"{outcome.patient}: {data['state']} ({because}); {news}")
