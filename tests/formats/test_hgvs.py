from __future__ import annotations

import re

import pytest

from esr1call.formats import hgvs
from esr1call.panel import reverse_complement
from tests.builders import variant_call
from tests.formats.builders import call_of, context, random_haplotypes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p.D538G", "p.(Asp538Gly)"),
        ("p.[Y537S;D538G]", "p.[(Tyr537Ser;Asp538Gly)]"),
        ("p.V422del", "p.(Val422del)"),
        ("p.V422_C423delinsAW", "p.(Val422_Cys423delinsAlaTrp)"),
        ("p.Y537*", "p.(Tyr537Ter)"),
        ("p.*596Wext*?", "p.(Ter596TrpextTer?)"),
        ("p.Y537fs", "p.(Tyr537fs)"),
        ("p.K303=", "p.(Lys303=)"),
        ("p.L536_Y537insH", "p.(Leu536_Tyr537insHis)"),
        ("p.?", "p.?"),
        ("p.=", "p.="),
    ],
)
def test_three_letters(name: str, expected: str) -> None:
    assert hgvs.three_letter(name) == expected


@pytest.mark.parametrize(
    ("window", "shown", "expected"),
    [
        ("536-538", "p.D538G", "152098791A>G"),
        ("536-538", "p.L536Q", "152098785_152098786delinsAG"),
        ("536-538", "CTCTCTGGC", "[152098788A>C;152098791A>G]"),
        ("536-538", "GAGTATGAC", "152098784_152098786inv"),
        ("421-423", "p.V422del", "152061020_152061022del"),
        ("536-538", "CTCTATGACGAC", "152098790_152098792dup"),
        ("536-538", "CTCTATAAAGAC", "152098789_152098790insAAA"),
        ("536-538", "CTCGAC", "152098787_152098789del"),
        ("536-538", "CTCAGAC", "152098787_152098789delinsA"),
    ],
)
def test_genomic(window: str, shown: str, expected: str) -> None:
    assert hgvs.genomic(call_of(window, shown), context()) == f"NC_000006.12:g.{expected}"


def test_an_inserted_repeat_is_turned_to_its_place() -> None:
    """Left-aligned, the bases of a duplication that can be moved are not those that it ends up with."""
    panel = context().panel
    sequence = panel.exons[0].sequence
    at = next(i for i in range(30, len(sequence) - 30) if sequence[i - 2 : i] == sequence[i : i + 2] != sequence[i] * 2)
    start = panel.exons[0].start - 20 + at - 2
    unit = sequence[at - 2 : at]
    while sequence[at - 3] == unit[1]:
        at, start, unit = at - 1, start - 1, unit[1] + unit[0]
    anchor = sequence[at - 3]
    call = variant_call(pos=start, ref=anchor, alt=anchor + unit)
    name = hgvs.genomic(call, context())
    assert name.endswith("dup")


def test_accessions_stand_in_front() -> None:
    call = call_of("536-538", "p.D538G")
    assert hgvs.coding(call, context()) == "NM_000125.4:c.1613A>G"
    assert hgvs.protein(call, context()) == "NP_000116.2:p.(Asp538Gly)"


# ---------------------------------------------------------------- names read back

_CHANGE = re.compile(r"(\d+)(?:_(\d+))?(?:([ACGT])>([ACGT])|(delins|del|dup|inv|ins)([ACGT]*))")


def applied(sequence: str, origin: int, name: str) -> str:
    """`sequence`, whose first base is at 1-based `origin` + 1, with what a g. name says."""
    changes = name.split(":g.")[1].strip("[]").split(";")
    for change in reversed(changes):
        match = _CHANGE.fullmatch(change)
        assert match, change
        first, last, ref, alt, kind, put = match.groups()
        low, high = int(first) - 1 - origin, int(last or first) - origin
        old = sequence[low:high]
        if kind == "ins":
            assert high - low == 2
            low, high = low + 1, low + 1
            new = put
        else:
            new = {None: alt, "delins": put, "del": "", "dup": old * 2, "inv": reverse_complement(old)}[kind]
            assert ref in (None, old)
        sequence = sequence[:low] + new + sequence[high:]
    return sequence


def test_names_say_what_the_alleles_are() -> None:
    """Each name, read back, gives the bases that the VCF allele gives; and an indel can't be moved further right."""
    panel = context().panel
    kinds = set()
    for window, shown in random_haplotypes(2000):
        call = call_of(window, shown)
        name = hgvs.genomic(call, context())
        exon = next(e for e in panel.exons if e.start - 20 < call.pos <= e.end + 20)
        sequence, origin = exon.sequence, exon.start - 20
        at = call.pos - 1 - origin
        mutated = sequence[:at] + call.alt + sequence[at + len(call.ref) :]
        assert applied(sequence, origin, name) == mutated, name
        kinds.add(re.sub(r"[\d_]|[ACGT](?![a-z])", "", name.split(":g.")[1]))
        if name.endswith(("del", "dup")):
            later = re.sub(r"\d+", lambda m: str(int(m[0]) + 1), name.split(":g.")[1])
            assert applied(sequence, origin, f":g.{later}") != mutated, name
    assert {"del", "dup", "ins", "delins", ">", "[>;>]"} <= kinds


def test_the_reader_of_names_knows_its_trade() -> None:
    given = {"3C>A": "AAAGT", "2_3del": "AGT", "3dup": "AACCGT", "1_2insTT": "ATTACGT", "[1A>C;5T>A]": "CACGA",
             "3_4inv": "AACGT", "3delinsTT": "AATTGT"}  # fmt: skip
    assert {name: applied("AACGT", 0, f"x:g.{name}") for name in given} == given
