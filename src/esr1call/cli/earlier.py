"""`esr1call earlier`: what the ledger holds of a batch's patients, for jobs that may not open it."""

from __future__ import annotations

import click


@click.command(name="earlier")
@click.option("--config", "config_path", required=True, help="The batch's config.")
@click.option("--out", "out_path", required=True, help="JSON file to write.")
def command(config_path: str, out_path: str) -> None:
    """Write the earlier results of a batch's patients, which quality control compares them with."""
    from esr1call.io.batch import load_batch
    from esr1call.io.earlier import from_ledger, write_earlier

    write_earlier(out_path, from_ledger(load_batch(config_path, check_files=False)))
