"""Small FASTQ files of pairs, ways to damage them, and a slow reader to hold the fast one against."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from esr1call.panel import reverse_complement
from tests.builders import slices
from tests.fuzz.mutate import mutants

TARGET = max(slices().values(), key=len)[40:200]
"""Bases that the screen looks for."""
Read = tuple[str, str, str]
"""(name with comment, bases, qualities)"""
LINES = (
    b"@", b"+", b"", b"@r0", b"@r1/1", b"@r1/2", b"+r0", b"ACGT", b"acgtn", b"A.G", b"IIII", b"!~", b"\r", b"@ comment",
    b"@" + b"x" * 300, b"ACGU", b"A" * 5000, b"I" * 5000, b"\xff\xfe", b"@r\x00", b"  ", b"@r\tRX:Z:AAA-CCC",
)  # fmt: skip


@dataclass(frozen=True)
class Files:
    """FASTQ content of read 1, and of read 2 (None: both mates in turn in the one)."""

    one: bytes
    two: bytes | None


def good_files(chance: Random) -> tuple[list[Read], list[Read]]:
    """Read 1s and read 2s of some pairs, most of them of TARGET."""
    ends: tuple[list[Read], list[Read]] = ([], [])
    for i in range(chance.randint(1, 8)):
        size = chance.randint(30, 70)
        at = chance.randrange(len(TARGET) - size)
        fragment = TARGET[at : at + size] if chance.random() < 0.8 else "".join(chance.choices("ACGT", k=size))
        name, style = f"r{i}:ACG+TTA", chance.choice(("{name}", "{name}/{mate}", "{name} {mate}:N:0:ACGT"))
        for mate, bases in enumerate((fragment, reverse_complement(fragment))):
            shown = "".join(chance.choices("ACGT", k=3)) + "TG" + bases[: chance.randint(25, size)]
            shown = shown.lower() if chance.random() < 0.05 else shown
            quality = "".join(chance.choices("FFFF:,#!~", k=len(shown)))
            ends[mate].append((style.format(name=name, mate=mate + 1), shown, quality))
    return ends


def text_of(reads: list[Read]) -> bytes:
    """FASTQ text."""
    return "".join(f"@{n}\n{b}\n+\n{q}\n" for n, b, q in reads).encode()


def files(number: int, seed: int) -> Iterator[Files]:
    """Damaged files: as text, or packed in one gzip member or more and damaged there."""
    chance = Random(seed)
    ends = good_files(chance)
    turn = [r for pair in zip(*ends, strict=True) for r in pair]
    for _ in range(number):
        contents = [text_of(turn)] if chance.random() < 0.25 else [text_of(e) for e in ends]
        which = chance.randrange(len(contents))
        packed = chance.random() < 0.3
        if packed:
            whole = packed_in_members(contents[which], chance)
            contents[which] = next(mutants(whole, 1, chance.getrandbits(32)))
        else:
            contents[which] = _lines_changed(contents[which], chance)
        if not packed and chance.random() < 0.2:  # sound gzip of text that is not
            contents[which] = packed_in_members(contents[which], chance)
        yield Files(contents[0], contents[1] if len(contents) > 1 else None)


def packed_in_members(text: bytes, chance: Random) -> bytes:
    """Gzip of one member or of several."""
    cut = chance.choice((len(text), chance.randrange(len(text) + 1)))
    return b"".join(gzip.compress(part, 1, mtime=0) for part in (text[:cut], text[cut:]) if part)


def _lines_changed(text: bytes, chance: Random) -> bytes:
    way = chance.random()
    if way < 0.25:
        return next(mutants(text, 1, chance.getrandbits(32)))
    if way < 0.6:
        changed = bytearray(text)
        for _ in range(chance.choice((1, 1, 3))):
            at = chance.randrange(len(text))
            if text[at] != ord("\n"):
                changed[at] = (
                    chance.choice(b"ACGTNacgtn.FI!~ /\t@+") if chance.random() < 0.8 else chance.randrange(256)
                )
        return bytes(changed)
    lines = text.split(b"\n")
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, chance.choice(LINES))
            case 2:
                to = chance.randrange(len(lines))
                lines[at], lines[to] = lines[to], lines[at]
            case 3:
                lines[at : at + 4] = []
            case 4:
                lines[at : at + 4] *= 2
            case _:
                lines[at] = chance.choice(LINES)
        if not lines:
            break
    return chance.choice((b"\n", b"\n", b"\n", b"\r\n")).join(lines)


def slow_reads(content: bytes) -> list[Read] | None:
    """The reads of a file as (name, bases, qualities), a line at a time; None where it is no sound FASTQ."""
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return None
    if not content.isascii():
        return None
    lines = content.decode().replace("\r", "").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) % 4 == 3 and not lines[-2]:
        lines.append("")
    if len(lines) % 4:
        return None
    out = []
    for head, bases, plus, quality in zip(*[iter(lines)] * 4, strict=True):
        name = (head[1:].split() or [""])[0] if head[1:2].strip() else ""
        bases = bases.upper().replace(".", "N")
        sound = head[:1] == "@" and plus[:1] == "+" and len(bases) == len(quality) and 0 < len(name) <= 254
        if not sound or bases.strip("ACGTN") or not all("!" <= c <= "~" for c in quality):
            return None
        out.append((name, bases, quality))
    return out


def slow_pairs(given: Files) -> list[tuple[str, str, str, str, str]] | None:
    """(name, bases 1, quality 1, bases 2, quality 2) of each pair; None where the files are no sound pairs."""
    one, two = slow_reads(given.one), [] if given.two is None else slow_reads(given.two)
    if one is None or two is None:
        return None
    if given.two is None:
        one, two = one[0::2], one[1::2]
    if len(one) != len(two):
        return None
    out = []
    for (a, b1, q1), (b, b2, q2) in zip(one, two, strict=True):
        if a != b and not (a[-2:] == "/1" and b[-2:] == "/2" and a[:-2] == b[:-2]):
            return None
        out.append((a if a == b else a[:-2], b1, q1, b2, q2))
    return out
