"""Benchmark of the workflow: what it costs on top of alignment and counting, and how it grows with the batch.

    python scripts/bench_batch.py [--quick] --json FILE [--folder DIR]

Reads are simulated: 96 samples of about 21,000 pairs, 2 million in all; --quick: 24 samples,
compared with 6, and 200 from counts, under the same keys.
The pure times are those of the same steps in one process that is already warm. Wall time on a machine that others use
says little, so each ratio is also given in CPU seconds (user plus system, all processes), which is what wall time comes
to on two cores that are free.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import yaml

from esr1call.cli import run
from esr1call.io.molecules_file import read_molecules, write_molecules
from esr1call.io.reference import Reference, load_panel
from esr1call.molecules.sketch import NO_LIMIT, Sketch, keys_of
from esr1call.panel import Panel
from esr1call.simulate import SimulationParameters, simulate_sample, write_fastq

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "test_data" / "reference" / "esr1_lbd.GRCh38.fa"
PANEL = ROOT / "config" / "panels" / "esr1_lbd.tsv"
STRUCTURE = "3M2S+T 3M2S+T"
HGE = 1205
"""Genome equivalents of a sample that give about 20,900 read pairs."""
DISTINCT = 4
"""Patients that are simulated; the other samples are copies with other UMIs, so that no two share molecules."""
CORES = 2
TARGETS = {
    "overhead_ratio_96": "<= 1.25", "peak_job_mb": "<= 1000", "cohort_1000_s": "<= 300",
    "per_sample_ratio_96_to_12": "<= 1.1", "noop_96_s": "<= 10",
}  # fmt: skip


@dataclass(frozen=True)
class Used:
    """Wall and CPU seconds."""

    wall: float
    cpu: float


class Clock:
    """Wall and CPU seconds of this process and its finished children since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._seconds()

    @staticmethod
    def _seconds() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    def read(self) -> Used:
        """What was used so far."""
        return Used(time.perf_counter() - self._wall, self._seconds() - self._cpu)


def simulate(folder: Path) -> int:
    """Write s<i>_R1/2.fastq.gz of the distinct samples; returns their mean number of pairs."""
    reference = Reference(REFERENCE)
    panel = load_panel(PANEL, reference, "GRCh38")
    pairs = 0
    for i in range(DISTINCT):
        made = simulate_sample(SimulationParameters(molecules=HGE), panel, reference, np.random.default_rng(i))
        write_fastq(made, str(folder / f"s{i}_R1.fastq.gz"), str(folder / f"s{i}_R2.fastq.gz"))
        pairs += made.read_pairs
    return pairs // DISTINCT


def source_of(sample: int) -> int:
    """The simulated patient that a sample is of: all three visits of a patient are of one."""
    return sample // 3 % DISTINCT


def with_other_umis(source: Path, target: Path, number: int) -> None:
    """A FASTQ whose UMIs, the first three bases, are those of `source` by a one-to-one table of 64, `number`."""
    tables = [{"ACGT"[k]: "ACGT"[k ^ (number >> 2 * i & 3)] for k in range(4)} for i in range(3)]
    with gzip.open(source, "rt") as lines, gzip.open(target, "wt", compresslevel=1) as out:
        for n, line in enumerate(lines):
            if n % 4 == 1:
                line = "".join(table.get(base, base) for table, base in zip(tables, line, strict=False)) + line[3:]
            out.write(line)


def with_other_molecules(source: Path, target: Path, number: int, panel: Panel) -> None:
    """The same for the molecules that counting keeps."""
    sketches = read_molecules(source, panel)
    other = {panel.window_index[name]: with_other_sketch(s, number) for name, s in sketches.items()}
    write_molecules(target, other, panel)


