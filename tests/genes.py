"""Made-up genes on either strand, for panels of genes that are not ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esr1call.panel import Panel, reverse_complement
from esr1call.panel_file import parse, resolve
from tests.builders import fetcher


@dataclass(frozen=True)
class Gene:
    """A made-up gene: `cds` on its own strand, coding exons as (c. first, c. last, genome start, end), and its slices.

    The exon lengths split codons after their first and after their second base.
    """

    strand: str
    cds: str
    exons: tuple[tuple[int, int, int, int], ...]
    sequences: dict[str, str]
    contig: str = "chr3"

    def position(self, c: int) -> int:
        """0-based genome position of a c. position."""
        first, _, start, end = next(e for e in self.exons if e[0] <= c <= e[1])
        return start + c - first if self.strand == "+" else end - 1 - (c - first)

    def row(self, c: int, bases: str, window: str | None = None) -> dict[str, str]:
        """Panel row of the substitution of `bases` (gene strand) from `c` on, all inside one codon."""
        old = self.cds[c - 1 : c - 1 + len(bases)]
        codon = (c + 2) // 3
        at = 3 * codon - 3
        changed = self.cds[at : c - 1] + bases + self.cds[c - 1 + len(bases) : at + 3]
        was, now = CODONS[self.cds[at : at + 3]], CODONS[changed]
        forward = self.strand == "+"
        left = min(self.position(c), self.position(c + len(bases) - 1)) + 1
        name = f"{c}{old}>{bases}" if len(bases) == 1 else f"{c}_{c + len(bases) - 1}delins{bases}"
        return {
            "protein": f"p.{was}{codon}{'=' if now == was else now}", "cdna": f"c.{name}",
            "window": window or str(codon),
            "pos_GRCh38": str(left), "pos_GRCh37": ".", "ref": old if forward else reverse_complement(old),
            "alt": bases if forward else reverse_complement(bases), "codon_ref": self.cds[at : at + 3],
            "codon_alt": changed, "aa_ref": was, "aa_alt": now,
        }  # fmt: skip

    def panel_lines(self, rows: Sequence[Mapping[str, str]], scan: tuple[int, int] | None = None) -> list[str]:
        """A panel file for the gene."""
        meta = {
            "esr1call-panel": "1", "name": "made_up", "version": "1", "gene": "GENE", "transcript": "NM_999999.1",
            "protein_accession": "NP_999999.1", "contig": self.contig, "strand": self.strand,
        }  # fmt: skip
        lines = [f"#{key}\t{value}" for key, value in meta.items()]
        lines += [f"#exon\t{i}\t{a}\t{b}\t{start + 1}\t." for i, (a, b, start, _) in enumerate(self.exons, 1)]
        lines += [f"#scan\t{scan[0]}\t{scan[1]}"] if scan else []
        return [*lines, "\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]

    def panel(self, rows: Sequence[Mapping[str, str]], scan: tuple[int, int] | None = None) -> Panel:
        """The gene's panel, checked against its own slices."""
        return resolve(parse(self.panel_lines(rows, scan), "gene.tsv"), "GRCh38", fetcher(self.sequences))


CODONS = {
    codon: residue
    for residue, codons in {
        "F": "TTT TTC", "L": "TTA TTG CTT CTC CTA CTG", "I": "ATT ATC ATA", "M": "ATG", "V": "GTT GTC GTA GTG",
        "S": "TCT TCC TCA TCG AGT AGC", "P": "CCT CCC CCA CCG", "T": "ACT ACC ACA ACG", "A": "GCT GCC GCA GCG",
        "Y": "TAT TAC", "*": "TAA TAG TGA", "H": "CAT CAC", "Q": "CAA CAG", "N": "AAT AAC", "K": "AAA AAG",
        "D": "GAT GAC", "E": "GAA GAG", "C": "TGT TGC", "W": "TGG", "R": "CGT CGC CGA CGG AGA AGG",
        "G": "GGT GGC GGA GGG",
    }.items()
    for codon in codons.split()
}  # fmt: skip
"""The standard genetic code, written as in a textbook and apart from the package's own."""


def made_up_gene(strand: str, seed: int = 7, exon_lengths: Sequence[int] = (100, 61, 91), offset: int = 5000) -> Gene:
    """A gene with random introns of 80 bp and random flanks; its slices start `offset` bases into chr3."""
    assert sum(exon_lengths) % 3 == 0
    random = np.random.default_rng(seed)
    sense = sorted(codon for codon, residue in CODONS.items() if residue != "*")
    cds = "ATG" + "".join(random.choice(sense, sum(exon_lengths) // 3 - 2)) + "TAA"
    genome, spans, done = "", [], 0
    for length in exon_lengths:
        genome += "".join(random.choice(list("ACGT"), 80))
        spans.append((done + 1, done + length, len(genome), len(genome) + length))
        genome += cds[done : done + length]
        done += length
    genome += "".join(random.choice(list("ACGT"), 80))
    if strand == "-":
        spans = [(a, b, len(genome) - end, len(genome) - start) for a, b, start, end in spans]
        genome = reverse_complement(genome)
    exons = tuple((a, b, start + offset, end + offset) for a, b, start, end in spans)
    sequences = {f"chr3:{s - 49}-{e + 50}": genome[s - 50 - offset : e + 50 - offset] for _, _, s, e in exons}
    return Gene(strand, cds, exons, sequences)
