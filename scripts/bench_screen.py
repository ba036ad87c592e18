"""Benchmark of a whole panel's FASTQ to counts, against aligning all of it and against inflating alone.

    python scripts/bench_screen.py [--quick] --json FILE [--folder DIR] [--exons FASTA]

The reference is the committed slices and, one sequence a chromosome, the exons of `--exons` (other genes); the reads
are cfDNA pairs of all of them, 1 in 100 of the panel. Commands that are compared run in turn, A B A B ..., each a
whole process with two threads, and the ratio of their medians is quoted. A whole genome makes bwa slower than this
small reference does, so `speedup_1pct` is the less favourable figure. bwa aligns a tenth of the
pairs, and its time is taken ten times. On a shared machine CPU time (keys with `_cpu`) tells more than seconds. --quick
has a tenth of the pairs.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_counting import Usage, in_turn, median

ROOT = Path(__file__).resolve().parents[1]
EXONS = ROOT.parent / "shared" / "reference" / "offtarget_exons.GRCh38.fa"
SLICES = ROOT / "test_data" / "reference" / "esr1_lbd.GRCh38.fa"
PANEL = ROOT / "config" / "panels" / "esr1_lbd.tsv"
READ_LENGTH, PREFIX = 150, 5
THREADS = "2"
TARGETS = {
    "speedup_1pct": ">= 20", "ratio_to_inflate": "<= 2", "cost_all_on_target": "<= 1.05", "kept_fraction": ">= 0.99999",
    "memory_mb": "<= 500",
}  # fmt: skip
INFLATE = """
import sys, threading
from isal import isal_zlib
def inflate(path):
    with open(path, "rb") as file:
        member = isal_zlib.decompressobj(wbits=31)
        while block := file.read(1 << 17):
            member.decompress(block)
    assert member.eof
for t in (threads := [threading.Thread(target=inflate, args=(p,)) for p in sys.argv[1:]]):
    t.start()
for t in threads:
    t.join()
"""
_ADAPTERS = (b"AGATCGGAAGAGCACACGTCTGAACTCCAGTCA", b"AGATCGGAAGAGCGTCGTGTAGGGAAAGAGTGT")
_COMPLEMENT = np.zeros(256, dtype=np.uint8)
_COMPLEMENT[list(b"ACGT")] = list(b"TGCA")
_BASES = np.frombuffer(b"ACGT", dtype=np.uint8)


def sequences(path: Path) -> dict[str, str]:
    """Sequences of a FASTA by name."""
    found: dict[str, str] = {}
    name = ""
    for line in path.read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            found[name] = ""
        else:
            found[name] += line.upper()
    return found


def off_target(path: Path) -> dict[str, str]:
    """Exons of other genes by region (``chr12:27523381-27523757``)."""
    named = {n.split("|")[1]: s for n, s in sequences(path).items() if not n.startswith("ESR1|")}
    return {n: s for n, s in named.items() if len(s) >= 200 and set(s) <= set("ACGT")}


def by_chromosome(exons: dict[str, str]) -> dict[str, str]:
    """Exons of each chromosome as one sequence, with N between them."""
    joined: dict[str, list[str]] = {}
    for name, bases in exons.items():
        joined.setdefault(f"{name.split(':')[0]}_exons", []).append(bases)
    return {name: ("N" * 100).join(parts) for name, parts in joined.items()}


class Source:
    """Where fragments come from."""

    def __init__(self, bases: list[str]) -> None:
        self.text = np.frombuffer("".join(bases).encode(), dtype=np.uint8)
        self.length = np.array([len(b) for b in bases])
        self.start = np.cumsum(self.length) - self.length

    def draw(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Start (in `text`) and length of cfDNA fragments."""
        chosen = rng.choice(len(self.length), count, p=self.length / self.length.sum())
        length = np.minimum(np.clip(rng.normal(167, 20, count), 90, 340).astype(np.int64), self.length[chosen])
        return self.start[chosen] + (rng.random(count) * (self.length[chosen] - length + 1)).astype(np.int64), length


