#!/usr/bin/env python3
"""Study of the calling statistics, on simulated counts and on real per-site molecule errors; HTML, TSV and JSON.

    python scripts/validate_calling.py --quick --json figures.json --out-dir results/validation

The truth of the simulation is a world of error rates by strand-resolved trinucleotide, site and sample, with dirty
sites, that shares no code with the model; the model knows it through 24 simulated blanks only. The real data are the
molecule errors published with smCounter2, which --real names; without them those figures are null.
"""

# The number of threads is set before numpy is imported.
# ruff: noqa: E402

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from validate_calling_power import beside_shearwater, lod_and_sensitivity, sensitivity_over_worlds
from validate_calling_real import real_data
from validate_calling_report import verdicts, write_report
from validate_calling_samples import blanks_end_to_end, one_allele, rise, simulated_nulls, speed
from validate_calling_world import Study, World, model_of, shown

from esr1call.io.files import write_json
from esr1call.io.reference import Reference, load_panel

ROOT = Path(__file__).resolve().parents[1]


@click.command()
@click.option("--quick", is_flag=True, help="Smaller simulations where they are slow; ends within 10 minutes.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option(
    "--out-dir",
    type=click.Path(path_type=Path),
    default=ROOT / "results/validation_calling",
    show_default=False,
    help="Report and tables.",
)
@click.option(
    "--real",
    type=click.Path(path_type=Path),
    envvar="ESR1CALL_REAL_BACKGROUND",
    default=ROOT.parent / "shared/background",
    help="Folder of the real data.",
)
@click.option("--panel", "panel_path", default=str(ROOT / "config/panels/esr1_lbd.tsv"), help="Panel TSV.")
@click.option("--reference", default=str(ROOT / "test_data/reference/esr1_lbd.GRCh38.fa"), help="Reference FASTA.")
@click.option("--seed", default=20260101, show_default=True)
def main(
    quick: bool, json_path: Path | None, out_dir: Path, real: Path, panel_path: str, reference: str, seed: int
) -> None:
    """Measure the calling statistics and write a report."""
    rng = np.random.default_rng(seed)
    study = Study()
    panel = load_panel(panel_path, Reference(reference), "GRCh38")
    world = World(panel, rng)
    start = time.monotonic()

    def step(name: str) -> None:
        click.echo(f"[{time.monotonic() - start:.0f} s] {name}", err=True)

    step("real data")
    real_data(study, real if real.is_dir() else None)
    step("model on 24 blanks")
    model = model_of(world, rng)
    step("LoD and sensitivity")
    lod_and_sensitivity(study, world, model, panel, rng)
    step("sensitivity over worlds")
    sensitivity_over_worlds(study, panel, seed)
    step("speed")
    speed(study, world, model, panel, rng)
    step("beside shearwater")
    beside_shearwater(study, world, model, panel, rng)
    step("one allele")
    one_allele(study, world, model, panel, 100 if quick else 1000, rng)
    step("rise")
    rise(study, 700 if quick else 4000, rng)
    step("nulls")
    simulated_nulls(study, model, panel, rng)
    step("blanks")
    blanks_end_to_end(study, world, model, panel, 3000 if quick else 10_000, rng)
    rows = verdicts(study)
    study.tables.insert(0, ("figures", "Figures", ["figure", "value", "bar", ""], rows))
    write_report(study, out_dir)
    if json_path is not None:
        write_json(json_path, study.figures)
    click.echo("")
    for row in rows:
        click.echo("\t".join(shown(v) for v in row))
    step(f"report: {out_dir / 'report.html'}")


if __name__ == "__main__":
    sys.exit(main())
