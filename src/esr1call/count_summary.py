"""What a reader of the counts wants to know about the reads behind them, as plain JSON values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from esr1call.counting import WindowStats
from esr1call.counts import STRATA, CountTable
from esr1call.molecules.sketch import FRAGMENT_BIN
from esr1call.panel import Panel
from esr1call.pileup.filters import ReadFilter
from esr1call.snps import AlleleCounts

_OVER_WINDOWS = ("no_umi", "umi_with_n", "window_edge", "counted")


class Counted(Protocol):
    """A counter that has counted; `mapped_in_file` is None where it saw the whole file."""

    panel: Panel
    reads: ReadFilter
    duplicates_flagged: int
    mapped_in_file: int | None
    stats: list[WindowStats]


def summarise(
    table: CountTable,
    counter: Counted,
    alleles: Iterable[AlleleCounts] = (),
    fragment_lengths: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Reads by what became of them (they add up to `reads_scanned`), and per window the depth, families and UMIs.

    `table` may be over some of the windows that `counter` counted. `alleles` are what molecules show at SNPs,
    `fragment_lengths` fragments by length (see `molecules.sketch`), None where they are not known.
    """
    stats = dict(zip((w.name for w in counter.panel.windows), counter.stats, strict=True))
    counts = counter.reads.counts
    scanned = sum(counts.values())
    mapped = scanned - counts["unmapped"] if counter.mapped_in_file is None else counter.mapped_in_file
    on_target = sum(counts[name] for name in _OVER_WINDOWS)
    return {
        "reads_scanned": scanned,
        "reads": counts,
        "reads_flagged_duplicate": counter.duplicates_flagged,
        "reads_mapped": mapped,
        "reads_on_target": on_target,
        "on_target_rate": _ratio(on_target, mapped),
        "windows": [_window(table, w, stats[name]) for w, name in enumerate(table.windows)],
        "fragment_bin": FRAGMENT_BIN,
        "fragment_lengths": None if fragment_lengths is None else fragment_lengths.tolist(),
        "snps": [
            {"name": a.snp.name, "contig": a.snp.contig, "pos": a.snp.position + 1, "ref": a.snp.ref, "alt": a.snp.alt,
             "ref_molecules": a.ref, "alt_molecules": a.alt, "other_molecules": a.other}
            for a in alleles
        ],
    }  # fmt: skip


def _window(table: CountTable, w: int, stats: WindowStats) -> dict[str, Any]:
    depth, undecided = table.depth()[w], table.undecided()[w]
    last = int(np.flatnonzero(stats.family_sizes).max(initial=0))
    has_umis = stats.umi_bases > 0
    return {
        "window": table.windows[w],
        "reads_forward": stats.reads_forward,
        "reads_reverse": stats.reads_reverse,
        "templates": stats.templates,
        "templates_umi_corrected": stats.corrected,
        "umi_error_rate": _ratio(stats.corrected, stats.umi_bases),
        "umi_collisions_expected": round(stats.collisions, 2) if has_umis else None,
        "molecules": dict(zip(STRATA, depth.tolist(), strict=True)),
        "undecided": dict(zip(STRATA, undecided.tolist(), strict=True)),
        "duplex_yield": _ratio(int((depth + undecided)[STRATA.index("duplex")]), int((depth + undecided).sum())),
        "family_sizes": stats.family_sizes[: last + 1].tolist(),
    }


def _ratio(part: int, whole: int) -> float | None:
    """Six digits of part / whole, None of nothing."""
    return float(f"{part / whole:.6g}") if whole else None
