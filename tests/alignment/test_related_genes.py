"""Reads of a related gene among a sample's, on slices of the reference: from FASTQ to calls.

ESR2 is like ESR1, and has a stretch in common with it beside codons 536 to 538.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esr1call.alignment import foreign
from esr1call.alignment.indexing import build_index
from esr1call.calling import SampleInfo, call_batch
from esr1call.cli import run
from esr1call.io.counts_file import read_counts
from esr1call.io.model_file import read_model
from esr1call.panel import Panel, reverse_complement
from esr1call.results import CallStatus
from esr1call.settings import CallingSettings
from tests.alignment.library import Pair, random_bases, sequence_pair, with_errors, write_pairs
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT, slices, write_fasta

SHARED = "ATGACCTGCTGCTGGAGATGC"
DIVERGED = (0.1, 0.15, 0.2, 0.25)
GENOMES, FOREIGN = 500, 3


def related_gene(rng: np.random.Generator, diverged: float) -> list[str]:
    """The slices with random differences, but not in the shared stretch."""
    copies = []
    for bases in slices().values():
        copy, at = with_errors(rng, bases, diverged), bases.find(SHARED)
        copies.append(copy if at < 0 else copy[:at] + SHARED + copy[at + len(SHARED) :])
    assert any(SHARED in c for c in copies)
    return copies


def related_pairs(rng: np.random.Generator, gene: list[str], name: str) -> list[Pair]:
    """FOREIGN molecules over the middle of each locus, four read pairs of each."""
    pairs = []
    for locus, bases in enumerate(gene):
        for molecule in range(FOREIGN):
            size, middle = int(rng.integers(140, 190)), min(len(bases), 430) // 2
            at = max(0, middle - int(rng.integers(40, size - 40)))
            fragment = bases[at : at + size]
            fragment = reverse_complement(fragment) if rng.random() < 0.5 else fragment
            umis = [random_bases(rng, 3) + "TG" for _ in range(2)]
            both = sequence_pair(fragment, *umis, 150, random_bases(rng, 150))
            pairs += [(f"{name}:{locus}:{molecule}:{copy}", *both) for copy in range(4)]
    return pairs


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[list[str]]]:
    """Options that name a wild-type sample and, as further lanes, reads of four related genes; and those genes.

    A molecule in 160 of each gene's loci is foreign, six times as many as 1 in 1000.
    """
    folder, rng = tmp_path_factory.mktemp("reads"), np.random.default_rng(17)
    made = ["--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA), "--out-prefix", str(folder / "own")]
    assert run(["simulate", *made, "--seed", "2", "--molecules", str(GENOMES), "--targets", "hotspots"]) == 0
    genes = [related_gene(rng, d) for d in DIVERGED]
    lanes = [(folder / "own_R1.fastq.gz", folder / "own_R2.fastq.gz")]
    lanes += [write_pairs(folder, related_pairs(rng, g, f"g{i}"), f"g{i}") for i, g in enumerate(genes)]
    one, two = (";".join(str(lane[mate]) for lane in lanes) for mate in (0, 1))
    return ["--fastq-1", one, "--fastq-2", two, "--read-structure", "3M2S+T 3M2S+T"], genes


def calls(folder: Path, reads: list[str], reference: Path, panel: Panel) -> list[str]:
    given = ["--sample", "s", *reads, "--reference", str(reference), "--panel", str(PANEL_TSV)]
    given += ["--index", str(build_index(reference, folder / "index")), "--out-dir", str(folder)]
    assert run(["sample", *given]) == 0
    model = read_model(ROOT / "test_data" / "background" / "model.json", panel)
    sample = SampleInfo("s", "patient", "b"), read_counts(folder / "counts.tsv", panel)
    (result,) = call_batch([sample], panel, model, CallingSettings())
    return [c.protein for c in result.calls if c.status is CallStatus.DETECTED]


def test_a_related_gene_gives_no_call(
    reads: tuple[list[str], list[list[str]]], tmp_path: Path, panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert calls(tmp_path / "filtered", reads[0], REFERENCE_FASTA, panel) == []
    # Without the filter the same reads do give calls, so there was something to stop.
    monkeypatch.setattr(foreign, "MAX_DIFFERENCES", 1000)
    monkeypatch.setattr(foreign, "MAX_DIFFERENT", 1)
    assert len(calls(tmp_path / "unfiltered", reads[0], REFERENCE_FASTA, panel)) > 5


def test_decoys_give_no_call_without_a_filter(
    reads: tuple[list[str], list[list[str]]], tmp_path: Path, panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoys = {
        f"chr14:{10000 * (5 * i + k) + 1}-{10000 * (5 * i + k) + len(bases)}": bases
        for i, gene in enumerate(reads[1])
        for k, bases in enumerate(gene)
    }
    monkeypatch.setattr(foreign, "MAX_DIFFERENCES", 1000)
    monkeypatch.setattr(foreign, "MAX_DIFFERENT", 1)
    assert calls(tmp_path / "out", reads[0], write_fasta(tmp_path / "decoys.fa", slices() | decoys), panel) == []
