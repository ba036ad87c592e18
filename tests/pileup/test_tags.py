from __future__ import annotations

from random import Random
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.errors import InputError
from esr1call.pileup import tags as module
from esr1call.pileup.tags import MAX_UMI_BASES, Strings, find_integers, find_tags, pack_umis, umi_has_n, unpack_umi
from tests.bam_bytes import Record, tag
from tests.pileup.arrays import records_of

_texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
_one = st.one_of(
    st.tuples(st.sampled_from("cCsSiI"), st.integers(0, 127)),
    st.tuples(st.sampled_from("fd"), st.floats(-9, 9)),
    st.tuples(st.just("A"), st.sampled_from("xRMZ")),
    st.tuples(st.sampled_from("ZZZH"), _texts),
    st.tuples(st.sampled_from(["Bc", "BC", "Bs", "BS", "Bi", "BI"]), st.lists(st.integers(0, 127), max_size=6)),
    st.tuples(st.just("Bf"), st.lists(st.floats(-9, 9), max_size=3)),
)
Field = tuple[str, tuple[str, object]]
_fields = st.lists(st.tuples(st.sampled_from(["RX", "MC", "MI", "XR", "RY", "CM"]), _one), max_size=7)


def shown(records: list[list[Field]], wanted: tuple[str, ...]) -> list[dict[str, str | None]]:
    """What is found in records with these optional fields."""
    made = records_of([Record("r", tags=[tag(name, k, v) for name, (k, v) in fields]) for fields in records])
    found = find_tags(made, wanted, "x.bam")
    return [
        {
            name: None if at.start[i] < 0 else made.data[at.start[i] : at.start[i] + at.length[i]].tobytes().decode()
            for name, at in found.items()
        }
        for i in range(len(records))
    ]


def expected(records: list[list[Field]], wanted: tuple[str, ...]) -> list[dict[str, str | None]]:
    return [
        {w: next((str(v) for name, (k, v) in fields if name == w and k == "Z"), None) for w in wanted}
        for fields in records
    ]


@given(st.lists(_fields, min_size=1, max_size=8), st.booleans())
def test_strings_are_found_among_any_fields(records: list[list[Field]], layouts: bool) -> None:
    wanted = ("RX", "MC")
    with mock.patch.object(module, "_LAYOUT_READS", 1 if layouts else 1 << 30):
        assert shown(records, wanted) == expected(records, wanted)


@given(st.lists(_fields, min_size=1, max_size=3), st.integers(0, 1 << 32))
def test_layouts_are_learnt_and_told_apart(kinds: list[list[Field]], seed: int) -> None:
    """Many records of few layouts, strings of equal length with other letters, and now and then one that differs."""
    rng, records = Random(seed), []
    for _ in range(40):
        fields = []
        for name, (kind, value) in rng.choice(kinds):
            if kind == "Z":
                text = "".join(rng.choices("ACGT", k=len(str(value)) + (rng.random() < 0.1)))
                fields.append((name, (kind, text)))
            else:
                fields.append((name, (kind, value)))
        records.append(fields)
    with mock.patch.object(module, "_LAYOUT_READS", 1):
        assert shown(records, ("RX", "MC")) == expected(records, ("RX", "MC"))


def test_a_string_that_ends_early_is_another_layout() -> None:
    """A NUL inside what would be the string, followed by bytes that look like the rest of the layout."""
    plain = [("RX", ("Z", "ACGTACGT")), ("MC", ("Z", "9M"))]
    odd = [("RX", ("Z", "ACG")), ("XX", ("c", 1)), ("MC", ("Z", "9M"))]
    with mock.patch.object(module, "_LAYOUT_READS", 1):
        assert shown([plain, odd, plain], ("RX", "MC")) == expected([plain, odd, plain], ("RX", "MC"))


