"""Sources of pairs other than one pair of files, and what a screen keeps of them."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from esr1call.alignment.blocks import BLOCK
from esr1call.alignment.fastq import PairChunk, interleaved_text, kept_pairs, lanes_of, read_pairs
from esr1call.alignment.inflate import Ahead
from esr1call.alignment.ubam import is_bam, is_unaligned
from esr1call.errors import InputError
from esr1call.panel import reverse_complement
from esr1call.screening.seeds import SEED, SeedTable, build_table
from tests import bam_bytes
from tests.alignment.library import Pair, fastq_text, random_bases, write_gz, write_pairs, write_ubam
from tests.bam_bytes import Record, tag

RNG = np.random.default_rng(8)
TARGET = random_bases(RNG, 500)


def mixed_pairs(count: int, length: int = 60) -> list[Pair]:
    """Pairs of which one mate, the other, both or none holds a seed of the target."""
    pairs = []
    for i in range(count):
        reads = [random_bases(RNG, length) for _ in range(2)]
        for mate in (0, 1):
            if RNG.random() < 0.1:
                at = int(RNG.integers(0, 400))
                size = int(RNG.integers(SEED - 2, SEED + 3))
                piece = TARGET[at : at + size]
                start = int(RNG.integers(0, length - size))
                piece = piece if RNG.random() < 0.5 else reverse_complement(piece)
                reads[mate] = reads[mate][:start] + piece + reads[mate][start + size :]
        pairs.append((f"p{i}", reads[0], reads[1]))
    return pairs


def kept_slowly(pairs: list[Pair]) -> list[Pair]:
    seeds = {s[i : i + SEED] for s in (TARGET, reverse_complement(TARGET)) for i in range(len(s) - SEED + 1)}
    return [p for p in pairs if any(r[i : i + SEED] in seeds for r in p[1:] for i in range(len(r) - SEED + 1))]


def flat(chunks: list[PairChunk]) -> list[Pair]:
    return [x for c in chunks for x in zip(c.name, c.bases_1, c.bases_2, strict=True)]


@pytest.fixture(scope="module")
def table() -> SeedTable:
    return build_table([TARGET])


@pytest.mark.parametrize("count", [1, 40, 12000])
def test_exactly_the_pairs_with_a_seed_are_kept(tmp_path: Path, table: SeedTable, count: int) -> None:
    """Also where the two files' blocks end at different records."""
    pairs = mixed_pairs(count)
    longer = [(f"{n} {'c' * (i % 40)}", a) for i, (n, a, _) in enumerate(pairs)]
    one = write_gz(tmp_path / "1.gz", fastq_text(longer))
    two = write_gz(tmp_path / "2.gz", fastq_text([(n, b) for n, _, b in pairs]))
    chunks = list(read_pairs(one, two, 500, table=table))
    kept = kept_slowly(pairs)
    assert flat(chunks) == kept
    assert [n for c in chunks for n in c.numbers] == [int(n[1:]) + 1 for n, _, _ in kept]
    assert sum(c.screened_out for c in chunks) == count - len(kept)
    assert count < 1000 or (0.05 < len(kept) / count < 0.3 and len(fastq_text([p[:2] for p in pairs])) > 2 * BLOCK)


def test_lanes_are_read_one_after_the_other(tmp_path: Path, table: SeedTable) -> None:
    pairs = mixed_pairs(300)
    lanes = [write_pairs(tmp_path, part, f"lane{i}") for i, part in enumerate((pairs[:100], [], pairs[100:]))]
    one, two = (";".join(str(lane[mate]) for lane in lanes) for mate in (0, 1))
    assert flat(list(read_pairs(one, two, 64))) == pairs
    assert flat(list(read_pairs(one, two, 64, table=table))) == kept_slowly(pairs)


@pytest.mark.parametrize("count", [0, 1, 5, 9000])
def test_interleaved(tmp_path: Path, table: SeedTable, count: int) -> None:
    pairs = mixed_pairs(count)
    file = write_gz(tmp_path / "x.gz", "".join(fastq_text([(n, a), (n, b)]) for n, a, b in pairs))
    assert flat(list(read_pairs(file, "interleaved", 64, allow_empty=True))) == pairs
    assert flat(list(read_pairs(file, "interleaved", 64, allow_empty=True, table=table))) == kept_slowly(pairs)
    assert not is_bam(file)


def test_unaligned_bam(tmp_path: Path, table: SeedTable) -> None:
    pairs = mixed_pairs(500)
    umis = [random_bases(RNG, 3) + "-" + random_bases(RNG, 3) for _ in pairs]
    bam = write_ubam(tmp_path / "u.bam", pairs, umis)
    assert is_unaligned(bam)
    chunks = list(read_pairs(bam, "interleaved", 64))
    assert flat(chunks) == pairs
    assert [u for c in chunks for u in c.umi or []] == umis
    assert flat(list(read_pairs(bam, "interleaved", 64, table=table))) == kept_slowly(pairs)
    bam.write_bytes(bam.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"u\.bam: truncated"):
        list(read_pairs(bam, "interleaved", 64))


