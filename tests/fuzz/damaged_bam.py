"""Small BAMs of random reads, ways to damage them, and a reader of BGZF that believes nothing."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from random import Random

import pysam

from esr1call.panel import Panel
from esr1call.settings import CountSettings
from tests import bam_bytes
from tests.fuzz.mutate import mutants
from tests.molecule_oracle import Counts, count
from tests.tiny_world import REFERENCES, UMIS, random_reads, tiny_panel

PANEL: Panel = replace(tiny_panel(), windows=tuple(w for w in tiny_panel().windows if w.name in ("3-12", "33-42")))
"""Two windows: each costs as much time as all reads together."""
INSANE = (
    0, 1, -1, 2, 3, 7, 15, 16, 31, 32, 255, 256, 65535, 65536, 1 << 24, 1 << 28, 0x7FFFFFFF, -0x80000000, 0x55555555,
)  # fmt: skip


@dataclass(frozen=True)
class Good:
    """A sound BAM: its header's bytes, its records, and the file's bytes."""

    head: bytes
    records: tuple[bytes, ...]
    content: bytes

    @cached_property
    def plain(self) -> bytes:
        """Inflated bytes."""
        return self.head + b"".join(self.records)

    @classmethod
    def random(cls, chance: Random, templates: int = 12, aligned: bool = False) -> Good:
        """Reads of one kind of UMI, in blocks of a few records or, unless `aligned`, of any number of bytes."""
        kind = chance.choice(("duplex", "duplex", "simplex", "sloppy"))
        reads = random_reads(chance, templates, UMIS[kind], chance.random() < 0.8)
        head, records = bam_bytes.header(REFERENCES), tuple(r.encode() for r in reads)
        if aligned or chance.random() < 0.7:
            return cls(head, records, bam_bytes.bam(head, records, chance.choice((1, 3, 10, 50))))
        return cls(head, records, blocks_of(head + b"".join(records), chance))

    @classmethod
    def of(cls, content: bytes) -> Good:
        """A sound file taken apart."""
        plain = inflated(content)
        assert plain is not None
        _, at = _references(plain)
        records, head = [], plain[:at]
        while at < len(plain):
            records.append(plain[at : at + 4 + struct.unpack_from("<i", plain, at)[0]])
            at += len(records[-1])
        return cls(head, tuple(records), content)

    @classmethod
    def unaligned(cls, chance: Random) -> Good:
        """Pairs as they were sequenced, with UMIs in RX tags."""
        records = []
        for i in range(chance.randint(1, 6)):
            for flag in (77, 141):
                bases = "".join(chance.choices("ACGT", k=chance.randint(20, 50)))
                rx = [bam_bytes.tag("RX", "Z", "ACG-TTA")]
                records.append(
                    bam_bytes.Record(f"r{i}", flag, -1, -1, 0, "", bases, [30] * len(bases), tags=rx).encode()
                )
        head = bam_bytes.header([], text="@HD\tVN:1.6\tSO:unsorted\tGO:query\n")
        return cls(head, tuple(records), bam_bytes.bam(head, records, 3))

    def damaged(self, chance: Random) -> bytes:
        """The file with its compressed bytes changed."""
        way = chance.randrange(3)
        if way == 0:
            return next(mutants(self.content, 1, chance.getrandbits(32)))
        if way == 1:
            return chance.choice((_cut_off, _field_changed))(self.content, chance)
        other = Good.random(chance, 4).content if chance.random() < 0.3 else self.content
        return _spliced(self.content, other, chance)

    def insane(self, chance: Random) -> bytes:
        """A whole file with sound checksums whose records, or header, are not what they should be."""
        if chance.random() < 0.2:
            return blocks_of(next(mutants(self.plain, 1, chance.getrandbits(32))), chance)
        if chance.random() < 0.1:
            head = next(mutants(self.head, 1, chance.getrandbits(32)))
            return blocks_of(head + b"".join(self.records), chance)
        records = list(self.records)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            if records:
                _spoil(records, chance)
        return blocks_of(self.head + b"".join(records), chance)


def blocks_of(plain: bytes, chance: Random) -> bytes:
    """A BGZF file with blocks of any size."""
    sizes = [chance.choice((1, 30, 200, 1000, 5000)) for _ in range(chance.choice((0, 0, 2, 9)))]
    return bam_bytes.bgzf(plain, sizes)


def starts(content: bytes) -> list[int]:
    """Where the blocks of a sound file begin, and its end."""
    found = [0]
    while found[-1] < len(content):
        found.append(found[-1] + int.from_bytes(content[found[-1] + 16 : found[-1] + 18], "little") + 1)
    return found


def _cut_off(content: bytes, chance: Random) -> bytes:
    """Ends early: anywhere or between blocks, with or without the block that marks a whole file."""
    at = chance.choice((chance.randrange(len(content)), chance.choice(starts(content))))
    return content[:at] + chance.choice((b"", bam_bytes.EOF_BLOCK))


def _field_changed(content: bytes, chance: Random) -> bytes:
    """A block's header or trailer says something else; now and then that the block holds the next one too."""
    where = starts(content)
    i = chance.randrange(len(where) - 1)
    begin, end = where[i], where[i + 1]
    changed = bytearray(content)
    match chance.randrange(4):
        case 0:
            to = chance.choice(where[i + 1 :]) - begin - 1
            to = to if chance.random() < 0.7 and to < 1 << 16 else chance.randrange(1 << 16)
            changed[begin + 16 : begin + 18] = struct.pack("<H", to)
        case 1:
            changed[begin + chance.randrange(18)] = chance.randrange(256)
        case 2:
            at = end - chance.choice((4, 8))
            changed[at : at + 4] = struct.pack("<I", chance.choice(INSANE) & 0xFFFFFFFF)
        case _:
            at = end - chance.choice((4, 8))
            (old,) = struct.unpack("<I", changed[at : at + 4])
            changed[at : at + 4] = struct.pack("<I", (old + chance.choice((-1, 1, 8))) & 0xFFFFFFFF)
    return bytes(changed)


