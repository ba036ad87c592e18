"""`esr1call call`: the calls of a batch, from its samples' counts."""

from __future__ import annotations

import click

from esr1call.cli import _options


@click.command(name="call")
@click.option("--config", "config_path", required=True, help="The batch's config.")
@click.option("--counts-dir", required=True, help="Folder with <sample>/counts.tsv of every sample.")
@click.option("--out-dir", required=True, help="Folder for samples/<sample>/result.json, calls.tsv and qc.json.")
@click.option("--earlier", "earlier_path", help="The patients' earlier results (default: those in the ledger).")
@_options.inputs
def command(
    config_path: str, counts_dir: str, out_dir: str, earlier_path: str | None, inputs_path: str | None
) -> None:  # fmt: skip
    """Call every sample of a batch, and judge the batch by its controls."""
    from esr1call.io.batch import load_batch
    from esr1call.io.calls import call_files
    from esr1call.io.earlier import read_earlier
    from esr1call.io.inputs import check_since_start

    if inputs_path is not None:
        check_since_start(inputs_path)
    earlier = None if earlier_path is None else read_earlier(earlier_path)
    results, quality = call_files(load_batch(config_path, check_files=False), counts_dir, out_dir, earlier)
    for check in quality.checks:
        if check.outcome in ("failed", "warning") or (check.outcome == "not_assessed" and check.sample is None):
            who = "" if check.sample is None else f" of {check.sample}"
            click.echo(f"{check.name}{who}: {check.outcome}: {check.explanation}", err=True)
    counts: dict[str, int] = {}
    for result in results:
        counts[str(result.status)] = counts.get(str(result.status), 0) + 1
    click.echo(", ".join(f"{n} {status}" for status, n in sorted(counts.items())), err=True)
