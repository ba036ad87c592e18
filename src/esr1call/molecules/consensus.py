"""One haplotype per molecule and window, with the tier its evidence has.

Evidence is in phred units (see `pileup.windows.weight_table`): the sum for a base over a family's templates is its log
likelihood relative to any base that nobody saw. A column is decided when its best base leads the second best by
`min_margin`; a haplotype when all its columns are. Templates whose haplotypes differ in length vote on the length
first, one template one vote. Anything else is undecided: counted, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from esr1call.molecules.families import Rows, changes, group, reduce_rows
from esr1call.molecules.umi import correct
from esr1call.pileup.fragments import F1R2, F2R1, unpack_origin
from esr1call.pileup.tags import umi_length
from esr1call.pileup.windows import NO_VOTE, column, haplotype_length

UNDECIDED_CODE = np.uint64(0)
_BASE_INDEX = np.full(16, 4, dtype=np.int64)
_BASE_INDEX[[1, 2, 4, 8]] = range(4)
_BASE_CODE = np.array([1, 2, 4, 8], dtype=np.uint64)
_DUPLEX, _ONE = 4, np.uint64(1)


@dataclass(frozen=True, eq=False)
class Molecules:
    """Molecules of one window [n]: `start`, `end` int64 fragment ends, `left`, `right` uint64 packed UMIs; `haplotype`
    uint64, `UNDECIDED_CODE` where undecided; `stratum` int64 (place in `counts.STRATA`); `forward`, `reverse` int64
    templates of the F1R2 and F2R1 family. Of the window as a whole: `templates`, how many there were; `umi_bases` that
    were read in all of them; `corrected`, templates whose UMI was corrected."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    left: NDArray[np.uint64]
    right: NDArray[np.uint64]
    haplotype: NDArray[np.uint64]
    stratum: NDArray[np.int64]
    forward: NDArray[np.int64]
    reverse: NDArray[np.int64]
    templates: int = 0
    umi_bases: int = 0
    corrected: int = 0


def molecules(rows: Rows, min_margin: int, correct_umis: bool, pair_strands: bool) -> Molecules:
    """Molecules from one window's rows (unique by family and haplotype).

    With `pair_strands`, F1R2 and F2R1 families with the same ends and UMIs on both ends are one molecule.
    """
    bases = int(((umi_length(rows.left) + umi_length(rows.right)) * rows.templates).sum())
    rows, corrected = _root_umis(rows, correct_umis)
    order, source = _by_source_and_strand(rows)
    rows = rows.take(order)  # what was is free to go: memory peaks in here
    new_family = changes(source, rows.origin)
    family_first = np.flatnonzero(new_family)
    family = np.cumsum(new_family) - 1
    templates = np.add.reduceat(rows.templates, family_first)
    haplotype = family_haplotypes(rows, family, len(family_first), min_margin)
    of_window = int(templates.sum()), bases, corrected
    return _pair_strands(rows, source, family_first, templates, haplotype, pair_strands, of_window)


def _root_umis(rows: Rows, correct_umis: bool) -> tuple[Rows, int]:
    """Rows with corrected UMIs, and how many templates got another one. Both strands' reads vote on a UMI together."""
    if not correct_umis:
        return rows, 0
    order, new_node = group(rows.origin >> _ONE, rows.left, rows.right)
    node = np.empty(len(rows), dtype=np.int64)
    node[order] = np.cumsum(new_node) - 1
    head = order[new_node]  # a row of each node
    count = np.bincount(node, weights=rows.templates).astype(np.int64)
    root = correct((rows.origin[head] >> _ONE).view(np.int64), rows.left[head], rows.right[head], count)
    changed = root != np.arange(len(head))
    if not changed.any():
        return rows, 0
    to = head[root[node]]
    return reduce_rows(replace(rows, left=rows.left[to], right=rows.right[to])), int(count[changed].sum())


