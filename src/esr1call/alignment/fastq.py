"""Streams mate pairs from FASTQ files (gzip of any make, or plain), all of them or those a screen keeps.

A sample may have several pairs of files (lanes), or files that hold both mates in turn. What is not whole is refused.
Each stream is inflated and searched in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esr1call.alignment.blocks import Block, Columns, blocks, columns
from esr1call.alignment.inflate import Ahead, file_bytes
from esr1call.alignment.sources import INTERLEAVED, SEPARATOR
from esr1call.alignment.ubam import is_bam, ubam_bytes
from esr1call.errors import InputError
from esr1call.io.files import require_file
from esr1call.io.inputs import unchanged
from esr1call.screening.records import LINES
from esr1call.screening.seeds import SeedTable


@dataclass(frozen=True)
class Lane:
    """A pair of FASTQ files, or with `two` None one file that holds both mates in turn.

    That file may be an unaligned BAM: then it is `tagged`, its comments hold its tags.
    """

    one: Path
    two: Path | None
    tagged: bool = False


@dataclass(frozen=True, eq=False)
class KeptPairs:
    """FASTQ text of read 1 and read 2 of consecutive kept pairs; `numbers` are theirs in the lane (from 0).

    `read` counts the pairs read since the last ones, kept or not.
    """

    lane: Lane
    numbers: NDArray[np.int64]
    text_1: bytes
    text_2: bytes
    read: int


@dataclass(frozen=True)
class PairChunk:
    """Mate pairs; `numbers` are those of the pairs in their files (from 1), `umi` their RX tags where they have any.

    `screened_out` counts the pairs that were read and not kept since the last chunk.
    """

    numbers: list[int]
    name: list[str]
    bases_1: list[str]
    quality_1: list[str]
    bases_2: list[str]
    quality_2: list[str]
    umi: list[str] | None = None
    screened_out: int = 0


def lanes_of(fastq_1: str | Path, fastq_2: str | Path) -> tuple[Lane, ...]:
    """Lanes of ``a_R1.fq;b_R1.fq`` and ``a_R2.fq;b_R2.fq``, or of files with both mates and ``interleaved``.

    Raises InputError where the lists do not fit each other, or a file is missing, empty or given twice.
    """
    one = [Path(p.strip()) for p in str(fastq_1).split(SEPARATOR) if p.strip()]
    both = str(fastq_2) == INTERLEAVED
    two = [] if both else [Path(p.strip()) for p in str(fastq_2).split(SEPARATOR) if p.strip()]
    if not one:
        raise InputError("names no file", field="fastq_1", found=str(fastq_1))
    if not both and len(one) != len(two):
        raise InputError(
            "read 1 and read 2 have different numbers of files", field="fastq_2", found=f"{len(two)} files",
            expected=f"{len(one)}, in the same order", hint=f"separate lanes by '{SEPARATOR}'",
        )  # fmt: skip
    for field_, paths in (("fastq_1", one), ("fastq_2", two)):
        for path in paths:
            require_file(path, field_)
    seen: dict[Path, str] = {}
    for name, paths in (("fastq_1", one), ("fastq_2", two)):
        for path in paths:
            if seen.setdefault(path.resolve(), name) != name:
                raise InputError("is given as both mates", file=path, field=name, expected="two different files")
        if len({p.resolve() for p in paths}) < len(paths):
            raise InputError("a lane is given twice", field=name, found=", ".join(map(str, paths)))
    if both:
        return tuple(Lane(path, None, is_bam(path)) for path in one)
    return tuple(Lane(a, b) for a, b in zip(one, two, strict=True))


def read_pairs(
    fastq_1: str | Path, fastq_2: str | Path, chunk: int, allow_empty: bool = False, table: SeedTable | None = None
) -> Iterator[PairChunk]:
    """Yield chunks of `chunk` pairs (the last one shorter) with upper-case bases and names without /1, /2 or comment.

    With a `table` only those pairs of which a mate holds a seed; see `lanes_of` for several lanes. Raises InputError,
    naming file and read, where a file is missing, empty, truncated, corrupt or malformed, where the files differ in
    length, or where mates' names differ. A whole file without reads is an error unless `allow_empty`.
    """
    return chunks_of(kept_pairs(lanes_of(fastq_1, fastq_2), allow_empty, table), chunk)


def chunks_of(pairs: Iterator[KeptPairs], chunk: int) -> Iterator[PairChunk]:
    """Kept pairs as checked columns, `chunk` at a time."""
    waiting = _Waiting()
    for kept in pairs:
        waiting.add(kept)
        while len(waiting.name) >= chunk:
            yield waiting.take(chunk)
    if waiting.name or waiting.screened_out:
        yield waiting.take(chunk)


@dataclass
class _Waiting:
    """Pairs that do not fill a chunk yet."""

    numbers: list[int] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    bases_1: list[str] = field(default_factory=list)
    quality_1: list[str] = field(default_factory=list)
    bases_2: list[str] = field(default_factory=list)
    quality_2: list[str] = field(default_factory=list)
    umi: list[str] = field(default_factory=list)
    tagged: bool = False
    screened_out: int = 0

    def add(self, kept: KeptPairs) -> None:
        self.screened_out += kept.read - len(kept.numbers)
        if not len(kept.numbers):
            return
        lane = kept.lane
        step, two = (1, lane.two) if lane.two is not None else (2, lane.one)
        one_columns = columns(kept.text_1, lane.one, kept.numbers * step)
        two_columns = columns(kept.text_2, two, kept.numbers * step + step - 1)
        self.name += _mate_names(one_columns, two_columns, two, kept.numbers)
        self.numbers += (kept.numbers + 1).tolist()
        self.bases_1 += one_columns.bases
        self.quality_1 += one_columns.quality
        self.bases_2 += two_columns.bases
        self.quality_2 += two_columns.quality
        if lane.tagged:
            self.tagged = True
            self.umi += [_rx(c) for c in one_columns.comment]

    def take(self, count: int) -> PairChunk:
        columns_ = (self.name, self.bases_1, self.quality_1, self.bases_2, self.quality_2)
        name, bases_1, quality_1, bases_2, quality_2 = (values[:count] for values in columns_)
        numbers, umi, out = self.numbers[:count], self.umi[:count] if self.tagged else None, self.screened_out
        for values in (*columns_, self.umi):
            del values[:count]
        del self.numbers[:count]
        self.screened_out = 0
        return PairChunk(numbers, name, bases_1, quality_1, bases_2, quality_2, umi, out)


def _rx(comment: str) -> str:
    """The one tag that samtools was asked for, whole: a tab in it is no end but a letter that no UMI has."""
    return comment[5:] if comment.startswith("RX:Z:") else ""


def _mate_names(one: Columns, two: Columns, fastq_2: Path, numbers: NDArray[np.int64]) -> list[str]:
    if one.name == two.name:
        return one.name
    names = list(one.name)
    for i, (a, b) in enumerate(zip(one.name, two.name, strict=True)):
        if a != b:
            names[i] = _common_name(a, b, fastq_2, int(numbers[i]))
    return names


def _common_name(a: str, b: str, fastq_2: Path, number: int) -> str:
    if a[-2:] != "/1" or b[-2:] != "/2" or a[:-2] != b[:-2]:
        raise InputError(
            f"read {number + 1}: name differs from its mate's", file=fastq_2, found=b, expected=a,
            hint="the two files must hold the same reads in the same order",
        )  # fmt: skip
    return a[:-2]


def kept_pairs(lanes: Sequence[Lane], allow_empty: bool, table: SeedTable | None) -> Iterator[KeptPairs]:
    """Lane by lane, the pairs of which a mate holds a seed of `table`, or all where it is None."""
    read = 0
    for lane in lanes:
        with ExitStack() as stack:
            paths = [lane.one] if lane.two is None else [lane.one, lane.two]
            stack.enter_context(unchanged(*paths))
            unit = 3 - len(paths)
            sides = []
            for path in paths:
                content = ubam_bytes(path) if lane.tagged else file_bytes(path)
                sides.append(Ahead(blocks(content, path, unit, table)))
                stack.callback(sides[-1].close)
            pairs = _both_mates(lane, sides[0]) if lane.two is None else _merged(lane, lane.two, sides[0], sides[1])
            for kept in pairs:
                read += kept.read
                yield kept
    if read == 0 and not allow_empty:
        raise InputError(
            "no reads in the file", file=lanes[0].one, field="fastq_1",
            hint="an empty file is accepted only for a no-template control (--allow-empty)",
        )  # fmt: skip


def _both_mates(lane: Lane, side: Iterator[Block]) -> Iterator[KeptPairs]:
    """Pairs of a stream that holds both mates in turn."""
    for block in side:
        first, end = block.first // 2, block.end // 2
        pairs = np.arange(first, end) if block.seeded is None else np.unique(block.seeded // 2)
        _check_names(block, 2 * first, block, 2 * first + 1, lane.one, first)
        yield KeptPairs(lane, pairs, block.text(2 * pairs), block.text(2 * pairs + 1), end - first)


def _merged(lane: Lane, fastq_2: Path, one: Iterator[Block], two: Iterator[Block]) -> Iterator[KeptPairs]:
    """Pairs of two streams, whose blocks end at different records."""
    a, b = next(one, None), next(two, None)
    done = 0
    while a is not None and b is not None:
        end = min(a.end, b.end)
        if a.seeded is None or b.seeded is None:
            pairs = np.arange(done, end)
        else:
            held = np.zeros(end - done, dtype=np.bool_)
            for seeded in (a.seeded, b.seeded):
                low, high = np.searchsorted(seeded, (done, end))
                held[seeded[low:high] - done] = True
            pairs = np.flatnonzero(held) + done
        _check_names(a, done, b, done, fastq_2, done)
        yield KeptPairs(lane, pairs, a.text(pairs), b.text(pairs), end - done)
        done = end
        if a.end == end:
            a = next(one, None)
        if b.end == end:
            b = next(two, None)
    if a is not None or b is not None:
        # The longer file is read to its end for the message, which also finds out whether it is truncated.
        n1, n2 = (
            max([done, *(x.end for x in ([held] if held else [])), *(x.end for x in rest)])
            for held, rest in ((a, one), (b, two))
        )
        raise InputError(
            f"has {n2} reads but its mate file {lane.one} has {n1}", file=fastq_2, field="fastq_2",
            hint="give both files of one run, complete",
        )  # fmt: skip


def _check_names(a: Block, number_a: int, b: Block, number_b: int, fastq_2: Path, number: int) -> None:
    """The names of one pair of each block are compared whether it is kept or not: files of different runs differ."""
    names = []
    for block, n in ((a, number_a), (b, number_b)):
        header = block.text(np.array([n])).partition(b"\n")[0][1:].split(None, 1)
        names.append(header[0].decode("ascii", "replace") if header else "")
    if names[0] != names[1] and all(names):
        _common_name(names[0], names[1], fastq_2, number)


def interleaved_text(kept: KeptPairs) -> bytes:
    """The kept pairs as FASTQ text, mates in turn, as they were."""
    one, two = (t.replace(b"\r", b"").split(b"\n") for t in (kept.text_1, kept.text_2))
    out: list[bytes] = []
    for i in range(0, len(one) - 1, LINES):
        out += one[i : i + LINES]
        out += two[i : i + LINES]
    return b"\n".join(out) + b"\n" if out else b""
