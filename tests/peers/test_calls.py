"""Calls of a simulated sample with spiked variants: ours, those of freebayes and of bcftools on the same BAM.

Alleles are compared as haplotypes of codon windows, however a caller writes them. One that is in only one of two lists
must be of a named kind (docs/peers.md): each kind is a predicate, and an allele of no kind fails the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from esr1call.alignment.indexing import build_index
from esr1call.calling import PANEL_SHARE, SampleInfo, call_batch
from esr1call.cli import run
from esr1call.contigs import place
from esr1call.counts import CountTable
from esr1call.io.bam import explain_bam
from esr1call.io.counts_file import read_counts
from esr1call.io.model_file import read_model
from esr1call.panel import Panel
from esr1call.results import CallStatus
from esr1call.settings import CallingSettings, CountSettings
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT, esr1_panel, haplotype_of, slices, write_fasta
from tests.tools import ask, need

pytestmark = [pytest.mark.peers, pytest.mark.slow]

SPIKES = {
    "D538G": 0.3, "Y537S": 0.05, "L536Q": 0.03, "E380Q": 0.02, "V422del": 0.02, "S463P": 0.01, "Y537C": 0.005,
    "L469V": 0.002,
}  # fmt: skip
LEAST_READS, LEAST_FRACTION = 3, 0.001
Allele = tuple[str, str]
"""(window, haplotype)"""


@dataclass(frozen=True)
class Sample:
    """The BAM, what was spiked, what we count and call, and the share of read pairs that show an allele."""

    bam: Path
    fasta: Path
    panel: Panel
    spiked: frozenset[Allele]
    table: CountTable
    called: frozenset[Allele]
    p: dict[Allele, float]

    def read_pairs(self, allele: Allele) -> tuple[int, int]:
        """Read pairs that show an allele, and all that show its window, before any consensus."""
        window = self.panel.window_index[allele[0]]
        shown = [
            (haplotype, n)
            for m in explain_bam(self.bam, self.panel, window, CountSettings())
            for haplotype, n in (*m.shown_forward, *m.shown_reverse)
        ]
        return sum(n for h, n in shown if h == allele[1]), sum(n for _, n in shown)

    def molecules(self, allele: Allele) -> int:
        """Molecules that show an allele."""
        window = self.table.windows.index(allele[0])
        rows = zip(self.table.window, self.table.haplotype, self.table.molecules, strict=True)
        return sum(int(m.sum()) for w, h, m in rows if (w, h) == (window, allele[1]))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder, panel = tmp_path_factory.mktemp("sample"), esr1_panel()
    fasta = write_fasta(folder / "reference.fa", slices())
    made = ["--panel", str(PANEL_TSV), "--reference", str(fasta)]
    spikes = [x for name, vaf in SPIKES.items() for x in ("--variant", f"{name}={vaf}")]
    options = ["--out-prefix", str(folder / "s"), "--seed", "3", "--molecules", "1500", "--targets", "hotspots"]
    assert run(["simulate", *made, *options, *spikes]) == 0
    given = ["--sample", "s", "--fastq-1", str(folder / "s_R1.fastq.gz"), "--fastq-2", str(folder / "s_R2.fastq.gz")]
    given += ["--read-structure", "3M2S+T 3M2S+T", "--index", str(build_index(REFERENCE_FASTA, folder / "index"))]
    assert run(["sample", *given, *made, "--keep-bam", "--out-dir", str(folder)]) == 0
    table = read_counts(folder / "counts.tsv", panel)
    model = read_model(ROOT / "test_data" / "background" / "model.json", panel)
    (result,) = call_batch([(SampleInfo("s", "patient", "b"), table)], panel, model, CallingSettings())
    truth = json.loads((folder / "s.truth.json").read_text())
    spiked = {(w, haplotype_of(panel, w, f"p.{s['name']}")) for s in truth["spikes"] for w in s["windows"]}
    assert len(spiked) == len(SPIKES)
    return Sample(
        folder / "aligned.bam", fasta, panel, frozenset(spiked), table,
        frozenset((c.window, c.haplotype) for c in result.calls if c.status is CallStatus.DETECTED),
        {(c.window, c.haplotype): c.p_adjusted for c in result.calls},
    )  # fmt: skip


def alleles(vcf: str, panel: Panel) -> Iterator[Allele]:
    """Haplotypes that the records of a VCF make of the windows they change."""
    for line in vcf.splitlines():
        if line.startswith("#"):
            continue
        name, pos, _, reference, alternatives = line.split("\t")[:5]
        first, last = name.split(":")[1].split("-")
        start = int(pos) - 1 + place(name, int(last) - int(first) + 1).offset
        for alternative in alternatives.split(","):
            for window in panel.windows:
                shown = changed(window.start, window.reference, start, reference, alternative)
                if shown is not None and shown != window.reference:
                    yield window.name, shown


def changed(low: int, window: str, start: int, reference: str, alternative: str) -> str | None:
    """A window that begins at `low` with a change in it; None where the change lies elsewhere, or in part."""
    while reference and alternative and reference[-1] == alternative[-1]:
        reference, alternative = reference[:-1], alternative[:-1]
    while reference and alternative and reference[0] == alternative[0]:
        start, reference, alternative = start + 1, reference[1:], alternative[1:]
    at = start - low
    if at < 0 or at + len(reference) > len(window):
        return None
    assert window[at : at + len(reference)] == reference
    return window[:at] + alternative + window[at + len(reference) :]


# ---------------------------------------------------------------- kinds of difference


Kind = Callable[[Sample, Allele], bool]


def few_reads(s: Sample, allele: Allele) -> bool:
    shown, all_ = s.read_pairs(allele)
    return shown < LEAST_READS or shown < LEAST_FRACTION * all_


def few_for_a_genotype(s: Sample, allele: Allele) -> bool:
    shown, all_ = s.read_pairs(allele)
    return shown < 0.2 * all_


def within_blanks(s: Sample, allele: Allele) -> bool:
    """Whether we see at most one molecule, or what blanks show by chance."""
    return s.molecules(allele) < 2 or s.p.get(allele, 1.0) > PANEL_SHARE * CallingSettings().alpha


def an_error(s: Sample, allele: Allele) -> bool:
    return allele not in s.spiked and within_blanks(s, allele)


def without_power(s: Sample, allele: Allele) -> bool:
    return allele in s.spiked and within_blanks(s, allele)


FREEBAYES: tuple[dict[str, Kind], dict[str, Kind]] = (
    {"fewer reads than freebayes is asked for": few_reads},
    {"an error in several reads": an_error, "too few molecules": without_power},
)
BCFTOOLS: tuple[dict[str, Kind], dict[str, Kind]] = ({"too rare for a diploid genotype": few_for_a_genotype}, {})


def check(s: Sample, theirs: set[Allele], kinds: tuple[dict[str, Kind], dict[str, Kind]]) -> set[str]:
    """Every difference is of a kind; returns the kinds that occur."""
    seen = set()
    for only, reasons in ((s.called - theirs, kinds[0]), (theirs - s.called, kinds[1])):
        for allele in only:
            found = {name for name, kind in reasons.items() if kind(s, allele)}
            assert found, f"{allele}: {s.read_pairs(allele)} read pairs, {s.molecules(allele)} molecules"
            seen |= found
    return seen


def test_we_call_what_was_spiked(sample: Sample) -> None:
    assert sample.called <= sample.spiked
    assert all(without_power(sample, allele) for allele in sample.spiked - sample.called)


def test_freebayes(sample: Sample) -> None:
    need("freebayes", "samtools")
    ask("samtools", "faidx", sample.fasta)
    given = ["-F", str(LEAST_FRACTION), "-C", str(LEAST_READS), "--pooled-continuous", "-m", "20", "-q", "20"]
    theirs = set(alleles(ask("freebayes", "-f", sample.fasta, *given, sample.bam), sample.panel))
    assert len(sample.called & theirs) >= 5
    assert check(sample, theirs, FREEBAYES) == {"an error in several reads", "too few molecules"}


def test_bcftools(sample: Sample) -> None:
    need("bcftools")
    pileup = sample.bam.with_name("pileup.bcf")
    given = ["-d", "1000000", "-q", "20", "-Q", "20", "-A", "-B", "-x"]
    ask("bcftools", "mpileup", *given, "-f", sample.fasta, "-Ou", "-o", pileup, sample.bam)
    theirs = set(alleles(ask("bcftools", "call", "-mv", pileup), sample.panel))
    assert theirs
    assert check(sample, theirs, BCFTOOLS) == {"too rare for a diploid genotype"}
