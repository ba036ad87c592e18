"""Study of the screen: what it loses, what it keeps, and what reads of related genes do.

    python scripts/validate_screen.py [--quick] --json FILE [--exons FASTA] [--part NAME]

1. Loss. Fragments over the panel's exons, some with a panel haplotype, an insertion or deletion of 1 to 20 bases, each
   read with up to 6 mismatches or soft ends (junk of 8 to 40 bases), of several read lengths, are all aligned by bwa to
   a stand-in chromosome: the real exons, and beyond their 50 real flanking bases random sequence. Of the pairs that lie
   over a panel window with MAPQ >= 20, the share that a screen keeps is told for each seed length and flank.
2. Specificity. Pairs of exons of other genes that a screen keeps, by seed length.
3. Calls. A simulated sample with four spiked variants among pairs of other genes, counted with and without the screen.
4. Related genes. One molecule in a thousand is of a copy of the exons at a given identity: molecules counted and calls
   against slices alone, without the filter of alignments that fit badly, and with the copy as a decoy slice.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_screen import EXONS, PANEL, ROOT, SLICES, Source, fragments_read, off_target, sequences

from esr1call.alignment import foreign
from esr1call.alignment.aligners import open_aligner
from esr1call.alignment.indexing import build_index
from esr1call.alignment.pairs import TemplatePairs
from esr1call.alignment.step import SCREEN_FLANK, screen_targets
from esr1call.calling import SampleInfo, call_batch
from esr1call.cli import run
from esr1call.contigs import place
from esr1call.counts import UNDECIDED
from esr1call.io.counts_file import read_counts
from esr1call.io.model_file import read_model
from esr1call.io.reference import Reference, load_panel
from esr1call.panel import Panel, reverse_complement
from esr1call.panel_file import parse
from esr1call.results import CallStatus
from esr1call.screening.records import whole_records
from esr1call.screening.search import Screen
from esr1call.screening.seeds import CODES, SEED, build_table, rolling
from esr1call.settings import CallingSettings

SEEDS = (13, 16, 19, 22, 25)
FLANKS = (0, 100, 200, 400, 600, 1000)
STAND_IN = 1500
"""Random bases beside each slice of the stand-in chromosome."""
MODEL = ROOT / "test_data" / "background" / "model.json"
SHARED = "ATGACCTGCTGCTGGAGATGC"
IDENTITIES = (0.65, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass
class Study:
    """What is found: figures by their key, and tables as printed."""

    figures: dict[str, float] = field(default_factory=dict)
    tables: dict[str, list[list[object]]] = field(default_factory=dict)

    def table(self, name: str, title: str, rows: list[list[object]]) -> None:
        """Keep a table, whose first row names its columns, and print it."""
        self.tables[name] = rows
        click.echo(f"\n{title}")
        for row in rows:
            click.echo("\t".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in row))


def random_bases(rng: np.random.Generator, length: int) -> str:
    """Uniform bases."""
    return "".join(np.array(list("ACGT"))[rng.integers(0, 4, length)])


def stand_in(folder: Path, rng: np.random.Generator) -> Path:
    """The slices with random sequence beside them, still named by their region."""
    path = folder / "stand_in.fa"
    with path.open("w") as out:
        for name, bases in sequences(SLICES).items():
            home = place(name, len(bases))
            text = random_bases(rng, STAND_IN) + bases + random_bases(rng, STAND_IN)
            out.write(f">{home.contig}:{home.offset + 1 - STAND_IN}-{home.end + STAND_IN}\n{text}\n")
    return path


# ---------------------------------------------------------------- reads


def changed_read(rng: np.random.Generator, read: str, kind: str) -> str:
    """A read with up to six mismatches, or with junk at one of its ends besides."""
    bases = np.array(list(read))
    at = rng.choice(len(bases), min(len(bases), int(rng.integers(0, 7)) if kind != "six mismatches" else 6), False)
    for i in at:
        bases[i] = "ACGT"[("ACGT".find(bases[i]) + int(rng.integers(1, 4))) % 4]
    text = "".join(bases)
    if kind == "soft ends":
        junk = random_bases(rng, int(rng.integers(8, 41)))
        text = junk + text[len(junk) :] if rng.random() < 0.5 else text[: -len(junk)] + junk
    return text


KINDS = ("six mismatches", "up to six mismatches", "indel", "soft ends", "haplotype")


def loss_pairs(
    rng: np.random.Generator, panel: Panel, reference: Reference, count: int
) -> tuple[list[str], list[str], NDArray[np.int64], list[int]]:
    """Read 1, read 2, the number of their kind, and the read length of each pair."""
    ones, twos, kinds, lengths = [], [], [], []
    exons = [(e.start, e.end) for e in panel.exons]
    texts = {e: reference.fetch(panel.contig, e[0] - 1000, e[1] + 1000) for e in exons}
    for i in range(count):
        kind = KINDS[i % len(KINDS)]
        read_length = (60, 75, 100, 145)[int(rng.integers(0, 4))]
        size = int(np.clip(rng.choice([rng.normal(167, 25), rng.normal(320, 40), rng.uniform(50, 500)]), 50, 600))
        start, end = exons[int(rng.integers(0, len(exons)))]
        text = texts[start, end]
        at = 1000 - size + 1 + int(rng.integers(0, end - start + size - 1))
        fragment = text[at : at + size]
        if kind == "haplotype":
            v = panel.variants[int(rng.integers(0, len(panel.variants)))]
            e = panel.windows[panel.window_index[v.window]].exon
            low = panel.exons[e].start - 1000
            whole = texts[exons[e]]
            whole = whole[: v.pos - 1 - low] + v.alt + whole[v.pos - 1 - low + len(v.ref) :]
            at = max(0, v.pos - 1 - low - int(rng.integers(0, size)))
            fragment = whole[at : at + size]
        if kind == "indel":
            gap, where = int(rng.integers(1, 21)), int(rng.integers(5, size - 5))
            insert = random_bases(rng, gap) if rng.random() < 0.5 else ""
            fragment = fragment[:where] + insert + fragment[where + (0 if insert else gap) :]
        if rng.random() < 0.5:
            fragment = reverse_complement(fragment)
        ones.append(changed_read(rng, fragment[:read_length], kind))
        twos.append(changed_read(rng, reverse_complement(fragment)[:read_length], kind))
        kinds.append(i % len(KINDS))
        lengths.append(read_length)
    return ones, twos, np.array(kinds), lengths


def holds_seed(reads: Sequence[str], targets: Sequence[str], k: int) -> NDArray[np.bool_]:
    """Which reads share k bases in a row with a target, by another way than the screen's."""
    strands = [s for t in targets for s in (t, reverse_complement(t))]
    values = []
    for s in strands:
        found, whole = rolling(CODES[np.frombuffer(s.encode(), np.uint8)], k)
        values.append(found[whole])
    known = np.unique(np.concatenate(values))
    width = max(map(len, reads))
    matrix = CODES[np.frombuffer("".join(r.ljust(width, "N") for r in reads).encode(), np.uint8)].reshape(-1, width)
    out = np.zeros(len(reads), dtype=np.bool_)
    for first in range(0, len(reads), 20_000):
        found, whole = rolling(matrix[first : first + 20_000], k)
        out[first : first + 20_000] = (np.isin(found, known) & whole).any(axis=1)
    return out