def with_other_sketch(sketch: Sketch, number: int) -> Sketch:
    """One window's molecules with other UMIs, in the order of their new keys."""
    change = [
        np.uint64(sum((bits >> 2 * i & 3) << 3 * i for i in range(3))) for bits in (number & 63, number >> 6 & 63)
    ]
    left, right = sketch.left ^ change[0], sketch.right ^ change[1]  # three bits a base
    key = keys_of(sketch.start, sketch.end, left, right)
    order = np.argsort(key)
    limits = [
        limit if limit == NO_LIMIT else key[sketch.reference == kind].max(initial=0)
        for kind, limit in zip((False, True), sketch.limits, strict=True)
    ]
    return Sketch(
        key[order], sketch.start[order], sketch.end[order], left[order], right[order], sketch.haplotype[order],
        sketch.reference[order], sketch.templates[order], np.array(limits, dtype=np.uint64),
    )  # fmt: skip


class Batch:
    """A folder with a batch of simulated patients, three visits each."""

    def __init__(self, folder: Path, reads: Path, samples: int, to_be_read: bool = True) -> None:
        """Of samples that are not `to_be_read` the FASTQ files only have to be there."""
        self.folder, self.samples = folder, [f"S{i:04d}" for i in range(samples)]
        (folder / "fastq").mkdir(parents=True)
        for name in ("workflow", "config", "test_data"):
            (folder / name).symlink_to(ROOT / name)
        rows = ["sample\tpatient\tvisit\tcollected\ttype\tfastq_1\tfastq_2\tplasma_ml\tcfdna_ng"]
        for i, name in enumerate(self.samples):
            files = [f"fastq/{name}_R{mate}.fastq.gz" for mate in (1, 2)]
            for mate, file in enumerate(files, 1):
                source = reads / f"s{source_of(i)}_R{mate}.fastq.gz"
                if to_be_read:
                    with_other_umis(source, folder / file, i & 63)
                else:
                    (folder / file).hardlink_to(source)
            who = f"P{i // 3:04d}\tV{i % 3}\t2026-0{1 + i % 3}-15\tpatient"
            rows.append("\t".join([name, who, *files, "4", "16"]))
        (folder / "samples.tsv").write_text("\n".join(rows) + "\n")
        settings = yaml.safe_load((ROOT / "test_data" / "config.yaml").read_text(encoding="utf-8"))
        settings |= {"batch": "bench", "study": "BENCH", "samples": "samples.tsv"}
        (folder / "bench.yaml").write_text(yaml.safe_dump(settings))
        self.results = folder / "results" / "bench"

    def snakemake(self, *arguments: str) -> tuple[Used, str]:
        """Run the workflow; returns what it used and what it said."""
        command = [sys.executable, "-m", "snakemake", "--cores", str(CORES), "--configfile", "bench.yaml", *arguments]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        # Snakemake's Slurm plugin waits 9 seconds at each start for a controller that is installed but does not run.
        environment = os.environ | {"PATH": path, "SLURM_CONF": os.devnull}
        # Whoever runs batches keeps compiled modules; without them each start compiles all that it imports.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        clock = Clock()
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise click.ClickException(done.stderr[-3000:])
        return clock.read(), done.stderr