def _by_source_and_strand(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """An order in which the rows of a source molecule stand together, and in it those of a strand; and, in that order,
    each row's source number."""
    order, first = group(rows.origin >> _ONE, rows.left, rows.right)
    source = np.cumsum(first) - 1
    by_strand = np.argsort(source * 2 + (rows.origin[order] & _ONE).view(np.int64), kind="stable")
    return order[by_strand], source


def family_haplotypes(rows: Rows, family: NDArray[np.int64], families: int, min_margin: int) -> NDArray[np.uint64]:
    """Consensus haplotype [families], `UNDECIDED_CODE` where undecided. `family` int64 [n] sorted, of each row."""
    length = haplotype_length(rows.haplotype)
    votes = rows.haplotype != NO_VOTE
    # A long haplotype is a shape of its own; its code is below 2^60, so -code cannot be a length.
    shape = np.where(length > 0, length, -rows.haplotype.astype(np.int64))
    winner = _leading_shape(family[votes], shape[votes], rows.templates[votes], families)
    keep = np.flatnonzero(votes & (shape == winner[family]))
    result = np.full(families, UNDECIDED_CODE, dtype=np.uint64)
    rows_of = np.bincount(family[keep], minlength=families)
    alone = keep[rows_of[family[keep]] == 1]
    weakest = rows.weight[:, alone].min(axis=0)
    sure = (weakest >= min_margin) & _only_bases(rows.haplotype[alone], length[alone])
    result[family[alone[sure]]] = rows.haplotype[alone[sure]]
    mixed = keep[rows_of[family[keep]] > 1]
    for size in np.unique(length[mixed]):
        part = mixed[length[mixed] == size]
        distinct, local = np.unique(family[part], return_inverse=True)
        result[distinct] = _vote(
            rows.haplotype[part], rows.weight[:, part], local, len(distinct), int(size), min_margin
        )
    return result


def _leading_shape(
    family: NDArray[np.int64], shape: NDArray[np.int64], templates: NDArray[np.int64], families: int
) -> NDArray[np.int64]:
    """The shape with strictly most templates per family, 0 where none leads."""
    winner = np.zeros(families, dtype=np.int64)
    if len(family) == 0:
        return winner
    order = np.lexsort((shape, family))
    first = np.flatnonzero(changes(family[order], shape[order]))
    votes = np.add.reduceat(templates[order], first)
    whose, what = family[order[first]], shape[order[first]]
    order = np.lexsort((votes, whose))  # within a family the leader comes last
    whose, what, votes = whose[order], what[order], votes[order]
    last = np.append(whose[1:] != whose[:-1], True)
    tie = np.append(False, (whose[1:] == whose[:-1]) & (votes[1:] == votes[:-1]))
    winner[whose[last]] = np.where(tie[last], 0, what[last])
    return winner


def _only_bases(haplotype: NDArray[np.uint64], length: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a haplotype is all A, C, G, T (each 4-bit code has one bit set); a long one counts as such."""
    sure = np.ones(len(haplotype), dtype=bool)
    for size in np.unique(length[length > 0]):
        who = length == size
        codes = [_BASE_INDEX[column(haplotype[who], i, int(size))] for i in range(int(size))]
        sure[who] = (np.stack(codes) < 4).all(axis=0)
    return sure


def _vote(
    haplotype: NDArray[np.uint64],
    weight: NDArray[np.int32],
    family: NDArray[np.int64],
    families: int,
    size: int,
    min_margin: int,
) -> NDArray[np.uint64]:
    """Column-wise consensus of rows of one length; `family` int64 [n] numbers 0 .. families - 1."""
    plain = size == len(weight)
    code = np.zeros(families, dtype=np.uint64)
    sure = np.ones(families, dtype=bool)
    for i in range(size):
        base = _BASE_INDEX[column(haplotype, i, size)]
        evidence = weight[i if plain else 0]
        sums = np.bincount(family * 5 + base, weights=evidence, minlength=5 * families).reshape(families, 5)[:, :4]
        best = sums.argmax(axis=1)
        ranked = np.sort(sums, axis=1)
        sure &= ranked[:, 3] - ranked[:, 2] >= min_margin
        code = code << np.uint64(4) | _BASE_CODE[best]
    return np.where(sure, code | np.uint64(size) << np.uint64(60), UNDECIDED_CODE)


def _pair_strands(
    rows: Rows,
    source: NDArray[np.int64],
    family_first: NDArray[np.int64],
    templates: NDArray[np.int64],
    haplotype: NDArray[np.uint64],
    pair: bool,
    of_window: tuple[int, int, int],
) -> Molecules:
    """Families to molecules. Two strands are one molecule only where UMIs on both ends say so; where only one of the
    two could be decided, it counts for itself."""
    strand, place = (rows.origin[family_first] & np.uint64(1)).astype(np.int64), source[family_first]
    head = np.flatnonzero(changes(source))
    codes, sizes = np.zeros((2, len(head)), dtype=np.uint64), np.zeros((2, len(head)), dtype=np.int64)
    codes[strand, place], sizes[strand, place] = haplotype, templates
    merged = (sizes > 0).all(axis=0) & (rows.left[head] != 0) & (rows.right[head] != 0) & pair
    decided = codes != UNDECIDED_CODE
    whole = np.flatnonzero(merged & (decided[0] == decided[1]))
    agreed = np.where(codes[0, whole] == codes[1, whole], codes[0, whole], UNDECIDED_CODE)
    who, code, stratum = [whole], [agreed], [np.full(len(whole), _DUPLEX, dtype=np.int64)]
    shown = [sizes[:, whole]]
    for s in (F1R2, F2R1):
        one = np.flatnonzero((sizes[s] > 0) & (~merged | (decided[s] & ~decided[1 - s])))
        who.append(one)
        code.append(codes[s, one])
        stratum.append(np.where(sizes[s, one] > 1, 2, 0) + s)
        own = np.zeros((2, len(one)), dtype=np.int64)
        own[s] = sizes[s, one]
        shown.append(np.where(merged[one], sizes[:, one], own))
    row = head[np.concatenate(who)]
    forward, reverse = np.concatenate(shown, axis=1)
    start, end, _ = unpack_origin(rows.origin[row])
    return Molecules(
        start, end, rows.left[row], rows.right[row],
        np.concatenate(code), np.concatenate(stratum), forward, reverse, *of_window,
    )  # fmt: skip
