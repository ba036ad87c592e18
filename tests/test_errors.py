from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.errors import Esr1callError, InputError, one_line


def test_every_part_is_named_in_order() -> None:
    error = InputError(
        "bad volume", file="samples.tsv", line=7, field="plasma_ml", found="-3", expected="a positive number",
        hint="mend the sheet",
    )  # fmt: skip
    assert str(error) == (
        "samples.tsv, line 7, field 'plasma_ml': bad volume: found '-3', expected a positive number; mend the sheet"
    )
    assert (error.file, error.field) == ("samples.tsv", "plasma_ml")
    assert isinstance(error, Esr1callError)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "p"),
        ({"file": "f"}, "f: p"),
        ({"field": "x"}, "field 'x': p"),
        ({"found": ""}, "p: found ''"),
        ({"found": 0}, "p: found '0'"),
        ({"expected": "y"}, "p: expected y"),
        ({"hint": "z"}, "p; z"),
        ({"file": "f", "line": 1, "found": "a\nb"}, r"f, line 1: p: found 'a\nb'"),
        ({"found": "b\x00\x1b[31m\u2028\u202e"}, r"p: found 'b\x00\x1b[31m\u2028\u202e'"),
        ({"found": "prélèvement α"}, "p: found 'prélèvement α'"),
        ({"file": "raw\udcff.tsv"}, r"raw\udcff.tsv: p"),
    ],
)
def test_parts(parts: dict[str, object], text: str) -> None:
    assert str(InputError("p", **parts)) == text  # type: ignore[arg-type]


def test_a_long_value_is_cut() -> None:
    assert str(InputError("p", found="x" * 120)) == f"p: found '{'x' * 120}'"
    assert str(InputError("p", found="x" * 121)) == f"p: found '{'x' * 117}...'"
    assert len(str(InputError("p" * 9999, field="f" * 9999, expected="x" * 9999, hint="h" * 9999))) < 1600
    assert str(InputError("p", file="d/" * 5000 + "x.tsv")) == f"...{('d/' * 5000 + 'x.tsv')[-997:]}: p"


@given(st.lists(st.text(), min_size=6, max_size=6))
def test_one_printable_line_whatever_the_parts_hold(parts: list[str]) -> None:
    problem, file, field, found, expected, hint = parts
    error = InputError(problem, file=file, field=field, found=found, expected=expected, hint=hint)
    assert len(str(error).splitlines()) == 1
    assert str(error).isprintable()


@given(st.text())
def test_printable_text_is_left_alone(text: str) -> None:
    assert one_line(text).isprintable()
    if text.isprintable():
        assert one_line(text) == text


def test_an_error_survives_the_way_from_a_worker_process() -> None:
    error = InputError("bad", file="a.bam", field="bam", found="x")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.file, again.field) == (str(error), "a.bam", "bam")
