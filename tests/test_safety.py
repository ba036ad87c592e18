"""The table of docs/safety.md: every row names tests, and each is there."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.builders import ROOT

TEXT = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|") and not line.startswith(("| ---", "| what goes wrong"))
]
# What must be in it, whatever else is.
WAYS = (
    "swapped", "contaminates", "hop", "drifts", "wrong reference", "contigs", "row of the panel", "stale model",
    "blank", "clock", "twice", "half a file", "tampered", "late sample", "voided", "volume", "little cfDNA", "control",
    "germline", "related gene", "share a UMI", "both mates", "rule or settings change", "ledger is lost", "forked",
    "version of", "two batches", "wrong patient", "date", "two draws of one visit", "NO_CALL",
)  # fmt: skip


@cache
def names_in(path: str) -> set[str]:
    """Names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_has_a_test_that_is_there(row: list[str]) -> None:
    assert len(row) == 4
    what, ends_in, stops, shown = row
    assert what
    assert ends_in in ("false", "missed", "both")
    assert len(stops) > 5
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown)
    assert named
    assert re.sub(r"`tests/[\w/]+\.py::\w+`", "", shown).strip() == ""
    for path, name in named:
        assert name in names_in(path), f"{path}::{name}"


@pytest.mark.parametrize("way", WAYS)
def test_the_known_ways_are_in_it(way: str) -> None:
    assert any(way in row[0] for row in ROWS)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([\w.]+)(?:#[\w-]+)?\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
