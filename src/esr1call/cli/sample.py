"""`esr1call sample`: one sample's reads to its counts, in one process."""

from __future__ import annotations

from typing import Any

import click

from esr1call.cli import align, count


@click.command(name="sample")
@align.reads
@click.option("--panel", "panel_path", required=True, help="Panel TSV.")
@count.min_mapq
@count.min_base_quality
@click.option("--counting-umi", type=count.UMI_KINDS, default="duplex", show_default=True, help=count.UMI_HELP)
@count.umi_correction
@count.snps
@click.option("--keep-bam", is_flag=True, help="Write aligned.bam and its index too; else one that is there goes.")
@click.option("--keep-cram", is_flag=True, help="The same with aligned.cram, a third of the size.")
@click.option("--out-dir", required=True, help="Folder for align.json, counts.tsv, counts.json and molecules.npz.")
def command(
    panel_path: str, min_mapq: int, min_base_quality: int, counting_umi: str, umi_correction: str, keep_bam: bool,
    keep_cram: bool, snps_path: str | None, out_dir: str, **given: Any,
) -> None:  # fmt: skip
    """Align one sample's FASTQ pair, or take its BAM or CRAM, and count its molecules.

    The same as `esr1call align` and `esr1call count` after each other, without what a second process costs.
    """
    from contextlib import ExitStack
    from pathlib import Path

    from esr1call.alignment.cram import write_cram
    from esr1call.alignment.output import work_folder
    from esr1call.io.files import write_json
    from esr1call.io.reference import Reference, load_panel
    from esr1call.io.sample_counts import load_snps
    from esr1call.settings import CountSettings

    reference = Reference(given["reference"])
    panel = load_panel(panel_path, reference, given["build"])
    snps = load_snps(snps_path, reference, given["build"])
    settings = CountSettings(
        min_mapq=min_mapq, min_base_quality=min_base_quality, umi=counting_umi, umi_correction=umi_correction
    )
    folder = Path(out_dir)
    bam, cram = folder / "aligned.bam", folder / "aligned.cram"
    with ExitStack() as stack:
        for alignment, kept in ((bam, keep_bam), (cram, keep_cram)):
            for old in () if kept else folder.glob(f"{alignment.name}*"):
                old.unlink()
        if not keep_bam:
            bam = stack.enter_context(work_folder(bam)) / bam.name
        stats = align.align_reads(panel_path=panel_path, out=str(bam), passing=not keep_bam, **given)
        outputs = (folder / name for name in ("counts.tsv", "counts.json", "molecules.npz"))
        count.count_reads(bam, panel, settings, given["threads"], snps, *outputs)
        if keep_cram:
            write_cram(bam, cram, given["threads"])
    write_json(folder / "align.json", stats)