@pytest.mark.parametrize(
    "raw",
    [
        b"R", b"RX", b"RXZ", b"RXZACG", b"XXi\1\2\3", b"XXf\0", b"XX?\0", b"XXB", b"XXBi", b"XXBi\1\0\0",
        b"XXBZ\1\0\0\0a", b"XXBi\2\0\0\0\1\2\3\4", b"XXBi\xff\xff\xff\xff", b"XXBi\0\0\0\x40",
        b"XXA", b"XXd\0\0\0\0\0\0\0", b"XXH1AE", b"\0\0\0\0\0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("layouts", [True, False])
@pytest.mark.parametrize("alone", [True, False])
def test_fields_that_overrun_or_have_no_type_are_refused(raw: bytes, layouts: bool, alone: bool) -> None:
    good = Record("r", tags=[tag("XX", "i", 1)])
    records = records_of(
        [good.with_(tags=[raw])] if alone else [good, good.with_(tags=[tag("XA", "A", "x"), raw]), good]
    )
    with (
        mock.patch.object(module, "_LAYOUT_READS", 1 if layouts else 1 << 30),
        pytest.raises(InputError, match="corrupt optional fields"),
    ):
        find_tags(records, ("RX", "MC"), "x.bam")


# ---------------------------------------------------------------- UMIs

UMI = st.text("ACGTNacgtn", max_size=MAX_UMI_BASES)


def packed(umis: list[str]) -> tuple[list[str], list[str]]:
    """Both halves of UMI strings, packed and unpacked again."""
    data = np.frombuffer("|".join(umis).encode() + bytes(64), dtype=np.uint8)
    length = np.array([len(u) for u in umis], dtype=np.int64)
    first, second = pack_umis(data, Strings(np.cumsum(length + 1) - length - 1, length), "x.bam")
    return [unpack_umi(int(u)) for u in first], [unpack_umi(int(u)) for u in second]


@given(st.lists(st.tuples(UMI, st.sampled_from(["-", "+", ""]), UMI), min_size=1, max_size=9))
def test_umis_survive_packing(given_umis: list[tuple[str, str, str]]) -> None:
    umis = [(a, s, b if s else "") for a, s, b in given_umis]
    first, second = packed([a + s + b for a, s, b in umis])
    assert first == [a.upper() for a, _, _ in umis]
    assert second == [b.upper() for _, _, b in umis]


@pytest.mark.parametrize("bad", ["AXA", "A-C-G", "ACG--TTA", "A+C-G", "ACG TTA", "A" * 22, "A-" + "C" * 22, "A" * 60])
@pytest.mark.parametrize("others", [[], ["ACG-TTA"], ["A" * 20 + "-C"]])
def test_bad_umis_are_shown(bad: str, others: list[str]) -> None:
    with pytest.raises(InputError, match=r"field 'RX': bad UMI: found"):
        packed([*others, bad])


@given(st.lists(UMI, min_size=1))
def test_an_n_is_seen_anywhere(umis: list[str]) -> None:
    data = np.frombuffer("|".join(umis).encode() + bytes(64), dtype=np.uint8)
    length = np.array([len(u) for u in umis], dtype=np.int64)
    first, _ = pack_umis(data, Strings(np.cumsum(length + 1) - length - 1, length), "x.bam")
    assert umi_has_n(first).tolist() == ["N" in u.upper() for u in umis]


@given(st.lists(_fields, min_size=1, max_size=8))
def test_integers_are_found_among_any_fields(records: list[list[Field]]) -> None:
    made = records_of([Record("r", tags=[tag(name, k, v) for name, (k, v) in fields]) for fields in records])
    found = find_integers(made, ("RX", "CM"), "x.bam")
    for w in ("RX", "CM"):
        assert found[w].tolist() == [
            next((v for name, (k, v) in fields if name == w and k in "cCsSiI"), -1) for fields in records
        ]


@pytest.mark.parametrize(
    ("kind", "value"), [("c", -128), ("C", 255), ("s", -3), ("S", 65535), ("i", -7), ("I", 1 << 31)]
)
def test_integers_of_any_size(kind: str, value: int) -> None:
    assert find_integers(records_of([Record("r", tags=[tag("cD", kind, value)])]), ("cD",), "x")["cD"].tolist() == [
        value
    ]
