"""`esr1call count`: molecules per haplotype, tier and strand in a BAM."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esr1call.panel import Panel
    from esr1call.settings import CountSettings
    from esr1call.snps import Snp

min_mapq = click.option("--min-mapq", default=20, show_default=True, type=click.IntRange(0, 255))
min_base_quality = click.option("--min-base-quality", default=10, show_default=True, type=click.IntRange(0, 93))
umi_correction = click.option(
    "--umi-correction", type=click.Choice(["directional", "none"]), default="directional", show_default=True
)
snps = click.option("--snps", "snps_path", help="TSV of SNPs by which samples are told apart.")
UMI_KINDS = click.Choice(["duplex", "simplex", "none"])
UMI_HELP = "duplex: UMIs on both reads tell both strands; simplex: strands are never paired; none: no UMIs."


@click.command(name="count")
@click.option("--bam", "bam_path", required=True, help="Coordinate-sorted BAM (its index is used if there is one).")
@click.option("--panel", "panel_path", required=True, help="Panel TSV.")
@click.option("--reference", "reference_path", required=True, help="Reference FASTA the BAM was aligned to.")
@click.option("--build", type=click.Choice(["GRCh38", "GRCh37"]), default="GRCh38", show_default=True)
@click.option("--out", "out_path", help="Counts to write: a TSV, or Parquet if it ends in .parquet.")
@click.option("--stats", "stats_path", help="JSON with read filters, depths and family sizes to write.")
@click.option("--molecules", "molecules_path", help="Molecules to compare samples by, to write (.npz).")
@snps
@min_mapq
@min_base_quality
@click.option("--umi", type=UMI_KINDS, default="duplex", show_default=True, help=UMI_HELP)
@umi_correction
@click.option(
    "--explain", metavar="POS",
    help="Print every molecule of one window, with its reads, instead: a genome position (1-based) or a window's name.",
)  # fmt: skip
@click.option("--haplotype", help="With --explain: only molecules that show these bases.")
@click.option("--variant", help="With --explain: only molecules that show this change, such as p.D538G.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1, 64))
def command(
    bam_path: str,
    panel_path: str,
    reference_path: str,
    build: str,
    out_path: str | None,
    stats_path: str | None,
    molecules_path: str | None,
    snps_path: str | None,
    min_mapq: int,
    min_base_quality: int,
    umi: str,
    umi_correction: str,
    explain: str | None,
    haplotype: str | None,
    variant: str | None,
    threads: int,
) -> None:
    """Count molecules per haplotype of each codon window, or show every molecule of one window (--explain)."""
    if (out_path is None) == (explain is None) or (explain is not None and (stats_path or molecules_path)):
        raise click.UsageError("give either --out (and --stats, --molecules), or --explain")
    if explain is None and (haplotype is not None or variant is not None):
        raise click.UsageError("--haplotype and --variant choose among what --explain prints")

    from esr1call.io.reference import Reference, load_panel
    from esr1call.io.sample_counts import load_snps
    from esr1call.settings import CountSettings

    reference = Reference(reference_path)
    panel = load_panel(panel_path, reference, build)
    settings = CountSettings(
        min_mapq=min_mapq, min_base_quality=min_base_quality, umi=umi, umi_correction=umi_correction
    )
    if explain is not None:
        _explain(bam_path, panel, explain, settings, threads, haplotype, variant)
        return
    assert out_path is not None
    snps = load_snps(snps_path, reference, build)
    count_reads(bam_path, panel, settings, threads, snps, out_path, stats_path, molecules_path)


def count_reads(
    bam_path: str | Path,
    panel: Panel,
    settings: CountSettings,
    threads: int,
    snps: Sequence[Snp],
    out: str | Path,
    stats: str | Path | None,
    molecules: str | Path | None,
) -> None:
    """Count a BAM's molecules and write the counts file `out`, the JSON `stats`, and `molecules` to compare by."""
    from esr1call.count_summary import summarise
    from esr1call.io.counts_file import write_counts
    from esr1call.io.files import write_json
    from esr1call.io.inputs import unchanged
    from esr1call.io.molecules_file import write_molecules
    from esr1call.io.sample_counts import count_sample

    with (
        unchanged(bam_path),
        click.progressbar(length=1000, label="counting", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar,
    ):
        counted = count_sample(
            bam_path, panel, settings, threads, lambda part: bar.update(int(1000 * part) - bar.pos), snps
        )
    lengths = [c.lengths for c in counted.collected.values()]
    summary = summarise(
        counted.table, counted.counter, counted.alleles, sum(lengths[1:], lengths[0]) if lengths else None
    )
    write_counts(out, counted.table, panel)
    if molecules:
        write_molecules(molecules, {w: c.sketch for w, c in counted.collected.items()}, panel)
    if stats:
        write_json(stats, summary)


def _explain(
    bam_path: str,
    panel: Panel,
    place: str,
    settings: CountSettings,
    threads: int,
    haplotype: str | None,
    variant: str | None,
) -> None:
    """Print the molecules of the window at `place` as a table."""
    from esr1call.explain import COLUMNS, chosen, text_rows, window_at
    from esr1call.io.bam import explain_bam

    number = window_at(panel, place)
    window = panel.windows[number]
    found = chosen(explain_bam(bam_path, panel, number, settings, threads), panel, window, haplotype, variant)
    try:
        for row in (COLUMNS, *text_rows(found, panel, window)):
            click.echo("\t".join(row))
    except BrokenPipeError:  # whoever read (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
