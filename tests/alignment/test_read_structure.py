from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.alignment.read_structure import PLAIN, ReadStructure, parse_structure, parse_structures
from esr1call.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+T", PLAIN),
        ("3M2S+T", ReadStructure("3M2S+T", ((0, 3),), 5, None, 6)),
        ("8m+t", ReadStructure("8M+T", ((0, 8),), 8, None, 9)),
        ("19M16S+T", ReadStructure("19M16S+T", ((0, 19),), 35, None, 36)),
        ("2S4M1S4M+T", ReadStructure("2S4M1S4M+T", ((2, 6), (7, 11)), 11, None, 12)),
        ("8B100T6M", ReadStructure("8B100T6M", ((108, 114),), 8, 108, 114)),
        ("16C100T+S", ReadStructure("16C100T+S", (), 16, 116, 117)),
    ],
)
def test_structures(text: str, expected: ReadStructure) -> None:
    assert parse_structure(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a read structure"),
        ("T", "not a read structure"),
        ("3M2S", "0 template segments"),
        ("10T+T", "2 template segments"),
        ("+T3M", "'+' before the last segment"),
        ("10T+M", "a UMI of unknown length"),
        ("0M+T", "length 0"),
        ("3M2X+T", "not a read structure"),
        ("3M 2S+T", "not a read structure"),
        ("-3M+T", "not a read structure"),
        ("9" * 5000 + "M+T", "not a read structure"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("+", r"\+")) as caught:
        parse_structure(text)
    assert "read_structure" in str(caught.value)


def test_two_structures() -> None:
    one, two = parse_structures("8M+T +T")
    assert one.umi == ((0, 8),)
    assert two == PLAIN
    for text in ("8M+T", "+T +T +T", ""):
        with pytest.raises(InputError, match="not two read structures"):
            parse_structures(text)


@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from("MSB")), max_size=5), st.booleans())
def test_segments_lie_one_after_the_other(segments: list[tuple[int, str]], rest: bool) -> None:
    text = "".join(f"{n}{o}" for n, o in segments) + ("+T" if rest else "50T")
    found = parse_structure(text)
    length = sum(n for n, _ in segments)
    assert found.template_start == length
    assert found.template_end == (None if rest else length + 50)
    assert found.minimum == length + (1 if rest else 50)
    labels = "".join(o * n for n, o in segments)
    inside = {i for a, b in found.umi for i in range(a, b)}
    assert inside == {i for i, o in enumerate(labels) if o == "M"}