def over_windows(reads: tuple[list[str], list[str]], panel: Panel, index: Path, aligner: str) -> NDArray[np.bool_]:
    """Which pairs the aligner places over a window of the panel, with a mate of MAPQ >= 20."""
    tool = open_aligner(aligner, index, 2)
    homes = [place(name, length) for name, length in tool.sequences()]
    windows = np.array([(w.start, w.end) for w in panel.windows])
    names = [str(i) for i in range(len(reads[0]))]
    found = np.zeros(len(names), dtype=np.bool_)
    step = 32768
    batches = (
        TemplatePairs(
            names[i : i + step], [""] * len(names[i : i + step]), reads[0][i : i + step],
            ["F" * len(b) for b in reads[0][i : i + step]], reads[1][i : i + step],
            ["F" * len(b) for b in reads[1][i : i + step]],
        )
        for i in range(0, len(names), step)
    )  # fmt: skip
    for r in tool.align(batches, "g"):
        if r.is_unmapped or r.mapping_quality < 20:
            continue
        offset = homes[r.reference_id].offset
        low, high = r.reference_start + offset, r.reference_end + offset
        found[int(r.query_name)] |= bool(((windows[:, 0] < high) & (windows[:, 1] > low)).any())
    return found


def study_loss(study: Study, folder: Path, count: int, aligner: str) -> None:
    """Part 1."""
    rng = np.random.default_rng(11)
    path = stand_in(folder, rng)
    reference = Reference(path)
    panel = load_panel(PANEL, reference, "GRCh38")
    index = build_index(path, folder / "stand_in_index")
    one, two, kinds, lengths = loss_pairs(rng, panel, reference, count)
    true = over_windows((one, two), panel, index, aligner)
    reads, n = [*one, *two], int(true.sum())
    rows: list[list[object]] = [["seed", "flank", "true pairs", "lost", "kept fraction"]]
    for k in SEEDS:
        for flank in FLANKS:
            flanked = [reference.fetch(panel.contig, e.start - flank, e.end + flank) for e in panel.exons]
            held = holds_seed(reads, flanked, k)
            lost = int((true & ~(held[: len(one)] | held[len(one) :])).sum())
            rows.append([k, flank, n, lost, 1 - lost / n])
    study.table("loss", f"{count} pairs, {n} over a window with MAPQ >= 20 by {aligner}", rows)
    targets = screen_targets(parse(PANEL.read_text().splitlines(), str(PANEL)), "GRCh38", reference.fetch)
    text = "".join(f"@{i}\n{b}\n+\n{'F' * len(b)}\n" for i, b in enumerate(reads)).encode()
    held = np.zeros(len(reads), dtype=np.bool_)
    held[Screen(build_table(targets)).seeded(whole_records(text))] = True
    kept = held[: len(one)] | held[len(one) :]
    by_kind: list[list[object]] = [["reads", "true pairs", "kept"]]
    for i, kind in enumerate(KINDS):
        by_kind.append([kind, int((true & (kinds == i)).sum()), int((true & kept & (kinds == i)).sum())])
    for length in sorted(set(lengths)):
        of = true & (np.array(lengths) == length)
        by_kind.append([f"{length} bases", int(of.sum()), int((of & kept).sum())])
    study.table("by_kind", f"The screen itself: seed {SEED}, flank {SCREEN_FLANK}", by_kind)
    study.figures["true_pairs"] = n
    study.figures["kept_fraction"] = float((true & kept).sum() / n)


