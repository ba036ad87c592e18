"""Templates (read pairs) and families: grouped by fragment ends, UMIs and strand, one codon window at a time.

Reads stream in as blocks. Mates that both show the window are joined to one template; templates of one family that
show the same haplotype are then kept as one row with summed evidence, so memory grows with molecules, not with reads.
All sums are of integers: the result is the same whatever the order, the chunks or the threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from esr1call.pileup.fragments import mix
from esr1call.pileup.windows import NO_VOTE, column, haplotype_length

MIN_COMPACT = 1 << 18


@dataclass(frozen=True, eq=False)
class Reads:
    """Observations of one window [m]: `origin` uint64, fragment ends and strand (see `pileup.fragments`); `left`,
    `right` uint64 packed UMIs by fragment end; `name` uint64 hash; `awaits` bool, whether the mate should be seen in
    this window too; `haplotype` uint64 and `weight` uint8 [m, columns] as in `pileup.windows.Observations`."""

    origin: NDArray[np.uint64]
    left: NDArray[np.uint64]
    right: NDArray[np.uint64]
    name: NDArray[np.uint64]
    awaits: NDArray[np.bool_]
    haplotype: NDArray[np.uint64]
    weight: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.haplotype)

    def take(self, keep: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """The observations at the given places."""
        return type(self)(*(getattr(self, f.name)[keep] for f in fields(self)))

    @classmethod
    def join(cls, blocks: Sequence[Reads]) -> Reads:
        """All blocks one after another."""
        return cls(*(np.concatenate([getattr(b, f.name) for b in blocks]) for f in fields(cls)))


@dataclass(frozen=True, eq=False)
class Rows:
    """Templates of one family and haplotype as one row [n]: `origin`, `left`, `right` (the family's key) and
    `haplotype` as in `Reads`, `templates` int64 (how many) and `weight` int32 [n, columns] (their summed evidence)."""

    origin: NDArray[np.uint64]
    left: NDArray[np.uint64]
    right: NDArray[np.uint64]
    haplotype: NDArray[np.uint64]
    templates: NDArray[np.int64]
    weight: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.haplotype)


def join_mates(reads: Reads, template_cap: int, final: bool) -> tuple[Reads, Reads]:
    """(templates, reads still waiting for their mate).

    Two reads of one name become one template: evidence for the same base adds up to at most `template_cap`; where the
    mates disagree the better base stays with the difference. Mates whose haplotypes differ in length are one template
    without a vote. With `final` nothing waits any longer.
    """
    waiting = np.flatnonzero(reads.awaits)
    if len(waiting) == 0:
        return reads, reads.take(waiting)
    order = waiting[np.argsort(reads.name[waiting], kind="stable")]
    name = reads.name[order]
    same = np.flatnonzero(name[1:] == name[:-1])
    # Of a run of equal names only places 0-1, 2-3, ... pair up.
    if len(same):
        run_start = np.append(True, np.diff(same) != 1)
        first = np.maximum.accumulate(np.where(run_start, np.arange(len(same)), 0))
        same = same[(np.arange(len(same)) - first) % 2 == 0]
    one, two = order[same], order[same + 1]
    haplotype, weight = _merge(reads, one, two, template_cap)
    lonely = np.ones(len(reads), dtype=bool)
    lonely[one] = lonely[two] = False
    single = lonely if final else lonely & ~reads.awaits
    merged = replace(reads.take(one), haplotype=haplotype, weight=weight)
    return Reads.join([reads.take(single), merged]), reads.take(lonely & ~single)


def _merge(
    reads: Reads, one: NDArray[np.int64], two: NDArray[np.int64], cap: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    first, second = reads.haplotype[one], reads.haplotype[two]
    w1, w2 = reads.weight[one].astype(np.int16), reads.weight[two].astype(np.int16)
    haplotype, weight = first.copy(), np.minimum(w1 + w2, cap)
    differ = np.flatnonzero(first != second)
    if len(differ):
        length = haplotype_length(first[differ])
        votes = (length == haplotype_length(second[differ])) & (length > 0)
        silent = differ[~votes]
        haplotype[silent], weight[silent] = NO_VOTE, 0
        for size in np.unique(length[votes]):
            who = differ[votes & (length == size)]
            _merge_columns(first[who], second[who], w1[who], w2[who], int(size), cap, haplotype, weight, who)
    return haplotype, weight.astype(np.uint8)


def _merge_columns(
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    w1: NDArray[np.int16],
    w2: NDArray[np.int16],
    size: int,
    cap: int,
    haplotype: NDArray[np.uint64],
    weight: NDArray[np.int16],
    who: NDArray[np.int64],
) -> None:
    """Combine haplotypes of equal length column by column, in place at `who`."""
    plain = size == weight.shape[1]
    code = np.full(len(who), size, dtype=np.uint64)
    weakest = np.full(len(who), 255, dtype=np.int16)
    for i in range(size):
        a, b = column(first, i, size), column(second, i, size)
        wa, wb = (w1[:, i], w2[:, i]) if plain else (w1[:, 0], w2[:, 0])
        better = np.where(wa >= wb, a, b)
        code = code << np.uint64(4) | better.astype(np.uint64)
        total = np.where(a == b, np.minimum(wa + wb, cap), np.abs(wa - wb))
        if plain:
            weight[who, i] = total
        weakest = np.minimum(weakest, total)
    # `code` began with the length, which sixteen shifts of 4 bits would push out: put it back on top.
    bases = code & ((np.uint64(1) << np.uint64(4 * size)) - np.uint64(1))
    haplotype[who] = bases | np.uint64(size) << np.uint64(60)
    if not plain:
        weight[who] = weakest[:, None]


def reduce_rows(rows: Rows) -> Rows:
    """One row per family key and haplotype, templates and evidence added, in an order given by the keys alone."""
    if len(rows) == 0:
        return rows
    key = mix(mix(mix(rows.origin ^ rows.haplotype) + rows.left) ^ rows.right)
    order = np.argsort(key)
    parts = (rows.origin, rows.left, rows.right, rows.haplotype)
    first = _boundaries(parts, order)
    if not _runs_are_keys(key[order], first):  # two keys with one hash: sort by the keys themselves
        order = np.lexsort(parts)
        first = _boundaries(parts, order)
    starts = np.flatnonzero(first)
    pick = order[starts]
    return Rows(
        rows.origin[pick], rows.left[pick], rows.right[pick], rows.haplotype[pick],
        np.add.reduceat(rows.templates[order], starts),
        np.add.reduceat(rows.weight[order], starts, axis=0, dtype=np.int32),
    )  # fmt: skip


def _boundaries(parts: tuple[NDArray[np.generic], ...], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where, in `order`, a key differs from the one before."""
    first = np.zeros(len(order), dtype=bool)
    first[0] = True
    for part in parts:
        sorted_part = part[order]
        first[1:] |= sorted_part[1:] != sorted_part[:-1]
    return first


def _runs_are_keys(sorted_hash: NDArray[np.uint64], first: NDArray[np.bool_]) -> bool:
    """Whether keys change exactly where the hash does."""
    return bool((first[1:] == (sorted_hash[1:] != sorted_hash[:-1])).all())


def as_rows(reads: Reads) -> Rows:
    """Each template as a row of its own."""
    ones = np.ones(len(reads), dtype=np.int64)
    return Rows(reads.origin, reads.left, reads.right, reads.haplotype, ones, reads.weight.astype(np.int32))


def add_rows(blocks: Sequence[Rows]) -> Rows:
    """Rows of all blocks, reduced."""
    return reduce_rows(Rows(*(np.concatenate([getattr(b, f.name) for b in blocks]) for f in fields(Rows))))


class WindowStore:
    """Collects the reads of one window and keeps them compact."""

    def __init__(self, template_cap: int) -> None:
        self._cap = template_cap
        self._pending: list[Reads] = []
        self._pending_reads = 0
        self._rows: Rows | None = None
        self._limit = MIN_COMPACT

    def add(self, reads: Reads) -> None:
        """Take a block of observations."""
        self._pending.append(reads)
        self._pending_reads += len(reads)
        if self._pending_reads >= self._limit:
            self._compact(final=False)

    def finish(self) -> Rows | None:
        """All templates as rows, or None if there were no reads."""
        if self._pending:
            self._compact(final=True)
        return self._rows

    def _compact(self, final: bool) -> None:
        reads = self._pending[0] if len(self._pending) == 1 else Reads.join(self._pending)
        self._pending.clear()
        templates, waiting = join_mates(reads, self._cap, final)
        if len(templates):
            new = as_rows(templates)
            self._rows = reduce_rows(new) if self._rows is None else add_rows([self._rows, new])
        self._pending = [waiting] if len(waiting) else []
        self._pending_reads = len(waiting)
        # Reads that wait are looked at again each time, and so are rows: let the limit grow with them.
        self._limit = max(MIN_COMPACT, 2 * len(waiting), 0 if self._rows is None else len(self._rows))
