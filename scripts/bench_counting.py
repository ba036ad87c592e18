"""Benchmark of the counting core against inflation alone and against other tools, each as a whole process.

    python scripts/bench_counting.py [--quick] --json FILE [--folder DIR]

Commands that are compared run in turn, A B A B ..., and the ratio of their medians is quoted: machines are shared, so
seconds alone say little. CPU is user plus system time of the process and its children. Tools that are not on PATH are
left out. --quick makes fewer runs, and freebayes reads a quarter of the reads.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import pysam

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_bam import CONTIG, WINDOW_BASES, WINDOW_STARTS, Plan, write_reference

MIN_MAPQ, MIN_BASE_QUALITY = 20, 10
TARGETS = {
    "cpu_ratio_samtools_mpileup": ">= 12", "cpu_ratio_inflate": "<= 3", "cpu_ratio_umi_tools_group": ">= 35",
    "cpu_ratio_freebayes": ">= 35", "wall_speedup_2_threads": ">= 1.5", "cpu_ratio_fgumi": ">= 3",
    "rss_mb_20m_pairs": "<= 300", "rss_mb_1m_molecules_one_position": "<= 1000", "scaling_exponent": "<= 1.05",
    "offtarget_read_fraction": "<= 0.05",
}  # fmt: skip


@dataclass(frozen=True)
class Usage:
    """What a command used: CPU and wall seconds, peak memory in MB (largest process)."""

    cpu: float
    wall: float
    rss: float


def measure(command: Sequence[str]) -> Usage:
    """Run a command, output thrown away; raises where it fails.

    The peak memory that Linux tells of a child is at least this process's own, so this one must stay small.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            tail = errors.read()[-2000:].decode(errors="replace")
            raise click.ClickException(f"{' '.join(command)} failed ({process.returncode}):\n{tail}")
    return Usage(used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024)


def in_turn(runs: int, *commands: Sequence[str]) -> list[list[Usage]]:
    """`runs` runs of each command, alternated, after one of the first to warm the file cache."""
    measure(commands[0])
    results: list[list[Usage]] = [[] for _ in commands]
    for _ in range(runs):
        for result, command in zip(results, commands, strict=True):
            result.append(measure(command))
    return results


def median(usages: Sequence[Usage], figure: str = "cpu") -> float:
    """Median of one figure."""
    return float(statistics.median(getattr(u, figure) for u in usages))


