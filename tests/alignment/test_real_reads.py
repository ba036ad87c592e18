"""The example of docs/real_reads.md on real reads, where a copy of them is at hand.

ESR1CALL_REAL_READS names the folder; without it, a folder beside the project's is looked for.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pysam
import pytest

from esr1call.cli import run
from esr1call.counts import UNDECIDED
from esr1call.io.batch import load_batch
from esr1call.io.counts_file import read_counts
from esr1call.io.reference import Reference, load_panel
from esr1call.panel_file import parse
from tests.builders import ROOT, read_fasta, write_fasta

READS = Path(os.environ.get("ESR1CALL_REAL_READS", ROOT.parent / "shared" / "real" / "simsen_pik3ca"))
EXAMPLE = ROOT / "config" / "examples" / "pik3ca"
PANEL = ROOT / "config" / "panels" / "pik3ca_hotspots.tsv"
STRUCTURE = "4M3S2M1S2M3S4M16S+T +T"

AMPLICONS = {
    (179203727, 179203811): 0.13, (179210119, 179210221): 0.10, (179210242, 179210321): 0.30,
    (179218255, 179218353): 0.18, (179234249, 179234328): 0.23,
}  # fmt: skip
"""First and last position of each amplicon, and the share of pairs that it has at least."""

VARIANTS = {
    "p.C420R": 0.014, "p.E542K": 0.022, "p.E545A": 0.045, "p.E545D": 0.016, "p.E545G": 0.019, "p.E545K": 0.011,
    "p.Q546E": 0.035, "p.Q546R": 0.033, "p.H1047L": 0.024, "p.H1047R": 0.019, "p.H1047Y": 0.021,
}  # fmt: skip
"""Share of molecules (of two or more read pairs) that show each variant."""


def example(folder: Path, *more: str) -> tuple[Path, Path]:
    """Run the example's index, align (with options `more`) and count steps; returns reference and output folder."""
    folder.mkdir()
    (bases,) = read_fasta(READS / "Homo_sapiens_PIK3CA_sequence.fa").values()
    reference = write_fasta(folder / "pik3ca.fa", {"chr3:179147514-179240693": bases})
    out = folder / "out"
    shared = ["--reference", str(reference), "--panel", str(PANEL)]
    assert run(["index", "--reference", str(reference), "--out-dir", str(folder / "index")]) == 0
    given = ["align", "--sample", "real", "--index", str(folder / "index" / "reference"), "--read-structure", STRUCTURE]
    given += ["--fastq-1", str(READS / "P001_start_R1_001.fastq.gz")]
    given += ["--fastq-2", str(READS / "P001_start_R2_001.fastq.gz")]
    given += more
    assert run([*given, *shared, "--out", str(out / "aligned.bam"), "--stats", str(out / "align.json")]) == 0
    given = ["count", "--bam", str(out / "aligned.bam"), "--umi", "simplex"]
    assert run([*given, *shared, "--out", str(out / "counts.tsv"), "--stats", str(out / "counts.json")]) == 0
    return reference, out


def check_alignment(out: Path) -> None:
    stats = json.loads((out / "align.json").read_text())
    assert stats["pairs_read"] == 85942
    assert stats["dropped_shorter_than_structure"] == 0
    # Pairs without an insert: primer dimers.
    assert 0.12 < stats["dropped_short_after_trimming"] / stats["pairs_read"] < 0.14
    assert stats["reads_mapped"] > 0.99 * 2 * stats["pairs_kept"]
    assert stats["reads_on_target"] > 0.98 * 2 * stats["pairs_kept"]
    fragments: Counter[tuple[int, int]] = Counter()
    clipped = whole = 0
    with pysam.AlignmentFile(str(out / "aligned.bam")) as bam:
        for r in bam:
            if r.is_proper_pair and not r.is_supplementary:
                clipped += r.query_alignment_length < r.query_length
                whole += r.query_alignment_length == r.query_length
                if r.is_read1:
                    assert len(r.get_tag("RX")) == 12
                    first = min(r.reference_start, r.next_reference_start) + 179147514
                    fragments[first, first + abs(r.template_length) - 1] += 1
    # Read-through adapter is gone: next to nothing is left for the aligner to clip.
    assert clipped < 0.02 * whole
    for ends, share in AMPLICONS.items():
        assert fragments[ends] > share * fragments.total()


def check_variants(reference: Path, out: Path) -> None:
    panel = load_panel(PANEL, Reference(reference), "GRCh38")
    table = read_counts(out / "counts.tsv", panel)
    depth = table.depth()
    shown: Counter[str] = Counter()
    for v in panel.variants:
        window = panel.window_index[v.window]
        assert table.of(window, v.haplotype)[[1, 3, 4]].sum() == 0  # one strand only: reads start at one primer
        shown[v.protein] += table.of(window, v.haplotype)[2] / depth[window][2]
    for name, share in VARIANTS.items():
        assert shown[name] == pytest.approx(share, rel=0.3)
    assert all(share < 0.001 for name, share in shown.items() if name not in VARIANTS)


def haplotypes(out: Path) -> list[str]:
    """The rows of a counts file but for undecided molecules.

    bwa chooses among equally good places (MAPQ 0) by a read's number in its batch, which a screen changes: where the
    mate of such a read lies in a window, its molecule's end, and so an undecided one, can differ.
    """
    return [line for line in (out / "counts.tsv").read_text().splitlines() if f"\t{UNDECIDED}\t" not in line]


def test_the_example_is_a_batch() -> None:
    batch = load_batch(EXAMPLE / "config.yaml", {"samples": str(EXAMPLE / "samples.tsv")}, check_files=False)
    assert [s.type for s in batch.samples] == ["patient"] + 4 * ["blank"]
    assert batch.config.alignment.read_structure == STRUCTURE
    assert batch.config.counting.umi == "simplex"
    assert STRUCTURE in (ROOT / "docs" / "real_reads.md").read_text()


def test_the_panel_has_one_shift_between_builds() -> None:
    source = parse(PANEL.read_text().splitlines(), str(PANEL))
    places = [(r.values["pos_GRCh38"], r.values["pos_GRCh37"]) for r in source.rows]
    places += [(e["GRCh38"], e["GRCh37"]) for e in source.exons]
    # E545K and H1047R are published on both builds: 179218303 and 178936091, 179234297 and 178952085.
    assert {int(a) - int(b) for a, b in places} == {282212}


if READS.is_dir():

    @pytest.mark.slow
    def test_real_reads_from_fastq_to_counts(tmp_path: Path) -> None:
        reference, out = example(tmp_path / "all", "--no-screen")
        check_alignment(out)
        check_variants(reference, out)
        _, screened = example(tmp_path / "screened")
        stats = json.loads((screened / "align.json").read_text())
        # Primer dimers, whose pieces of primers are too short for a seed.
        assert 0.05 < stats["dropped_by_screen"] / stats["pairs_read"] < 0.1
        assert haplotypes(screened) == haplotypes(out)