def study_specificity(study: Study, exons: Path, count: int) -> None:
    """Part 2."""
    rng = np.random.default_rng(12)
    reads = fragments_read(Source(list(off_target(exons).values())), rng, count)
    text = [["".join(map(chr, row)) for row in read] for read in reads]
    reference = Reference(SLICES)
    panel = load_panel(PANEL, reference, "GRCh38")
    targets = [reference.fetch(panel.contig, e.start - 50, e.end + 50) for e in panel.exons]
    rows: list[list[object]] = [["seed", "pairs of other genes", "kept", "share"]]
    for k in SEEDS:
        kept = int((holds_seed(text[0], targets, k) | holds_seed(text[1], targets, k)).sum())
        rows.append([k, count, kept, kept / count])
        if k == SEED:
            study.figures["off_target_kept_share"] = kept / count
    study.table("specificity", "Pairs of exons of other genes that are kept", rows)


# ---------------------------------------------------------------- samples


def write_fastq(path: Path, reads: Sequence[tuple[str, str]]) -> None:
    """Plain FASTQ of (name, bases)."""
    path.write_text("".join(f"@{n}\n{b}\n+\n{'F' * len(b)}\n" for n, b in reads))


def simulated(folder: Path, name: str, molecules: int, *variants: str) -> tuple[list[tuple[str, str]], ...]:
    """Read 1 and read 2 of a simulated sample."""
    given = ["simulate", "--panel", str(PANEL), "--reference", str(SLICES), "--out-prefix", str(folder / name)]
    given += ["--molecules", str(molecules), "--seed", "5", *(x for v in variants for x in ("--variant", v))]
    assert run(given) == 0
    out = []
    for mate in (1, 2):
        done = subprocess.run(
            ["gzip", "-dc", str(folder / f"{name}_R{mate}.fastq.gz")], capture_output=True, check=True
        )
        lines = done.stdout.decode().split("\n")
        out.append([(n[1:], b) for n, b in zip(lines[0:-1:4], lines[1::4], strict=True)])
    return tuple(out)