class Bench:
    """The benchmark's files and figures."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder, self.runs = folder, runs
        self.fasta, self.panel = write_reference(folder)
        pysam.faidx(str(self.fasta))
        self.bed = folder / "windows.bed"
        self.bed.write_text("".join(f"{CONTIG}\t{s}\t{s + WINDOW_BASES}\n" for s in WINDOW_STARTS))
        self.figures: dict[str, float] = {}
        self.notes: list[str] = []

    def bam(self, name: str, plan: Plan) -> Path:
        """The BAM of a plan, made and indexed unless it is there."""
        path = self.folder / f"{name}.bam"
        if not path.exists() or not path.with_suffix(".bam.bai").exists():
            maker = Path(__file__).with_name("bench_bam.py")
            subprocess.run([sys.executable, str(maker), str(path), json.dumps(asdict(plan))], check=True)
            pysam.index(str(path))
        return path

    def ours(self, bam: Path, *more: str, step: str = "count") -> list[str]:
        """Our command on a BAM."""
        return [
            "esr1call", step, "--bam", str(bam), "--panel", str(self.panel), "--reference", str(self.fasta),
            "--min-mapq", str(MIN_MAPQ), "--min-base-quality", str(MIN_BASE_QUALITY),
            "--out", str(self.folder / "out.tsv"), *more,
        ]  # fmt: skip

    def say(self, what: str, ours: Sequence[Usage], theirs: Sequence[Usage] | None = None) -> None:
        """One line of the log."""
        line = f"{what}: ours {median(ours):.2f} s CPU, {median(ours, 'wall'):.2f} s, {median(ours, 'rss'):.0f} MB"
        if theirs:
            line += f"; theirs {median(theirs):.2f} s CPU, {median(theirs, 'wall'):.2f} s"
        self.notes.append(line)
        click.echo(line)

    def ratio(self, key: str, ours: Sequence[str], theirs: Sequence[str], inverse: bool = False) -> None:
        """Ratio of median CPU: theirs over ours, or the other way round with `inverse`."""
        if shutil.which(theirs[0]) is None:
            click.echo(f"{key}: {theirs[0]} is not on PATH, left out")
            return
        a, b = in_turn(self.runs, ours, theirs)
        self.say(key, a, b)
        self.figures[key] = median(a) / median(b) if inverse else median(b) / median(a)


def peers(bench: Bench, main: Path, small: Path) -> None:
    """Ratios against other tools; `small` for those that take minutes."""
    packed = bench.folder / "packed.gz"
    packed.unlink(missing_ok=True)
    packed.symlink_to(main)
    bench.ratio("cpu_ratio_inflate", bench.ours(main), ["libdeflate-gunzip", "-c", "-f", str(packed)], inverse=True)
    quality = ["-q", str(MIN_MAPQ), "-Q", str(MIN_BASE_QUALITY)]
    bench.ratio(
        "cpu_ratio_samtools_mpileup", bench.ours(main, step="bases"),
        ["samtools", "mpileup", "-d", "0", "-A", "-B", "-x", *quality, "-l", str(bench.bed),
         "-f", str(bench.fasta), "-o", os.devnull, str(main)],
    )  # fmt: skip
    bench.ratio(
        "cpu_ratio_umi_tools_group", bench.ours(main),
        ["umi_tools", "group", "-I", str(main), "--paired", "--extract-umi-method=tag", "--umi-tag=RX",
         "--output-bam", "-S", str(bench.folder / "u.bam"), "-L", os.devnull],
    )  # fmt: skip
    bench.ratio(
        "cpu_ratio_freebayes", bench.ours(small),
        ["freebayes", "-f", str(bench.fasta), "-t", str(bench.bed), "-F", "0.0005", "-C", "2", "--pooled-continuous",
         "-m", str(MIN_MAPQ), "-q", str(MIN_BASE_QUALITY), str(small)],
    )  # fmt: skip
    if shutil.which("fgumi"):
        a, b = in_turn(bench.runs, bench.ours(main), ["sh", "-c", fgumi_script(bench, main)])
        bench.say("cpu_ratio_fgumi", a, b)
        bench.figures["cpu_ratio_fgumi"] = median(b) / median(a)
        compare_molecules(bench)
    else:
        click.echo("cpu_ratio_fgumi: fgumi is not on PATH, left out")


def fgumi_script(bench: Bench, bam: Path) -> str:
    """Sort, group, duplex consensus and filter, each with one thread as ours."""
    f = bench.folder
    return (
        f"set -e; fgumi sort -i {bam} -o {f}/t.bam --order template-coordinate --threads 1;"
        f" fgumi group -i {f}/t.bam -o {f}/g.bam --strategy paired --edits 1 --min-map-q {MIN_MAPQ} --threads 1;"
        f" fgumi duplex -i {f}/g.bam -o {f}/d.bam --min-reads 1,0,0 --threads 1;"
        f" fgumi filter -i {f}/d.bam -o {f}/f.bam --ref {bench.fasta} --min-reads 1,0,0 --max-base-error-rate 1"
        f" --max-no-call-fraction 1 --threads 1"
    )


def compare_molecules(bench: Bench) -> None:
    """Molecules over each window: ours (decided or not) and fgumi's groups with a read that spans it."""
    ours: dict[str, int] = {}
    for line in (bench.folder / "out.tsv").read_text().splitlines():
        cells = line.split("\t")
        if not line.startswith("#") and cells[0] != "window":
            ours[cells[0]] = ours.get(cells[0], 0) + sum(int(c) for c in cells[-5:])
    theirs: list[set[str]] = [set() for _ in WINDOW_STARTS]
    with pysam.AlignmentFile(str(bench.folder / "g.bam"), "rb", check_sq=False) as grouped:
        for read in grouped:
            for seen, start in zip(theirs, WINDOW_STARTS, strict=True):
                if read.reference_start <= start and (read.reference_end or 0) >= start + WINDOW_BASES:
                    seen.add(str(read.get_tag("MI")).split("/")[0])
    for name, seen in zip(ours, theirs, strict=True):
        line = f"window {name}: {ours[name]} molecules here, {len(seen)} groups of fgumi"
        bench.notes.append(line)
        click.echo(line)


