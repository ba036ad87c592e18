"""`esr1call qc`: judge a batch's quality again, and say in words what was decided."""

from __future__ import annotations

import click


@click.command(name="qc")
@click.argument("folder")
@click.option("--config", "config_path", help="Config to judge by (default: the batch's own, config.json in FOLDER).")
@click.option("--all", "everything", is_flag=True, help="Print checks that passed, or had nothing to judge by, too.")
def command(folder: str, config_path: str | None, everything: bool) -> None:
    """Judge the batch with results in FOLDER again, from its counts, and print each decision in words.

    Writes qc.json and qc.tsv, and the results as they may be reported: calls.tsv and samples/*/result.json. Nothing
    changes where neither the limits, the earlier results in the ledger nor the counts have.
    """
    from pathlib import Path

    from esr1call.io.batch import load_batch
    from esr1call.io.calls import call_files
    from esr1call.results import Outcome

    batch = load_batch(config_path or Path(folder, "config.json"), check_files=False)
    results, quality = call_files(batch, Path(folder, "samples"), folder)
    shown = tuple(Outcome) if everything else (Outcome.FAILED, Outcome.WARNING)
    for outcome in (o for o in (Outcome.FAILED, Outcome.WARNING, Outcome.NOT_ASSESSED, Outcome.PASSED) if o in shown):
        for check in (c for c in quality.checks if c.outcome is outcome):
            step = f" -> {check.next_step}" if check.next_step else ""
            click.echo(f"{outcome}\t{check.name}\t{check.sample or 'batch'}\t{check.explanation}{step}")
    numbers = [f"{sum(c.outcome is o for c in quality.checks)} {str(o).replace('_', ' ')}" for o in Outcome]
    click.echo(f"{len(quality.checks)} checks: {', '.join(numbers)}")
    failed = [r.sample for r in results if r.status == "QC_FAILED"]
    click.echo(f"QC_FAILED: {', '.join(failed) or 'no sample'}")
