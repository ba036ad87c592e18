"""What a reader of the counts wants to know about the reads behind them, as plain JSON values."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from esr1call.counting import WindowStats
from esr1call.counts import STRATA, CountTable
from esr1call.panel import Panel
from esr1call.pileup.filters import ReadFilter

_OVER_WINDOWS = ("no_umi", "umi_with_n", "window_edge", "counted")


class Counted(Protocol):
    """A counter that has counted; `mapped_in_file` is None where it saw the whole file."""

    panel: Panel
    reads: ReadFilter
    duplicates_flagged: int
    mapped_in_file: int | None
    stats: list[WindowStats]


def summarise(table: CountTable, counter: Counted) -> dict[str, Any]:
    """Reads by what became of them (they add up to `reads_scanned`), and per window the depth, families and UMIs."""
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
        "windows": [_window(table, counter, w) for w in range(len(counter.panel.windows))],
    }


def _window(table: CountTable, counter: Counted, w: int) -> dict[str, Any]:
    stats = counter.stats[w]
    depth, undecided = table.depth()[w], table.undecided()[w]
    last = int(np.flatnonzero(stats.family_sizes).max(initial=0))
    has_umis = stats.umi_bases > 0
    return {
        "window": counter.panel.windows[w].name,
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