def peak_mb(folder: Path) -> float:
    """Most memory of any job of any batch, as its benchmark file has it."""
    peak = 0.0
    for path in folder.glob("*/results/**/*.benchmark.tsv"):
        with path.open(newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                peak = max(peak, float(row["max_rss"].replace("NA", "0").replace("-", "0")))
    return peak


def pure(reads: Path, folder: Path) -> Used:
    """Mean use of aligning and counting one sample in this process, which has everything loaded.

    In two steps by way of a BAM, as whoever has an aligner and a counter would do it.
    """
    index = folder / "index"
    step(["index", "--reference", str(REFERENCE), "--out-dir", str(index)])
    place = ["--reference", str(REFERENCE), "--panel", str(PANEL)]
    bam = str(folder / "a.bam")
    used = []
    for i in [0, *range(DISTINCT)]:  # the first one loads everything
        clock = Clock()
        step(
            ["align", "--sample", "s", "--fastq-1", str(reads / f"s{i}_R1.fastq.gz"), "--fastq-2",
             str(reads / f"s{i}_R2.fastq.gz"), "--read-structure", STRUCTURE, "--index", str(index / "reference"),
             "--out", bam, "--stats", str(folder / "a.json"), *place]
        )  # fmt: skip
        step(["count", "--bam", bam, "--out", str(folder / "c.tsv"), "--stats", str(folder / "c.json"), *place])
        used.append(clock.read())
    return Used(*(sum(getattr(u, k) for u in used[1:]) / DISTINCT for k in ("wall", "cpu")))


def step(arguments: list[str]) -> None:
    """One subcommand, in this process."""
    if run(arguments):
        raise click.ClickException(f"failed: {' '.join(arguments)}")


def from_counts(folder: Path, reads: Path, small: Batch, samples: int) -> Used:
    """A batch whose reads are counted: calls, events and summary through the workflow."""
    batch = Batch(folder, reads, samples, to_be_read=False)
    panel = load_panel(PANEL, Reference(REFERENCE), "GRCh38")
    made = [small.results / "samples" / name for name in small.samples[: 3 * DISTINCT : 3]]
    shutil.copytree(small.folder / "results" / "index", folder / "results" / "index")
    for i, name in enumerate(batch.samples):
        target = batch.results / "samples" / name
        target.mkdir(parents=True)
        for file in made[source_of(i)].iterdir():
            if file.name.startswith("aligned"):
                (target / file.name).write_bytes(b"counted\n")
            elif file.name == "molecules.npz":
                with_other_molecules(file, target / file.name, i, panel)
            elif file.name != "result.json":
                shutil.copyfile(file, target / file.name)
    used, said = batch.snakemake("--rerun-triggers", "mtime")
    if re.search(r"^sample +[0-9]", said, re.MULTILINE):
        raise click.ClickException("a job ran that was not to run")
    return used


@click.command()
@click.option("--quick", is_flag=True, help="A quarter of the samples: for trying it out.")
@click.option("--json", "out", required=True, help="Figures to write.")
@click.option("--folder", help="Where to work (kept); default: a temporary folder.")
def main(quick: bool, out: str, folder: str | None) -> None:
    """Measure the workflow and write the figures."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        place.mkdir(parents=True, exist_ok=True)
        figures = measure(place, *((6, 24, 200) if quick else (12, 96, 1000)))
    Path(out).write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    for key, value in sorted(figures.items()):
        click.echo(f"{key:<28} {value:>10.4g}   {TARGETS.get(key, '')}")


def measure(folder: Path, few: int, many: int, cohort: int) -> dict[str, float]:
    """The figures; keys tell of 12, 96 and 1,000 samples whatever the numbers are."""
    reads = folder / "reads"
    reads.mkdir()
    pairs = simulate(reads)
    click.echo(f"{pairs} read pairs a sample")
    alone = pure(reads, folder)
    small, large = Batch(folder / "few", reads, few), Batch(folder / "many", reads, many)
    first, _ = small.snakemake()
    click.echo(f"{few} samples: {first}")
    second, _ = large.snakemake()
    click.echo(f"{many} samples: {second}")
    nothing, said = large.snakemake()
    if "Nothing to be done" not in said:
        raise click.ClickException("the second run had something to do")
    called = from_counts(folder / "cohort", reads, large, cohort)
    return {
        "read_pairs_per_sample": pairs,
        "samples": many,
        "pure_sample_s": alone.wall,
        "pure_sample_cpu_s": alone.cpu,
        "batch_96_s": second.wall,
        "batch_96_cpu_s": second.cpu,
        "overhead_ratio_96": second.wall / (many * alone.wall / CORES),
        "overhead_cpu_ratio_96": second.cpu / (many * alone.cpu),
        "per_sample_ratio_96_to_12": (second.wall / many) / (first.wall / few),
        "per_sample_cpu_ratio_96_to_12": (second.cpu / many) / (first.cpu / few),
        "peak_job_mb": peak_mb(folder),
        "peak_any_process_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6,
        "noop_96_s": nothing.wall,
        "noop_96_cpu_s": nothing.cpu,
        "cohort_1000_s": called.wall,
        "cohort_1000_cpu_s": called.cpu,
    }


if __name__ == "__main__":
    main()
