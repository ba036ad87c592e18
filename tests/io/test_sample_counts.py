from __future__ import annotations

from pathlib import Path

import numpy as np

from esr1call.io.bam import count_bam
from esr1call.io.sample_counts import count_sample
from esr1call.panel import Panel
from esr1call.settings import CountSettings
from esr1call.snps import AlleleCounts, Snp
from tests.builders import ReadBuilder

INSIDE = Snp("in", "chr6", 151944386, "G", "C", 0.5)
OUTSIDE = Snp("out", "chr6", 152098959, "G", "A", 0.5)


def bam(folder: Path) -> Path:
    """Four molecules over codon 325, one of them with the SNP's other allele; three over codon 594; two over 538."""
    reads = ReadBuilder()
    for i, changes in enumerate(([], [], [], [(INSIDE.position + 1, "G", "C")])):
        start = INSIDE.position - 60 - i
        reads.pair(start, start + 120, umi="AAA-CCC", changes_1=changes, changes_2=changes, copies=2)
    for i, changes in enumerate(([], [(OUTSIDE.position + 1, "G", "A")], [(OUTSIDE.position + 1, "G", "T")])):
        start = OUTSIDE.position - 70 - i
        reads.pair(start, start + 140, umi="AAA-GGG", changes_1=changes, changes_2=changes)
    reads.pair(152098700, 152098860, umi="AAA-CCC", copies=3)
    reads.pair(
        152098701, 152098860, umi="AAA-CCC", changes_1=[(152098791, "A", "G")], changes_2=[(152098791, "A", "G")]
    )
    return reads.write(folder / "x.bam")


def test_counts_are_the_same_with_snps_and_a_collector(tmp_path: Path, panel: Panel) -> None:
    path = bam(tmp_path)
    plain, _ = count_bam(path, panel, CountSettings())
    found = count_sample(path, panel, CountSettings(), snps=(INSIDE, OUTSIDE))
    assert found.table.windows == plain.windows
    assert (found.table.window == plain.window).all()
    assert found.table.haplotype == plain.haplotype
    assert (found.table.molecules == plain.molecules).all()
    assert found.alleles == (AlleleCounts(INSIDE, 3, 1, 0), AlleleCounts(OUTSIDE, 1, 1, 1))


def test_what_is_kept_of_the_hotspots(tmp_path: Path, panel: Panel) -> None:
    found = count_sample(bam(tmp_path), panel, CountSettings(), snps=(OUTSIDE,))
    kept = {panel.windows[w].name: c for w, c in found.collected.items()}
    assert set(kept) == {"534-535", "536-538"}
    sketch = kept["536-538"].sketch
    order = np.argsort(sketch.start)
    assert sketch.start[order].tolist() == [152098700, 152098701]
    assert sketch.end.tolist() == [152098860, 152098860]
    assert sketch.reference[order].tolist() == [True, False]
    assert sketch.templates[order].tolist() == [3, 1]
    assert np.flatnonzero(kept["536-538"].lengths).tolist() == [15, 16]
    assert (kept["534-535"].sketch.key == sketch.key).all()  # the same molecules


def test_threads_change_nothing(tmp_path: Path, panel: Panel) -> None:
    path = bam(tmp_path)
    one, two = (count_sample(path, panel, CountSettings(), n, snps=(OUTSIDE,)) for n in (1, 3))
    assert one.alleles == two.alleles
    assert list(one.collected) == list(two.collected)
    for w in one.collected:
        assert (one.collected[w].sketch.key == two.collected[w].sketch.key).all()
