"""`esr1call screen`: the pairs of a FASTQ that could come from the panel, for another aligner."""

from __future__ import annotations

import click


@click.command(name="screen")
@click.argument("fastq_1")
@click.argument("fastq_2", required=False, default="interleaved")
@click.option("--panel", "panel_path", required=True, help="Panel TSV: its coding exons are the targets.")
@click.option("--reference", "reference_path", required=True, help="Reference FASTA, for the targets' bases.")
@click.option("--build", type=click.Choice(["GRCh38", "GRCh37"]), default="GRCh38", show_default=True)
@click.option("--out", help="Interleaved FASTQ to write.  [default: standard output]")
@click.option("--stats", help="JSON to write: how many pairs were read and kept.")
@click.option("--allow-empty", is_flag=True, help="Accept FASTQ files without reads (a no-template control).")
def command(
    fastq_1: str, fastq_2: str, panel_path: str, reference_path: str, build: str, out: str | None,
    stats: str | None, allow_empty: bool,
) -> None:  # fmt: skip
    """Write the pairs that could come from the panel, mates in turn, as they are, for `bwa mem -p` and the like.

    FASTQ_1 and FASTQ_2 hold read 1 and read 2, several lanes separated by ';'. Without FASTQ_2, FASTQ_1 holds both
    mates in turn, or is an unaligned BAM.
    """
    import os
    import sys
    from contextlib import ExitStack

    from esr1call.alignment.fastq import interleaved_text, kept_pairs, lanes_of
    from esr1call.alignment.step import screen_targets
    from esr1call.io.files import atomic_path, read_text, write_json
    from esr1call.io.reference import Reference
    from esr1call.panel_file import parse, resolve
    from esr1call.screening.seeds import build_table

    source = parse(read_text(panel_path).splitlines(), panel_path)
    reference = Reference(reference_path)
    resolve(source, build, reference.fetch)  # a reference of another build has other bases at the panel's places
    table = build_table(screen_targets(source, build, reference.fetch))
    read = kept = 0
    with ExitStack() as stack:
        if out is not None:
            write = stack.enter_context(stack.enter_context(atomic_path(out)).open("wb")).write
        else:
            write = sys.stdout.buffer.write
        try:
            for pairs in kept_pairs(lanes_of(fastq_1, fastq_2), allow_empty, table):
                read, kept = read + pairs.read, kept + len(pairs.numbers)
                write(interleaved_text(pairs))
            sys.stdout.flush()
        except BrokenPipeError:  # the aligner has stopped, and says why itself
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
    click.echo(f"esr1call screen: kept {kept} of {read} pairs", err=True)
    if stats is not None:
        write_json(stats, {"pairs_read": read, "pairs_kept": kept, "seeds": len(table.seeds)})
