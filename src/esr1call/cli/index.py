"""`esr1call index`: make the embedded aligner's index of a reference."""

from __future__ import annotations

import click


@click.command(name="index")
@click.option("--reference", required=True, help="Reference FASTA (whole genome or slices).")
@click.option("--out-dir", required=True, help="Folder for the index; 'align --index' takes OUT_DIR/reference.")
def command(reference: str, out_dir: str) -> None:
    """Make the index that `esr1call align` needs, in a folder of its own, not beside the reference."""
    from esr1call.alignment.indexing import build_index

    click.echo(f"index: {build_index(reference, out_dir)}", err=True)
