"""`esr1call bases`: raw base counts per column and strand over the panel's windows."""

from __future__ import annotations

import click


@click.command(name="bases")
@click.option("--bam", "bam_path", required=True, help="Coordinate-sorted BAM (its index is used if there is one).")
@click.option("--panel", "panel_path", required=True, help="Panel TSV.")
@click.option("--reference", "reference_path", required=True, help="Reference FASTA the BAM was aligned to.")
@click.option("--build", type=click.Choice(["GRCh38", "GRCh37"]), default="GRCh38", show_default=True)
@click.option("--out", "out_path", required=True, help="TSV to write.")
@click.option("--min-mapq", default=20, show_default=True, type=click.IntRange(0, 255))
@click.option("--min-base-quality", default=10, show_default=True, type=click.IntRange(0, 93))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1, 64))
def command(
    bam_path: str,
    panel_path: str,
    reference_path: str,
    build: str,
    out_path: str,
    min_mapq: int,
    min_base_quality: int,
    threads: int,
) -> None:
    """Count bases per column and strand: the pileup before molecules, one row per column and strand."""
    from esr1call.io.bam import count_bases
    from esr1call.io.files import atomic_open
    from esr1call.io.reference import Reference, load_panel
    from esr1call.pileup.bases import SYMBOLS
    from esr1call.settings import CountSettings

    panel = load_panel(panel_path, Reference(reference_path), build)
    settings = CountSettings(min_mapq=min_mapq, min_base_quality=min_base_quality)
    counter = count_bases(bam_path, panel, settings, threads)
    with atomic_open(out_path) as out:
        out.write("\t".join(("window", "contig", "pos", "strand", *SYMBOLS)) + "\n")
        for (window, position), counts in zip(counter.columns(), counter.counts.tolist(), strict=True):
            for strand, row in zip("+-", counts, strict=True):
                cells = (window, panel.contig, str(position + 1), strand, *map(str, row))
                out.write("\t".join(cells) + "\n")
