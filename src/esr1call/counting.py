"""Counts molecules in a stream of alignment records: the pipeline from BAM bytes to a count table.

Reads of a coordinate-sorted BAM pass once. Each window collects its reads and is finished, and its memory freed, when
the stream has passed it. This module knows no files: `io.bam` feeds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esr1call.contigs import Slice
from esr1call.counts import STRATA, UNDECIDED, CountTable
from esr1call.errors import InputError
from esr1call.molecules.consensus import UNDECIDED_CODE, Molecules, molecules
from esr1call.molecules.families import Reads, WindowStore, group, several_of_one_name
from esr1call.molecules.umi import expected_collisions
from esr1call.panel import Panel
from esr1call.pileup.cigar import Geometry, geometry
from esr1call.pileup.filters import ReadFilter, Sifted, Usable, drop
from esr1call.pileup.fragments import MateCigars, fragments, hash_strings, mix, pack_origin
from esr1call.pileup.records import (
    DUPLICATE,
    MATE_UNMAPPED,
    PAIRED,
    READ_2,
    REVERSE,
    SECONDARY,
    SUPPLEMENTARY,
    UNMAPPED,
    Records,
    read_records,
)
from esr1call.pileup.tags import Strings, find_integers, find_tags, pack_umis, umi_has_n
from esr1call.pileup.windows import LongHaplotypes, observe, spell, weight_table
from esr1call.settings import CountSettings

MAX_FAMILY_SIZE = 100
CONSENSUS_DEPTH = "cD"
"""Tag of consensus reads, as fgbio and fgumi write them: raw reads in the consensus."""


class MatesUnknown(Exception):
    """Reads have mates but no MC tags: the mates' clips have to be collected first (`MateShapes`)."""


class ConsensusReads(Exception):
    """The reads are consensus reads already: each is a molecule (`consensus_reads.ConsensusCounter`)."""


