"""Every molecule behind the counts of one window, with the reads it is made of, so that a call can be checked by eye.

The reads pass through the same steps as for counting (`counting.MoleculeCounter`), but are kept, with their names; the
molecules told of are tallied and must give the counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from esr1call.contigs import Slice
from esr1call.counting import MateShapes, MoleculeCounter, Prepared
from esr1call.counts import STRATA, UNDECIDED, CountTable
from esr1call.errors import InputError, one_line
from esr1call.haplotype import describe
from esr1call.molecules.consensus import molecules
from esr1call.molecules.families import Reads, Rows, reduce_rows, templates_of
from esr1call.molecules.umi import correct
from esr1call.panel import Panel, Window
from esr1call.pileup.filters import ReadFilter
from esr1call.pileup.fragments import F1R2, F2R1, NO_END, hash_strings, pack_origin
from esr1call.pileup.records import read_records
from esr1call.pileup.tags import unpack_umi
from esr1call.settings import CountSettings

COLUMNS = (
    "window", "haplotype", "protein", "stratum", "start", "end", "umi", "umis_seen", "templates_F1R2",
    "templates_F2R1", "shown_F1R2", "shown_F2R1", "reads",
)  # fmt: skip
NO_VOTE_SHOWN = "!"
"""Stands for what a template shows whose mates contradict each other in length."""

Source = tuple[int, int, int]
"""Key of a source molecule: fragment ends (packed, without the strand), UMI at the left and at the right end."""


@dataclass(frozen=True)
class MoleculeReads:
    """One molecule of a window.

    `haplotype` as in the counts; `stratum` of `counts.STRATA`; `start`, `end` the fragment on the genome, 0-based
    half-open, None where unknown; `umi` by fragment end (left-right), as corrected; `umis_seen` the same as read, with
    templates; `forward`, `reverse` templates (read pairs) of the F1R2 and F2R1 family; `shown_*` what those templates
    show, with their number; `names` of its reads.
    """

    haplotype: str
    stratum: str
    start: int | None
    end: int | None
    umi: str
    umis_seen: tuple[tuple[str, int], ...]
    forward: int
    reverse: int
    shown_forward: tuple[tuple[str, int], ...]
    shown_reverse: tuple[tuple[str, int], ...]
    names: tuple[str, ...]


@dataclass
class _Strand:
    """What the templates of one strand of a source molecule look like."""

    umis: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)


class WindowReads:
    """Takes chunks of records as `counting.MoleculeCounter` does, for one window, and keeps its reads."""

    def __init__(
        self, panel: Panel, window: int, references: Sequence[Slice], settings: CountSettings, file: str
    ) -> None:
        self.panel, self.window = panel, panel.windows[window]
        self.counter = MoleculeCounter(
            replace(panel, windows=(self.window,)), references, settings, file, lambda work: work
        )
        self.mates: MateShapes | None = None
        self._references, self._settings, self._file = len(references), settings, file
        self._reads: list[Reads] = []
        self._names: dict[int, str] = {}

    @property
    def reads(self) -> ReadFilter:
        """The filter that the reads pass."""
        return self.counter.reads

    def prepare(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> tuple[Prepared, dict[int, str]]:
        """What the records show, and the names of those that show the window, by hash."""
        self.counter.mates = self.mates
        prepared = self.counter.prepare(data, offsets)
        if not prepared.shown:
            return prepared, {}
        records = read_records(data, offsets, self._references, self._file)
        start, length = records.offset + 36, records.field("name_length")
        hashes = hash_strings(data, start, length)
        reads, _ = prepared.shown[0]
        some = np.flatnonzero(np.isin(hashes, reads.name))
        names = {int(hashes[i]): data[start[i] : start[i] + length[i] - 1].tobytes().decode("latin-1") for i in some}
        return prepared, names

    def take(self, chunk: tuple[Prepared, dict[int, str]]) -> None:
        """Take a prepared chunk, in file order."""
        prepared, names = chunk
        self._reads += [reads for reads, _ in prepared.shown.values()]
        self._names.update(names)
        self.counter.take(prepared)

    def molecules(self) -> list[MoleculeReads]:
        """The window's molecules, by haplotype, stratum and place."""
        table = self.counter.finish()
        found = list(self._explain(Reads.join(self._reads))) if self._reads else []
        if tally(found) != _as_counts(table):
            raise AssertionError("the molecules are not those that were counted")
        return sorted(found, key=_order)

    def _explain(self, reads: Reads) -> Iterator[MoleculeReads]:
        settings = self._settings
        reads = reads.take(np.lexsort((reads.name, reads.right, reads.left, reads.origin)))
        rows = reduce_rows(templates_of(reads, self.counter.template_cap, final=True)[0])
        roots = _roots(rows, settings.umi_correction != "none")
        strands = self._strands(reads, rows, roots)
        found = molecules(
            rows, settings.min_consensus_quality, settings.umi_correction != "none", settings.umi == "duplex"
        )
        places = pack_origin(found.start, found.end, np.zeros(len(found.start), dtype=np.int64)) >> np.uint64(1)
        for i in range(len(found.haplotype)):
            source = int(places[i]), int(found.left[i]), int(found.right[i])
            forward, reverse = int(found.forward[i]), int(found.reverse[i])
            own = [strands[source, s] for s, n in ((F1R2, forward), (F2R1, reverse)) if n]
            start, end = int(found.start[i]), int(found.end[i])
            yield MoleculeReads(
                self.counter.spell(int(found.haplotype[i])),
                STRATA[found.stratum[i]],
                None if start == NO_END else start,
                None if end == NO_END else end + 1,
                _umi(source[1], source[2]),
                _counted(sum((s.umis for s in own), Counter())),
                forward,
                reverse,
                _counted(strands[source, F1R2].shown) if forward else (),
                _counted(strands[source, F2R1].shown) if reverse else (),
                tuple(sorted(set().union(*(s.names for s in own)))),
            )

    def _strands(
        self, reads: Reads, rows: Rows, roots: dict[Source, Source]
    ) -> defaultdict[tuple[Source, int], _Strand]:
        strands: defaultdict[tuple[Source, int], _Strand] = defaultdict(_Strand)
        for source, strand, code, n in zip(*_keys(rows), rows.haplotype.tolist(), rows.templates.tolist(), strict=True):
            own = strands[roots[source], strand]
            own.umis[_umi(source[1], source[2])] += n
            own.shown[self.counter.spell(code) if code else NO_VOTE_SHOWN] += n
        for source, strand, name in zip(*_keys(reads), reads.name.tolist(), strict=True):
            strands[roots[source], strand].names.add(self._names[name])
        return strands


