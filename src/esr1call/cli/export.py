"""`esr1call export`: a batch's results as VCF, TSV, Parquet, FHIR, SDTM and MultiQC files."""

from __future__ import annotations

import click

FORMATS = ("vcf", "tables", "fhir", "sdtm", "multiqc")


@click.command(name="export")
@click.argument("folder")
@click.option("--out", help="Folder to write to; by default FOLDER/export.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help="A format to write; may be given several times. By default those of the batch's config.",
)
def command(folder: str, out: str | None, formats: tuple[str, ...]) -> None:
    """Write the results of the batch in FOLDER (results/<batch>) in the formats that other systems read."""
    import os
    import time
    from datetime import UTC, datetime
    from pathlib import Path

    from esr1call.io.export import export

    # a file that must tell when it was made is the same again where this is set, as for other reproducible files
    made = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    written = export(
        folder, out or Path(folder, "export"), formats or None, datetime.fromtimestamp(made, UTC).isoformat()
    )
    click.echo(f"{len(written)} files written", err=True)