def _spliced(content: bytes, other: bytes, chance: Random) -> bytes:
    """Whole blocks left out, doubled, moved, or taken from another file."""
    where, more = starts(content), starts(other)
    blocks = [content[a:b] for a, b in pairwise(where)]
    strange = [other[a:b] for a, b in pairwise(more)]
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(len(blocks))
        match chance.randrange(4):
            case 0:
                del blocks[at]
            case 1:
                blocks.insert(at, chance.choice(strange))
            case 2:
                to = chance.randrange(len(blocks))
                blocks[at], blocks[to] = blocks[to], blocks[at]
            case _:
                blocks[at] = chance.choice(strange)
        if not blocks:
            break
    return b"".join(blocks)


def damaged_index(index: bytes, good: Good, chance: Random) -> bytes:
    """An index with changed bytes, or with numbers and offsets that could be those of its file, but are not."""
    if chance.random() < 0.3:
        return next(mutants(index, 1, chance.getrandbits(32)))
    places, changed = starts(good.content), bytearray(index)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = 4 * chance.randrange(1, len(index) // 4)
        if chance.random() < 0.7 and at + 8 <= len(index):
            where = chance.choice(places) << 16 | chance.choice((0, 0, chance.randrange(1 << 16)))
            changed[at : at + 8] = struct.pack("<Q", where)
        else:
            changed[at : at + 4] = struct.pack("<I", chance.choice((*INSANE, 4681, 37450)) & 0xFFFFFFFF)
    return bytes(changed)


_FIELDS = ((0, "<i"), (4, "<i"), (8, "<i"), (12, "<B"), (13, "<B"), (14, "<H"), (16, "<H"), (18, "<H"), (20, "<i"),
           (24, "<i"), (28, "<i"), (32, "<i"))  # fmt: skip


def _spoil(records: list[bytes], chance: Random) -> None:
    """Change one record, or the order of records."""
    i = chance.randrange(len(records))
    record = bytearray(records[i])
    match chance.randrange(9):
        case 0 | 1 | 2:
            at, kind = chance.choice(_FIELDS)
            (old,) = struct.unpack_from(kind, record, at)
            near = old + chance.choice((-2, -1, 1, 2)), old ^ 1 << chance.randrange(16)
            new = chance.choice((chance.choice(INSANE), *near))
            bits = 8 * struct.calcsize(kind)
            new &= (1 << bits) - 1
            struct.pack_into(kind.upper(), record, at, new)
        case 3:
            _any_byte(record, 36, len(record), chance)
        case 4:
            ops = struct.unpack_from("<H", record, 16)[0]
            at = 36 + record[12] + 4 * chance.randrange(ops or 1)
            if ops and at + 4 <= len(record):
                (old,) = struct.unpack_from("<I", record, at)
                near = old ^ 1 << chance.randrange(32), old & ~15 | chance.randrange(16)
                new = chance.choice((*near, chance.getrandbits(32)))
                struct.pack_into("<I", record, at, new)
        case 5:
            tags = _tags(record)
            record[tags:] = next(mutants(bytes(record[tags:]), 1, chance.getrandbits(32)))
            struct.pack_into("<i", record, 0, len(record) - 4)
        case 6:
            del records[i]
            return
        case 7:
            records.insert(chance.randrange(len(records)), bytes(record))
            return
        case _:
            to = chance.randrange(len(records))
            records[i], records[to] = records[to], records[i]
            return
    records[i] = bytes(record)


def _any_byte(record: bytearray, low: int, high: int, chance: Random) -> None:
    if low < high:
        record[chance.randrange(low, high)] = chance.choice((0, 255, chance.randrange(256)))


def _tags(record: bytearray) -> int:
    """Where the optional fields of a sound record begin (of another: anywhere)."""
    ops, length = struct.unpack_from("<H", record, 16)[0], struct.unpack_from("<i", record, 20)[0]
    return min(max(36 + record[12] + 4 * ops + (length + 1) // 2 + length, 36), len(record))


def inflated(content: bytes) -> bytes | None:
    """What a file's blocks hold; None where any is not as the format says, or the end is missing."""
    out, at = [], 0
    if not content.endswith(bam_bytes.EOF_BLOCK):
        return None
    while at < len(content):
        if content[at : at + 4] != b"\x1f\x8b\x08\x04" or len(content) - at < 18:
            return None
        extra, size = struct.unpack_from("<H", content, at + 10)[0], None
        field = at + 12
        while field + 6 <= at + 12 + extra <= len(content):
            (width,) = struct.unpack_from("<H", content, field + 2)
            if content[field : field + 2] == b"BC" and width == 2:
                size = struct.unpack_from("<H", content, field + 4)[0] + 1
                break
            field += 4 + width
        if size is None or at + size > len(content) or size < extra + 20:
            return None
        squeezed = zlib.decompressobj(-15)
        try:
            plain = squeezed.decompress(content[at + 12 + extra : at + size - 8])
        except zlib.error:
            return None
        crc, length = struct.unpack_from("<II", content, at + size - 8)
        if not squeezed.eof or squeezed.unused_data or zlib.crc32(plain) != crc or len(plain) != length:
            return None
        out.append(plain)
        at += size
    return b"".join(out)


def out_of_order(content: bytes) -> bool:
    """Whether a sound file's records are not in the order of their positions."""
    plain = inflated(content)
    if plain is None:
        return False
    _, at = _references(plain)
    last = 0, 0
    while at + 12 <= len(plain):
        size, reference, position = struct.unpack_from("<iii", plain, at)
        place = reference & 0x7FFFFFFF, position
        if place < last:
            return True
        last, at = place, at + 4 + max(size, 32)
    return False


def slow_counts(path: Path, settings: CountSettings) -> Counts | None:
    """What the per-read oracle counts; None where htslib does not read even what is left of the file without header
    text, letters in names that are no text, and records that do not count anyway."""
    told, content = pysam.set_verbosity(0), _each_quality_by_itself(path.read_bytes())
    path.write_bytes(content)
    try:
        for least in (None, 0, settings.min_mapq):
            if least is not None:
                path.write_bytes(_simpler(content, least))
            with suppress(OSError, ValueError):
                return count(path, PANEL, settings)[0]
        return None
    finally:
        pysam.set_verbosity(told)


def _each_quality_by_itself(content: bytes) -> bytes:
    """To htslib a read has no quality where the first is missing; to us, and by the specification, where all are. The
    first is made another one that counts for nothing."""
    plain = bytearray(inflated(content) or b"")
    _, at = _references(bytes(plain)) if plain else ([], 0)
    changed = False
    while at + 36 <= len(plain):
        ops, length = struct.unpack_from("<H", plain, at + 16)[0], struct.unpack_from("<i", plain, at + 20)[0]
        first = at + 36 + plain[at + 12] + 4 * ops + (length + 1) // 2
        qualities = plain[first : first + length]
        if length > 1 and qualities[:1] == b"\xff" and qualities.count(255) < length:
            plain[first], changed = 94, True
        at += 4 + max(struct.unpack_from("<i", plain, at)[0], 32)
    return bam_bytes.bgzf(bytes(plain), []) if changed else content


_UNUSED, _QC_FAIL = 0x4 | 0x100 | 0x800, 0x200
"""Flags of records that do not count: unmapped, secondary, supplementary; failed (but their mates may)."""


def _references(plain: bytes) -> tuple[list[tuple[str, int]], int]:
    """Reference sequences of inflated bytes, and where the first record begins."""
    at = 8 + struct.unpack_from("<i", plain, 4)[0]
    references, (number,) = [], struct.unpack_from("<i", plain, at)
    at += 4
    for _ in range(number):
        (size,) = struct.unpack_from("<i", plain, at)
        name = plain[at + 4 : at + 4 + size].rstrip(b"\0").decode("latin-1")
        references.append((name, struct.unpack_from("<i", plain, at + 4 + size)[0]))
        at += 8 + size
    return references, at


def _simpler(content: bytes, least_mapq: int) -> bytes:
    plain = inflated(content)
    assert plain is not None
    references, at = _references(plain)
    records, names = [], dict[bytes, bytes]()
    while at < len(plain):
        record = plain[at : at + 4 + struct.unpack_from("<i", plain, at)[0]]
        at += len(record)
        flag, mapq, name = struct.unpack_from("<H", record, 18)[0], record[13], record[36 : 36 + record[12]]
        if flag & _UNUSED:
            continue
        (reference,) = struct.unpack_from("<i", record, 4)
        elsewhere = not 0 <= reference < len(references) or references[reference][0] != PANEL.contig
        # Its place still tells of its mate's fragment.
        if least_mapq and (flag & _QC_FAIL or mapq < least_mapq or elsewhere):
            record = _without_bases(record)
        if least_mapq and not _covers(record):
            record = record[: _tags(bytearray(record))]
        new = names.setdefault(name, b"%d" % len(names)) + b"\0"
        record = record[:12] + bytes([len(new)]) + record[13:36] + new + record[36 + len(name) :]
        records.append(struct.pack("<i", len(record) - 4) + record[4:])
    return bam_bytes.bam(bam_bytes.header([(n.encode("ascii", "replace").decode(), k) for n, k in references]), records)


def _covers(record: bytes) -> bool:
    """Whether a record lies over a window from end to end: of others, nobody reads the tags."""
    start, ops = struct.unpack_from("<i", record, 8)[0], struct.unpack_from("<H", record, 16)[0]
    codes = struct.unpack_from(f"<{ops}I", record, 36 + record[12]) if 36 + record[12] + 4 * ops <= len(record) else ()
    end = start + sum(c >> 4 for c in codes if c & 15 in (0, 2, 3, 7, 8))
    return any(start <= w.start and end >= w.end for w in PANEL.windows)


def _without_bases(record: bytes) -> bytes:
    ops, length = struct.unpack_from("<H", record, 16)[0], struct.unpack_from("<i", record, 20)[0]
    begin = 36 + record[12] + 4 * ops
    rest = record[begin + (length + 1) // 2 + length :]
    return record[:20] + bytes(4) + record[24:begin] + rest
