"""Which reads count: the filters that come before anything else, and where a usable read lies on the genome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esr1call.contigs import Slice
from esr1call.errors import InputError
from esr1call.panel import Panel
from esr1call.pileup.cigar import Geometry, geometry
from esr1call.pileup.records import QC_FAIL, SECONDARY, SUPPLEMENTARY, UNMAPPED, Records
from esr1call.pileup.windows import WindowArrays, near

FILTERS = (
    "unmapped", "secondary", "supplementary", "qc_fail", "no_sequence", "other_contig", "low_mapq", "spliced",
    "off_target", "no_umi", "umi_with_n", "window_edge", "counted",
)  # fmt: skip
"""What became of each read, in the order in which the filters are tried; the last is what is left."""
_FLAGS = (("unmapped", UNMAPPED), ("secondary", SECONDARY), ("supplementary", SUPPLEMENTARY), ("qc_fail", QC_FAIL))
MAX_READ_SPAN = 1000
"""Reads that span more reference bases are no reads of short fragments: they count as spliced."""


@dataclass(frozen=True, eq=False)
class Usable:
    """Reads that passed: their records, geometry, and `start` int64 [n], genome position of the first aligned base."""

    records: Records
    shape: Geometry
    start: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.records)

    def take(self, keep: NDArray[np.int64]) -> Usable:
        """The reads at the given places."""
        return Usable(self.records.take(keep), self.shape.take(keep), self.start[keep])


@dataclass(frozen=True, eq=False)
class Sifted:
    """What became of a chunk's records: `counts` by filter, and the first and last record's place in the file's order
    (see `ReadFilter._order`)."""

    counts: dict[str, int]
    first: int
    last: int


class ReadFilter:
    """Sifts records of one file for reads over a panel's windows, and keeps count of the rest.

    `sift` looks at one chunk and changes nothing, so chunks may be sifted in any order or at once; `follow` then takes
    their results in file order.
    """

    def __init__(self, panel: Panel, references: Sequence[Slice], min_mapq: int, file: str) -> None:
        self.windows = WindowArrays.of(panel.windows)
        self.offset = np.array([s.offset for s in references], dtype=np.int64)
        self._length = np.array([s.length for s in references], dtype=np.int64)
        self.reference_of = _references_of(panel, references, file)
        self.counts = dict.fromkeys(FILTERS, 0)
        self._last = 0
        self._on_contig = np.array([s.contig == panel.contig for s in references], dtype=bool)
        self._min_mapq, self._file = min_mapq, file

    def regions(self) -> list[tuple[int, int, int]]:
        """(reference number, start, end) of each window in the BAM's own coordinates, for the index."""
        return [
            (r, int(self.windows.start[w] - self.offset[r]), int(self.windows.end[w] - self.offset[r]))
            for w, r in enumerate(self.reference_of) if r >= 0
        ]  # fmt: skip

    def passed(self, window: int) -> bool:
        """Whether no read after the last one taken can reach the window."""
        r = self.reference_of[window]
        return self._last > (r << 32 | int(self.windows.end[window] - self.offset[r]))

    def follow(self, chunk: Sifted) -> None:
        """Take a chunk's counts; raises InputError where it begins before the last one ended."""
        if chunk.first < self._last:
            raise unsorted(self._file)
        self._last = chunk.last
        for name, n in chunk.counts.items():
            self.counts[name] += n

    def sift(self, records: Records, whole: bool) -> tuple[Usable, Sifted]:
        """Usable reads that touch a window (with `whole`: that reach over one from end to end).

        Raises InputError where records are not in coordinate order.
        """
        first, last = self._order(records)
        counts = dict.fromkeys(FILTERS, 0)
        reads = self._placed(self._mapped(records, counts))
        bad = reads.shape.spliced | (reads.shape.span > MAX_READ_SPAN)
        if bad.any():
            reads = reads.take(drop(counts, "spliced", bad))
        return self._over_windows(reads, whole, counts), Sifted(counts, first, last)

    def _order(self, records: Records) -> tuple[int, int]:
        """Place of the first and the last record in a sorted file: reference, then position; unplaced reads (reference
        -1) come last. Raises InputError where records are not in that order."""
        ref, pos = records.fixed["ref"], records.fixed["pos"]
        if ref.min() == ref.max():
            bad = pos[1:] < pos[:-1]
        else:
            place = (ref.astype(np.int64) & 0x7FFFFFFF) << 32 | (pos.astype(np.int64) + 1)
            bad = place[1:] < place[:-1]
        if bad.any():
            raise unsorted(self._file)
        first, last = ((int(ref[i]) & 0x7FFFFFFF) << 32 | (int(pos[i]) + 1) for i in (0, -1))
        return first, last

    def _mapped(self, records: Records, counts: dict[str, int]) -> Records:
        """The records that flags, contig and mapping quality let pass. Where a whole chunk does, a look at the extremes
        shows it."""
        for name, bit in _FLAGS:
            if np.bitwise_or.reduce(records.fixed["flag"]) & bit:
                records = records.take(drop(counts, name, (records.fixed["flag"] & bit) != 0))
        fixed = records.fixed
        if min(_least(fixed["length"]), _least(fixed["cigar_ops"]), _least(fixed["ref"]) + 1) == 0:
            bad = (fixed["length"] == 0) | (fixed["cigar_ops"] == 0) | (fixed["ref"] < 0)
            records = records.take(drop(counts, "no_sequence", bad))
        bad = ~self._on_contig[records.fixed["ref"]]
        if bad.any():
            records = records.take(drop(counts, "other_contig", bad))
        if _least(records.fixed["mapq"]) < self._min_mapq:
            records = records.take(drop(counts, "low_mapq", records.fixed["mapq"] < self._min_mapq))
        return records

    def _placed(self, records: Records) -> Usable:
        shape, ref, pos = geometry(records, self._file), records.fixed["ref"], records.fixed["pos"]
        if (pos + shape.span > self._length[ref]).any():
            raise InputError(
                "corrupt alignment record: it runs over the end of its reference sequence", file=self._file,
                hint="copy or write the file again",
            )  # fmt: skip
        return Usable(records, shape, pos + self.offset[ref])

    def _over_windows(self, reads: Usable, whole: bool, counts: dict[str, int]) -> Usable:
        start, end = reads.start, reads.start + reads.shape.span
        touched, over = np.zeros(len(reads), dtype=bool), np.zeros(len(reads), dtype=bool)
        for w in near(self.windows, start, end):
            low, high = self.windows.start[w], self.windows.end[w]
            touched |= (start < high) & (end > low)
            over |= (start <= low) & (end >= high)
        keep = over if whole else touched
        counts["off_target"] += len(reads) - int(np.count_nonzero(touched))
        if keep.all():
            return reads
        counts["window_edge"] += int(np.count_nonzero(touched & ~keep))
        return reads.take(np.flatnonzero(keep))


