from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.errors import InputError
from esr1call.pileup.cigar import geometry, query_positions
from tests.bam_bytes import OPERATORS, Record, parse_cigar, query
from tests.pileup.arrays import records_of

CIGARS = st.lists(st.tuples(st.integers(1, 9), st.sampled_from(OPERATORS)), min_size=1, max_size=8).map(
    lambda ops: "".join(f"{n}{op}" for n, op in ops)
)


def aligned(cigar: str, start: int) -> dict[int, int]:
    """Reference position -> query position of each aligned base."""
    found, q = {}, 0
    for op, size in parse_cigar(cigar):
        if OPERATORS[op] in "M=X":
            found.update({start + i: q + i for i in range(size)})
        start += size if OPERATORS[op] in "MDN=X" else 0
        q += size if OPERATORS[op] in "MIS=X" else 0
    return found


@given(st.lists(CIGARS, min_size=1, max_size=12))
def test_geometry_and_columns_of_any_cigars(cigars: list[str]) -> None:
    reads = [Record("r", 0, 0, 100, 60, c, "A" * query(c), [30] * query(c)) for c in cigars]
    records = records_of(reads)
    shape = geometry(records, "x.bam")
    for i, cigar in enumerate(cigars):
        ops = [(OPERATORS[op], n) for op, n in parse_cigar(cigar)]
        inside = [k for k, (op, _) in enumerate(ops) if op not in "SH"]
        lead = ops[: inside[0]] if inside else ops
        assert shape.span[i] == sum(n for op, n in ops if op in "MDN=X")
        assert shape.lead[i] == sum(n for _, n in lead)
        assert shape.trail[i] == sum(n for op, n in ops if op in "SH") - shape.lead[i]
        assert shape.spliced[i] == any(op == "N" for op, _ in ops)
    columns = np.arange(95, 150)
    who = np.repeat(np.arange(len(reads)), len(columns))
    target = np.tile(columns, len(reads))
    some = (target >= 100) & (target < 100 + shape.span[who])
    who, target = who[some], target[some]
    found = query_positions(records, who, np.stack([target, target]), np.full(len(who), 100))
    expected = [aligned(cigars[i], 100).get(t, -1) for i, t in zip(who, target, strict=True)]
    assert found.tolist() == [expected, expected]


def test_many_operators() -> None:
    cigar = "1M1D" * 2000 + "5M"
    long = Record("r", 0, 0, 0, 60, cigar, "A" * 2005, [30] * 2005)
    records = records_of([long, Record("s", 0, 0, 0, 60, "3M", "ACG")])
    assert geometry(records, "x.bam").span.tolist() == [4005, 3]
    found = query_positions(records, np.array([0, 0, 1]), np.array([[4002, 3999, 2]]), np.zeros(3, dtype=np.int64))
    assert found.tolist() == [[2002, -1, 2]]


def test_an_unknown_operator_and_a_wrong_length_are_refused() -> None:
    good = Record("r", 0, 0, 5, 60, "2M2M", "ACGT", [30] * 4)
    raw = bytearray(good.encode())
    raw[38] = 2 << 4 | 9
    with pytest.raises(InputError, match="unknown operator"):
        geometry(records_of([bytes(raw)]), "x.bam")
    with pytest.raises(InputError, match="CIGAR and sequence lengths disagree"):
        geometry(records_of([good, good.with_(cigar="2M3M")]), "x.bam")


def test_reads_without_a_sequence_or_a_cigar_have_a_geometry() -> None:
    shape = geometry(records_of([Record("r", 0, 0, 5, 60, "5S9M"), Record("r", 0, 0, 5, 60, "", "ACGT")]), "x.bam")
    assert shape.span.tolist() == [9, 0]
    assert shape.lead.tolist() == [5, 0]


def test_no_reads() -> None:
    records = records_of([Record("r", 0, 0, 5, 60, "4M", "ACGT")]).take(np.zeros(0, dtype=np.int64))
    assert len(geometry(records, "x.bam").span) == 0
