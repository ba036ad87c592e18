"""BAM files written byte by byte, so that a test can make any record and cut the compressed blocks anywhere."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

OPERATORS = "MIDNSHP=X"
LETTERS = "=ACMGRSVTWYHKDBN"
EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
BLOCK = 0xFF00
"""Most bytes that htslib puts in a block."""


@dataclass(frozen=True)
class Record:
    """One alignment record; `qual` None: missing qualities; `bases` "": no sequence; `tags` as encoded by `tag`."""

    name: str = "r"
    flag: int = 0
    ref: int = 0
    pos: int = 0
    mapq: int = 60
    cigar: str = ""
    bases: str = ""
    qual: Sequence[int] | None = None
    mate_ref: int = -1
    mate_pos: int = -1
    tlen: int = 0
    tags: Sequence[bytes] = ()

    def encode(self, **wrong: int) -> bytes:
        """The record's bytes; `wrong` overrides fixed fields: size, name_length, cigar_ops, length, ref, pos, ..."""
        ops = parse_cigar(self.cigar)
        name = self.name.encode("latin-1") + b"\0"
        codes = [LETTERS.index(b) for b in self.bases] + [0]
        seq = bytes(codes[i] << 4 | codes[i + 1] for i in range(0, len(self.bases), 2))
        qual = bytes([255] * len(self.bases) if self.qual is None else self.qual)
        body = name + b"".join(struct.pack("<I", n << 4 | op) for op, n in ops) + seq + qual + b"".join(self.tags)
        values = {
            "size": 32 + len(body), "ref": self.ref, "pos": self.pos, "name_length": len(name), "mapq": self.mapq,
            "bin": 0, "cigar_ops": len(ops), "flag": self.flag, "length": len(self.bases), "mate_ref": self.mate_ref,
            "mate_pos": self.mate_pos, "tlen": self.tlen, **wrong,
        }  # fmt: skip
        return struct.pack("<iiiBBHHHiiii", *values.values()) + body

    def with_(self, **changes: object) -> Record:
        """A copy with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]


def parse_cigar(text: str) -> list[tuple[int, int]]:
    """(operator, length) pairs of a CIGAR string."""
    ops, digits = [], ""
    for c in text:
        if c.isdigit():
            digits += c
        else:
            ops.append((OPERATORS.index(c), int(digits)))
            digits = ""
    return ops


def span(cigar: str) -> int:
    """Reference bases under a CIGAR."""
    return sum(n for op, n in parse_cigar(cigar) if OPERATORS[op] in "MDN=X")


def query(cigar: str) -> int:
    """Query bases of a CIGAR."""
    return sum(n for op, n in parse_cigar(cigar) if OPERATORS[op] in "MIS=X")


_NUMBERS = {"c": "b", "C": "B", "s": "h", "S": "H", "i": "i", "I": "I", "f": "f", "d": "d"}


def tag(name: str, kind: str, value: object) -> bytes:
    """An optional field: kind A, c, C, s, S, i, I, f, d, Z, H, or B plus an element type (``Bs``)."""
    head = name.encode() + kind[:1].encode()
    if kind == "A":
        return head + str(value).encode()
    if kind in "ZH":
        return head + str(value).encode("latin-1") + b"\0"
    if kind[0] == "B":
        values = list(value)  # type: ignore[call-overload]
        return head + kind[1:].encode() + struct.pack(f"<i{len(values)}{_NUMBERS[kind[1]]}", len(values), *values)
    return head + struct.pack(f"<{_NUMBERS[kind]}", value)


def header(references: Sequence[tuple[str, int]], order: str = "coordinate", text: str | None = None) -> bytes:
    """The BAM header's bytes."""
    if text is None:
        text = f"@HD\tVN:1.6\tSO:{order}\n" + "".join(f"@SQ\tSN:{n}\tLN:{k}\n" for n, k in references)
    out = b"BAM\1" + struct.pack("<i", len(text)) + text.encode() + struct.pack("<i", len(references))
    for name, length in references:
        out += struct.pack("<i", len(name) + 1) + name.encode() + b"\0" + struct.pack("<i", length)
    return out


def block(plain: bytes, level: int = 1, *, crc: int | None = None, isize: int | None = None) -> bytes:
    """One BGZF block of at most 64 KiB; `crc` and `isize` override its trailer."""
    squeeze = zlib.compressobj(level, zlib.DEFLATED, -15)
    packed = squeeze.compress(plain) + squeeze.flush()
    return (
        b"\x1f\x8b\x08\4\0\0\0\0\0\xff\6\0BC\2\0"
        + struct.pack("<H", len(packed) + 25)
        + packed
        + struct.pack("<II", zlib.crc32(plain) if crc is None else crc, len(plain) if isize is None else isize)
    )


def bgzf(plain: bytes, sizes: Iterable[int] = (), level: int = 1) -> bytes:
    """BGZF bytes of `plain`, cut into blocks of `sizes` (the rest into large ones), with the end-of-file block."""
    out, at = [], 0
    for size in sizes:
        out.append(block(plain[at : at + size], level))
        at += size
        if at >= len(plain):
            break
    out += [block(plain[i : i + BLOCK], level) for i in range(at, len(plain), BLOCK)]
    return b"".join(out) + EOF_BLOCK


def bam(head: bytes, records: Sequence[bytes], per_block: int = 50) -> bytes:
    """BAM bytes as htslib writes them: the header in its own block, every further block begins with a record."""
    groups = [b"".join(records[i : i + per_block]) for i in range(0, len(records), per_block)]
    return block(head) + b"".join(block(g) for g in groups) + EOF_BLOCK


def write(path: Path, references: Sequence[tuple[str, int]], records: Sequence[Record]) -> Path:
    """A sorted BAM of `records`, without index. Returns the path."""
    ordered = sorted(records, key=lambda r: (r.ref % (1 << 31), r.pos))
    path.write_bytes(bam(header(references), [r.encode() for r in ordered]))
    return path
