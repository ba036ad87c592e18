"""Streams a BAM's records through the molecule counter: whole file, or only the stretches its index names."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from esr1call.consensus_reads import ConsensusCounter
from esr1call.contigs import Slice
from esr1call.counting import Collect, ConsensusReads, MateCollector, MatesUnknown, MoleculeCounter
from esr1call.counts import CountTable
from esr1call.errors import InputError
from esr1call.explain import MoleculeReads, WindowReads
from esr1call.io.bam_header import BamHeader, read_header
from esr1call.io.bam_index import BamIndex, merge_ranges
from esr1call.io.bgzf import BgzfFile, Chunk
from esr1call.io.narrow import Finder, Unaligned
from esr1call.panel import Panel
from esr1call.pileup.bases import BaseCounter
from esr1call.pileup.filters import MAX_READ_SPAN
from esr1call.pileup.records import record_offsets
from esr1call.settings import CountSettings

C = TypeVar("C", MoleculeCounter, WindowReads)
R = TypeVar("R")
T = TypeVar("T")
Progress = Callable[[float], None]
"""Told, now and then, which part of the work is done (0 to 1)."""
_AHEAD = 2  # chunks worked on ahead by each thread
MATE_REACH = 2000
"""How far (bases) from a window mates are looked for in a BAM without MC tags."""


def check_header(header: BamHeader, panel: Panel, path: str | Path) -> None:
    """InputError where the BAM is of another build, lacks the panel's sequence, or is not sorted."""
    if header.build is not None and header.build != panel.build:
        raise InputError(
            f"the BAM is on {header.build} while the config says {panel.build}", file=path, field="build",
            hint="align to the other reference or mend the config",
        )  # fmt: skip
    if not any(s.contig == panel.contig for s in header.references):
        raise InputError(
            f"the BAM has no {panel.contig}", file=path, found=", ".join(s.name for s in header.references[:5]),
            expected=f"a sequence of {panel.contig}", hint="is it the right reference?",
        )  # fmt: skip
    if header.sort_order != "coordinate":
        raise InputError(
            "the BAM is not sorted by coordinate", file=path, field="SO", found=header.sort_order,
            expected="coordinate", hint="sort it with samtools sort, or run esr1call align --bam",
        )  # fmt: skip


def count_bam(
    path: str | Path,
    panel: Panel,
    settings: CountSettings,
    threads: int = 1,
    progress: Progress | None = None,
    collect: Collect | None = None,
) -> tuple[CountTable, MoleculeCounter | ConsensusCounter]:
    """Count the molecules of a coordinate-sorted BAM, of raw or of consensus reads; uses its index where there is one.

    Returns the table, and the counter with its statistics. `collect` is shown each window's molecules, of raw reads
    only. Raises InputError for anything wrong with the file.
    """
    with _open_stream(path, panel, threads) as (stream, references):
        stream.progress = progress

        def raw() -> MoleculeCounter:
            made = MoleculeCounter(panel, references, settings, str(path), stream.defer)
            made.collect = collect
            return made

        counter: MoleculeCounter | ConsensusCounter
        try:
            counter = _feed(stream, len(references), raw)
        except ConsensusReads:
            counter = ConsensusCounter(panel, references, settings, str(path))
            stream.feed(counter.reads.regions(), counter)
        counter.mapped_in_file = stream.mapped
        return counter.finish(), counter


def explain_bam(
    path: str | Path, panel: Panel, window: int, settings: CountSettings, threads: int = 1
) -> list[MoleculeReads]:
    """The molecules that `count_bam` counts in one window, with their reads; raises InputError as it does."""
    with _open_stream(path, panel, threads) as (stream, references):
        try:
            make = partial(WindowReads, panel, window, references, settings, str(path))
            return _feed(stream, len(references), make).molecules()
        except ConsensusReads:
            raise InputError(
                "consensus reads have nothing to explain: each read pair is a molecule", file=path, field="cD",
                hint="give the BAM of raw reads that they were made from",
            ) from None  # fmt: skip


def _feed(stream: _Stream, references: int, make: Callable[[], C]) -> C:
    """Feed a counter the reads over its windows; in a BAM without MC tags after a first pass for the mates' clips."""
    counter = make()
    try:
        stream.feed(counter.reads.regions(), counter)
    except MatesUnknown:
        reach = [(r, max(s - MATE_REACH, 0), e + MATE_REACH) for r, s, e in counter.reads.regions()]
        collector = MateCollector(references, str(stream.path))
        stream.feed(reach, collector)
        counter = make()
        counter.mates = collector.result()
        stream.feed(counter.reads.regions(), counter)
    return counter