def unsorted(file: str | Path) -> InputError:
    """What to raise where records are out of order in a BAM that says it is sorted."""
    return InputError(
        "reads are not sorted by coordinate although the file says so", file=file, hint="sort it with samtools sort"
    )


def _references_of(panel: Panel, references: Sequence[Slice], file: str) -> list[int]:
    """Number of the reference sequence that holds each window, -1 where none does.

    Raises InputError where no window has one, or a window has two: its reads would be torn apart.
    """
    ours = [(i, s) for i, s in enumerate(references) if s.contig == panel.contig]
    holders = [[i for i, s in ours if s.offset <= w.start and w.end <= s.end] for w in panel.windows]
    if not any(holders):
        raise InputError(
            "no window of the panel lies on the BAM's sequences", file=file,
            found=", ".join(s.name for _, s in ours[:5]), hint="is it the right reference, or the right panel?",
        )  # fmt: skip
    for window, found in zip(panel.windows, holders, strict=True):
        if len(found) > 1:
            raise InputError(
                f"window {window.name} lies on more than one of the BAM's sequences", file=file,
                found=", ".join(references[i].name for i in found), expected="one",
                hint="align to a reference that holds each base once",
            )  # fmt: skip
    return [found[0] if found else -1 for found in holders]


def drop(counts: dict[str, int], name: str, bad: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the bad reads under `name`; places of the others."""
    counts[name] += int(np.count_nonzero(bad))
    return np.flatnonzero(~bad)


def _least(field: NDArray[np.int32]) -> int:
    """The least value of a field, a large one of no records."""
    return int(field.min(initial=1 << 30))
