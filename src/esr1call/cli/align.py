"""`esr1call align`: one sample's reads to a sorted, indexed BAM with UMIs in RX tags."""

from __future__ import annotations

import re
from typing import Any

import click

from esr1call.cli import _options

reads = _options.several(
    click.option("--sample", required=True, help="Sample name, for the read group."),
    click.option("--fastq-1", help="Read 1 FASTQ (gzip or plain); several lanes separated by ';'."),
    click.option("--fastq-2", help="Read 2 FASTQ, as many; 'interleaved' where read 1's files hold both mates."),
    click.option("--bam", help="Aligned BAM or CRAM instead of FASTQ, or an unaligned BAM with UMIs in RX tags."),
    click.option("--read-structure", default="+T +T", show_default=True, help="fgbio notation, read 1 and read 2."),
    click.option(
        "--umi", type=click.Choice(["read_structure", "read_name", "none"]), default="read_structure",
        show_default=True, help="Where the UMI is in FASTQ; unless 'none', a BAM must hold it in RX tags.",
    ),
    click.option("--umi-delimiter", default=":", show_default=True, help="Before the UMI at the end of a read's name."),
    click.option("--adapter-1", default=None, help="Adapter that read 1 runs into.  [default: Illumina TruSeq]"),
    click.option("--adapter-2", default=None, help="Adapter that read 2 runs into.  [default: Illumina TruSeq]"),
    click.option("--min-length", type=click.IntRange(1), default=20, show_default=True, help="Shortest template kept."),
    click.option("--reference", required=True, help="Reference FASTA."),
    click.option("--index", help="Prefix of the aligner's index.  [default: the reference's own]"),
    click.option("--build", type=click.Choice(["GRCh38", "GRCh37"]), default="GRCh38", show_default=True),
    click.option(
        "--aligner", type=click.Choice(["embedded", "bwa", "bwa-mem2"]), default="embedded", show_default=True,
        help="The library in this process, or a program on PATH.",
    ),
    click.option("--library", help="Read group's library.  [default: the sample]"),
    click.option("--platform-unit", default="1", show_default=True, help="Read group's platform unit (run and lane)."),
    click.option(
        "--screen/--no-screen", default=True, show_default=True,
        help="Align only pairs that share a seed with the panel's exons or their flanks (needs --panel).",
    ),
    click.option("--allow-empty", is_flag=True, help="Accept FASTQ files without reads (a no-template control)."),
    click.option("--threads", type=click.IntRange(1), default=1, show_default=True),
)  # fmt: skip
"""Options that say where a sample's reads are, and how to align them."""


@click.command(name="align")
@reads
@click.option("--panel", "panel_path", help="Panel TSV: checks its chromosome and counts reads on its exons.")
@click.option("--out", required=True, help="BAM (or CRAM, by its ending) to write; its index is written beside it.")
@click.option("--stats", required=True, help="JSON to write: where reads were lost.")
def command(panel_path: str | None, out: str, stats: str, **given: Any) -> None:
    """Align one sample's FASTQ pair, or take its BAM or CRAM, to a coordinate-sorted, indexed BAM or CRAM."""
    from pathlib import Path

    from esr1call.alignment.cram import SUFFIX, write_cram
    from esr1call.alignment.output import work_folder
    from esr1call.io.files import write_json

    if Path(out).suffix == SUFFIX:
        with work_folder(Path(out)) as folder:
            bam = folder / "aligned.bam"
            values = align_reads(panel_path=panel_path, out=str(bam), passing=True, **given)
            write_cram(bam, out, given["threads"])
    else:
        values = align_reads(panel_path=panel_path, out=out, **given)
    write_json(stats, values)


def align_reads(
    *, sample: str, fastq_1: str | None, fastq_2: str | None, bam: str | None, read_structure: str, umi: str,
    umi_delimiter: str, adapter_1: str | None, adapter_2: str | None, min_length: int, reference: str,
    index: str | None, build: str, panel_path: str | None, aligner: str, library: str | None, platform_unit: str,
    screen: bool, allow_empty: bool, threads: int, out: str, passing: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Write the BAM `out` and its index; returns the statistics. The parameters are the options `reads`.

    `passing`: the BAM is to be read once and removed.
    """
    from esr1call.alignment.bam_input import BamRequest
    from esr1call.alignment.output import ReadGroup
    from esr1call.alignment.pairs import ILLUMINA_ADAPTERS, PairSettings
    from esr1call.alignment.read_structure import parse_structures
    from esr1call.alignment.sources import INTERLEAVED
    from esr1call.alignment.step import FastqRequest, accept_bam, align_fastq, on_target, panel_contig, screen_targets
    from esr1call.alignment.ubam import is_unaligned
    from esr1call.errors import InputError
    from esr1call.io.files import read_text, require_file
    from esr1call.io.reference import Reference
    from esr1call.panel_file import parse

    if (bam is None) == (fastq_1 is None or fastq_2 is None) or (bam and (fastq_1 or fastq_2)):
        raise InputError("give either both --fastq-1 and --fastq-2, or --bam", field="fastq_1, fastq_2, bam")
    for field, value in (("sample", sample), ("library", library or sample), ("platform_unit", platform_unit)):
        if not re.fullmatch(r"[!-~]+", value) or "\\" in value:
            raise InputError("not usable in a read group", field=field, found=value, expected="printable, no spaces")
    require_file(reference, "reference")
    panel = parse(read_text(panel_path).splitlines(), panel_path) if panel_path else None
    contig = panel_contig(panel) if panel else None
    if bam is not None and is_unaligned(bam):
        fastq_1, fastq_2, bam, umi = bam, INTERLEAVED, None, "none" if umi == "none" else "tag"
    if bam is not None:
        request = BamRequest(build, reference, contig, needs_rx=umi != "none")
        values = accept_bam(bam, request, out, threads)
    else:
        structures = parse_structures(read_structure)
        if umi == "read_structure" and not any(s.umi for s in structures):
            raise InputError(
                "no UMI in the read structure", field="read_structure", found=read_structure,
                expected="an M segment in one of the reads", hint="or set umi to read_name or none",
            )  # fmt: skip
        settings = PairSettings(
            structures, umi, umi_delimiter,
            (adapter_1 or ILLUMINA_ADAPTERS[0], adapter_2 or ILLUMINA_ADAPTERS[1]), min_length,
        )  # fmt: skip
        assert fastq_1 is not None
        assert fastq_2 is not None
        targets = screen_targets(panel, build, Reference(reference).fetch) if panel and screen else None
        group = ReadGroup(sample, library or sample, platform_unit)
        values = align_fastq(
            FastqRequest(
                fastq_1, fastq_2, settings, group, aligner, index or reference, build, contig, threads, allow_empty,
                targets, passing,
            ),
            out,
        )  # fmt: skip
    if panel is not None:
        values["reads_on_target"] = on_target(out, panel, build)
    return {"sample": sample, "build": build, **values}
