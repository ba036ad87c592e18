"""Make the committed batch in `test_data/` from a seed.

    python scripts/make_test_data.py --slices SLICES.fa      everything; the slices are copied to test_data/reference
    python scripts/make_test_data.py reads                   only reads, sample sheet, config and truth
    python scripts/make_test_data.py background              only the blanks' background model

Every sample has a random stream of its own, so a part can be made again without changing another. Blanks are
simulated, aligned and counted in a temporary folder; only their counts and the fitted model are kept.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from esr1call.cli import run
from esr1call.counts import STRATA
from esr1call.errors import Esr1callError
from esr1call.io.files import atomic_open
from esr1call.io.reference import Reference, load_panel
from esr1call.panel import Panel
from esr1call.simulate import (
    Simulation,
    SimulationParameters,
    hotspot_targets,
    parse_snp,
    parse_spike,
    simulate_sample,
    write_fastq,
)

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "test_data"
REFERENCE = DATA / "reference" / "esr1_lbd.GRCh38.fa"
PANEL = ROOT / "config" / "panels" / "esr1_lbd.tsv"
BUILD = "GRCh38"
READ_STRUCTURE = "3M2S+T 3M2S+T"
SEED = 20_260_112
PG_PER_GENOME = 3.3
"""Mass of a haploid human genome."""
SNP = "151944387:G>C"
"""rs1801132, a common synonymous variant in codon 325: germline, so never of the tumour."""

Clones = tuple[tuple[str, float], ...]
BLANKS = 8
BLANK_NG = 18.0


@dataclass(frozen=True)
class Planned:
    """One sample: what the sheet says of it and which clones it holds (panel name -> VAF)."""

    sample: str
    kind: str
    ng: float | None
    clones: Clones = ()
    ml: float | None = None
    patient: str = ""
    visit: str = ""
    collected: str = ""
    snps: tuple[str, ...] = ()
    molecules: float | None = None
    stray: int = 0


def visits(patient: str, snps: tuple[str, ...], *draws: tuple[str, str, float, float, Clones]) -> list[Planned]:
    """The plasma samples of one patient: (visit, date, mL, ng, clones) each."""
    return [
        Planned(f"{patient}-{v}", "patient", ng, clones, ml, patient, v, date, snps)
        for v, date, ml, ng, clones in draws
    ]


CONTROL = (("p.D538G", 0.01), ("p.Y537S", 0.008), ("p.E380Q", 0.01), ("p.V422del", 0.01), ("p.L536Q", 0.01))
SAMPLES = [
    # Never positive.
    *visits(
        "P001", (),
        ("V1", "2026-01-12", 4.0, 15.2, ()),
        ("V2", "2026-02-10", 3.9, 14.1, ()),
        ("V3", "2026-04-14", 4.0, 16.4, ()),
    ),
    # Newly positive at the third draw, low.
    *visits(
        "P002", (f"{SNP}:het",),
        ("V1", "2026-01-15", 4.0, 16.0, ()),
        ("V2", "2026-02-12", 4.0, 17.3, ()),
        ("V3", "2026-04-16", 4.1, 18.5, (("p.D538G", 0.005),)),
    ),
    # Positive at inclusion, cleared, back, and then polyclonal: four clones in trans, one of them the two-base AGT.
    *visits(
        "P003", (f"{SNP}:hom",),
        ("V1", "2026-01-13", 3.8, 15.5, (("c.1610A>C", 0.02),)),
        ("V2", "2026-02-11", 4.0, 16.2, ()),
        ("V3", "2026-04-15", 4.0, 17.0, (("c.1610A>C", 0.009),)),
        ("V4", "2026-06-16", 3.9, 17.6,
         (("c.1610A>C", 0.04), ("c.1609_1610delinsAG", 0.01), ("p.D538G", 0.015), ("p.E380Q", 0.012))),
    ),
    Planned("NTC-1", "ntc", None, molecules=1.5, stray=60),
    Planned("WT-1", "wild_type", 16.5),
    Planned("PC-1", "positive_control", 18.2, CONTROL),
]  # fmt: skip

CONFIG = """\
# The simulated batch of this folder; run it from the project's folder with
#   snakemake --cores 2 --configfile test_data/config.yaml
batch: demo
study: DEMO
output: results

samples: test_data/samples.tsv
reference:
  path: test_data/reference/esr1_lbd.GRCh38.fa
  build: GRCh38
panel: config/panels/esr1_lbd.tsv
background: test_data/background/model.json

trigger:
  rule: config/rules/pada1.yaml
  ledger: results/demo-ledger.sqlite