def chunks(own: Source, other: Source, pairs: int, share: float, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """FASTQ text of read 1 and read 2, 20,000 pairs at a time; `share` of them of `own`, whose names say so."""
    rng = np.random.default_rng(seed)
    pool = rng.choice(np.frombuffer(b"F:,#", dtype=np.uint8), p=[0.93, 0.04, 0.028, 0.002], size=(4096, READ_LENGTH))
    for first in range(0, pairs, 20_000):
        count = min(20_000, pairs - first)
        is_own = rng.random(count) < share
        reads = [np.empty((count, READ_LENGTH), dtype=np.uint8) for _ in range(2)]
        for source, rows in ((own, np.flatnonzero(is_own)), (other, np.flatnonzero(~is_own))):
            for mate, read in enumerate(fragments_read(source, rng, len(rows))):
                reads[mate][rows] = read
        number = first + np.arange(count)
        digits = number[:, None] // 10 ** np.arange(7, -1, -1) % 10 + ord("0")
        texts = []
        for mate in (0, 1):
            name = np.frombuffer(b"@A01234:123:HGVHYDSX5:1:1101:10000:", dtype=np.uint8)
            tail = np.frombuffer(b" %d:N:0:ACGTACGT\n" % (mate + 1), dtype=np.uint8)
            row = [
                np.broadcast_to(name, (count, len(name))), digits.astype(np.uint8),
                np.where(is_own, ord("1"), ord("0")).astype(np.uint8)[:, None],
                np.broadcast_to(tail, (count, len(tail))), reads[mate],
                np.broadcast_to(np.frombuffer(b"\n+\n", dtype=np.uint8), (count, 3)),
                pool[rng.integers(0, len(pool), count)], np.full((count, 1), ord("\n"), dtype=np.uint8),
            ]  # fmt: skip
            texts.append(np.concatenate(row, axis=1).tobytes())
        yield texts[0], texts[1]


def fragments_read(source: Source, rng: np.random.Generator, count: int) -> list[NDArray[np.uint8]]:
    """Read 1 and read 2 of `count` fragments: UMI and spacer, template, adapter; 0.2% of bases are wrong."""
    start, length = source.draw(rng, count)
    column = np.arange(READ_LENGTH - PREFIX)
    forward = source.text[np.minimum(start[:, None] + column, len(source.text) - 1)]
    reverse = _COMPLEMENT[source.text[np.maximum(start[:, None] + length[:, None] - 1 - column, 0)]]
    swap = rng.random(count) < 0.5
    reads = [np.where(swap[:, None], reverse, forward), np.where(swap[:, None], forward, reverse)]
    out = []
    for mate, template in enumerate(reads):
        past = column - length[:, None]
        adapter = np.frombuffer(_ADAPTERS[mate].ljust(READ_LENGTH, b"G"), dtype=np.uint8)
        template = np.where(past < 0, template, adapter[np.maximum(past, 0)])
        wrong = rng.random(template.shape) < 0.002
        template[wrong] = _BASES[rng.integers(0, 4, int(wrong.sum()))]
        umi = _BASES[rng.integers(0, 4, (count, 3))]
        spacer = np.broadcast_to(np.frombuffer(b"TG", dtype=np.uint8), (count, 2))
        out.append(np.concatenate([umi, spacer, template], axis=1))
    return out


class Bench:
    """The benchmark's files and figures."""

    def __init__(self, folder: Path, exons: Path, pairs: int, runs: int) -> None:
        self.folder, self.pairs, self.runs = folder, pairs, runs
        own, other = sequences(SLICES), off_target(exons)
        # Of the last slice, most is beyond the coding exon and its flank.
        self.sources = Source([s[:550] for s in own.values()]), Source(list(other.values()))
        self.fasta = folder / "panel.fa"
        self.fasta.write_text("".join(f">{n}\n{s}\n" for n, s in (own | by_chromosome(other)).items()))
        self.index = folder / "index" / "reference"
        if not self.index.with_suffix(".sa").exists():
            given = ["--reference", str(self.fasta), "--out-dir", str(self.index.parent)]
            subprocess.run(["esr1call", "index", *given], check=True)
        self.figures: dict[str, float] = {}

    def fastq(self, name: str, pairs: int, share: float) -> tuple[str, str]:
        """A pair of FASTQ.gz, made unless it is there."""
        paths = [self.folder / f"{name}_{pairs}_R{mate}.fastq.gz" for mate in (1, 2)]
        if not all(p.exists() for p in paths):
            with ThreadPoolExecutor(2) as pool:
                packers = [zlib.compressobj(5, wbits=31) for _ in paths]
                files = [p.with_suffix(".part").open("wb") for p in paths]
                for texts in chunks(*self.sources, pairs, share, 1):
                    for file, packed in zip(files, pool.map(lambda p, t: p.compress(t), packers, texts), strict=True):
                        file.write(packed)
                for path, file, packer in zip(paths, files, packers, strict=True):
                    file.write(packer.flush())
                    file.close()
                    path.with_suffix(".part").replace(path)
        return str(paths[0]), str(paths[1])

    def ours(self, fastq: tuple[str, str], *more: str) -> list[str]:
        """FASTQ to counts in one process."""
        return [
            "esr1call", "sample", "--sample", "s", "--fastq-1", fastq[0], "--fastq-2", fastq[1],
            "--read-structure", "3M2S+T 3M2S+T", "--reference", str(self.fasta), "--index", str(self.index),
            "--panel", str(PANEL), "--threads", THREADS, "--out-dir", str(self.folder / "out"), *more,
        ]  # fmt: skip

    def run(self) -> None:
        """All comparisons."""
        fastq = self.fastq("panel", self.pairs, 0.01)
        inflate = [sys.executable, "-c", INFLATE, *fastq]
        screened, alone = in_turn(self.runs, self.ours(fastq), inflate)
        self.say("whole panel, screened, to counts", screened)
        self.say("inflating alone, both files at once", alone)
        self.figures["ratio_to_inflate"] = wall(screened) / wall(alone)
        self.figures["ratio_to_inflate_cpu"] = median(screened) / median(alone)
        self.figures["memory_mb"] = statistics.median(u.rss for u in screened)
        if shutil.which("bwa"):
            tenth = self.fastq("panel", self.pairs // 10, 0.01)
            bwa = ["bwa", "mem", "-t", THREADS, "-v", "1", str(self.index), *tenth]
            again, some_of_it = in_turn(self.runs, self.ours(fastq), bwa)
            self.say("aligning a tenth of it with bwa mem", some_of_it)
            self.figures["speedup_1pct"] = 10 * wall(some_of_it) / wall(again)
            self.figures["speedup_1pct_cpu"] = 10 * median(some_of_it) / median(again)
        on_target = self.fastq("own", max(50_000, self.pairs // 10), 1.0)
        with_screen, without = in_turn(self.runs, self.ours(on_target), self.ours(on_target, "--no-screen"))
        self.say("all on target, screened", with_screen)
        self.say("all on target, not screened", without)
        self.figures["cost_all_on_target"] = wall(with_screen) / wall(without)
        self.figures["cost_all_on_target_cpu"] = median(with_screen) / median(without)
        self.figures["kept_fraction"] = self.kept(fastq)

    def kept(self, fastq: tuple[str, str]) -> float:
        """Share of the panel's own pairs that the screen keeps, by the truth in their names."""
        given = ["--panel", str(PANEL), "--reference", str(SLICES), "--stats", str(self.folder / "screen.json")]
        done = subprocess.run(["esr1call", "screen", *fastq, *given], check=True, capture_output=True)
        names = done.stdout.split(b"\n")[0::8]
        kept = sum(n.split(b" ")[0].endswith(b"1") for n in names)
        rng_own = 0
        for texts in chunks(*self.sources, self.pairs, 0.01, 1):
            rng_own += sum(n.split(b" ")[0].endswith(b"1") for n in texts[0].split(b"\n")[0:-1:4])
        stats = json.loads((self.folder / "screen.json").read_text())
        click.echo(
            f"kept {kept} of {rng_own} pairs of the slices, {stats['pairs_kept']} of {stats['pairs_read']} in all"
        )
        return kept / rng_own

    def say(self, what: str, used: list[Usage]) -> None:
        """A line about one command."""
        cpu, peak = statistics.median(u.cpu for u in used), statistics.median(u.rss for u in used)
        click.echo(f"{what}: {wall(used):.2f} s, {cpu:.2f} s CPU, {peak:.0f} MB ({len(used)} runs)")


def wall(used: list[Usage]) -> float:
    """Median of wall seconds."""
    return statistics.median(u.wall for u in used)


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the pairs.")
@click.option("--json", "json_path", required=True, help="Figures to write.")
@click.option("--folder", help="Keep the files here and use them again.")
@click.option("--exons", type=click.Path(exists=True, path_type=Path), default=EXONS, help="Exons of other genes.")
def main(quick: bool, json_path: str, folder: str | None, exons: Path) -> None:
    """Run the benchmark and write its figures."""
    with tempfile.TemporaryDirectory() as temporary:
        where = Path(folder or temporary)
        where.mkdir(parents=True, exist_ok=True)
        bench = Bench(where.resolve(), exons, 200_000 if quick else 2_000_000, 3)
        bench.run()
    click.echo("\n| figure | measured | target |\n| --- | ---: | --- |")
    for key, value in bench.figures.items():
        click.echo(f"| {key} | {value:.6g} | {TARGETS.get(key.removesuffix('_cpu'), '')} |")
    Path(json_path).write_text(json.dumps(bench.figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
