"""`esr1call count`: molecules per haplotype, tier and strand in a BAM."""

from __future__ import annotations

import sys

import click


@click.command(name="count")
@click.option("--bam", "bam_path", required=True, help="Coordinate-sorted BAM (its index is used if there is one).")
@click.option("--panel", "panel_path", required=True, help="Panel TSV.")
@click.option("--reference", "reference_path", required=True, help="Reference FASTA the BAM was aligned to.")
@click.option("--build", type=click.Choice(["GRCh38", "GRCh37"]), default="GRCh38", show_default=True)
@click.option("--out", "out_path", required=True, help="Counts TSV to write.")
@click.option("--stats", "stats_path", help="JSON with read filters, depths and family sizes to write.")
@click.option("--min-mapq", default=20, show_default=True, type=click.IntRange(0, 255))
@click.option("--min-base-quality", default=10, show_default=True, type=click.IntRange(0, 93))
@click.option(
    "--umi", type=click.Choice(["duplex", "simplex", "none"]), default="duplex", show_default=True,
    help="duplex: UMIs on both reads tell both strands; simplex: strands are never paired; none: no UMIs.",
)  # fmt: skip
@click.option("--umi-correction", type=click.Choice(["directional", "none"]), default="directional", show_default=True)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1, 64))
def command(
    bam_path: str,
    panel_path: str,
    reference_path: str,
    build: str,
    out_path: str,
    stats_path: str | None,
    min_mapq: int,
    min_base_quality: int,
    umi: str,
    umi_correction: str,
    threads: int,
) -> None:
    """Count molecules per haplotype of each codon window."""
    from esr1call.counting import summarise
    from esr1call.io.bam import count_bam
    from esr1call.io.counts_file import write_counts
    from esr1call.io.files import write_json
    from esr1call.io.reference import Reference, load_panel
    from esr1call.settings import CountSettings

    panel = load_panel(panel_path, Reference(reference_path), build)
    settings = CountSettings(
        min_mapq=min_mapq, min_base_quality=min_base_quality, umi=umi, umi_correction=umi_correction
    )
    with click.progressbar(length=1000, label="counting", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        table, counter = count_bam(
            bam_path, panel, settings, threads, lambda part: bar.update(int(1000 * part) - bar.pos)
        )
    write_counts(out_path, table, panel)
    if stats_path:
        write_json(stats_path, summarise(table, counter))