@dataclass(eq=False)
class MateShapes:
    """Clips and spans of reads by name and place, for BAMs without MC tags. Most reads share one shape, so only
    exceptions are kept: `common` int64 [3] (leading clip, span, trailing clip), `key` uint64 sorted [n], `shape` int64
    [n, 3]."""

    common: NDArray[np.int64]
    key: NDArray[np.uint64]
    shape: NDArray[np.int64]

    def of(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Shapes [n, 3] by key."""
        if len(self.key) == 0:
            return np.tile(self.common, (len(keys), 1))
        at = np.minimum(np.searchsorted(self.key, keys), len(self.key) - 1)
        return np.where((self.key[at] == keys)[:, None], self.shape[at], self.common)


@dataclass
class WindowStats:
    """What a window's reads looked like: raw reads by strand, templates, family sizes (by templates of one strand, the
    last place holds all larger), UMI bases read in all templates, templates whose UMI was corrected, and molecules
    expected to hide behind another one's UMI."""

    reads_forward: int = 0
    reads_reverse: int = 0
    templates: int = 0
    umi_bases: int = 0
    corrected: int = 0
    collisions: float = 0.0
    family_sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(MAX_FAMILY_SIZE + 1, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a chunk shows: what became of its reads, by window their observations and how many of those are forward, and
    how many reads are flagged as duplicates."""

    sifted: Sifted
    shown: dict[int, tuple[Reads, int]]
    duplicates_flagged: int


Collect = Callable[[int, Molecules], Any]
"""Looks at the molecules of a window (its number) and returns what to keep of them; it may run in any thread."""


@dataclass(frozen=True, eq=False)
class FinishedWindow:
    """A window's share of the table and of `WindowStats`, and what was collected of its molecules."""

    window: int
    rows: list[tuple[int, str, NDArray[np.int64]]]
    templates: int = 0
    umi_bases: int = 0
    corrected: int = 0
    collisions: float = 0.0
    family_sizes: NDArray[np.int64] | None = None
    collected: Any = None


Defer = Callable[[Callable[[], FinishedWindow]], Callable[[], FinishedWindow]]


class MoleculeCounter:
    """Counts chunks of records: `prepare` any of them at any time, `take` them in file order, then `finish`."""

    def __init__(
        self,
        panel: Panel,
        references: Sequence[Slice],
        settings: CountSettings,
        file: str,
        defer: Defer,
    ) -> None:
        """`defer` takes the work of finishing a window, to do it at once or beside the stream, and returns what gives
        its result."""
        self._defer, self._later = defer, list[Callable[[], FinishedWindow]]()
        self.panel, self.settings, self.file = panel, settings, file
        self.reads = ReadFilter(panel, references, settings.min_mapq, file)
        self.duplicates_flagged = 0
        self.mapped_in_file: int | None = None
        self.stats = [WindowStats() for _ in panel.windows]
        self.mates: MateShapes | None = None
        self.collect: Collect | None = None
        self.collected: dict[int, Any] = {}
        self._weights = weight_table(settings.max_base_quality, settings.min_base_quality)
        self.template_cap = int(weight_table(settings.max_template_quality, 0)[settings.max_template_quality])
        self._cigars = MateCigars(file)
        self._long = LongHaplotypes()
        self._stores: dict[int, WindowStore] = {}
        self._rows: list[tuple[int, str, NDArray[np.int64]]] = []

    def prepare(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Prepared:
        """What the records that begin at `offsets` in `data` show; changes no state, so chunks may go at once."""
        records = read_records(data, offsets, len(self.reads.offset), self.file)
        reads, sifted = self.reads.sift(records, whole=True)
        return self._observe(reads, sifted) if len(reads) else Prepared(sifted, {}, 0)

    def take(self, chunk: Prepared) -> None:
        """Take a prepared chunk, in file order."""
        self.reads.follow(chunk.sifted)
        self.duplicates_flagged += chunk.duplicates_flagged
        for w, (reads, forward) in chunk.shown.items():
            if w not in self._stores:
                self._stores[w] = WindowStore(self.template_cap, self.file)
            self._stores[w].add(reads)
            self.stats[w].reads_forward += forward
            self.stats[w].reads_reverse += len(reads) - forward
        for w in [w for w in self._stores if self.reads.passed(w)]:
            self._finish_window(w)

    def finish(self) -> CountTable:
        """Finish every window and return all counts."""
        for w in sorted(self._stores):
            self._finish_window(w)
        for later in self._later:
            self._add(later())
        self._later.clear()
        self._require_umis()
        return CountTable.build((w.name for w in self.panel.windows), self._rows)

    def spell(self, code: int) -> str:
        """The bases of a consensus haplotype code, `UNDECIDED` where it is undecided."""
        return UNDECIDED if code == UNDECIDED_CODE else spell(code, self._long)

    def _require_umis(self) -> None:
        counts = self.reads.counts
        if counts["no_umi"] > 0 and counts["umi_with_n"] == counts["counted"] == 0:
            raise InputError(
                "not one read over the panel's windows has a UMI", file=self.file, field="RX", found="no RX tags",
                hint="set umi to none (--umi none) for reads without UMIs, or keep the tags when aligning",
            )  # fmt: skip

    def _require_raw(self, records: Records) -> None:
        # The first and the last read tell, without a walk over all.
        for i in (0, len(records) - 1):
            some = records.data[records.tags[i] : records.end[i]].tobytes()
            if CONSENSUS_DEPTH.encode() in some:
                depth = find_integers(records.take(np.array([i])), (CONSENSUS_DEPTH,), self.file)[CONSENSUS_DEPTH]
                if depth[0] >= 0:
                    raise ConsensusReads

    def _observe(self, reads: Usable, sifted: Sifted) -> Prepared:
        """The reads' observations by window."""
        counts = sifted.counts
        self._require_raw(reads.records)
        tags = find_tags(reads.records, ("RX", "MC") if self.settings.umi != "none" else ("MC",), self.file)
        first = second = np.zeros(len(reads), dtype=np.uint64)
        if self.settings.umi != "none":
            bad = tags["RX"].start < 0
            if bad.any():
                keep = drop(counts, "no_umi", bad)
                reads, tags = reads.take(keep), {name: at.take(keep) for name, at in tags.items()}
            first, second = pack_umis(reads.records.data, tags["RX"], self.file)
            bad = umi_has_n(first) | umi_has_n(second)
            if bad.any():
                keep = drop(counts, "umi_with_n", bad)
                reads, tags = reads.take(keep), {name: at.take(keep) for name, at in tags.items()}
                first, second = first[keep], second[keep]
        if len(reads) == 0:
            return Prepared(sifted, {}, 0)
        records = reads.records
        names = _names(records)
        source = fragments(records, reads.shape, reads.start, self._mate_shapes(reads, names, tags["MC"]))
        exchange = (first ^ second) * (source.origin & np.uint64(1))  # where the strand says so
        left, right = first ^ exchange, second ^ exchange
        seen = np.zeros(len(records), dtype=bool)
        forward = (records.fixed["flag"] & REVERSE) == 0
        windows, shown = self.reads.windows, {}
        observed = observe(records, reads.shape, reads.start, windows, self._weights, self._long)
        for w, o in observed.items():
            seen[o.read] = True
            r = o.read
            awaits = (source.mate_start[r] <= windows.start[w]) & (source.mate_end[r] >= windows.end[w])
            rows = Reads(source.origin[r], left[r], right[r], names[r], awaits, o.haplotype, o.weight)
            shown[w] = rows, int(np.count_nonzero(forward[r]))
        counted = int(np.count_nonzero(seen))
        counts["counted"] += counted
        counts["window_edge"] += len(seen) - counted
        return Prepared(sifted, shown, int(((records.fixed["flag"] & DUPLICATE) != 0).sum()))

    def _mate_shapes(self, reads: Usable, names: NDArray[np.uint64], at: Strings) -> NDArray[np.int64]:
        records = reads.records
        has = np.flatnonzero(at.start >= 0)
        if len(has) == len(records):
            shapes = self._cigars.lookup(records.data, at)
        else:
            shapes = np.tile(np.array([0, -1, 0], dtype=np.int64), (len(records), 1))
            shapes[has] = self._cigars.lookup(records.data, at.take(has))
        lacks = shapes[:, 1] < 0
        if not lacks.any():
            return shapes
        lacks &= (records.field("flag") & (PAIRED | MATE_UNMAPPED)) == PAIRED
        lacks &= records.fixed["mate_ref"] == records.fixed["ref"]
        if lacks.any():
            if self.mates is None:
                raise MatesUnknown
            who, shapes = np.flatnonzero(lacks), shapes.copy()
            some, named = reads.take(who), names[who]
            if (self.mates.of(_mate_keys(some.records, named, mate=False)) != _shapes(some.shape)).any():
                raise several_of_one_name(self.file)
            shapes[who] = self.mates.of(_mate_keys(some.records, named, mate=True))
        return shapes

    def _finish_window(self, w: int) -> None:
        store = self._stores.pop(w)
        self._later.append(self._defer(partial(self._molecules, w, store)))

    def _molecules(self, w: int, store: WindowStore) -> FinishedWindow:
        """A window's molecules, tallied; changes no state but the store's."""
        found = molecules(store.finish(), self.settings.min_consensus_quality, self.settings.umi_correction != "none",
                          self.settings.umi == "duplex")  # fmt: skip
        families = np.concatenate([found.forward, found.reverse])
        sizes = np.bincount(np.minimum(families[families > 0], MAX_FAMILY_SIZE), minlength=MAX_FAMILY_SIZE + 1)
        return FinishedWindow(
            w, self._tally(w, found), found.templates, found.umi_bases, found.corrected, _collisions(found), sizes,
            None if self.collect is None else self.collect(w, found),
        )  # fmt: skip

    def _add(self, window: FinishedWindow) -> None:
        self._rows += window.rows
        stats = self.stats[window.window]
        stats.templates += window.templates
        stats.umi_bases += window.umi_bases
        stats.corrected += window.corrected
        stats.collisions += window.collisions
        if window.family_sizes is not None:
            stats.family_sizes += window.family_sizes
        if window.collected is not None:
            self.collected[window.window] = window.collected

    def _tally(self, w: int, found: Molecules) -> list[tuple[int, str, NDArray[np.int64]]]:
        distinct, inverse = np.unique(found.haplotype, return_inverse=True)
        counts = np.zeros((len(distinct), len(STRATA)), dtype=np.int64)
        np.add.at(counts, (inverse, found.stratum), 1)
        return [(w, self.spell(int(code)), row) for code, row in zip(distinct, counts, strict=True)]


def _collisions(found: Molecules) -> float:
    place = pack_origin(found.start, found.end, np.zeros(len(found.start), dtype=np.int64))
    order, first = group(place, found.left, found.right)
    some = order[first]  # two strands that are not paired are one source all the same
    return expected_collisions(place[some], found.left[some], found.right[some])


def _names(records: Records) -> NDArray[np.uint64]:
    """Hashes of the reads' names."""
    return hash_strings(records.data, records.offset + 36, records.field("name_length"))


def _mate_keys(records: Records, names: NDArray[np.uint64], mate: bool) -> NDArray[np.uint64]:
    """What tells reads apart: name, read 1 or 2, and place, since names may come again in merged files (with `mate`,
    those of the other read of the pair)."""
    second = (records.fixed["flag"] & READ_2) != 0
    ref, pos = (records.field(name) for name in (("mate_ref", "mate_pos") if mate else ("ref", "pos")))
    place = (ref << 33 | (pos & 0xFFFFFFFF) << 1 | (second != mate)).view(np.uint64)
    keys: NDArray[np.uint64] = names + mix(place)
    return keys


def _shapes(shape: Geometry) -> NDArray[np.int64]:
    """Leading clip, span and trailing clip [n, 3]."""
    return np.stack([shape.lead, shape.span, shape.trail], axis=1)


class MateCollector:
    """A first pass over a BAM without MC tags: the clips and span of every read, by name and place."""

    def __init__(self, references: int, file: str) -> None:
        self._references, self._file = references, file
        self._keys: list[NDArray[np.uint64]] = []
        self._shapes: list[NDArray[np.int64]] = []
        self._common: NDArray[np.int64] | None = None

    def prepare(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Keys and shapes (leading clip, span, trailing clip) of the paired reads that begin at `offsets` in `data`."""
        records = read_records(data, offsets, self._references, self._file)
        unusable = UNMAPPED | SECONDARY | SUPPLEMENTARY
        keep = ((records.fixed["flag"] & unusable) == 0) & ((records.fixed["flag"] & PAIRED) != 0)
        records = records.take(np.flatnonzero(keep))
        return _mate_keys(records, _names(records), mate=False), _shapes(geometry(records, self._file))

    def take(self, chunk: tuple[NDArray[np.uint64], NDArray[np.int64]]) -> None:
        """Take a prepared chunk."""
        keys, shapes = chunk
        if len(keys) == 0:
            return
        if self._common is None:
            distinct, count = np.unique(shapes, axis=0, return_counts=True)
            self._common = distinct[count.argmax()]
        odd = np.flatnonzero((shapes != self._common).any(axis=1))
        self._keys.append(keys[odd])
        self._shapes.append(shapes[odd])

    def result(self) -> MateShapes:
        """All shapes, sorted by key; InputError where one key has several."""
        if self._common is None:
            return MateShapes(np.array([0, -1, 0]), np.zeros(0, dtype=np.uint64), np.zeros((0, 3), dtype=np.int64))
        keys, shapes = np.concatenate(self._keys), np.concatenate(self._shapes)
        order = np.argsort(keys, kind="stable")
        keys, shapes = keys[order], shapes[order]
        if ((keys[1:] == keys[:-1]) & (shapes[1:] != shapes[:-1]).any(axis=1)).any():
            raise several_of_one_name(self._file)
        return MateShapes(self._common, keys, shapes)
