from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace

import pytest

from esr1call.history import GENESIS, Entry, fold, result_from_json
from esr1call.timeline import canonical, rounded, to_json
from tests.trigger_builders import sample

ENTRY = Entry("S", "P01", 1, "void", "P01-V1", "b1", "{}", "2024-01-01T00:00:00+00:00", "1.0", GENESIS)


def test_the_hash_is_over_netstrings_of_all_fields() -> None:
    texts = ["S", "P01", "1", "void", "P01-V1", "b1", "{}", "2024-01-01T00:00:00+00:00", "1.0", "0" * 64]
    expected = "".join(f"{len(t)}:{t}," for t in texts)
    assert ENTRY.hash == hashlib.sha256(expected.encode()).hexdigest()
    for field in fields(Entry):
        assert replace(ENTRY, **{field.name: 2 if field.name == "position" else "\u00fc"}).hash != ENTRY.hash
    # what is moved from one field to the next is another entry
    assert replace(ENTRY, name="P01-V1b", batch="1").hash != ENTRY.hash


def test_a_result_comes_back_from_json_as_it_was() -> None:
    result = sample(0, D538G=9, Y537S=None)
    assert result_from_json(json.loads(json.dumps(to_json(result)))) == result


def test_the_last_version_is_valid_and_voided_samples_are_left_out() -> None:
    first, second, third = sample(0), sample(0, D538G=9), sample(28)

    def entry(kind: str, name: str, body: str = "{}") -> Entry:
        return replace(ENTRY, kind=kind, name=name, body=body)

    entries = [entry("result", r.sample, canonical(to_json(rounded(r)))) for r in (first, third, second)]
    state = fold(entries)
    assert [len(v) for v in state.versions.values()] == [2, 1]
    assert fold([*entries, entry("void", first.sample)]).voided == {first.sample}
    assert fold([*entries, entry("void", first.sample), entry("reinstate", first.sample)]).voided == set()


@pytest.mark.parametrize("wrong", [{}, {"status": "FINE"}])
def test_what_is_no_result_is_an_error(wrong: dict[str, object]) -> None:
    values = {**to_json(sample(0)), **wrong} if wrong else {}
    with pytest.raises((KeyError, ValueError)):
        result_from_json(values)
