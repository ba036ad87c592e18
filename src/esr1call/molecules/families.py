"""Templates (read pairs) and families: grouped by fragment ends, UMIs and strand, one codon window at a time.

Reads stream in as blocks. Mates that both show the window are joined to one template; templates of one family that
show the same haplotype are then kept as one row with summed evidence, so memory grows with molecules, not with reads.
All sums are of integers: the result is the same whatever the order, the chunks or the threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from esr1call.errors import InputError
from esr1call.pileup.fragments import mix
from esr1call.pileup.windows import NO_VOTE, column, haplotype_length

MIN_COMPACT = 1 << 18
_NAME_WIDTH = 42
_NAME_BITS = np.uint64((1 << _NAME_WIDTH) - 1)
_EVEN_BYTES, _MOST_IN_16_BITS = np.uint64(0x00FF00FF00FF00FF), 257


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
        if keep.dtype == bool:
            keep = np.flatnonzero(keep)
        return type(self)(*(getattr(self, f.name).take(keep, axis=0) for f in fields(self)))

    @classmethod
    def join(cls, blocks: Sequence[Reads]) -> Reads:
        """All blocks one after another."""
        return cls(*(np.concatenate([getattr(b, f.name) for b in blocks]) for f in fields(cls)))


@dataclass(frozen=True, eq=False)
class Rows:
    """Templates of one family and haplotype as one row [n]: `origin`, `left`, `right` (the family's key) and
    `haplotype` as in `Reads`, `templates` int64 (how many) and `weight` int32 [columns, n] (their summed evidence)."""

    origin: NDArray[np.uint64]
    left: NDArray[np.uint64]
    right: NDArray[np.uint64]
    haplotype: NDArray[np.uint64]
    templates: NDArray[np.int64]
    weight: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.haplotype)

    def take(self, keep: NDArray[np.int64]) -> Self:
        """The rows at the given places."""
        return type(self)(*(getattr(self, f.name).take(keep, axis=-1) for f in fields(self)))

    @classmethod
    def none(cls, columns: int) -> Self:
        """No rows."""
        keys = (np.zeros(0, dtype=np.uint64),) * 4
        return cls(*keys, np.zeros(0, dtype=np.int64), np.zeros((columns, 0), dtype=np.int32))


def templates_of(reads: Reads, template_cap: int, final: bool, file: str = "") -> tuple[Rows, Reads]:
    """(templates as rows, reads still waiting for their mate) of reads in the order of `by_family_and_name`.

    Two reads of one name and family become one template: evidence for the same base adds up to at most `template_cap`;
    where the mates disagree the better base stays with the difference. Mates whose haplotypes differ in length are one
    template without a vote. With `final` nothing waits any longer. A row may hold several templates that show the same.

    Raises InputError (naming `file`) where reads of one name and family are no two mates that wait for each other: the
    same pair twice would pass for two pairs of its molecule.
    """
    same = reads.name[1:] == reads.name[:-1]
    same &= ~changes(reads.origin, reads.left, reads.right)[1:]
    one = np.flatnonzero(same)
    if not (reads.awaits[one] & reads.awaits[one + 1]).all() or (one[1:] == one[:-1] + 1).any():
        raise several_of_one_name(file)
    reads.haplotype[one], weight = _merge(reads, one, one + 1, template_cap)
    _items(reads.weight)[one] = _items(weight)
    lonely = np.ones(len(reads), dtype=bool)
    lonely[one] = lonely[one + 1] = False
    waiting = lonely & reads.awaits & (not final)
    done = ~waiting
    done[one + 1] = False
    return _rows_of(reads, np.flatnonzero(done)), reads.take(waiting)


def several_of_one_name(file: str) -> InputError:
    """What to raise where a name does not tell which read is whose mate."""
    return InputError(
        "several reads of one name at one place, which are no two mates", file=file, field="QNAME",
        hint="was the file merged with itself? Mates that were aligned anew need samtools fixmate -m",
    )  # fmt: skip


def _rows_of(reads: Reads, who: NDArray[np.int64]) -> Rows:
    """The reads `who` as rows, neighbours that show the same in one."""
    first = np.zeros(len(who), dtype=bool)
    first[:1] = True
    for part in (reads.origin, reads.left, reads.right, reads.haplotype):
        shown = part[who]  # one column at a time: this is where memory peaks
        first[1:] |= shown[1:] != shown[:-1]
    starts = np.flatnonzero(first)
    if len(starts) == 0:
        return Rows.none(reads.weight.shape[1])
    pick = who[starts]
    return Rows(
        reads.origin[pick], reads.left[pick], reads.right[pick], reads.haplotype[pick],
        np.diff(np.append(starts, len(who))), sum_weights(reads.weight, who, starts),
    )  # fmt: skip


def by_family_and_name(
    origin: NDArray[np.uint64], left: NDArray[np.uint64], right: NDArray[np.uint64], name: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """An order in which the reads of a name stand together, and, but for chance, those of a family."""
    family = mix(mix(mix(origin) + left) ^ right)
    order, new = sorted_places((family & ~_NAME_BITS) | (name >> np.uint64(64 - _NAME_WIDTH)))
    names = name[order]
    mixed = np.flatnonzero(~new[1:] & (names[1:] != names[:-1]))
    if len(mixed):  # names that so few bits don't tell apart
        run = np.cumsum(new)
        some = np.flatnonzero(np.isin(run, run[mixed]))
        order[some] = order[some][np.lexsort((names[some], run[some]))]
    return order


def sorted_places(key: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(order [n], new [n]): an order that sorts the hashes `key`, by their leading bits at least, and where in it these
    change. The last bits give way to the places, so that a plain sort does, which is faster than `argsort`."""
    bits = np.uint64(max(len(key) - 1, 1).bit_length())
    places = (np.uint64(1) << bits) - np.uint64(1)
    packed = (key & ~places) | np.arange(len(key), dtype=np.uint64)
    packed.sort()
    return (packed & places).view(np.int64), changes(packed >> bits)


def _merge(
    reads: Reads, one: NDArray[np.int64], two: NDArray[np.int64], cap: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    first, second = reads.haplotype[one], reads.haplotype[two]
    w1, w2 = reads.weight.take(one, axis=0), reads.weight.take(two, axis=0)
    haplotype, weight = first.copy(), np.minimum(w1 + w2, np.uint8(cap))  # twice a weight is less than 256
    differ = np.flatnonzero(first != second)
    if len(differ):
        length = haplotype_length(first[differ])
        votes = (length == haplotype_length(second[differ])) & (length > 0)
        silent = differ[~votes]
        haplotype[silent], weight[silent] = NO_VOTE, 0
        for size in np.unique(length[votes]):
            who = differ[votes & (length == size)]
            haplotype[who], merged = _merge_columns(
                first[who], second[who], w1[who].T.astype(np.int16), w2[who].T.astype(np.int16), int(size), cap
            )
            weight[who] = merged.T
    return haplotype, weight


def _items(weight: NDArray[np.uint8]) -> NDArray[np.void]:
    """Weights [n, columns] as one item [n] a read: set in one move each."""
    return weight.view(f"V{weight.shape[1]}")[:, 0]


def _merge_columns(
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    w1: NDArray[np.int16],
    w2: NDArray[np.int16],
    size: int,
    cap: int,
) -> tuple[NDArray[np.uint64], NDArray[np.int16]]:
    """Haplotypes of equal length combined column by column, and their evidence [columns, n]."""
    plain = size == len(w1)
    code, weight = np.full(len(first), size, dtype=np.uint64), np.empty_like(w1)
    weakest = np.full(len(first), 255, dtype=np.int16)
    for i in range(size):
        a, b = column(first, i, size), column(second, i, size)
        wa, wb = (w1[i], w2[i]) if plain else (w1[0], w2[0])
        # A draw leaves no evidence; which base stands there must not depend on the order all the same.
        better = np.where(wa == wb, np.minimum(a, b), np.where(wa > wb, a, b))
        code = code << np.uint64(4) | better.astype(np.uint64)
        total = np.where(a == b, np.minimum(wa + wb, cap), np.abs(wa - wb))
        if plain:
            weight[i] = total
        weakest = np.minimum(weakest, total)
    # `code` began with the length, which sixteen shifts of 4 bits would push out: put it back on top.
    bases = code & ((np.uint64(1) << np.uint64(4 * size)) - np.uint64(1))
    if not plain:
        weight[:] = weakest
    return bases | np.uint64(size) << np.uint64(60), weight


def reduce_rows(rows: Rows) -> Rows:
    """One row per family key and haplotype, templates and evidence added, in an order given by the keys alone."""
    if len(rows) == 0:
        return rows
    order, first = group(rows.origin, rows.left, rows.right, rows.haplotype)
    starts = np.flatnonzero(first)
    pick = order[starts]
    return Rows(
        rows.origin[pick], rows.left[pick], rows.right[pick], rows.haplotype[pick],
        np.add.reduceat(rows.templates[order], starts), sum_runs(rows.weight, order, starts),
    )  # fmt: skip


def sum_runs(weight: NDArray[np.int32], order: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Sums int32 [columns, runs] of the weights [columns, n] in `order` over runs that begin at `starts` (0 first)."""
    sums = np.empty((len(weight), len(starts)), dtype=np.int32)
    last = np.append(starts[1:], len(order)) - 1
    for i in range(len(weight)):
        sums[i] = _run_sums(weight[i][order], last).astype(np.uint32).view(np.int32)
    return sums


def sum_weights(weight: NDArray[np.uint8], order: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """The same of weights [n, columns] of single reads or pairs: four columns at a time, each in 16 bits of a word."""
    if np.diff(np.append(starts, len(order))).max() > _MOST_IN_16_BITS:
        return sum_runs(weight.T.astype(np.int32), order, starts)
    n, columns = weight.shape
    last = np.append(starts[1:], len(order)) - 1
    padded = weight
    if columns % 8:
        padded = np.zeros((n, -(-columns // 8) * 8), dtype=np.uint8)
        padded[:, :columns] = weight
    sums = np.empty((padded.shape[1], len(starts)), dtype=np.int32)
    for k, word in enumerate(padded.view("<u8").T):
        some = word[order]
        for half in (0, 1):
            total = _run_sums((some >> np.uint64(8 * half)) & _EVEN_BYTES, last)
            for i in range(4):
                sums[8 * k + 2 * i + half] = (total >> np.uint64(16 * i)) & np.uint64(0xFFFF)
    return sums[:columns]


def _run_sums(values: NDArray[Any], last: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Sums of runs that end at `last`: differences of running sums, which may pass 2^64 and begin anew, which the
    difference does not see. Several times faster than `reduceat` where runs are short."""
    running: NDArray[np.uint64] = np.cumsum(values, dtype=np.uint64)[last]
    running[1:] -= running[:-1].copy()
    return running


def group(*parts: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(order [n], first [n]): an order in which equal keys stand together, the same whatever the order given (but for
    equal keys), and where in it a new key begins. Sorts a hash of the keys, and makes sure that it told them apart."""
    key = mix(parts[0])
    for part in parts[1:]:
        key = mix(key + part)
    order, new = sorted_places(key)
    first = changes(*(part[order] for part in parts))
    if (first != new).any():
        order = np.lexsort(parts)
        first = changes(*(part[order] for part in parts))
    return order, first


def changes(*parts: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where a key of several parts differs from the one before; True at the start."""
    first = np.ones(len(parts[0]), dtype=bool)
    if len(first):
        first[1:] = parts[0][1:] != parts[0][:-1]
        for part in parts[1:]:
            first[1:] |= part[1:] != part[:-1]
    return first


def add_rows(blocks: Sequence[Rows]) -> Rows:
    """Rows of all blocks, reduced."""
    return reduce_rows(Rows(*(np.concatenate([getattr(b, f.name) for b in blocks], axis=-1) for f in fields(Rows))))


class WindowStore:
    """Collects the reads of one window and keeps them compact."""

    def __init__(self, template_cap: int, file: str = "") -> None:
        self._cap, self._file = template_cap, file
        self._pending: dict[str, list[NDArray[Any]]] = {f.name: [] for f in fields(Reads)}
        self._pending_reads = 0
        self._rows: Rows | None = None
        self._limit = MIN_COMPACT

    def add(self, reads: Reads) -> None:
        """Take a block of observations."""
        for name, parts in self._pending.items():
            parts.append(getattr(reads, name))
        self._pending_reads += len(reads)
        if self._pending_reads >= self._limit:
            self._compact(final=False)

    def finish(self) -> Rows:
        """All templates as rows, of at least one read; the store keeps nothing."""
        if self._pending_reads:
            self._compact(final=True)
        rows, self._rows = self._rows, None
        assert rows is not None
        return rows

    def _drain(self) -> Reads:
        """All pending reads, in order; joined and sorted a column at a time, each freed as it goes."""
        columns = {}
        for name, parts in self._pending.items():
            columns[name] = np.concatenate(parts)
            parts.clear()
        order = by_family_and_name(columns["origin"], columns["left"], columns["right"], columns["name"])
        return Reads(**{name: columns.pop(name).take(order, axis=0) for name in list(columns)})

    def _compact(self, final: bool) -> None:
        rows, waiting = templates_of(self._drain(), self._cap, final, self._file)
        if len(rows):
            self._rows = reduce_rows(rows) if self._rows is None else add_rows([self._rows, rows])
        self._pending_reads = 0
        # Reads that wait are looked at again each time, and so are rows: let the limit grow with them.
        kept = 0 if self._rows is None else len(self._rows)
        self._limit = len(waiting) + max(MIN_COMPACT, len(waiting) // 2, kept // 2)
        if len(waiting):
            self.add(waiting)