def ubam(flags: tuple[int, int]) -> bytes:
    records = [Record("r", flag, -1, -1, 0, "", "ACGT" * 9, [30] * 36, tags=[tag("RX", "Z", "AAA")]) for flag in flags]
    return bam_bytes.bam(bam_bytes.header([], text="@HD\tVN:1.6\n"), [r.encode() for r in records])


@pytest.mark.parametrize("flags", [(141, 4), (4, 77), (4, 4)])
def test_a_read_that_is_neither_mate_is_none_in_an_unaligned_bam(tmp_path: Path, flags: tuple[int, int]) -> None:
    """Read 2 passed for read 1 where the other said nothing: its molecule changed strands."""
    (tmp_path / "u.bam").write_bytes(ubam(flags))
    with pytest.raises(InputError, match=r"u\.bam: .*mate"):
        list(read_pairs(tmp_path / "u.bam", "interleaved", 64))


def test_a_tab_in_a_umi_does_not_end_it(tmp_path: Path) -> None:
    """It is no letter of a UMI either: what comes after decides."""
    bam = write_ubam(tmp_path / "u.bam", mixed_pairs(3), ["AC\t-TTA", "", "RX:Z:AC"])
    (chunk,) = read_pairs(bam, "interleaved", 64)
    assert chunk.umi == ["AC\t-TTA", "", "RX:Z:AC"]


def test_an_unaligned_bam_without_its_end_is_refused(tmp_path: Path) -> None:
    """Cut between two blocks it is a sound file of fewer reads, but for the empty block that ends it."""
    whole = ubam((77, 141))
    (tmp_path / "u.bam").write_bytes(whole[: -len(bam_bytes.EOF_BLOCK)])
    with pytest.raises(InputError, match=r"u\.bam: truncated"):
        list(read_pairs(tmp_path / "u.bam", "interleaved", 64))


def test_a_file_that_begins_like_a_bam_and_cannot_be_inflated_is_none(tmp_path: Path) -> None:
    (tmp_path / "u.bam").write_bytes(ubam((77, 141))[:18] + b"\xff" * 60)
    assert not is_bam(tmp_path / "u.bam")
    assert not is_unaligned(tmp_path / "u.bam")


def test_kept_text_is_as_it_was(tmp_path: Path, table: SeedTable) -> None:
    text = [f"@a/{i} comment\tRX:Z:ACG\n{TARGET[9:40].lower()}\n+a\n{'#' * 31}\n" for i in (1, 2)]
    one, two = write_gz(tmp_path / "1.gz", text[0]), write_gz(tmp_path / "2.gz", text[1])
    made = [interleaved_text(kept) for kept in kept_pairs(lanes_of(one, two), False, table)]
    assert b"".join(made).decode() == "".join(text)


READ = f"@r1\n{TARGET[:50]}\n+\n{'F' * 50}\n"


@pytest.mark.parametrize("screened", [False, True])
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"1": READ * 3, "2": READ * 2}, r"2: *has 2 reads|2.* has 2 reads but its mate file .*1 has 3"),
        ({"1": READ, "2": READ.replace("r1", "r2")}, "name differs"),
        ({"1": READ + "@r2\nA\n+\nFF\n", "2": READ * 2}, "read 2: bases and qualities differ in length"),
        ({"1": READ + "r2\nA\n+\nF\n", "2": READ * 2}, "read 2: malformed record"),
        ({"1": READ + "@r2\nA\nF\n+\n", "2": READ * 2}, "read 2: malformed record"),
        ({"1": READ + "@r2\nA\n", "2": READ * 2}, "read 2: the file ends inside a record"),
        ({"1": READ * 3}, "the last read has no mate: found '3 reads'"),
        ({"1": READ + "@r2\nA\n+\nF\n"}, "1: read 1: name differs"),
        ({"1;1b": READ, "2": READ}, "different numbers of files: found '1 files'"),
        ({"1;1": READ, "2;2b": READ}, "a lane is given twice"),
        ({"1;2": READ, "2;3": READ}, "is given as both mates"),
        ({"1": "", "2": ""}, "no reads in the file"),
    ],
)
def test_refused(tmp_path: Path, table: SeedTable, screened: bool, files: dict[str, str], said: str) -> None:
    for names, text in files.items():
        for name in names.split(";"):
            (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    given = [";".join(str(tmp_path / n) for n in names.split(";")) for names in files]
    with pytest.raises(InputError) as caught:
        list(read_pairs(given[0], given[1] if len(given) > 1 else "interleaved", 9, table=table if screened else None))
    assert re.search(said, str(caught.value)), str(caught.value)


def test_a_worker_that_is_closed_stops() -> None:
    taken = []

    def items():  # type: ignore[no-untyped-def]
        for i in range(10**9):
            taken.append(i)
            yield i

    ahead = Ahead(items(), depth=2)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    ahead.close()
    assert len(taken) < 20
    assert not ahead._thread.is_alive()


def test_a_worker_raises_what_its_items_raised() -> None:
    ahead = Ahead(iter([1, 2]))
    assert list(ahead) == [1, 2]
    assert list(ahead) == []

    def broken():  # type: ignore[no-untyped-def]
        yield 1
        raise InputError("broken")

    ahead = Ahead(broken())
    assert next(ahead) == 1
    with pytest.raises(InputError, match="broken"):
        next(ahead)
