"""`esr1call trigger`: decide each patient of a batch and publish the events that are news."""

from __future__ import annotations

import click

from esr1call.cli import _options


@click.command(name="trigger")
@click.argument("results", nargs=-1)
@click.option("--batch-dir", help="A batch's results: takes its samples/*/result.json.")
@click.option("--config", "config_path", help="The batch's config: of --batch-dir takes its patients' samples only.")
@_options.rule
@_options.ledger
@_options.study
@click.option("--batch", help="The batch's name (default: that of the results).")
@_options.out
@_options.key
def command(
    results: tuple[str, ...],
    batch_dir: str | None,
    config_path: str | None,
    rule_path: str,
    ledger_path: str,
    study: str,
    batch: str | None,
    folder: str,
    key_path: str | None,
) -> None:
    """Take RESULTS (result.json files) into the ledger, decide their patients, and write event files to --out.

    A second run on the same results writes nothing new.
    """
    from pathlib import Path

    from esr1call.errors import InputError
    from esr1call.io.batch import load_batch
    from esr1call.io.decisions import batch_of, news, read_results, take_results
    from esr1call.io.ledger import Ledger
    from esr1call.io.outbox import check_folder, publish
    from esr1call.io.rule_file import load_rule
    from esr1call.io.signing import Signer

    rule = load_rule(rule_path)
    signer = None if key_path is None else Signer.load(key_path)
    if config_path is not None:
        if batch_dir is None or results:
            raise InputError("--config chooses among the results of --batch-dir", field="config, batch_dir")
        samples = load_batch(config_path, check_files=False).of_type("patient")
        results, batch_dir = tuple(str(Path(batch_dir, "samples", s.sample, "result.json")) for s in samples), None
    taken = read_results(results, batch_dir)
    name = batch or batch_of(taken)
    with Ledger(ledger_path) as ledger:
        with ledger.writing(study) as writer:
            outcomes = take_results(writer, taken, rule, name)
            check_folder(writer, name, Path(folder), signer)
        publish(ledger, study, name, folder, signer)
    if ledger.is_new:
        click.echo(f"new ledger: {ledger.shown}", err=True)
    for outcome in outcomes:
        click.echo(news(outcome))