def count_bases(path: str | Path, panel: Panel, settings: CountSettings, threads: int = 1) -> BaseCounter:
    """Count bases per column and strand of a coordinate-sorted BAM; raises InputError as `count_bam` does."""
    with _open_stream(path, panel, threads) as (stream, references):
        counter = BaseCounter(panel, references, settings, str(path))
        stream.feed(counter.reads.regions(), counter)
        return counter


def bytes_read(path: str | Path, panel: Panel) -> int:
    """How many compressed bytes counting reads of a BAM."""
    with _open_stream(path, panel, 1) as (stream, references):
        counter = BaseCounter(panel, references, CountSettings(), str(path))
        stream.feed(counter.reads.regions(), counter)
        return stream.bytes_read


@contextmanager
def _open_stream(path: str | Path, panel: Panel, threads: int) -> Iterator[tuple[_Stream, tuple[Slice, ...]]]:
    """The BAM's records and reference sequences, its header checked."""
    header = read_header(path)
    check_header(header, panel, path)
    index = find_index(path)
    with BgzfFile(path) as bgzf, ThreadPoolExecutor(threads) as pool:
        if index is not None:
            _check_index(index, header, bgzf)
        yield _Stream(bgzf, header, index, pool if threads > 1 else None, threads), header.references


def _check_index(index: BamIndex, header: BamHeader, bgzf: BgzfFile) -> None:
    """InputError unless the index is of this file: it ends where the file's placed reads end."""
    bad = InputError("the index is of another file", file=index.path, hint="index the BAM again")
    if index.references != len(header.references):
        raise bad
    end = max(index.end, header.first_record)
    at, skip, plain = end >> 16, end & 0xFFFF, b""
    while len(plain) < skip + 8:  # an unplaced read shows itself in its first 8 bytes
        try:
            found = bgzf.block(at)
        except InputError as error:
            raise bad from error
        if found is None:
            break
        plain, at = plain + found[0], found[1]
    rest = plain[skip : skip + 8]
    if at > bgzf.size or len(plain) < skip or (rest and rest[4:] != b"\xff\xff\xff\xff"):
        raise bad


def find_index(path: str | Path) -> BamIndex | None:
    """The BAM's index, or None; InputError where it is older than the BAM."""
    base = Path(path)
    for candidate in (Path(f"{base}.bai"), base.with_suffix(".bai"), Path(f"{base}.csi")):
        if os.path.exists(candidate):  # False too where the name is too long for a file
            if candidate.stat().st_mtime_ns < base.stat().st_mtime_ns:
                raise InputError("the index is older than the BAM", file=candidate, hint="index the BAM again")
            return BamIndex(candidate)
    return None


