"""Read structures in fgbio notation: what each base of a read is.

``3M2S+T`` is three UMI bases, two skipped bases, and template to the read's end. Operators: ``T`` template, ``M``
molecular barcode (UMI), ``S`` skipped (spacer), ``B`` sample barcode and ``C`` cell barcode (both skipped); before
each a number or, last only, ``+``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from esr1call.errors import InputError

_SEGMENT = re.compile(r"([0-9]{1,9}|\+)([TMBSC])")
_EXPECTED = "segments such as 3M2S+T: a length, or '+' for the rest in the last one, then T, M, S, B or C"


@dataclass(frozen=True)
class ReadStructure:
    """Where a read's parts lie (0-based half-open).

    `template_end` is None where the template runs to the read's end. `minimum` is the shortest read that holds every
    part, with at least one template base.
    """

    text: str
    umi: tuple[tuple[int, int], ...]
    template_start: int
    template_end: int | None
    minimum: int


PLAIN = ReadStructure("+T", (), 0, None, 1)
"""A read that is template from end to end."""


def parse_structure(text: str, field: str = "read_structure") -> ReadStructure:
    """One read's structure; raises InputError where it is none or has no single template segment."""

    def fail(problem: str, expected: str = _EXPECTED) -> InputError:
        return InputError(problem, field=field, found=text, expected=expected)

    given = text.strip().upper()
    segments = _SEGMENT.findall(given)
    if not segments or "".join(a + b for a, b in segments) != given:
        raise fail("not a read structure")
    umi: list[tuple[int, int]] = []
    templates: list[tuple[int, int | None]] = []
    at = 0
    for i, (length, operator) in enumerate(segments):
        if length == "+":
            if i != len(segments) - 1:
                raise fail("'+' before the last segment")
            if operator == "M":
                raise fail("a UMI of unknown length", "a number before M")
            end = None
        else:
            if int(length) == 0:
                raise fail("a segment of length 0")
            end = at + int(length)
        if operator == "T":
            templates.append((at, end))
        elif operator == "M" and end is not None:
            umi.append((at, end))
        at = at + 1 if end is None else end
    if len(templates) != 1:
        raise fail(f"{len(templates)} template segments", "exactly one T segment in each read")
    return ReadStructure(given, tuple(umi), *templates[0], at)


def parse_structures(text: str, field: str = "read_structure") -> tuple[ReadStructure, ReadStructure]:
    """The structures of read 1 and read 2, separated by a space; raises InputError."""
    parts = text.split()
    if len(parts) != 2:
        raise InputError(
            "not two read structures", field=field, found=text,
            expected="one for read 1 and one for read 2, such as '3M2S+T 3M2S+T' or '8M+T +T'",
        )  # fmt: skip
    return parse_structure(parts[0], field), parse_structure(parts[1], field)
