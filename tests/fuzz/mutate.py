"""Seeded mutations of inputs, and how many of them a fuzz test tries.

`FUZZ` in the environment multiplies the number of inputs: 1 by default (seconds in the whole suite), 1000 for hours.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from typing import Any

TOKENS = (
    b"", b"\0", b"\n", b"\r\n", b"\t", b"\xff\xfe", b"\xef\xbb\xbf", b"\xf0\x9f\xa7\xac", b"\xe2\x80\xae", b" " * 99,
    b"0", b"-1", b"1e999", b"NaN", b"Infinity", b"null", b"true", b"[]", b"{}", b"[" * 100, b'{"a":' * 50, b"9" * 400,
    b"1" * 5000, b"../../x", b"%s%n", b"$(touch x)", b"&a [*a]", b"!!python/object:os.system", b'=HYPERLINK("x")',
    b"' OR 1=1 --",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 10**400, 1e308, -0.0, 1e-320, "", "x", "NaN", "../../x", "\u202e", "\ud800", "0" * 64,
    [], {}, [[]], [None], {"a": 1}, "P01", "p.D538G", "2024-02-30", "9999-12-31", "raised", "x" * 10_000,
)  # fmt: skip


def count(default: int) -> int:
    """How many inputs to try."""
    return default * int(os.environ.get("FUZZ", "1"))


def mutants(whole: bytes, number: int, seed: int) -> Iterator[bytes]:
    """Changed bytes: flipped, cut out, doubled, moved, cut off, or replaced by something nasty; one to four changes."""
    chance = random.Random(seed)
    for _ in range(number):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
            at = chance.randrange(len(content) + 1)
            size = min(chance.choice((1, 1, 2, 8, 60, 1000)), len(content) - at)
            match chance.randrange(6):
                case 0 if at < len(content):
                    content[at] ^= 1 << chance.randrange(8)
                case 1:
                    del content[at : at + size]
                case 2:
                    content[at:at] = content[at : at + size]
                case 3:
                    other = chance.randrange(len(content) + 1)
                    content[at : at + size] = content[other : other + size]
                case 4:
                    del content[at:]
                case _:
                    content[at : at + size] = chance.choice(TOKENS)
        yield bytes(content)


def json_mutants(whole: bytes, number: int, seed: int) -> Iterator[Any]:
    """Values in which some are another kind or gone, or a key is new: what parses and should not be believed."""
    chance = random.Random(seed)
    first = json.loads(whole)
    for _ in range(number):
        value = copy.deepcopy(first)
        for _ in range(chance.choice((1, 1, 2))):
            places = list(_places(value))
            holder, key = chance.choice(places)
            match chance.randrange(4):
                case 0:
                    del holder[key]
                case 1 if isinstance(holder, dict):
                    holder[chance.choice(("surname", "", "id", "data", "\ud800"))] = copy.deepcopy(
                        chance.choice(VALUES)
                    )
                case 2:
                    other, at = chance.choice(places)
                    holder[key] = copy.deepcopy(other[at])
                case _:
                    holder[key] = copy.deepcopy(chance.choice(VALUES))
            if not list(_places(value)):
                break
        yield value


CELLS = (
    "", " ", ".", "-", "0", "-1", "1e3", "1e999", "nan", "inf", "1_000", "\u0663", "9" * 30, "1" * 5000, "x", "../../x",
    "/etc/x", "a b", "a\u202eb", "=1+1", "p.D538G=0.01", "p.D538G=2", "2024-02-30", "2024-01-31", "9999-12-31", "P1",
    "interleaved", "ACGT", "N", "*", "+", "#x", "chr6", "6", "152098791", "blank", "patient", "3M2S+T 3M2S+T",
    "999999M+T +T", "a;b",
)  # fmt: skip


def table_mutants(whole: str, number: int, seed: int) -> Iterator[bytes]:
    """A tab-separated table with other cells, rows or columns: what a hand with a spreadsheet could do."""
    chance = random.Random(seed)
    for _ in range(number):
        rows = [line.split("\t") for line in whole.split("\n")]
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            row = chance.choice(rows)
            at = chance.randrange(len(row))
            match chance.randrange(8):
                case 0 | 1 | 2:
                    row[at] = chance.choice(CELLS)
                case 3:
                    row[at] = chance.choice(chance.choice(rows))
                case 4:
                    rows.insert(chance.randrange(len(rows)), list(row))
                case 5:
                    rows[rows.index(row)] = chance.choice(([""], row[:at], [*row, *row[at:]]))
                case 6:
                    for r in rows:
                        del r[at : at + 1]
                case _:
                    row[at] = _letters_changed(row[at], chance)
            rows = [r or [""] for r in rows]
        yield chance.choice(("\n", "\n", "\r\n")).join("\t".join(r) for r in rows).encode()


def _letters_changed(text: str, chance: random.Random) -> str:
    letters = list(text) or [""]
    letters[chance.randrange(len(letters))] = chance.choice(("", "0", "9", "A", "G", "-", " ", ".", "\u00e9", "\0"))
    return "".join(letters)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(dict or list, key) of each value inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)
