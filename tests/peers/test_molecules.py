"""Molecules over a codon window: ours, those of umi_tools and of fgumi. Every difference is by a rule of one of them.

Each tool groups read pairs by three rules: what makes one place of two read pairs, whether both strands of a fragment
vote on its UMIs, and how often a UMI must be read to take another one over. A slow model that is told the three rules
must give the groups of each tool. Only where a UMI could come from two others may they differ: there is no rule then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pysam
import pytest

from esr1call.alignment.indexing import build_index
from esr1call.cli import run
from esr1call.contigs import place
from esr1call.io.bam import explain_bam
from esr1call.panel import Panel
from esr1call.settings import CountSettings
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ReadBuilder
from tests.tools import ask, need

pytestmark = pytest.mark.peers

WINDOW = "536-538"
WINDOW_SPAN = 152098783, 152098792
_BASES = np.array(list("ACGT"))
Groups = set[frozenset[str]]


@dataclass(frozen=True)
class Template:
    """A read pair: its unclipped ends, read 1's own end without hard clips and the aligned length, and its UMIs.

    `reverse` is read 1's strand, `umi` the UMIs by fragment end.
    """

    ends: tuple[int, int]
    read_1: tuple[int, int]
    reverse: bool
    umi: tuple[str, str]


@dataclass(frozen=True)
class Rules:
    """How a tool groups: `place` of a template, `together`: do both strands vote, `enough(a, b)`: does a UMI read `a`
    times take over one read `b` times."""

    place: Callable[[Template], Hashable]
    together: bool
    enough: Callable[[int, int], bool]


OURS = Rules(place=lambda t: t.ends, together=True, enough=lambda a, b: a >= 2 * b - 1)
UMI_TOOLS = Rules(place=lambda t: t.read_1, together=False, enough=OURS.enough)
FGUMI = Rules(place=OURS.place, together=True, enough=lambda a, b: b <= a // 2 + 1)
KINDS = {
    "place by read 1 and the aligned length": replace(OURS, place=UMI_TOOLS.place),
    "each strand votes by itself": replace(OURS, together=False),
    "half as often, and one more": replace(OURS, enough=FGUMI.enough),
}


# ---------------------------------------------------------------- the model


def model(templates: Mapping[str, Template], rules: Rules) -> tuple[Groups, set[str]]:
    """Templates of one strand and molecule, and the names of those whose UMI could come from two others."""
    at: dict[Hashable, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, t in templates.items():
        at[rules.place(t), rules.together or t.reverse][t.umi].append(name)
    groups: dict[Hashable, set[str]] = defaultdict(set)
    unclear: set[str] = set()
    for where, umis in at.items():
        count = {umi: len(names) for umi, names in umis.items()}
        leads = {a: [b for b in count if near(a, b) and rules.enough(count[a], count[b])] for a in count}
        order = sorted(count, key=lambda u: (-count[u], u))
        root: dict[tuple[str, str], tuple[str, str]] = {}
        for umi in order:
            for reached in () if umi in root else reach(umi, leads):
                root.setdefault(reached, umi)
        roots = set(root.values())
        for umi, names in umis.items():
            for name in names:
                groups[where, root[umi], templates[name].reverse].add(name)
            if sum(umi in reach(r, leads) for r in order if r in roots or count[r] == count[root[umi]]) > 1:
                unclear.update(names)
    return {frozenset(g) for g in groups.values()}, unclear


def near(a: tuple[str, str], b: tuple[str, str]) -> bool:
    return sum(x != y for x, y in zip("".join(a), "".join(b), strict=True)) == 1


def reach(umi: tuple[str, str], leads: Mapping[tuple[str, str], list[tuple[str, str]]]) -> list[tuple[str, str]]:
    found = [umi]
    for u in found:
        found += [v for v in leads[u] if v not in found]
    return found


def templates_of(bam: Path) -> dict[str, Template]:
    reads: dict[str, dict[bool, pysam.AlignedSegment]] = defaultdict(dict)
    with pysam.AlignmentFile(str(bam), check_sq=False) as file:
        offset = [place(n, k).offset for n, k in zip(file.references, file.lengths, strict=True)]
        for read in file.fetch(until_eof=True):
            if not read.flag & 0x904:
                reads[read.query_name][read.is_read1] = read
    found = {}
    for name, pair in reads.items():
        one, two = pair[True], pair[False]
        left, right = (two, one) if one.is_reverse else (one, two)
        home = offset[one.reference_id]
        first, second = one.get_tag("RX").split("-")
        umi = (second, first) if one.is_reverse else (first, second)
        found[name] = Template(
            (end_of(left) + home, end_of(right) + home),
            (end_of(one, hard=False) + home, one.template_length), one.is_reverse, umi,
        )  # fmt: skip
    return found


def end_of(read: pysam.AlignedSegment, hard: bool = True) -> int:
    """Where a read begins on the reference, soft clips and, if told, hard clips included."""
    either, cigar = (pysam.CSOFT_CLIP, pysam.CHARD_CLIP), read.cigartuples[:: -1 if read.is_reverse else 1]
    clips = takewhile(lambda c: c[0] in either, cigar)
    clipped = sum(n for op, n in clips if hard or op == pysam.CSOFT_CLIP)
    return read.reference_end + clipped if read.is_reverse else read.reference_start - clipped


def as_groups(member: Mapping[str, Hashable]) -> Groups:
    groups: dict[Hashable, set[str]] = defaultdict(set)
    for name, key in member.items():
        groups[key].add(name)
    return {frozenset(g) for g in groups.values()}


# ---------------------------------------------------------------- the tools


def ours(bam: Path, panel: Panel, templates: Mapping[str, Template]) -> dict[str, Hashable]:
    found = explain_bam(bam, panel, panel.window_index[WINDOW], CountSettings())
    return {name: (i, templates[name].reverse) for i, m in enumerate(found) for name in m.names}


def umi_tools(bam: Path) -> dict[str, Hashable]:
    table = bam.with_suffix(".groups.tsv")
    given = ["--paired", "--extract-umi-method=tag", "--umi-tag=RX", f"--group-out={table}", "-L", "/dev/null"]
    ask("umi_tools", "group", "-I", bam, *given)
    header, *rows = [line.split("\t") for line in table.read_text().splitlines()]
    return {row[header.index("read_id")]: row[header.index("unique_id")] for row in rows}


def fgumi(bam: Path) -> dict[str, Hashable]:
    by_template, grouped = bam.with_suffix(".sorted.bam"), bam.with_suffix(".grouped.bam")
    ask("fgumi", "sort", "-i", bam, "-o", by_template, "--order", "template-coordinate")
    given = ["--strategy", "paired", "--edits", "1", "--min-map-q", "20"]
    ask("fgumi", "group", "-i", by_template, "-o", grouped, *given)
    with pysam.AlignmentFile(str(grouped), check_sq=False) as file:
        return {read.query_name: read.get_tag("MI") for read in file.fetch(until_eof=True)}


@dataclass(frozen=True)
class Tool:
    """A peer: its groups, its rules, and why read pairs may be in ours only or in its own only."""

    groups: Callable[[Path], dict[str, Hashable]]
    rules: Rules
    ours_only: frozenset[str]
    theirs_only: frozenset[str]


LEFT_OUT: dict[str, Callable[[list[pysam.AlignedSegment]], bool]] = {
    "one mate of low MAPQ": lambda mates: sum(m.mapping_quality < 20 for m in mates) == 1,
    "both mates of low MAPQ": lambda mates: all(m.mapping_quality < 20 for m in mates),
    "N in the UMI": lambda mates: "N" in mates[0].get_tag("RX"),
    "no read over the window that counts": lambda mates: not any(m.mapping_quality >= 20 and spans(m) for m in mates),
}
_WINDOW_ONLY = "no read over the window that counts"
TOOLS = {
    "umi_tools": Tool(
        umi_tools, UMI_TOOLS, frozenset(), frozenset({"both mates of low MAPQ", "N in the UMI", _WINDOW_ONLY})
    ),
    "fgumi": Tool(fgumi, FGUMI, frozenset({"one mate of low MAPQ"}), frozenset({_WINDOW_ONLY})),
}


def spans(read: pysam.AlignedSegment) -> bool:
    """Whether a read shows the window's first and last base."""
    low, high = WINDOW_SPAN
    shown = {p + place(read.reference_name, read.header.get_reference_length(read.reference_name)).offset
             for p in read.get_reference_positions()}  # fmt: skip
    return low in shown and high - 1 in shown


