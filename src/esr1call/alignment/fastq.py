"""Streams a pair of FASTQ files (gzip of any make, or plain) in chunks, and refuses what is not whole.

A truncated or corrupt file must never pass for a short one: gzip members are checked to their end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from esr1call.errors import InputError
from esr1call.io.files import require_file

_BLOCK = 1 << 18
_BASES = b"ACGTN\n"
_QUALITIES = bytes(range(33, 127)) + b"\n"
_MAX_NAME = 254
"""Longest read name a BAM record holds."""


@dataclass(frozen=True)
class PairChunk:
    """Consecutive mate pairs; `first` is the 1-based number of the first pair in its files."""

    first: int
    name: list[str]
    bases_1: list[str]
    quality_1: list[str]
    bases_2: list[str]
    quality_2: list[str]


def read_pairs(fastq_1: str | Path, fastq_2: str | Path, chunk: int, allow_empty: bool = False) -> Iterator[PairChunk]:
    """Yield chunks of `chunk` pairs (the last one shorter) with upper-case bases and names without /1, /2 or comment.

    Raises InputError, naming file and read, where a file is missing, empty, truncated, corrupt or malformed, where
    the files differ in length, or where mates' names differ. A whole file without reads is an error unless
    `allow_empty`.
    """
    require_file(fastq_1, "fastq_1")
    require_file(fastq_2, "fastq_2")
    if Path(fastq_1).resolve() == Path(fastq_2).resolve():
        raise InputError("is given as both mates", file=fastq_1, field="fastq_2", expected="two different files")
    readers = _records(Path(fastq_1), chunk), _records(Path(fastq_2), chunk)
    first = 1
    while True:
        records = next(readers[0], None), next(readers[1], None)
        counts = [len(r.name) if r else 0 for r in records]
        if counts[0] != counts[1]:
            _different_length(fastq_1, fastq_2, readers, first - 1 + counts[0], first - 1 + counts[1])
        if records[0] is None or records[1] is None:
            break
        names = _mate_names(records[0].name, records[1].name, fastq_2, first)
        yield PairChunk(
            first, names, records[0].bases, records[0].quality, records[1].bases, records[1].quality
        )  # fmt: skip
        first += counts[0]
    if first == 1 and not allow_empty:
        raise InputError(
            "no reads in the file", file=fastq_1, field="fastq_1",
            hint="an empty file is accepted only for a no-template control (--allow-empty)",
        )  # fmt: skip


@dataclass(frozen=True)
class _Records:
    name: list[str]
    bases: list[str]
    quality: list[str]


def _different_length(
    fastq_1: str | Path, fastq_2: str | Path, readers: tuple[Iterator[_Records], Iterator[_Records]], n1: int, n2: int
) -> None:
    """Read the longer file to its end for the message, which also finds out whether it is truncated."""
    n1 += sum(len(r.name) for r in readers[0])
    n2 += sum(len(r.name) for r in readers[1])
    raise InputError(
        f"has {n2} reads but its mate file {fastq_1} has {n1}", file=fastq_2, field="fastq_2",
        hint="give both files of one run, complete",
    )  # fmt: skip


def _mate_names(names_1: list[str], names_2: list[str], fastq_2: str | Path, first: int) -> list[str]:
    if names_1 == names_2:
        return names_1
    for i, (a, b) in enumerate(zip(names_1, names_2, strict=True)):
        if a == b:
            continue
        if a[-2:] != "/1" or b[-2:] != "/2" or a[:-2] != b[:-2]:
            raise InputError(
                f"read {first + i}: name differs from its mate's", file=fastq_2, found=b, expected=a,
                hint="the two files must hold the same reads in the same order",
            )  # fmt: skip
        names_1[i] = a[:-2]
    return names_1


def _records(path: Path, chunk: int) -> Iterator[_Records]:
    """Checked records of one file, `chunk` at a time."""
    first = 1
    lines: list[str] = []
    for block in _text(path):
        lines += block.split("\n")
        while len(lines) >= 4 * chunk:
            yield _check(lines[: 4 * chunk], path, first)
            del lines[: 4 * chunk]
            first += chunk
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) % 4 == 3 and not lines[-2]:
        lines.append("")  # a last read without bases: its empty quality line looks like the file's end
    if len(lines) % 4:
        raise InputError(
            f"read {first + len(lines) // 4}: the file ends inside a record", file=path,
            expected="four lines for each read", hint="the file is truncated; copy it again",
        )  # fmt: skip
    if lines:
        yield _check(lines, path, first)


def _check(lines: list[str], path: Path, first: int) -> _Records:
    """Split 4-line records into lists; InputError names the first bad read."""
    headers, bases, plus, quality = lines[0::4], lines[1::4], lines[2::4], lines[3::4]
    if {h[:1] for h in headers} != {"@"}:
        _blame(path, first, headers, lambda h: h[:1] == "@", "a name line that starts with '@'")
    if {p[:1] for p in plus} != {"+"}:
        _blame(path, first, plus, lambda p: p[:1] == "+", "a third line that starts with '+'")
    if list(map(len, bases)) != list(map(len, quality)):
        i = next(i for i in range(len(bases)) if len(bases[i]) != len(quality[i]))
        raise InputError(
            f"read {first + i}: bases and qualities differ in length", file=path,
            found=f"{len(quality[i])} qualities", expected=f"{len(bases[i])}",
        )  # fmt: skip
    if "\n".join(bases).encode().translate(None, _BASES):
        bases = [b.upper().replace(".", "N") for b in bases]
        _blame(path, first, bases, lambda b: not b.strip("ACGTN"), "bases A, C, G, T and N")
    if "\n".join(quality).encode().translate(None, _QUALITIES):
        _blame(path, first, quality, lambda q: all("!" <= c <= "~" for c in q), "qualities from '!' to '~'")
    names = [h[1:].split(None, 1)[0] if h[1:2].strip() else "" for h in headers]
    if not all(names) or max(map(len, names)) > _MAX_NAME:
        _blame(path, first, names, lambda n: 0 < len(n) <= _MAX_NAME, f"a name of 1 to {_MAX_NAME} characters")
    return _Records(names, bases, quality)


def _blame(path: Path, first: int, values: list[str], good: object, expected: str) -> None:
    """Raise for the first value that is not good (none: the bulk test was only a quick look)."""
    assert callable(good)
    for i, value in enumerate(values):
        if not good(value):
            raise InputError(f"read {first + i}: malformed record", file=path, found=value, expected=expected)


def _text(path: Path) -> Iterator[str]:
    """Decompressed text in blocks of whole lines, without the last line break."""
    rest, started = b"", False
    try:
        for block in _bytes(path):
            if not started and not block.startswith(b"@"):
                raise InputError("not a FASTQ file", file=path, found=block[:20], expected="'@' as its first character")
            started = True
            joined = rest + block
            cut = joined.rfind(b"\n")
            if cut < 0:
                rest = joined
                continue
            rest = joined[cut + 1 :]
            yield _lines(joined[:cut])
        if rest:
            yield _lines(rest)
    except UnicodeDecodeError as error:
        raise InputError("not a FASTQ file: it holds bytes that are not text", file=path) from error
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror or error}", file=path) from error


def _lines(block: bytes) -> str:
    text = block.decode("ascii")
    return text.replace("\r", "") if "\r" in text else text


def _bytes(path: Path) -> Iterator[bytes]:
    """The file's content in blocks, gunzipped member by member where it is gzip."""
    with path.open("rb") as handle:
        block = handle.read(_BLOCK)
        if block[:2] != b"\x1f\x8b":
            while block:
                yield block
                block = handle.read(_BLOCK)
            return
        member = zlib.decompressobj(wbits=31)
        inside = True
        while block:
            if not inside:
                block = block.lstrip(b"\0")  # padding between or after members is legal
                if not block:
                    block = handle.read(_BLOCK)
                    continue
                member, inside = zlib.decompressobj(wbits=31), True
            try:
                out = member.decompress(block)
            except zlib.error as error:
                raise InputError("corrupt gzip file", file=path, hint="copy the file again") from error
            if out:
                yield out
            inside = not member.eof
            block = member.unused_data or handle.read(_BLOCK)
        if inside:
            raise InputError("truncated gzip file", file=path, hint="copy the file again")
