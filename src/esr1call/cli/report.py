"""`esr1call report`: a batch as HTML pages that a person looks at and prints."""

from __future__ import annotations

import click


@click.command(name="report")
@click.argument("folder")
@click.option("--out", help="Folder to write to in place of FOLDER.")
def command(folder: str, out: str | None) -> None:
    """Write report.html of the batch in FOLDER (results/<batch>), and samples/<sample>/report.html of each sample.

    Each page is one file that needs no network.
    """
    from esr1call.io.report_files import write_reports

    written = write_reports(folder, out)
    click.echo(f"{written[0]} and {len(written) - 1} pages of samples written", err=True)