alignment:
  read_structure: 3M2S+T 3M2S+T

qc:
  snps: config/panels/esr1_snps.tsv
"""

README = """\
# A simulated batch

Nothing here is of a person: all reads are simulated (`esr1call simulate`) by `scripts/make_test_data.py` from a fixed
seed. Each source molecule and what it carries is known.

| file | what |
| --- | --- |
| `config.yaml`, `samples.tsv` | the batch, as a lab would describe it |
| `fastq/` | read pairs, 2 x 100, duplex UMIs `3M2S+T 3M2S+T`, hotspot codons captured |
| `truth.tsv` | every haplotype that is not the reference: source molecules, and families by tier and strand |
| `reference/` | five slices of GRCh38, see its README |
| `background/` | counts of {blanks} blanks and the background model fitted on them; the blanks' reads are not kept |

| sample | what it holds |
| --- | --- |
{rows}

Reads lie by place and family (as a clumping compressor leaves them), so that the files stay small. `hGE` is
ng x 1000/3.3; 60 % of the molecules are recovered, 30 % of those on both strands. `truth.tsv` has one row per haplotype
and window: `vaf` is the fraction asked for, `mutant` and `covering` are double-stranded source molecules that span the
window, the last ten columns the families that show it ({strata}), mutant and in all.
"""


def parameters_of(plan: Planned, panel: Panel) -> SimulationParameters:
    """What is simulated for a sample: all the cfDNA the sheet says goes into the library."""
    hge = plan.molecules if plan.molecules is not None else (plan.ng or 0.0) * 1000 / PG_PER_GENOME
    return SimulationParameters(
        molecules=hge, spikes=tuple(parse_spike(f"{name}={vaf}", panel) for name, vaf in plan.clones),
        snps=tuple(parse_snp(s) for s in plan.snps), exact=True, targets=hotspot_targets(panel),
        stray_molecules=plan.stray, mean_family_size=2.2, read_length=100, read_structure=READ_STRUCTURE,
        low_quality=(0.005, 0.04), clumped=True,
    )  # fmt: skip


def draw(plan: Planned, panel: Panel, reference: Reference) -> Simulation:
    """The sample, from a stream that depends on the seed and its name alone."""
    stream = np.random.SeedSequence([SEED, *plan.sample.encode()])
    return simulate_sample(parameters_of(plan, panel), panel, reference, np.random.default_rng(stream))


def fastq_of(folder: Path, sample: str) -> tuple[Path, Path]:
    """Paths of a sample's reads."""
    return folder / f"{sample}_R1.fastq.gz", folder / f"{sample}_R2.fastq.gz"


def make_reads(panel: Panel, reference: Reference) -> None:
    """Reads, sample sheet, config, truth and README of the batch."""
    shutil.rmtree(DATA / "fastq", ignore_errors=True)
    sheet = ["sample\tpatient\tvisit\tcollected\ttype\tfastq_1\tfastq_2\tplasma_ml\tcfdna_ng\texpected"]
    truth = [truth_header()]
    for plan in SAMPLES:
        simulation = draw(plan, panel, reference)
        write_fastq(simulation, *fastq_of(DATA / "fastq", plan.sample), level=9)
        expected = ";".join(f"{n}={v:g}" for n, v in plan.clones) if plan.kind == "positive_control" else ""
        paths = [str(p.relative_to(DATA)) for p in fastq_of(DATA / "fastq", plan.sample)]
        numbers = ["" if x is None else f"{x:g}" for x in (plan.ml, plan.ng)]
        sheet.append(
            "\t".join([plan.sample, plan.patient, plan.visit, plan.collected, plan.kind, *paths, *numbers, expected])
        )
        truth += truth_rows(plan, simulation)
        click.echo(f"{plan.sample}: {simulation.read_pairs} read pairs", err=True)
    for name, lines in (("samples.tsv", sheet), ("truth.tsv", truth)):
        with atomic_open(DATA / name) as out:
            out.write("\n".join(lines) + "\n")
    with atomic_open(DATA / "config.yaml") as out:
        out.write(CONFIG)
    rows = "\n".join(f"| {p.sample} | {contents(p)} |" for p in SAMPLES)
    with atomic_open(DATA / "README.md") as out:
        out.write(README.format(blanks=BLANKS, rows=rows, strata=", ".join(STRATA)))


