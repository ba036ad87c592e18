"""`esr1call batch check`: everything that can be known to be wrong before a run."""

from __future__ import annotations

import click


@click.group(name="batch")
def command() -> None:
    """Look at a batch before it is run."""


@command.command(name="check")
@click.argument("config_path", metavar="CONFIG")
def check_command(config_path: str) -> int:
    """Check config, sample sheet, reference, panel, background model, rule, ledger, every file of reads, and the space.

    Prints what they are, and a line for each thing that is wrong.
    """
    from esr1call.io.batch import load_batch
    from esr1call.io.check import check_batch

    batch = load_batch(config_path)
    found, wrong = check_batch(batch)
    rows = [("config", config_path, f"batch {batch.config.batch} of study {batch.config.study}"), *found]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for name, place, what in rows:
        click.echo(f"{name:<{widths[0]}}  {place:<{widths[1]}}  {what}")
    for error in wrong:
        click.echo(f"esr1call: error: {error}", err=True)
    if not wrong:
        click.echo("ok")
    return 2 if wrong else 0
