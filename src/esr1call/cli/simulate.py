"""`esr1call simulate`: FASTQ pairs of a sample whose truth is known."""

from __future__ import annotations

import click

from esr1call.errors import InputError


@click.command(name="simulate")
@click.option("--panel", "panel_path", required=True, help="Panel TSV.")
@click.option("--reference", "reference_path", required=True, help="Reference FASTA (whole genome or slices).")
@click.option("--build", type=click.Choice(["GRCh38", "GRCh37"]), default="GRCh38", show_default=True)
@click.option("--out-prefix", required=True, help="Writes PREFIX_R1.fastq.gz, PREFIX_R2.fastq.gz, PREFIX.truth.json.")
@click.option("--seed", type=click.IntRange(min=0), required=True, help="The same seed gives the same bytes.")
@click.option("--molecules", type=float, default=3000.0, show_default=True, help="Genome equivalents (hGE).")
@click.option(
    "--variant", "variants", multiple=True, metavar="SPEC=VAF",
    help="Spike one clone; SPEC is a protein or cDNA name or window:haplotype, '+' joins changes in cis.",
)  # fmt: skip
@click.option("--snp", "snps", multiple=True, metavar="POS:REF>ALT:het|hom", help="Germline substitution.")
@click.option("--exact", is_flag=True, help="Spike exactly round(VAF x molecules) molecules.")
@click.option("--targets", default="panel", show_default=True, help="'panel', 'hotspots' or a BED file.")
@click.option("--amplicons", help="BED file: every fragment is one of its intervals.")
@click.option("--mean-family-size", type=float, default=4.0, show_default=True, help="Read pairs per strand family.")
@click.option("--family-dispersion", type=float, default=0.5, show_default=True)
@click.option("--recovery", type=float, default=0.6, show_default=True, help="Molecules recovered on any strand.")
@click.option(
    "--duplex-rate", type=float, default=0.3, show_default=True, help="Recovered molecules with both strands."
)
@click.option("--top-fraction", type=float, default=0.5, show_default=True, help="Single strands that are F1R2.")
@click.option("--read-length", type=int, default=150, show_default=True)
@click.option("--read-structure", default="3M2S+T 3M2S+T", show_default=True, help="fgbio notation for both reads.")
@click.option("--fragment-mode", type=int, default=166, show_default=True, help="Most frequent fragment length.")
@click.option("--stray-molecules", type=int, default=0, show_default=True, help="Molecules of random sequence.")
@click.option("--deamination", type=float, default=3e-5, show_default=True, help="C>T per base of one strand.")
@click.option("--oxidation", type=float, default=2e-5, show_default=True, help="G>T per base of one strand.")
@click.option("--polymerase-error", type=float, default=1e-6, show_default=True, help="Per base and cycle.")
@click.option("--pcr-indel", type=float, default=2e-8, show_default=True, help="Per base, cycle and run length.")
@click.option("--tag-names", is_flag=True, help="Put molecule, strand and member into the read names.")
@click.option("--umi-in-name", is_flag=True, help="Move the UMIs from the reads to the end of their names.")
@click.option("--molecule-table", is_flag=True, help="Also write PREFIX.molecules.tsv.")
@click.option("--clumped", is_flag=True, help="Write reads by place and family, for small files.")
@click.option("--compression", type=click.IntRange(0, 9), default=4, show_default=True, help="gzip level.")
def command(
    panel_path: str, reference_path: str, build: str, out_prefix: str, seed: int, variants: tuple[str, ...],
    snps: tuple[str, ...], targets: str, amplicons: str | None, tag_names: bool, umi_in_name: bool,
    molecule_table: bool, compression: int, **options: object,
) -> None:  # fmt: skip
    """Simulate one sample's read pairs from a seed, and say what was made."""
    import numpy as np

    from esr1call.io.files import write_json
    from esr1call.io.reference import Reference, load_panel
    from esr1call.simulate import (
        SimulationParameters,
        hotspot_targets,
        parse_snp,
        parse_spike,
        simulate_sample,
        write_fastq,
        write_molecules,
    )

    reference = Reference(reference_path)
    panel = load_panel(panel_path, reference, build)
    spans = hotspot_targets(panel) if targets == "hotspots" else () if targets == "panel" else _bed(targets)
    parameters = SimulationParameters(
        spikes=tuple(parse_spike(v, panel) for v in variants), snps=tuple(parse_snp(s) for s in snps), targets=spans,
        amplicons=() if amplicons is None else _bed(amplicons), **options,  # type: ignore[arg-type]
    )  # fmt: skip
    simulation = simulate_sample(parameters, panel, reference, np.random.default_rng(seed))
    paths = f"{out_prefix}_R1.fastq.gz", f"{out_prefix}_R2.fastq.gz"
    write_fastq(simulation, *paths, tag_names, compression, umi_in_name)
    if molecule_table:
        write_molecules(simulation, f"{out_prefix}.molecules.tsv")
    truth = simulation.truth() | {"seed": seed}
    write_json(f"{out_prefix}.truth.json", truth)
    click.echo(f"{truth['read_pairs']} read pairs of {truth['molecules_recovered']} molecules", err=True)
    for spike in truth["spikes"]:
        for window, made in spike["windows"].items():
            click.echo(f"{spike['name']}\t{window}\t{made['mutant']}/{made['molecules']} molecules", err=True)


def _bed(path: str) -> tuple[tuple[str, int, int], ...]:
    from esr1call.contigs import canonical
    from esr1call.io.files import read_text

    spans = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split("\t")
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        if len(cells) < 3 or not cells[1].isdigit() or not cells[2].isdigit() or int(cells[1]) >= int(cells[2]):
            raise InputError("not a BED line", file=path, line=number, found=line, expected="contig, start, end")
        spans.append((canonical(cells[0]), int(cells[1]), int(cells[2])))
    if not spans:
        raise InputError("no interval", file=path)
    return tuple(spans)