def clear_of(groups: Groups, unclear: set[str]) -> Groups:
    return {g - unclear for g in groups if g - unclear}


# ---------------------------------------------------------------- reads


def crowded_bam(path: Path, seed: int) -> Path:
    """Few places and many short, misread UMIs; clips of both kinds; mates of low MAPQ; N in UMIs."""
    rng = np.random.default_rng(seed)
    reads = ReadBuilder()
    places = [(152098690, 152098850), (152098690, 152098851), (152098705, 152098860)]
    for _ in range(200):
        start, end = places[rng.integers(3)]
        pair = ["".join(rng.choice(_BASES, 3)) for _ in range(2)]
        for strand in (["F1R2"], ["F2R1"], ["F1R2", "F2R1"])[rng.integers(3)]:
            for _ in range(int(rng.integers(1, 7))):
                umi = list("-".join(pair if strand == "F1R2" else pair[::-1]))
                if rng.random() < 0.15:
                    umi[rng.choice([0, 1, 2, 4, 5, 6])] = str(rng.choice([*_BASES, "N"]))
                clipped = rng.random() < 0.1
                clip = tuple(int(n) for n in rng.integers(0, 6, 2)) if clipped else (0, 0)
                mates = reads.pair(
                    start, end, umi="".join(umi), orientation=strand, clip_1=clip, hard=bool(rng.random() < 0.3)
                )[0]
                for mate in mates:
                    mate.mapping_quality = 0 if rng.random() < 0.05 else 60
                for mate, other in (mates, mates[::-1]):
                    mate.set_tag("MQ", other.mapping_quality)
    for umi, copies in (("AAA-CCC", 4), ("AAA-CCT", 3)):
        reads.pair(152098711, 152098865, umi=umi, copies=copies)
    return reads.write(path)