def contents(plan: Planned) -> str:
    """In words, for the README."""
    shown = [f"{name} {100 * vaf:g} %" for name, vaf in plan.clones]
    shown += [f"germline SNP chr6:{s.replace(':', ' ')}" for s in plan.snps]
    if plan.stray:
        shown.append(f"{plan.stray} stray molecules that no reference holds, and next to none of ESR1")
    return ", ".join(shown) or "wild type"


def truth_header() -> str:
    """Columns of truth.tsv."""
    named = [
        "sample",
        "patient",
        "visit",
        "origin",
        "window",
        "haplotype",
        "protein",
        "cdna",
        "vaf",
        "mutant",
        "covering",
    ]
    return "\t".join(named + [f"{s}_{x}" for s in STRATA for x in ("mutant", "all")])


def truth_rows(plan: Planned, simulation: Simulation) -> list[str]:
    """One row per haplotype that is not the reference."""
    truth = simulation.truth()
    rows = []
    for window, found in truth["windows"].items():
        reference = simulation.panel.windows[simulation.panel.window_index[window]]
        for haplotype, made in found["haplotypes"].items():
            if haplotype == reference.reference:
                continue
            clone = [s for s in simulation.parameters.spikes if haplotype in shown_by(simulation, s.name, window)]
            vaf = clone[0].vaf if clone else (1.0 if ":hom" in plan.snps[0] else 0.5)
            values = [
                plan.sample, plan.patient, plan.visit, "clone" if clone else "germline", window, haplotype,
                made["protein"], made["cdna"], f"{vaf:g}", made["molecules"], found["molecules"],
            ]  # fmt: skip
            for mutant, everything in zip(made["sequenced"], found["sequenced"], strict=True):
                values += [mutant, everything]
            rows.append("\t".join(map(str, values)))
    return rows


def shown_by(simulation: Simulation, clone: str, window: str) -> set[str]:
    """Haplotypes of the window that a clone's molecules show, where the clone changes the window."""
    w = simulation.panel.windows[simulation.panel.window_index[window]]
    found = set()
    for number, spike in enumerate(simulation.parameters.spikes, 1):
        if spike.name == clone and any(c.window == window for c in spike.changes):
            home = next(r for r, x in enumerate(simulation.regions) if x.low <= w.start and w.end <= x.high)
            found |= {simulation.genomes.show(home, 2 * number + a, w.start, w.end) for a in (0, 1)}
    return found


def make_background(panel: Panel, reference: Reference) -> None:
    """Simulate blanks, align and count them, and fit the background model on their counts."""
    counts = DATA / "background"
    shutil.rmtree(counts, ignore_errors=True)
    tables = []
    common = ["--reference", str(REFERENCE), "--build", BUILD]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        step("index", "--reference", str(REFERENCE), "--out-dir", str(work / "index"))
        for number in range(1, BLANKS + 1):
            blank = Planned(f"BLANK-{number}", "blank", BLANK_NG)
            one, two = fastq_of(work, blank.sample)
            write_fastq(draw(blank, panel, reference), one, two, level=1)
            bam, table = work / f"{blank.sample}.bam", counts / f"{blank.sample}.counts.tsv"
            step(
                "align", "--sample", blank.sample, "--fastq-1", str(one), "--fastq-2", str(two), *common,
                "--read-structure", READ_STRUCTURE, "--index", str(work / "index" / "reference"),
                "--out", str(bam), "--stats", str(work / "align.json"),
            )  # fmt: skip
            step("count", "--bam", str(bam), "--panel", str(PANEL), *common, "--out", str(table))
            tables.append(str(table))
        fitted = ["--chemistry", "simulated duplex capture", "--lot", "LOT-1", "--date", "2026-01-05"]
        out = ["--out", str(counts / "model.json")]
        step("background", "fit", "--panel", str(PANEL), *common, *fitted, *out, "--counts", *tables)


def step(*arguments: str) -> None:
    """Run one esr1call command; stop where it fails."""
    code = run(list(arguments))
    if code:
        sys.exit(code)


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(["reads", "background"]))
@click.option("--slices", help="FASTA of the reference slices, copied to test_data/reference first.")
def main(parts: tuple[str, ...], slices: str | None) -> None:
    """Make PARTS of test_data (default: all of it)."""
    try:
        if slices is not None:
            REFERENCE.parent.mkdir(parents=True, exist_ok=True)
            REFERENCE.write_bytes(Path(slices).read_bytes())
        reference = Reference(REFERENCE)
        panel = load_panel(PANEL, reference, BUILD)
        if not parts or "reads" in parts:
            make_reads(panel, reference)
        if not parts or "background" in parts:
            make_background(panel, reference)
    except Esr1callError as error:
        click.echo(f"make_test_data: error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
