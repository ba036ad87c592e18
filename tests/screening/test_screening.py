from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.panel import reverse_complement
from esr1call.screening.records import Records, text_of, unsound, whole_records
from esr1call.screening.search import Screen
from esr1call.screening.seeds import SEED, STEP, WORD, build_table, rolling

TARGET = "".join(np.random.default_rng(5).choice(list("ACGT"), 400))
PIECES = [TARGET[:200], TARGET[150:], TARGET[:90] + "N" + TARGET[91:], "ACG"]


def seeded_slowly(text: str, targets: list[str]) -> list[int]:
    """The oracle: read by read, place by place, strings in a set."""
    strands = [s for t in targets for s in (t.upper(), reverse_complement(t.upper()))]
    seeds = {s[i : i + SEED] for s in strands for i in range(len(s) - SEED + 1)}
    seeds = {s for s in seeds if not set(s) - set("ACGT")}
    reads = text.split("\n")[1::4]
    return [i for i, r in enumerate(reads) if any(r.upper()[p : p + SEED] in seeds for p in range(len(r) - SEED + 1))]


def fastq(reads: list[tuple[str, str, str]]) -> str:
    return "".join(f"@{n}\n{b}\n+\n{q}\n" for n, b, q in reads)


@st.composite
def read(draw: st.DrawFn) -> tuple[str, str, str]:
    """A name, bases that may hold a piece of the target, and qualities that may look like bases."""
    size, at = draw(st.integers(0, 30)), draw(st.integers(0, 370))
    piece = TARGET[at : at + size]
    if draw(st.booleans()):
        piece = reverse_complement(piece)
    if piece and draw(st.booleans()):
        where = draw(st.integers(0, len(piece) - 1))
        piece = piece[:where] + draw(st.sampled_from("ACGTN")) + piece[where + 1 :]
    left, right = (draw(st.text("ACGTNacgt", max_size=20)) for _ in range(2))
    bases = left + (piece.lower() if draw(st.booleans()) else piece) + right
    quality = draw(st.sampled_from(["F" * len(bases), (TARGET * 2)[at : at + len(bases)]]))
    return draw(st.text("abc:/ACGT", min_size=1, max_size=12)), bases, quality


def test_the_quick_test_loses_no_seed() -> None:
    assert WORD + STEP - 1 == SEED


@given(st.lists(read(), max_size=12), st.lists(st.sampled_from(PIECES), min_size=1))
def test_exactly_the_records_with_a_seed_are_found(reads: list[tuple[str, str, str]], targets: list[str]) -> None:
    text = fastq(reads)
    found = Screen(build_table(targets)).seeded(whole_records(text.encode()))
    assert found.tolist() == seeded_slowly(text, targets)


@pytest.mark.parametrize("offset", range(2 * STEP))
@pytest.mark.parametrize("size", [SEED - 1, SEED])
def test_a_seed_is_found_wherever_it_lies(offset: int, size: int) -> None:
    """In the text's grid of words, at the start, at the end and in the middle of a read, on either strand."""
    screen = Screen(build_table([TARGET]))
    for piece in (TARGET[100 : 100 + size], reverse_complement(TARGET[100 : 100 + size])):
        reads = [("n" * (offset + 1), bases, "F" * len(bases)) for bases in (piece, "N" + piece, piece + "N")]
        found = screen.seeded(whole_records(fastq([*reads, ("other", "ACGT" * 9, "F" * 36)]).encode()))
        assert found.tolist() == ([0, 1, 2] if size == SEED else [])


def test_a_large_buffer() -> None:
    rng = np.random.default_rng(3)
    reads = []
    for i in range(9000):
        bases = "".join(np.array(list("ACGT"))[rng.integers(0, 4, 100)])
        if rng.random() < 0.1:
            at = int(rng.integers(0, 300))
            bases = bases[:40] + TARGET[at : at + SEED + int(rng.integers(-2, 3))] + bases[60:]
        reads.append((f"read{i}", bases, "F" * len(bases)))
    text = fastq(reads)
    assert len(text) > 3 * (1 << 19)
    found = Screen(build_table([TARGET])).seeded(whole_records(text.encode()))
    assert found.tolist() == seeded_slowly(text, [TARGET])
    assert 300 < len(found) < 1000