def _keys(some: Reads | Rows) -> tuple[list[Source], list[int]]:
    """Source molecule (by the UMIs as read) and strand of each."""
    one = np.uint64(1)
    places = (some.origin >> one).tolist()
    return list(zip(places, some.left.tolist(), some.right.tolist(), strict=True)), (some.origin & one).tolist()


def _roots(rows: Rows, correct_umis: bool) -> dict[Source, Source]:
    """What each source molecule's UMIs are corrected to, by the decisions that counting takes."""
    templates: Counter[Source] = Counter()
    for source, n in zip(_keys(rows)[0], rows.templates.tolist(), strict=True):
        templates[source] += n
    sources = list(templates)
    if not correct_umis or not sources:
        return {s: s for s in sources}
    place, left, right = (np.array(part, dtype=np.uint64) for part in zip(*sources, strict=True))
    root = correct(place.view(np.int64), left, right, np.array(list(templates.values()), dtype=np.int64))
    return {s: sources[i] for s, i in zip(sources, root.tolist(), strict=True)}


def _umi(left: int, right: int) -> str:
    return "-".join(unpack_umi(u) for u in (left, right)) if left or right else ""


def _counted(counter: Counter[str]) -> tuple[tuple[str, int], ...]:
    """By falling number, then by text."""
    return tuple(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _order(m: MoleculeReads) -> tuple[str, int, int, int, str]:
    return m.haplotype, STRATA.index(m.stratum), int(NO_END) if m.start is None else m.start, m.end or 0, m.umi


def _as_counts(table: CountTable) -> Counter[tuple[str, str]]:
    return Counter(
        {
            (haplotype, stratum): int(n)
            for haplotype, counts in zip(table.haplotype, table.molecules, strict=True)
            for stratum, n in zip(STRATA, counts, strict=True)
            if n
        }
    )


def tally(found: Iterable[MoleculeReads]) -> Counter[tuple[str, str]]:
    """How many molecules have each (haplotype, stratum)."""
    return Counter((m.haplotype, m.stratum) for m in found)


def window_at(panel: Panel, place: str) -> int:
    """Number of the window with this name, or over this 1-based genome position (`152098791` or `chr6:152098791`).

    Raises InputError where there is none.
    """
    if place in panel.window_index:
        return panel.window_index[place]
    contig, _, digits = place.rpartition(":")
    digits = digits.replace(",", "")
    position = int(digits) if digits.isdecimal() and len(digits) < 12 else None
    if position is not None and contig in ("", panel.contig, panel.contig.removeprefix("chr")):
        for i, w in enumerate(panel.windows):
            if w.start < position <= w.end:
                return i
    first, last = panel.windows[0], panel.windows[-1]
    raise InputError(
        "no window there", field="explain", found=place,
        expected=f"a window's name, or a position in one on {panel.contig} ({first.start + 1} to {last.end})",
    )  # fmt: skip


def chosen(
    found: Sequence[MoleculeReads], panel: Panel, window: Window, haplotype: str | None, variant: str | None
) -> list[MoleculeReads]:
    """The molecules that show `haplotype` ('-': all bases deleted) and `variant` (a protein or cDNA name, alone or
    with others), as far as these are given. Raises InputError for a variant that is neither the panel's nor seen."""
    names = {h: _names(panel, window, h) for h in {m.haplotype for m in found}}
    if variant is not None:
        known = {n for v in panel.variants for n in (v.protein, v.cdna)}
        seen = set().union(*names.values())
        if variant not in known | seen:
            raise InputError(
                f"no such variant in window {window.name}",
                field="variant",
                found=variant,
                expected="a name of the panel, or of a haplotype seen there, such as p.D538G",
            )
    if haplotype is not None:
        found = [m for m in found if (m.haplotype or "-") == haplotype]
    return [m for m in found if variant is None or variant in names[m.haplotype]]


def _names(panel: Panel, window: Window, haplotype: str) -> set[str]:
    if haplotype == UNDECIDED:
        return set()
    name = describe(panel, window, haplotype)
    return {name.protein, name.cdna, *name.changes}


def text_rows(found: Iterable[MoleculeReads], panel: Panel, window: Window) -> Iterator[tuple[str, ...]]:
    """The molecules as rows of text by `COLUMNS`; positions are 1-based, '.' stands for what is not known."""
    for m in found:
        protein = UNDECIDED if m.haplotype == UNDECIDED else describe(panel, window, m.haplotype).protein
        yield (
            window.name, m.haplotype or "-", protein, m.stratum, "." if m.start is None else str(m.start + 1),
            "." if m.end is None else str(m.end), m.umi or ".", _joined(m.umis_seen), str(m.forward), str(m.reverse),
            _joined(m.shown_forward), _joined(m.shown_reverse), one_line(",".join(m.names)),
        )  # fmt: skip


def _joined(counted: tuple[tuple[str, int], ...]) -> str:
    return ",".join(f"{text or '.'}:{n}" for text, n in counted) or "."