def simulated_bam(folder: Path) -> Path:
    """A simulated sample as the project's aligner places it."""
    made = ["--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA)]
    assert run(["simulate", *made, "--out-prefix", str(folder / "s"), "--seed", "7", "--molecules", "150",
                "--targets", "hotspots", "--variant", "D538G=0.02"]) == 0  # fmt: skip
    given = ["--sample", "s", "--fastq-1", str(folder / "s_R1.fastq.gz"), "--fastq-2", str(folder / "s_R2.fastq.gz")]
    given += ["--read-structure", "3M2S+T 3M2S+T", "--index", str(build_index(REFERENCE_FASTA, folder / "index"))]
    assert run(["align", *given, *made, "--out", str(folder / "s.bam"), "--stats", str(folder / "s.json")]) == 0
    return folder / "s.bam"


@pytest.fixture(scope="module", params=["crowded 1", "crowded 2", "simulated"])
def bam(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reads")
    kind, _, seed = request.param.partition(" ")
    return crowded_bam(folder / "c.bam", int(seed)) if kind == "crowded" else simulated_bam(folder)


# ---------------------------------------------------------------- tests


def check(member: Mapping[str, Hashable], templates: Mapping[str, Template], rules: Rules) -> None:
    """The model with these rules gives a tool's groups, but for UMIs that could come from two others."""
    groups, unclear = model({name: templates[name] for name in member}, rules)
    assert clear_of(as_groups(member), unclear) == clear_of(groups, unclear)
    assert len(unclear) < 0.1 * len(member)
    assert len(groups) > 100


def test_our_groups_are_those_of_the_model(bam: Path, panel: Panel) -> None:
    templates = templates_of(bam)
    check(ours(bam, panel, templates), templates, OURS)


@pytest.mark.parametrize("name", TOOLS)
def test_their_groups_are_those_of_the_model_with_their_rules(bam: Path, panel: Panel, name: str) -> None:
    need(name)
    tool, templates = TOOLS[name], templates_of(bam)
    theirs = tool.groups(bam)
    check(theirs, templates, tool.rules)
    own = ours(bam, panel, templates).keys()
    mates = mates_of(bam)
    for only, reasons in ((own - theirs.keys(), tool.ours_only), (theirs.keys() - own, tool.theirs_only)):
        assert [n for n in only if not any(LEFT_OUT[reason](mates[n]) for reason in reasons)] == []


def mates_of(bam: Path) -> dict[str, list[pysam.AlignedSegment]]:
    mates: dict[str, list[pysam.AlignedSegment]] = defaultdict(list)
    with pysam.AlignmentFile(str(bam), check_sq=False) as file:
        for read in file.fetch(until_eof=True):
            if not read.flag & 0x904:
                mates[read.query_name].append(read)
    return mates


@pytest.mark.parametrize("kind", KINDS)
def test_each_rule_that_differs_makes_a_difference(tmp_path: Path, kind: str) -> None:
    templates = {
        name: t for name, t in templates_of(crowded_bam(tmp_path / "c.bam", 1)).items() if "N" not in "".join(t.umi)
    }
    groups, unclear = model(templates, OURS)
    others, more = model(templates, KINDS[kind])
    assert clear_of(groups, unclear | more) != clear_of(others, unclear | more)


def test_every_reason_to_leave_a_read_pair_out_occurs(tmp_path: Path) -> None:
    mates = mates_of(crowded_bam(tmp_path / "c.bam", 1)).values()
    assert all(any(reason(m) for m in mates) for reason in LEFT_OUT.values())