@pytest.mark.parametrize("lengths", [(100,), (40, 41, 42, 100), (30, 900), (0, 19)])
def test_reads_of_one_length_and_of_many(lengths: tuple[int, ...]) -> None:
    """Lines of bases are searched side by side where they are much of one length, else the text as a whole. Qualities
    that spell a seed, or that end one which a line of bases begins, are none."""
    rng = np.random.default_rng(4)
    reads = []
    for i in range(200):
        bases = "".join(np.array(list("ACGT"))[rng.integers(0, 4, lengths[i % len(lengths)])])
        at = int(rng.integers(0, max(1, len(bases) - SEED + 1)))
        if rng.random() < 0.5:
            bases = (bases[:at] + TARGET[50 : 50 + SEED] + bases[at + SEED :])[: len(bases)]
        elif rng.random() < 0.5:
            bases = bases[: -SEED + 1] + TARGET[60 : 60 + min(len(bases), SEED - 1)]
        reads.append((f"r{i}", bases, (TARGET[: SEED + 40] * 40)[78 : 78 + len(bases)]))
    text = fastq(reads)
    found = Screen(build_table([TARGET])).seeded(whole_records(text.encode()))
    assert found.tolist() == seeded_slowly(text, [TARGET])
    assert 20 < len(found) < 180


@given(st.text("ACGTN", max_size=60), st.integers(1, 31))
def test_rolling_values(bases: str, k: int) -> None:
    codes = np.array(["ACGTN".index(b) for b in bases], dtype=np.uint8)
    values, whole = rolling(codes, k)
    assert len(values) == len(whole) == max(0, len(bases) - k + 1)
    for i, (value, fine) in enumerate(zip(values.tolist(), whole.tolist(), strict=True)):
        piece = bases[i : i + k]
        assert fine == ("N" not in piece)
        if fine:
            assert value == int("".join(str("ACGT".index(b)) for b in piece), 4)


@pytest.mark.parametrize("base", "ACGT")
@pytest.mark.parametrize("length", [17, 24, 25, 40])
def test_runs_of_one_base(base: str, length: int) -> None:
    """The zeros after a text's end look like a run of A."""
    reads = [(f"r{i}", b * length, "F" * length) for i, b in enumerate("ACGTN" * 9)]
    found = Screen(build_table([base * 40])).seeded(whole_records(fastq(reads).encode()))
    assert found.tolist() == seeded_slowly(fastq(reads), [base * 40])


def test_an_empty_table_finds_nothing() -> None:
    assert Screen(build_table([])).seeded(whole_records(fastq([("a", TARGET, TARGET)]).encode())).tolist() == []


# ---------------------------------------------------------------- records


def test_whole_records_are_cut_off() -> None:
    text = b"@a\nAC\n+\nFF\n@b\nG\n+\nF\n@c\nTT\n+"
    records = whole_records(text)
    assert len(records) == 2
    assert records.ends[3::4].tolist() == [10, 19]
    assert len(records.buffer) % 8 == 0
    assert not records.buffer[20:].any()
    assert len(whole_records(text, 2)) == 2
    assert len(whole_records(text[:15], 2)) == 0
    assert len(whole_records(b"")) == 0


@given(st.integers(0, 9), st.data())
def test_records_are_taken_out(count: int, data: st.DataObject) -> None:
    reads = [(f"r{i}", "ACGT"[: i % 5], "FFFF"[: i % 5]) for i in range(count)]
    which = data.draw(st.lists(st.sampled_from(range(count)), unique=True).map(sorted)) if count else []
    taken = text_of(whole_records(fastq(reads).encode()), np.array(which, dtype=np.int64))
    assert taken.decode() == fastq([reads[i] for i in which])


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("@a\nAC\n+\nFF\n@b\nA\n+b\nF\n", []),
        ("@a\nAC\n+\nFF\nb\nA\n+\nF\n", [1]),
        ("@a\nAC\nx\nFF\n@b\nA\n+\nF\n", [0]),
        ("@a\nAC\n+\nF\n@b\nA\n+\nFF\n", [0, 1]),
        ("\nAC\n+\nFF\n", [0]),
    ],
)
def test_unsound_records(text: str, bad: list[int]) -> None:
    records: Records = whole_records(text.encode())
    assert unsound(records).tolist() == bad
