"""`esr1call panel`: check a panel against a reference and list its alleles."""

from __future__ import annotations

import click


@click.command(name="panel")
@click.option("--panel", "panel_path", required=True, help="Panel TSV.")
@click.option("--reference", "reference_path", required=True, help="Reference FASTA (whole genome or slices).")
@click.option("--build", type=click.Choice(["GRCh38", "GRCh37"]), default="GRCh38", show_default=True)
def command(panel_path: str, reference_path: str, build: str) -> None:
    """Check every row of a panel against the reference and print the alleles as they will be called."""
    from esr1call.io.reference import Reference, load_panel

    panel = load_panel(panel_path, Reference(reference_path), build)
    click.echo("protein\tcdna\tcontig\tpos\tref\talt\twindow\thaplotype")
    for v in panel.variants:
        row = (v.protein, v.cdna, panel.contig, str(v.pos), v.ref, v.alt, v.window, v.haplotype)
        click.echo("\t".join(row))
    hotspots = sum(w.kind == "hotspot" for w in panel.windows)
    click.echo(
        f"{panel.name} {panel.version}: {len(panel.variants)} alleles, {hotspots} hotspot windows, "
        f"{len(panel.windows) - hotspots} scan windows, {panel.gene} {panel.transcript} on {panel.build}, "
        f"coding_sha256 {panel.coding_sha256}", err=True,
    )  # fmt: skip
