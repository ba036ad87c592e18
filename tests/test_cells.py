from __future__ import annotations

import pytest

from esr1call.cells import spreadsheet_safe


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\t=1", "' =1"),
        ("a\tb\nc\r\nd", "a b c d"),
        ("a\u2028b", "a b"),
        ("p.K303=", "p.K303="),
        ("", ""),
    ],
)
def test_no_cell_is_run_as_a_formula(text: str, cell: str) -> None:
    assert spreadsheet_safe(text) == cell
