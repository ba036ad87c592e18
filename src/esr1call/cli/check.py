"""`esr1call check`: everything that can be known to be wrong before a run."""

from __future__ import annotations

import click


@click.command(name="check")
@click.option("--config", "config_path", required=True, help="The batch's config.")
def command(config_path: str) -> None:
    """Check config, sample sheet, reference, panel, background model, rule and files, and print what they are."""
    from esr1call.io.batch import load_batch
    from esr1call.io.check import check_batch

    batch = load_batch(config_path)
    rows = [("config", config_path, f"batch {batch.config.batch} of study {batch.config.study}"), *check_batch(batch)]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for name, place, what in rows:
        click.echo(f"{name:<{widths[0]}}  {place:<{widths[1]}}  {what}")
    click.echo("ok")
