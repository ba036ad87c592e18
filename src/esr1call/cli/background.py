"""`esr1call background`: fit a background model on blanks, show one, or compare two."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(name="background")
def command() -> None:
    """Fit a background model on blanks, show one, or compare two."""


@command.command(name="fit")
@click.option("--panel", "panel_path", required=True, help="Panel TSV.")
@click.option("--reference", "reference_path", required=True, help="Reference FASTA.")
@click.option("--build", type=click.Choice(["GRCh38", "GRCh37"]), default="GRCh38", show_default=True)
@click.option("--counts", "given", multiple=True, help="Counts TSV of one blank; more may follow as plain arguments.")
@click.argument("more", nargs=-1)
@click.option("--id", "ids", multiple=True, help="Id of each blank, in order (default: its file's or folder's name).")
@click.option("--chemistry", required=True, help="Name of the library chemistry and panel.")
@click.option("--lot", required=True, help="Reagent lot.")
@click.option("--date", required=True, help="Date of the blanks, YYYY-MM-DD.")
@click.option("--min-blanks", default=3, show_default=True, type=click.IntRange(1), help="Fewer blanks are refused.")
@click.option("--out", "out_path", required=True, help="Model JSON to write.")
def fit_command(
    panel_path: str,
    reference_path: str,
    build: str,
    given: tuple[str, ...],
    more: tuple[str, ...],
    ids: tuple[str, ...],
    chemistry: str,
    lot: str,
    date: str,
    min_blanks: int,
    out_path: str,
) -> None:
    """Fit the error rates of each haplotype on blanks: --counts a.counts.tsv b.counts.tsv ..."""
    import datetime

    from esr1call.background import Blank
    from esr1call.background_fit import fit
    from esr1call.errors import InputError
    from esr1call.io.counts_file import read_counts
    from esr1call.io.files import sha256_of
    from esr1call.io.model_file import write_model
    from esr1call.io.reference import Reference, load_panel

    paths = [*given, *more]
    if not paths:
        raise InputError("no blanks", field="--counts", expected=f"counts files of at least {min_blanks} blanks")
    if ids and len(ids) != len(paths):
        raise InputError("not one id per blank", field="--id", found=len(ids), expected=str(len(paths)))
    try:
        datetime.date.fromisoformat(date)
    except ValueError as error:
        raise InputError("no such day", field="--date", found=date, expected="YYYY-MM-DD") from error
    panel = load_panel(panel_path, Reference(reference_path), build)
    names = ids or tuple(_name(p) for p in paths)
    tables = [read_counts(p, panel) for p in paths]
    blanks = [(Blank(n, sha256_of(p)), t) for n, p, t in zip(names, paths, tables, strict=True)]
    model = fit(panel, blanks, chemistry=chemistry, lot=lot, date=date, min_blanks=min_blanks)
    model = write_model(out_path, model)
    for c in model.carriers:
        click.echo(f"{c.blank} carries {c.name} ({c.molecules}/{c.depth}), left out of its background", err=True)
    click.echo(f"{out_path}: {len(blanks)} blanks, sha256 {model.sha256}", err=True)


def _name(path: str) -> str:
    """``S1`` for both S1.counts.tsv and S1/counts.tsv."""
    stem = Path(path).name.removesuffix(".tsv").removesuffix("counts").rstrip(".")
    return stem or Path(path).absolute().parent.name


@command.command(name="show")
@click.argument("model_path", metavar="MODEL")
def show_command(model_path: str) -> None:
    """Print what a model knows: its blanks, hyperparameters, error rates by substitution and figures of the fit."""
    from math import exp

    from esr1call.counts import TIERS
    from esr1call.io.model_file import read_model

    model = read_model(model_path)
    click.echo(f"sha256\t{model.sha256}\nchemistry\t{model.chemistry}\nlot\t{model.lot}\ndate\t{model.date}")
    click.echo(f"build\t{model.build}\npanel sha256\t{model.panel_sha256}")
    for blank in model.blanks:
        click.echo(f"blank\t{blank.id}\t{blank.sha256}")
    for c in model.carriers:
        click.echo(f"carrier\t{c.blank}\t{c.window}\t{c.haplotype}\t{c.name}\t{c.molecules}/{c.depth}")
    for name, tier in zip(TIERS, model.tiers, strict=True):
        s = tier.shape
        click.echo(
            f"{name}\tcore shape {s.core:.3g}, dirty sites {100 * s.dirty:.2g}% with tail index {s.dirty_index:.3g}, "
            f"between samples {s.between_samples:.3g}, spread of classes {s.spread:.2g}"
        )
        for substitution, (mean, sd) in sorted(tier.substitutions.items()):
            click.echo(f"{name}\t{substitution}\t{exp(mean):.2e}\t(factor {exp(2 * sd):.2f} either way)")
    for name, value in sorted(model.diagnostics.items()):
        click.echo(f"diagnostic\t{name}\t{value:g}")


@command.command(name="compare")
@click.argument("old_path", metavar="OLD")
@click.argument("new_path", metavar="NEW")
@click.option("--panel", "panel_path", help="Panel TSV: compares its alleles too.")
@click.option("--reference", "reference_path", help="Reference FASTA, with --panel.")
def compare_command(old_path: str, new_path: str, panel_path: str | None, reference_path: str | None) -> None:
    """Print rates of two models side by side, those that changed (|z| of 3 or more) marked."""
    from esr1call.background_compare import compare_haplotypes, compare_substitutions
    from esr1call.errors import InputError
    from esr1call.io.model_file import check_model, read_model
    from esr1call.io.reference import Reference, load_panel

    old, new = read_model(old_path), read_model(new_path)
    if (old.panel_sha256, old.build) != (new.panel_sha256, new.build):
        raise InputError("models of different panels", file=new_path, field="panel_sha256", found=new.panel_sha256,
                         expected=old.panel_sha256, hint="compare models fitted with one panel and build")  # fmt: skip
    if (panel_path is None) != (reference_path is None):
        raise InputError(
            "alleles need both a panel and a reference", field="--panel", expected="--panel and --reference"
        )
    differences = compare_substitutions(old, new)
    if panel_path is not None and reference_path is not None:
        panel = load_panel(panel_path, Reference(reference_path), new.build)
        check_model(new, panel, new_path)
        differences += compare_haplotypes(old, new, panel, [(v.window, v.haplotype) for v in panel.variants])
    for name in ("sha256", "chemistry", "lot", "date"):
        click.echo(f"{name}\t{getattr(old, name)}\t{getattr(new, name)}")
    shared = {b.sha256 for b in old.blanks} & {b.sha256 for b in new.blanks}
    click.echo(f"blanks\t{len(old.blanks)}\t{len(new.blanks)}\t{len(shared)} in both")
    click.echo("tier\tname\told\tnew\tratio\tz\tchanged")
    for d in differences:
        changed = "yes" if abs(d.z) >= 3 else ""
        click.echo(f"{d.tier}\t{d.name}\t{d.old:.2e}\t{d.new:.2e}\t{d.ratio:.2f}\t{d.z:.1f}\t{changed}")
