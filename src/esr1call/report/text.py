"""The two tables a person reads first: what a batch found, and where its reads were lost. Pure: values in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from esr1call.pileup.filters import FILTERS
from esr1call.quality.controls import CONTROLS
from esr1call.results import CallStatus, Outcome, SampleResult, SampleStatus, VariantCall

SUMMARY_COLUMNS = ("patient", "visit", "variant", "molecules", "VAF", "copies/mL", "status", "event")
_NUMBERS = frozenset({"molecules", "VAF", "copies/mL"})
_URGENT = ("raised", "inconclusive", "amended", "retracted", "control failed")


def summary(
    results: Iterable[SampleResult],
    events: Iterable[Mapping[str, Any]] = (),
    checks: Iterable[Mapping[str, Any]] = (),
    most: int | None = None,
) -> str:
    """The summary table: patients by date, one row for each detected variant, then the controls.

    Molecules are mutant/all. `events` are the batch's published events, oldest first; `checks` those of qc.json. Of
    more rows than `most` those that tell least are left out: first samples in which nothing was found.
    """
    notes = event_notes(events)
    for sample, passed in control_notes(checks).items():
        notes.setdefault((sample, None), []).append("control passed" if passed else "control failed")
    rows: list[tuple[str, ...]] = []
    interest: list[int] = []
    for r in sorted(results, key=_order):
        who = (r.patient, r.visit or r.collected or r.sample) if r.patient else (r.sample_type, r.sample)
        detected = [c for c in r.calls if c.status is CallStatus.DETECTED]
        for number, call in enumerate(detected or [None]):
            cells = ("-", "", "", "") if call is None else _call_cells(call)
            row_notes = notes.get((r.sample, None), []) if number == 0 else []
            carried = () if call is None else (*call.panel_variants, call.protein)
            row_notes = row_notes + [n for v in dict.fromkeys(carried) for n in notes.get((r.sample, v), [])]
            rows.append((*who, *cells, str(r.status), ", ".join(row_notes)))
            urgent = r.status is SampleStatus.QC_FAILED or any(n.startswith(_URGENT) for n in row_notes)
            interest.append(0 if urgent else 1 if call else 2 if r.status is SampleStatus.INDETERMINATE else 3)
    if most is None or len(rows) <= most:
        return text_table(SUMMARY_COLUMNS, rows, _NUMBERS)
    chosen = sorted(sorted(range(len(rows)), key=interest.__getitem__)[:most])
    return text_table(SUMMARY_COLUMNS, [rows[i] for i in chosen], _NUMBERS) + f"and {len(rows) - most} more rows\n"


def tally(
    results: Sequence[SampleResult], events: Sequence[Mapping[str, Any]], checks: Iterable[Mapping[str, Any]]
) -> str:
    """How many samples have which status, how many controls passed, and how many events there are, in a line."""
    controls = Counter("passed" if passed else "failed" for passed in control_notes(checks).values())
    parts = [
        (f"{len(results)} samples", Counter(str(r.status) for r in results)),
        (f"{controls.total()} controls", controls),
        (f"{len(events)} events", Counter(_kind(e) for e in events)),
    ]
    return "; ".join(
        f"{what}: {', '.join(f'{n} {kind}' for kind, n in sorted(counts.items()))}" if counts else what
        for what, counts in parts
    )


def _kind(event: Mapping[str, Any]) -> str:
    return str(event["type"].split(".")[-2])


def _order(result: SampleResult) -> tuple[bool, str, str, str]:
    return result.patient is None, result.patient or result.sample_type, result.collected or "", result.sample


def _call_cells(call: VariantCall) -> tuple[str, str, str, str]:
    copies = "" if call.copies_per_ml is None else f"{call.copies_per_ml:.3g}"
    return f"{call.protein} {call.cdna}", f"{call.molecules}/{call.depth}", f"{100 * call.vaf:.3g}%", copies


def event_notes(events: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str | None], list[str]]:
    """(sample, variant that drove the event, or None where none did) -> what the sample's event says, in short."""
    notes: dict[tuple[str, str | None], list[str]] = {}
    for event in events:
        data = event["data"]
        what = _kind(event)
        for specimen in data["specimens"]:
            for driver in data["drivers"]:
                notes.setdefault((specimen["sample"], driver["variant"]), []).append(f"{what} {driver['category']}")
            if not data["drivers"]:
                notes.setdefault((specimen["sample"], None), []).append(what)
    return notes


def control_notes(checks: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Control sample -> whether it passed all of its checks as a control."""
    passed: dict[str, bool] = {}
    for check in checks:
        if check["sample"] is not None and check["name"] in CONTROLS:
            passed[check["sample"]] = passed.get(check["sample"], True) and check["outcome"] == Outcome.PASSED
    return passed


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str] = frozenset()) -> str:
    """Aligned plain text; columns named in `right` are flushed right."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(cells, widths, columns, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([line(columns), line(["-" * w for w in widths]), *map(line, rows)]) + "\n"


_ALIGN_COLUMNS = (
    "pairs_read", "dropped_by_screen", "dropped_shorter_than_structure", "dropped_short_after_trimming", "pairs_kept",
    "reads_mapped", "reads_unmapped", "reads_on_target",
)  # fmt: skip
READS_COLUMNS = (
    "sample", *_ALIGN_COLUMNS, "reads_scanned", *(f"dropped_{name}" for name in FILTERS[:-1]), "reads_counted",
    "median_molecules", "median_duplex_molecules", "median_undecided_molecules",
)  # fmt: skip


def reads_table(steps: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> str:
    """TSV with a row for each (sample, align.json, counts.json): what became of its reads, step by step.

    `reads_scanned` are those that counting looked at (near the panel's windows, where the BAM has an index); the
    columns after it, in the order in which the filters are tried, add up to it, `reads_counted` included. Molecules
    are medians over the windows. A cell is empty where a step does not know (a BAM was given in place of FASTQ).
    """
    lines = ["\t".join(READS_COLUMNS)]
    for sample, align, counts in steps:
        windows = counts["windows"]
        molecules = (
            [sum(w["molecules"].values()) for w in windows],
            [w["molecules"]["duplex"] for w in windows],
            [sum(w["undecided"].values()) for w in windows],
        )
        cells = [align.get(c, "") for c in _ALIGN_COLUMNS] + [counts["reads_scanned"]]
        cells += [counts["reads"][name] for name in FILTERS] + [f"{median(m):g}" for m in molecules]
        lines.append("\t".join([sample, *map(str, cells)]))
    return "\n".join(lines) + "\n"