def counted(folder: Path, name: str, pairs: Sequence[list[tuple[str, str]]], reference: Path, *more: str) -> Path:
    """The counts file of pairs."""
    for mate in (1, 2):
        write_fastq(folder / f"{name}.R{mate}", pairs[mate - 1])
    index = folder / f"{reference.stem}_index"
    if not index.exists():
        build_index(reference, index)
    given = [
        "sample",
        "--sample",
        name,
        "--fastq-1",
        str(folder / f"{name}.R1"),
        "--fastq-2",
        str(folder / f"{name}.R2"),
    ]
    given += ["--read-structure", "3M2S+T 3M2S+T", "--reference", str(reference), "--index", str(index / "reference")]
    assert run([*given, "--panel", str(PANEL), "--out-dir", str(folder / name), *more]) == 0
    return folder / name / "counts.tsv"


def mixed(rng: np.random.Generator, *samples: Sequence[list[tuple[str, str]]]) -> list[list[tuple[str, str]]]:
    """The pairs of several samples in random order."""
    both = [list(pair) for sample in samples for pair in zip(*sample, strict=True)]
    order = rng.permutation(len(both))
    return [[both[i][mate] for i in order] for mate in (0, 1)]


def study_calls(study: Study, folder: Path, exons: Path, molecules: int) -> None:
    """Part 3."""
    rng = np.random.default_rng(13)
    own = simulated(folder, "own", molecules, "D538G=0.01", "Y537S=0.005", "E380Q=0.01", "V422del=0.01")
    reads = fragments_read(Source(list(off_target(exons).values())), rng, 20 * len(own[0]))
    other = [[(f"other{i}", "".join(map(chr, row))) for i, row in enumerate(read)] for read in reads]
    pairs = mixed(rng, own, other)
    text = [
        [
            line
            for line in counted(folder, n, pairs, SLICES, *o).read_text().splitlines()
            if f"\t{UNDECIDED}\t" not in line
        ]
        for n, o in (("screened", []), ("unscreened", ["--no-screen"]))
    ]
    study.figures["counts_identical"] = float(text[0] == text[1])
    panel = load_panel(PANEL, Reference(SLICES), "GRCh38")
    found = [calls_of(folder / n / "counts.tsv", panel) for n in ("screened", "unscreened")]
    study.figures["calls_identical"] = float(found[0] == found[1])
    study.table("calls", f"Calls of {len(own[0])} pairs among {len(other[0])} of other genes",
                [["screened", "not screened"], [", ".join(found[0]), ", ".join(found[1])]])  # fmt: skip


def calls_of(counts: Path, panel: Panel) -> list[str]:
    """Names and counts of what is called."""
    (result,) = call_batch(
        [(SampleInfo("s", "patient", "b"), read_counts(counts, panel))], panel, read_model(MODEL, panel),
        CallingSettings(),
    )  # fmt: skip
    return sorted(f"{c.protein} ({c.molecules})" for c in result.calls if c.status is CallStatus.DETECTED)


def related(rng: np.random.Generator, identity: float) -> dict[str, str]:
    """A copy of the slices at an identity, under other names, with what ESR2 shares with ESR1 left as it is."""
    out = {}
    for i, bases in enumerate(sequences(SLICES).values()):
        letters = np.array(list(bases))
        hit = np.flatnonzero(rng.random(len(letters)) > identity)
        letters[hit] = ["ACGT"[("ACGT".find(b) + int(rng.integers(1, 4))) % 4] for b in letters[hit]]
        if SHARED in bases:
            at = bases.index(SHARED)
            letters[at : at + len(SHARED)] = list(SHARED)
        out[f"chr14:{1001 + 5000 * i}-{1000 + 5000 * i + len(bases)}"] = "".join(letters)
    return out


