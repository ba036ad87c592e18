from __future__ import annotations

from pathlib import Path
from random import Random
from unittest import mock

import numpy as np
import pytest

from esr1call.errors import InputError
from esr1call.io import bgzf
from esr1call.io.bgzf import EOF_BLOCK, PADDING, BgzfFile
from tests import bam_bytes

PLAIN = Random(1).randbytes(3000) * 40


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def inflate(path: Path) -> bytes:
    with BgzfFile(path) as file:
        chunks = (file.inflate(found) for found in file.blocks())
        return b"".join(c.data[: c.size].tobytes() for c in chunks)


@pytest.mark.parametrize("blocks", [1, 2, 7, 128])
@pytest.mark.parametrize("sizes", [(), (0, 1, 2, 65280, 0, 0, 5), (1000,) * 200], ids=["large", "uneven", "small"])
def test_every_chunk_size_gives_the_bytes(tmp_path: Path, blocks: int, sizes: tuple[int, ...]) -> None:
    path = write(tmp_path / "x", bam_bytes.bgzf(PLAIN, sizes))
    with mock.patch.object(bgzf, "_CHUNK_BLOCKS", blocks):
        assert inflate(path) == PLAIN


def test_more_compressed_bytes_than_are_read_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "x", bam_bytes.bgzf(PLAIN, (1000,) * 200))
    with mock.patch.object(bgzf, "_READ_BYTES", 1 << 16):
        assert inflate(path) == PLAIN


def test_chunks_tell_where_blocks_begin_and_are_padded(tmp_path: Path) -> None:
    path = write(tmp_path / "x", bam_bytes.bgzf(PLAIN[:30], (10, 0, 20)))
    with BgzfFile(path) as file:
        (chunk,) = map(file.inflate, file.blocks())
        assert chunk.starts.tolist() == [0, 10, 10, 30]
        assert chunk.size == 30
        assert len(chunk.data) == 30 + PADDING
        assert not chunk.data[30:].any()
        assert file.bytes_read == file.size


def test_a_range_of_blocks(tmp_path: Path) -> None:
    blocks = [bam_bytes.block(PLAIN[i : i + 10]) for i in range(0, 50, 10)]
    path = write(tmp_path / "x", b"".join(blocks) + EOF_BLOCK)
    second, fourth = len(blocks[0]), sum(map(len, blocks[:3]))
    with BgzfFile(path) as file:
        (chunk,) = map(file.inflate, file.blocks(second, fourth))
        assert chunk.data[: chunk.size].tobytes() == PLAIN[10:30]
        assert file.block(second) == (PLAIN[10:20], second + len(blocks[1]))
        assert file.block(file.size) is None


def test_the_next_block_is_found_from_anywhere(tmp_path: Path) -> None:
    # A block stored as it is may hold what looks like the start of another.
    blocks = [
        bam_bytes.block(PLAIN[:9]),
        bam_bytes.block(b"\x1f\x8b\x08\4 and more" * 3, level=0),
        bam_bytes.block(b"x"),
    ]
    path = write(tmp_path / "x", b"".join(blocks) + EOF_BLOCK)
    begins = np.cumsum([0, *(len(b) for b in blocks)]).tolist()
    for probe in (1 << 14, 30):
        with BgzfFile(path) as file, mock.patch.object(bgzf, "_PROBE_BYTES", probe):
            for at in range(file.size):
                expected = next((b for b in begins if b >= at), None)
                assert file.next_block(at, file.size) == expected
                if expected is not None:
                    assert file.next_block(at, expected) is None


def test_other_extra_fields_may_stand_before_the_block_size(tmp_path: Path) -> None:
    block = bam_bytes.block(b"hello")
    size = len(block) + 6
    extra = b"XY\2\0ab" + b"BC\2\0" + (size - 1).to_bytes(2, "little")
    longer = block[:10] + len(extra).to_bytes(2, "little") + extra + block[18:]
    assert inflate(write(tmp_path / "x", longer + EOF_BLOCK)) == b"hello"


GOOD = bam_bytes.block(PLAIN[:500])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (bam_bytes.block(b"abc", crc=1), "wrong checksum"),
        (bam_bytes.block(b"abc", isize=2), "corrupt data"),
        (bam_bytes.block(b"abc", isize=4), "corrupt data"),
        (bam_bytes.block(b"abc", isize=1 << 17), "more than 64 KiB"),
        (b"\x1f\x8b\x08\4" + b"\0" * 30, "not a BGZF block"),
        (b"plain text, and enough of it", "not a BGZF block"),
        (GOOD[:40] + bytes([GOOD[40] ^ 1]) + GOOD[41:], "wrong checksum"),
        (GOOD[:16] + b"\0\0" + GOOD[18:], "not a BGZF block"),
    ],
)
def test_damaged_blocks_are_named_by_their_place(tmp_path: Path, data: bytes, told: str) -> None:
    path = write(tmp_path / "x", GOOD + data + EOF_BLOCK)
    with pytest.raises(InputError, match=f"{told}.* at byte {len(GOOD)}"):
        inflate(path)


def test_a_file_cut_anywhere_is_an_error_but_at_a_block_boundary(tmp_path: Path) -> None:
    blocks = [bam_bytes.block(PLAIN[i : i + 20]) for i in range(0, 60, 20)]
    whole = b"".join(blocks) + EOF_BLOCK
    boundaries = set(np.cumsum([len(b) for b in blocks]).tolist())
    for size in range(1, len(whole)):
        path = write(tmp_path / "x", whole[:size])
        with BgzfFile(path) as file:
            assert not file.has_eof_block()
        if size not in boundaries:
            with pytest.raises(InputError, match="truncated"):
                inflate(path)
    with BgzfFile(write(tmp_path / "x", whole)) as file:
        assert file.has_eof_block()


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read: No such file"):
        BgzfFile(tmp_path / "x")
    with pytest.raises(InputError, match="cannot read: Is a directory"):
        BgzfFile(tmp_path)


@pytest.mark.parametrize("second", [bam_bytes.block(PLAIN[500:1000]), EOF_BLOCK], ids=["of the same size", "the last"])
def test_a_block_that_says_it_is_as_long_as_two_is_refused(tmp_path: Path, second: bytes) -> None:
    """Inflating stops at the end of the first: the second would be lost unseen, or an empty one hide the first."""
    longer = bytearray(GOOD)
    longer[16:18] = (len(GOOD) + len(second) - 1).to_bytes(2, "little")
    path = write(tmp_path / "x", bytes(longer) + second + EOF_BLOCK)
    with pytest.raises(InputError, match="corrupt data or wrong checksum at byte 0"):
        inflate(path)
