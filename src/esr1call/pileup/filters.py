"""Which reads count: the filters that come before anything else, and where a usable read lies on the genome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esr1call.contigs import Slice
from esr1call.errors import InputError
from esr1call.panel import Panel
from esr1call.pileup.cigar import Geometry, geometry
from esr1call.pileup.records import QC_FAIL, SECONDARY, SUPPLEMENTARY, UNMAPPED, Records
from esr1call.pileup.windows import WindowArrays, spans

FILTERS = (
    "unmapped", "secondary", "supplementary", "qc_fail", "no_sequence", "other_contig", "low_mapq", "spliced",
    "off_target", "no_umi", "umi_with_n", "window_edge", "counted",
)  # fmt: skip
"""What became of each read, in the order in which the filters are tried; the last is what is left."""


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
        s = self.shape
        shape = Geometry(s.span[keep], s.lead[keep], s.trail[keep], s.spliced[keep])
        return Usable(self.records.take(keep), shape, self.start[keep])


class ReadFilter:
    """Sifts records of one file, in coordinate order, for reads over a panel's windows, and keeps count of the rest."""

    def __init__(self, panel: Panel, references: Sequence[Slice], min_mapq: int, file: str) -> None:
        self.windows = WindowArrays.of(panel.windows)
        self.offset = np.array([s.offset for s in references], dtype=np.int64)
        self._length = np.array([s.length for s in references], dtype=np.int64)
        self.reference_of = [
            next((i for i, s in enumerate(references)
                  if s.contig == w.contig and s.offset <= w.start and w.end <= s.end), -1)
            for w in panel.windows
        ]  # fmt: skip
        self.counts = dict.fromkeys(FILTERS, 0)
        self.last = (-1, -1)
        self._on_contig = np.array([s.contig == panel.contig for s in references], dtype=bool)
        self._min_mapq, self._file = min_mapq, file

    def regions(self) -> list[tuple[int, int, int]]:
        """(reference number, start, end) of each window in the BAM's own coordinates, for the index."""
        return [
            (r, int(self.windows.start[w] - self.offset[r]), int(self.windows.end[w] - self.offset[r]))
            for w, r in enumerate(self.reference_of) if r >= 0
        ]  # fmt: skip

    def passed(self, window: int) -> bool:
        """Whether no read after the last one seen can reach the window."""
        reference, position = self.last
        r = self.reference_of[window]
        return (
            reference < 0 or r < reference or (r == reference and self.windows.end[window] - self.offset[r] <= position)
        )

    def sift(self, records: Records, whole: bool) -> Usable:
        """Usable reads that touch a window (with `whole`: that reach over one from end to end).

        Raises InputError where records are not in coordinate order.
        """
        self._check_order(records)
        flag = records.fixed["flag"]
        for name, bit in (("unmapped", UNMAPPED), ("secondary", SECONDARY), ("supplementary", SUPPLEMENTARY),
                          ("qc_fail", QC_FAIL)):  # fmt: skip
            bad = (flag & bit) != 0
            if bad.any():
                records = records.take(self.drop(name, bad))
                flag = records.fixed["flag"]
        ref = records.fixed["ref"]
        bad = (records.fixed["length"] == 0) | (records.fixed["cigar_ops"] == 0) | (ref < 0)
        if bad.any():
            records = records.take(self.drop("no_sequence", bad))
        bad = ~self._on_contig[records.fixed["ref"]]
        if bad.any():
            records = records.take(self.drop("other_contig", bad))
        bad = records.fixed["mapq"] < self._min_mapq
        if bad.any():
            records = records.take(self.drop("low_mapq", bad))
        reads = Usable(records, geometry(records, self._file), records.field("pos") + self.offset[records.fixed["ref"]])
        if (records.field("pos") + reads.shape.span > self._length[records.fixed["ref"]]).any():
            raise InputError(
                "corrupt alignment record: it runs over the end of its reference sequence", file=self._file,
                hint="copy or write the file again",
            )  # fmt: skip
        if reads.shape.spliced.any():
            reads = reads.take(self.drop("spliced", reads.shape.spliced))
        return self._over_windows(reads, whole)

    def drop(self, name: str, bad: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count the bad reads under `name`; places of the others."""
        self.counts[name] += int(bad.sum())
        return np.flatnonzero(~bad)

    def _over_windows(self, reads: Usable, whole: bool) -> Usable:
        _, count, touched = spans(self.windows, reads.start, reads.start + reads.shape.span)
        self.counts["off_target"] += len(reads) - int(touched.sum())
        keep = count > 0 if whole else touched
        if keep.all():
            return reads
        self.counts["window_edge"] += int((touched & ~keep).sum())
        return reads.take(np.flatnonzero(keep))

    def _check_order(self, records: Records) -> None:
        # Unplaced reads (reference -1) come last.
        place = (records.field("ref") & 0x7FFFFFFF) << 32 | (records.field("pos") + 1)
        first = (self.last[0] & 0x7FFFFFFF) << 32 | (self.last[1] + 1) if self.last != (-1, -1) else 0
        if place[0] < first or (place[1:] < place[:-1]).any():
            raise InputError(
                "reads are not sorted by coordinate although the file says so", file=self._file,
                hint="sort it with samtools sort",
            )  # fmt: skip
        self.last = int(records.fixed["ref"][-1]), int(records.fixed["pos"][-1])