def related_pairs(rng: np.random.Generator, copy: dict[str, str], molecules: int) -> list[list[tuple[str, str]]]:
    """Duplex families of 3 read pairs a strand of a copy's molecules."""
    rows: list[tuple[str, str]] = []
    texts = [s[:550] for s in copy.values()]
    for _ in range(molecules):
        text = texts[int(rng.integers(0, len(texts)))]
        size = min(int(np.clip(rng.normal(167, 20), 90, 240)), len(text))
        at = int(rng.integers(0, len(text) - size + 1))
        top = text[at : at + size]
        a, b = random_bases(rng, 3) + "TG", random_bases(rng, 3) + "TG"
        for fragment, left, right in ((top, a, b), (reverse_complement(top), b, a)):
            one = (left + fragment + reverse_complement(right) + "AGATCGGAAGAGCACACGTCTGAACTCCAGTCA" * 3)[:150]
            two = (
                right
                + reverse_complement(fragment)
                + reverse_complement(left)
                + "AGATCGGAAGAGCGTCGTGTAGGGAAAGAGTGT" * 3
            )
            rows += [(one, two[:150])] * 3
    return [[(f"related{i}", pair[mate]) for i, pair in enumerate(rows)] for mate in (0, 1)]


def study_related(study: Study, folder: Path, molecules: int) -> None:
    """Part 4."""
    rng = np.random.default_rng(14)
    panel = load_panel(PANEL, Reference(SLICES), "GRCh38")
    own = simulated(folder, "wild", molecules)
    rows: list[list[object]] = [["identity", "reference", "calls", "what"]]
    worst = 0
    kept = foreign.MAX_DIFFERENCES, foreign.MAX_DIFFERENT
    for identity in IDENTITIES:
        copy = related(rng, identity)
        # five loci, each with a thousandth of the molecules over it
        pairs = mixed(rng, own, related_pairs(rng, copy, max(5, 5 * molecules // 1000)))
        decoys = folder / f"decoys{int(100 * identity)}.fa"
        decoys.write_text(SLICES.read_text() + "".join(f">{n}\n{s}\n" for n, s in copy.items()))
        for name, reference in (("slices, no filter", SLICES), ("slices", SLICES), ("slices and decoys", decoys)):
            foreign.MAX_DIFFERENCES, foreign.MAX_DIFFERENT = (1000, 1.0) if "no filter" in name else kept
            found = calls_of(
                counted(folder, f"r{int(100 * identity)}{name[7:]}".replace(" ", "_"), pairs, reference), panel
            )
            rows.append([identity, name, len(found), ", ".join(found)])
            if (name == "slices" and identity <= 0.9) or name == "slices and decoys":
                worst = max(worst, len(found))
    foreign.MAX_DIFFERENCES, foreign.MAX_DIFFERENT = kept
    study.figures["calls_of_related_genes"] = worst
    study.table("related", f"1 in 1000 of {molecules} molecules is of a related gene", rows)


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the pairs and molecules.")
@click.option("--json", "json_path", required=True, help="Figures and tables to write.")
@click.option("--exons", type=click.Path(exists=True, path_type=Path), default=EXONS, help="Exons of other genes.")
@click.option(
    "--part", type=click.Choice(["loss", "specificity", "calls", "related"]), multiple=True, help="Only these."
)
@click.option("--aligner", default="embedded", type=click.Choice(["embedded", "bwa"]), show_default=True)
def main(quick: bool, json_path: str, exons: Path, part: tuple[str, ...], aligner: str) -> None:
    """Run the study and write what it found."""
    study, share = Study(), 10 if quick else 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts: dict[str, Callable[[], object]] = {
            "specificity": lambda: study_specificity(study, exons, 200_000 // share),
            "loss": lambda: study_loss(study, folder, 400_000 // share, aligner),
            "calls": lambda: study_calls(study, folder, exons, 2000 // share),
            "related": lambda: study_related(study, folder, 10_000 // share),
        }
        for name, run_part in parts.items():
            if not part or name in part:
                run_part()
    click.echo(json.dumps(study.figures, indent=1))
    Path(json_path).write_text(json.dumps({**study.figures, "tables": study.tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
