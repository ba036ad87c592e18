from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from esr1call.alignment.fastq import PairChunk
from esr1call.alignment.pairs import PairCounts, PairSettings, TemplatePairs, template_pairs, umi_from_name
from esr1call.alignment.read_structure import parse_structures
from esr1call.errors import InputError
from esr1call.panel import reverse_complement
from tests.alignment.library import random_bases, sequence_pair

RNG = np.random.default_rng(4)
LONG, SHORT, TINY = random_bases(RNG, 200), random_bases(RNG, 60), random_bases(RNG, 19)


def qualities(read: str) -> str:
    """A different character for each base, so that a wrong slice shows."""
    return "".join(chr(33 + i % 90) for i in range(len(read)))


def convert(
    pairs: list[tuple[str, str, str]], structure: str = "+T +T", **settings: object
) -> tuple[TemplatePairs, PairCounts]:
    counts = PairCounts()
    columns = [list(c) for c in zip(*pairs, strict=True)]
    chunk = PairChunk(
        list(range(1, len(pairs) + 1)),
        columns[0],
        columns[1],
        [qualities(r) for r in columns[1]],
        columns[2],
        [qualities(r) for r in columns[2]],
    )
    made = PairSettings(parse_structures(structure), **settings)  # type: ignore[arg-type]
    (out,) = template_pairs([chunk], made, counts)
    return out, counts


@pytest.mark.parametrize(
    ("structure", "prefixes", "umi"),
    [
        ("3M2S+T 3M2S+T", ("ACGTT", "TTAGG"), "ACG-TTA"),
        ("8M+T +T", ("ACGTACGA", ""), "ACGTACGA"),
        ("+T 2S4M+T", ("", "GGACGN"), "ACGN"),
        ("2M1S2M+T +T", ("ACTGG", ""), "ACGG"),
        ("19M16S+T +T", ("A" * 19 + "C" * 16, ""), "A" * 19),
    ],
)
@pytest.mark.parametrize("fragment", [LONG, SHORT], ids=["long", "read-through"])
def test_umi_and_template(structure: str, prefixes: tuple[str, str], umi: str, fragment: str) -> None:
    one, two = sequence_pair(fragment, *prefixes, 140, random_bases(RNG, 140))
    out, counts = convert([("r", one, two)], structure)
    start_1, start_2 = map(len, prefixes)
    assert out.umi == [umi]
    assert out.bases_1 == [fragment[: 140 - start_1]]
    assert out.bases_2 == [reverse_complement(fragment)[: 140 - start_2]]
    assert out.quality_1 == [qualities(one)[start_1 : start_1 + len(out.bases_1[0])]]
    assert out.quality_2 == [qualities(two)[start_2 : start_2 + len(out.bases_2[0])]]
    assert (counts.trimmed_by_overlap, counts.trimmed_by_adapter) == (int(fragment is SHORT), 0)


def test_fixed_template_and_umi_behind_it() -> None:
    one, two = "G" * 3 + SHORT[:40] + "ACGTAA" + "C" * 20, reverse_complement(SHORT) + "A" * 20
    out, _ = convert([("r", one, two)], "3S40T6M +T")
    assert (out.umi, out.bases_1, out.bases_2) == (["ACGTAA"], [SHORT[:40]], [reverse_complement(SHORT)])
    assert out.quality_1 == [qualities(one)[3:43]]


def test_every_pair_is_accounted_for() -> None:
    pairs = [
        ("kept", *sequence_pair(LONG, "ACGTT", "ACGTT", 100)),
        ("trimmed", *sequence_pair(SHORT, "ACGTT", "ACGTT", 100, "G" * 99)),
        ("tiny", *sequence_pair(TINY, "ACGTT", "ACGTT", 100, "G" * 99)),
        ("one short", "ACGTT", sequence_pair(LONG, "ACGTT", "ACGTT", 100)[1]),
        ("other short", sequence_pair(LONG, "ACGTT", "ACGTT", 100)[0], ""),
        ("short template", "ACGTT" + LONG[:19], "ACGTT" + LONG[100:160]),
    ]
    out, counts = convert(pairs, "3M2S+T 3M2S+T")
    assert out.name == ["kept", "trimmed"]
    assert astuple(counts) == (6, 0, 2, 2, 2, 0)
    assert counts.pairs_kept == 2
    assert convert(pairs, "3M2S+T 3M2S+T", min_length=19)[0].name == ["kept", "trimmed", "tiny", "short template"]


def test_no_umi_wanted() -> None:
    out, _ = convert([("r", "ACGTT" + LONG[:90], LONG[100:])], "3M2S+T +T", umi="none")
    assert (out.umi, out.bases_1) == ([""], [LONG[:90]])


def test_other_adapters() -> None:
    adapters = "CTGTCTCTTATACACATCT", "GGAATTCCTGTCTCTTATA"
    one, _ = sequence_pair(SHORT, "", "", 100, "G" * 99, adapters)
    bad_mate = random_bases(RNG, 100)
    assert convert([("r", one, bad_mate)], adapters=adapters)[0].bases_1 == [SHORT]
    assert convert([("r", one, bad_mate)])[0].bases_1 == [one]


@pytest.mark.parametrize(
    ("name", "delimiter", "umi"),
    [
        ("A01:1:FC:4:1101:22480:1595:ACGT+TTAG", ":", "ACGT-TTAG"),
        ("A01:1:FC:4:1101:22480:1595:ACGTN", ":", "ACGTN"),
        ("read_7_ACG-TTA", "_", "ACG-TTA"),
    ],
)
def test_umi_in_the_name(name: str, delimiter: str, umi: str) -> None:
    assert umi_from_name(name, delimiter) == umi
    out, _ = convert([(name, LONG[:90], LONG[100:])], umi="read_name", name_delimiter=delimiter)
    assert (out.name, out.umi) == ([name], [umi])


@pytest.mark.parametrize("name", ["A01:1:FC:4:1101:22480:1595", "ACGT", "a:", "a:ACGT+TTAG+ACGT", "a:acgt", "a:AC_GT"])
def test_no_umi_in_the_name(name: str) -> None:
    with pytest.raises(InputError, match="read 3: no UMI in the read's name"):
        umi_from_name(name, number=3)