def own_figures(bench: Bench, main: Path, quick: bool) -> None:
    """Threads, memory, scaling, and how much of a file is read."""
    one, two = in_turn(bench.runs, bench.ours(main), bench.ours(main, "--threads", "2"))
    bench.say("one thread", one)
    bench.say("two threads", two)
    bench.figures["wall_speedup_2_threads"] = median(one, "wall") / median(two, "wall")
    pairs = (500_000, 2_000_000) if quick else (500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000)
    cpu = []
    for n in pairs:
        used = [measure(bench.ours(bench.bam(f"pairs{n}", Plan(n, n // 100)))) for _ in range(bench.runs)]
        bench.say(f"{n} pairs", used)
        cpu.append(median(used))
    bench.figures["scaling_exponent"] = float(np.polyfit(np.log([2 * n for n in pairs]), np.log(cpu), 1)[0])
    deep = measure(bench.ours(bench.bam("pairs20000000", Plan(20_000_000, 200_000))))
    bench.say("20 million pairs", [deep])
    bench.figures["rss_mb_20m_pairs"] = deep.rss
    crowded = Plan(5_000_000, 1_000_000, one_position=True)
    crowd = measure(bench.ours(bench.bam("one_position", crowded)))
    bench.say("1 million molecules at one position of each window", [crowd])
    bench.figures["rss_mb_1m_molecules_one_position"] = crowd.rss
    bench.figures["offtarget_read_fraction"] = read_fraction(bench)


def read_fraction(bench: Bench) -> float:
    """Bytes read of a BAM with 1% of its reads over the windows, as a fraction of its size."""
    from esr1call.io.bam import bytes_read
    from esr1call.io.reference import Reference, load_panel

    bam = bench.bam("offtarget", Plan(20_000, 2_000, offtarget_pairs=1_980_000))
    read = bytes_read(bam, load_panel(bench.panel, Reference(bench.fasta), "GRCh38"))
    return read / bam.stat().st_size


@click.command()
@click.option("--quick", is_flag=True, help="Fewer runs, a smaller file for the slowest tool.")
@click.option("--json", "json_path", required=True, help="Figures to write.")
@click.option("--folder", help="Keep the files here and use them again.")
def main(quick: bool, json_path: str, folder: str | None) -> None:
    """Run the benchmark and write its figures."""
    with tempfile.TemporaryDirectory() as temporary:
        where = Path(folder or temporary)
        where.mkdir(parents=True, exist_ok=True)
        bench = Bench(where.resolve(), 3 if quick else 5)
        reads = bench.bam("pairs2000000", Plan(2_000_000, 20_000))
        peers(bench, reads, bench.bam("pairs500000", Plan(500_000, 5_000)) if quick else reads)
        own_figures(bench, reads, quick)
    click.echo("\n| figure | measured | target |\n| --- | ---: | --- |")
    for key, target in TARGETS.items():
        if key in bench.figures:
            digits = 2 - min(2, max(0, int(math.log10(max(bench.figures[key], 1)))))
            click.echo(f"| {key} | {bench.figures[key]:.{digits + 1}f} | {target} |")
    Path(json_path).write_text(json.dumps(bench.figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
