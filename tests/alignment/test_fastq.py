from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pysam
import pytest

from esr1call.alignment.fastq import PairChunk, lanes_of, read_pairs
from esr1call.alignment.sources import INTERLEAVED
from esr1call.errors import InputError
from tests.alignment.library import cut_pairs, fastq_text, random_bases, write_gz, write_pairs

PAIRS = cut_pairs(random_bases(np.random.default_rng(1), 500), 50, np.random.default_rng(2))
TEXT_1 = fastq_text([(n, a) for n, a, _ in PAIRS])
TEXT_2 = fastq_text([(n, b) for n, _, b in PAIRS])


def flat(chunks: list[PairChunk]) -> list[tuple[str, str, str]]:
    return [x for c in chunks for x in zip(c.name, c.bases_1, c.bases_2, strict=True)]


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
def test_pairs_come_in_chunks(tmp_path: Path, chunk: int) -> None:
    chunks = list(read_pairs(*write_pairs(tmp_path, PAIRS), chunk))
    assert flat(chunks) == PAIRS
    assert [len(c.name) for c in chunks[:-1]] == [chunk] * (len(chunks) - 1)
    assert [n for c in chunks for n in c.numbers] == list(range(1, 51))
    assert all(q == "F" * len(b) for c in chunks for q, b in zip(c.quality_1, c.bases_1, strict=True))


def members(text: str) -> bytes:
    half = len(text) // 2
    return gzip.compress(text[:half].encode()) + gzip.compress(text[half:].encode()) + b"\0" * 700


@pytest.mark.parametrize(
    "stored",
    [str.encode, lambda t: t.rstrip("\n").encode(), lambda t: t.replace("\n", "\r\n").encode(), members],
    ids=["plain", "no last line break", "CRLF", "gzip members and padding"],
)
def test_ways_to_store_a_fastq(tmp_path: Path, stored: object) -> None:
    assert callable(stored)
    one, two = tmp_path / "1.fastq", tmp_path / "2.fastq"
    one.write_bytes(stored(TEXT_1))
    two.write_bytes(stored(TEXT_2))
    assert flat(list(read_pairs(one, two, 20))) == PAIRS


def test_bgzf(tmp_path: Path) -> None:
    files = []
    for name, text in (("1.gz", TEXT_1), ("2.gz", TEXT_2)):
        (tmp_path / "plain").write_text(text)
        pysam.tabix_compress(str(tmp_path / "plain"), str(tmp_path / name))
        files.append(tmp_path / name)
    assert flat(list(read_pairs(*files, 20))) == PAIRS


def test_names_and_bases_are_normalised(tmp_path: Path) -> None:
    one = write_gz(tmp_path / "1.gz", "@a/1 comment\nacg.N\n+a\nFFFFF\n@b 1:N:0\nAC\n+\nFF\n")
    two = write_gz(tmp_path / "2.gz", "@a/2\nTTT\n+\nFFF\n@b 2:N:0\nGG\n+\nFF\n")
    assert flat(list(read_pairs(one, two, 9))) == [("a", "ACGNN", "TTT"), ("b", "AC", "GG")]


@pytest.mark.parametrize("other", ["", " ;", INTERLEAVED])
def test_no_file_named_at_all(other: str) -> None:
    with pytest.raises(InputError, match="field 'fastq_1': names no file: found ' ; '"):
        lanes_of(" ; ", other)


READ = "@r1\nACGT\n+\nFFFF\n"


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        (None, READ, r"1\.gz, field 'fastq_1': no such file"),
        (b"", READ, r"1\.gz, field 'fastq_1': the file is empty"),
        (READ, b"", r"2\.gz, field 'fastq_2': the file is empty"),
        ("", "", "no reads in the file"),
        (gzip.compress(TEXT_1.encode())[:-9], TEXT_2, r"1\.gz: truncated gzip file"),
        (TEXT_1, gzip.compress(TEXT_2.encode())[:700], r"2\.gz: truncated gzip file"),
        (b"\x1f\x8b\x08\x00", TEXT_2, "truncated gzip"),
        (gzip.compress(TEXT_1.encode())[:-8] + b"12345678", TEXT_2, "corrupt gzip file"),
        (b"\x1f\x8b" + b"x" * 500, TEXT_2, "corrupt gzip file"),
        (TEXT_1, TEXT_2 + READ, r"2\.gz.* has 51 reads but its mate file .*1\.gz has 50"),
        (TEXT_1 + READ, TEXT_2, r"2\.gz.* has 50 reads but its mate file .*1\.gz has 51"),
        (READ, READ.replace("r1", "r2"), r"2\.gz: read 1: name differs from its mate's: found 'r2', expected r1"),
        (TEXT_1 + READ, TEXT_2 + READ.replace("r1", "q"), "read 51: name differs"),
        (READ.replace("@r1", "@r1/1"), READ.replace("@r1", "@r1/1x"), "name differs"),
        (b"BAM\1\0\0", READ, r"1\.gz: not a FASTQ file"),
        (">r1\nACGT\n", READ, "not a FASTQ file"),
        (b"@r1\nAC\xffGT\n+\nFFFFF\n", READ, "not text"),
        (READ + "r2\nACGT\n+\nFFFF\n", READ * 2, r"1\.gz: read 2: malformed record: .*expected a name line"),
        (READ + "@r2\nACGT\nFFFF\n+\n", READ * 2, "read 2: malformed record: .*third line"),
        (READ + "@r2\nACGT\n+\nFFF\n", READ * 2, "read 2: bases and qualities differ in length: found '3 qualities'"),
        (READ + "@r2\nAC-T\n+\nFFFF\n", READ * 2, "read 2: malformed record: found 'AC-T'"),
        (READ + "@r2\nACGT\n+\nFF F\n", READ * 2, "read 2: malformed record: .*qualities"),
        (READ + "@\nACGT\n+\nFFFF\n", READ * 2, "read 2: malformed record: .*a name"),
        (READ + "@ x\nACGT\n+\nFFFF\n", READ * 2, "read 2: malformed record: .*a name"),
        (READ + f"@{'n' * 255}\nACGT\n+\nFFFF\n", READ * 2, "read 2: malformed record: .*a name"),
        (READ + "@r2\nACGT\n", READ * 2, r"1\.gz: read 2: the file ends inside a record"),
    ],
)
def test_refused(tmp_path: Path, one: str | bytes | None, two: str | bytes, said: str) -> None:
    for name, content in (("1.gz", one), ("2.gz", two)):
        if content is not None:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else gzip.compress(content.encode()))
    with pytest.raises(InputError) as caught:
        list(read_pairs(tmp_path / "1.gz", tmp_path / "2.gz", 16))
    assert re.search(said, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_file_twice(tmp_path: Path) -> None:
    one, _ = write_pairs(tmp_path, PAIRS)
    with pytest.raises(InputError, match="given as both mates"):
        list(read_pairs(one, one, 10))


def test_no_reads_where_that_is_right(tmp_path: Path) -> None:
    one, two = write_pairs(tmp_path, [])
    assert list(read_pairs(one, two, 10, allow_empty=True)) == []