def _neighbours(regions: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Sorted regions, with those less than a read's span apart joined: one look-up serves them all."""
    joined: list[tuple[int, int, int]] = []
    for reference, start, end in sorted(regions):
        if joined and joined[-1][0] == reference and start - joined[-1][2] < MAX_READ_SPAN:
            joined[-1] = reference, joined[-1][1], max(end, joined[-1][2])
        else:
            joined.append((reference, start, end))
    return joined


class Consumer(Protocol[T]):
    """Takes a stream of records: chunks are prepared, in threads if there are any, and then taken in file order."""

    def prepare(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> T:
        """Look at the records that begin at `offsets` in `data`, changing no state."""

    def take(self, chunk: T) -> None:
        """Take a prepared chunk."""


@dataclass(frozen=True, eq=False)
class _Job(Generic[T]):
    """A chunk on its way: its packed blocks, bytes before the first record, what the consumer made of it on the guess
    that it begins with a record, and the bytes of the record that it ends in; or the error that came instead. With
    `guessed` False nothing was made of it yet."""

    found: list[tuple[int, memoryview, int]]
    skip: int
    guessed: bool = False
    prepared: T | None = None
    rest: NDArray[np.uint8] | None = None
    error: InputError | None = None


class _Stream:
    """Feeds whole records, a chunk at a time, to a consumer."""

    def __init__(
        self, bgzf: BgzfFile, header: BamHeader, index: BamIndex | None, pool: ThreadPoolExecutor | None, threads: int
    ) -> None:
        self._bgzf, self._header, self._index, self.pool, self._threads = bgzf, header, index, pool, threads
        self.progress: Progress | None = None
        self._split = False  # whether records go on from chunk to chunk, so that guessing is of no use

    def defer(self, work: Callable[[], R]) -> Callable[[], R]:
        """Do `work` in a thread, if there are any, else at once; returns what gives its result."""
        if self.pool is None:
            done = work()
            return lambda: done
        return self.pool.submit(work).result

    @property
    def mapped(self) -> int | None:
        """Mapped reads in the whole file, if an index tells."""
        return None if self._index is None else self._index.mapped

    @property
    def path(self) -> Path:
        """The BAM."""
        return self._bgzf.path

    @property
    def bytes_read(self) -> int:
        """Compressed bytes read so far."""
        return self._bgzf.bytes_read

    def feed(self, regions: list[tuple[int, int, int]], consumer: Consumer[T]) -> None:
        """Pass all records that may lie over `regions`, in file order."""
        ranges = self.ranges(regions)
        total, done = sum((self._bgzf.size if e is None else e >> 16) - (s >> 16) for s, e in ranges), 0
        for start, end in ranges:
            carry = np.zeros(0, dtype=np.uint8)
            for job in self._jobs(start, end, consumer):
                carry = self._pass_on(job, carry, consumer)
                done += sum(len(block) for _, block, _ in job.found)
                if self.progress is not None:
                    self.progress(min(done / max(total, 1), 1.0))
            if len(carry) and (end is None or end >> 16 == self._bgzf.size):
                raise InputError("truncated: the file ends inside an alignment record", file=self._bgzf.path,
                                 hint="copy or write it again")  # fmt: skip

    def ranges(self, regions: list[tuple[int, int, int]]) -> list[tuple[int, int | None]]:
        """Virtual offset ranges that hold every read over `regions` (all of the file without an index)."""
        if self._index is None:
            return [(self._header.first_record, None)]
        found, finder = [], Finder(self._bgzf, self._header.first_record)
        asked = [(self._index.chunks(*region), *region) for region in _neighbours(regions)]
        for named, reference, start, end in sorted(asked, key=lambda a: not a[0]):  # hints first: they serve all
            place = reference, start - MAX_READ_SPAN, end
            try:
                found.append(finder.find(named, *place))
            except Unaligned:
                found += [finder.narrow(stretch, *place) for stretch in named]
        return [(start, end) for start, end in merge_ranges(sorted(found))]

    def _jobs(self, start: int, end: int | None, consumer: Consumer[T]) -> Iterator[_Job[T]]:
        """Chunks of a virtual offset range in file order; a few are worked on ahead where there are threads."""
        stop = None if end is None else (end >> 16) + 1
        skip, ahead = start & 0xFFFF, deque[Future[_Job[T]]]()
        for found in self._bgzf.blocks(start >> 16, stop):
            if self.pool is None:
                yield self._work(found, skip, consumer)
            else:
                ahead.append(self.pool.submit(self._work, found, skip, consumer))
                if len(ahead) >= _AHEAD * self._threads:
                    yield ahead.popleft().result()
            skip = 0
        while ahead:
            yield ahead.popleft().result()

    def _work(self, found: list[tuple[int, memoryview, int]], skip: int, consumer: Consumer[T]) -> _Job[T]:
        """Inflate a chunk and prepare its records, on the guess that it begins with a record, as htslib's do."""
        if self._split:
            return _Job(found, skip)
        chunk = self._bgzf.inflate(found)
        try:
            return self._prepare(found, skip, chunk, consumer)
        except InputError as error:
            return _Job(found, skip, guessed=True, error=error)  # it counts only if the guess was right

    def _prepare(
        self, found: list[tuple[int, memoryview, int]], skip: int, chunk: Chunk, consumer: Consumer[T]
    ) -> _Job[T]:
        starts = np.append(skip, chunk.starts[chunk.starts > skip]) if skip else chunk.starts
        offsets, done = record_offsets(chunk.data, chunk.size, starts, str(self._bgzf.path))
        prepared = consumer.prepare(chunk.data, offsets) if len(offsets) else None
        return _Job(found, skip, guessed=True, prepared=prepared, rest=chunk.data[done : chunk.size].copy())

    def _pass_on(self, job: _Job[T], carry: NDArray[np.uint8], consumer: Consumer[T]) -> NDArray[np.uint8]:
        """Hand a chunk's records to the consumer; returns the beginning of a record that goes on in the next chunk."""
        if len(carry) or not job.guessed:
            chunk = self._bgzf.inflate(job.found)
            if len(carry):
                data = np.concatenate([carry, chunk.data])
                starts = np.append(0, chunk.starts[1:] + len(carry))
                chunk = Chunk(data, starts, chunk.size + len(carry))
            job = self._prepare(job.found, job.skip, chunk, consumer)
        if job.error is not None:
            raise job.error
        if job.prepared is not None:
            consumer.take(job.prepared)
        assert job.rest is not None
        self._split = len(job.rest) > 0
        return job.rest
