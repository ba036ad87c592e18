"""Counts molecules in a BAM of consensus reads that another tool made (fgbio, fgumi): each read pair is a molecule.

Their tags tell the tier: `cD` the raw reads in a consensus; from duplex callers also `aD` and `bD`, those of the two
strands, where 0 in one of them makes it a consensus of one strand. The orientation is the record's own; callers that
turn single-strand consensus reads round lose it before this module sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esr1call.contigs import Slice
from esr1call.counting import CONSENSUS_DEPTH, MAX_FAMILY_SIZE, WindowStats
from esr1call.counts import STRATA, UNDECIDED, CountTable
from esr1call.errors import InputError
from esr1call.molecules.consensus import UNDECIDED_CODE, family_haplotypes
from esr1call.molecules.families import Reads, group, templates_of
from esr1call.panel import Panel
from esr1call.pileup.filters import ReadFilter, Sifted, Usable
from esr1call.pileup.fragments import fragments, hash_strings
from esr1call.pileup.records import DUPLICATE, REVERSE, read_records
from esr1call.pileup.tags import find_integers
from esr1call.pileup.windows import LongHaplotypes, observe, spell, weight_table
from esr1call.settings import CountSettings

_DEPTHS = (CONSENSUS_DEPTH, "aD", "bD")
_DUPLEX = STRATA.index("duplex")


@dataclass(frozen=True, eq=False)
class Shown:
    """Consensus reads [m] of one window: `reads` (of which only name, strand, haplotype and weight matter), `depth`
    int64 [m, 2] raw read pairs of the first strand and of the other one, `forward` how many reads are forward."""

    reads: Reads
    depth: NDArray[np.int64]
    forward: int


class ConsensusCounter:
    """Counts chunks of consensus reads, as `counting.MoleculeCounter` does raw reads."""

    def __init__(self, panel: Panel, references: Sequence[Slice], settings: CountSettings, file: str) -> None:
        self.panel = panel
        self.reads = ReadFilter(panel, references, settings.min_mapq, file)
        self.duplicates_flagged = 0
        self.mapped_in_file: int | None = None
        self.stats = [WindowStats() for _ in panel.windows]
        self._settings, self._file = settings, file
        self._weights = weight_table(settings.max_base_quality, settings.min_base_quality)
        self._cap = int(weight_table(settings.max_template_quality, 0)[settings.max_template_quality])
        self._long = LongHaplotypes()
        self._shown: dict[int, list[Shown]] = {}
        self._rows: list[tuple[int, str, NDArray[np.int64]]] = []

    def prepare(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> tuple[Sifted, dict[int, Shown], int]:
        """What the records show by window, and how many are flagged as duplicates; changes no state."""
        records = read_records(data, offsets, len(self.reads.offset), self._file)
        reads, sifted = self.reads.sift(records, whole=True)
        if len(reads) == 0:
            return sifted, {}, 0
        duplicates = int(((reads.records.fixed["flag"] & DUPLICATE) != 0).sum())
        return sifted, self._observe(reads, sifted), duplicates

    def take(self, chunk: tuple[Sifted, dict[int, Shown], int]) -> None:
        """Take a prepared chunk, in file order."""
        sifted, shown, duplicates = chunk
        self.reads.follow(sifted)
        self.duplicates_flagged += duplicates
        for w, s in shown.items():
            self._shown.setdefault(w, []).append(s)
        for w in [w for w in self._shown if self.reads.passed(w)]:
            self._finish_window(w)

    def finish(self) -> CountTable:
        """Finish every window and return all counts."""
        for w in sorted(self._shown):
            self._finish_window(w)
        return CountTable.build((w.name for w in self.panel.windows), self._rows)

    def _observe(self, reads: Usable, sifted: Sifted) -> dict[int, Shown]:
        records = reads.records
        depth = self._depth(reads)
        no_mates = np.tile(np.array([0, -1, 0], dtype=np.int64), (len(reads), 1))
        strand = fragments(records, reads.shape, reads.start, no_mates).origin & np.uint64(1)
        names = hash_strings(records.data, records.offset + 36, records.field("name_length"))
        forward = (records.fixed["flag"] & REVERSE) == 0
        seen, shown = np.zeros(len(reads), dtype=bool), {}
        for w, o in observe(records, reads.shape, reads.start, self.reads.windows, self._weights, self._long).items():
            r = o.read
            seen[r] = True
            none, mates = np.zeros(len(r), dtype=np.uint64), np.ones(len(r), dtype=bool)
            block = Reads(strand[r], names[r], none, names[r], mates, o.haplotype, o.weight)
            shown[w] = Shown(block, depth[r], int(forward[r].sum()))
        sifted.counts["counted"] += int(seen.sum())
        sifted.counts["window_edge"] += int((~seen).sum())
        return shown

    def _depth(self, reads: Usable) -> NDArray[np.int64]:
        """Raw read pairs [n, 2] of each read's two strands, the second 0 for a consensus of one strand."""
        tags = find_integers(reads.records, _DEPTHS, self._file)
        if (tags[CONSENSUS_DEPTH] < 0).any():
            raise InputError(
                "some reads are consensus reads and some are not", file=self._file, field=CONSENSUS_DEPTH,
                hint="count the raw reads and the consensus reads each in a BAM of their own",
            )  # fmt: skip
        duplex = tags["aD"] >= 0
        one = np.where(duplex, tags["aD"], tags[CONSENSUS_DEPTH])
        depth = np.stack([one, np.where(duplex, np.maximum(tags["bD"], 0), 0)], axis=1)
        if (depth.sum(axis=1) < 1).any():
            raise InputError(
                "a consensus of no reads", file=self._file, field=CONSENSUS_DEPTH, found=0, expected="1 or more"
            )
        return depth

    def _finish_window(self, w: int) -> None:
        blocks = self._shown.pop(w)
        reads = Reads.join([b.reads for b in blocks])
        ordered = reads.take(np.lexsort((reads.name, reads.origin)))
        rows, _ = templates_of(ordered, self._cap, final=True, file=self._file)
        order, first = group(rows.left, rows.origin)
        rows = rows.take(order)
        haplotype = family_haplotypes(
            rows, np.cumsum(first) - 1, int(first.sum()), self._settings.min_consensus_quality
        )
        # Mates may have been made of different numbers of reads.
        names, place = np.unique(reads.name, return_inverse=True)
        depth = np.zeros((len(names), 2), dtype=np.int64)
        np.maximum.at(depth, place, np.concatenate([b.depth for b in blocks]))
        depth = depth[np.searchsorted(names, rows.left[first])]
        strand = rows.origin[first].astype(np.int64)
        stratum = np.where((depth > 0).all(axis=1), _DUPLEX, np.where(depth.sum(axis=1) > 1, 2, 0) + strand)
        self._tally(w, haplotype, stratum)
        stats = self.stats[w]
        stats.reads_forward += sum(b.forward for b in blocks)
        stats.reads_reverse += len(reads) - sum(b.forward for b in blocks)
        stats.templates += int(depth.sum())
        stats.family_sizes += np.bincount(np.minimum(depth[depth > 0], MAX_FAMILY_SIZE), minlength=MAX_FAMILY_SIZE + 1)

    def _tally(self, w: int, haplotype: NDArray[np.uint64], stratum: NDArray[np.int64]) -> None:
        for code in np.unique(haplotype):
            bases = UNDECIDED if code == UNDECIDED_CODE else spell(int(code), self._long)
            self._rows.append((w, bases, np.bincount(stratum[haplotype == code], minlength=len(STRATA))))
