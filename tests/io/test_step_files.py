from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esr1call.counts import STRATA
from esr1call.errors import InputError
from esr1call.io.step_files import read_align_summary, read_counts_summary, read_events, read_inputs_used
from esr1call.pileup.filters import FILTERS

WINDOW: dict[str, Any] = {
    "templates": 9, "umi_error_rate": 0.01, "family_sizes": [0, 9],
    "molecules": dict.fromkeys(STRATA, 3), "undecided": dict.fromkeys(STRATA, 0),
}  # fmt: skip
SNP = {"name": "rs1", "pos": 5, "ref_molecules": 1, "alt_molecules": 0, "other_molecules": 0}
COUNTS: dict[str, Any] = {
    "reads_scanned": 9, "reads": {**dict.fromkeys(FILTERS, 0), "counted": 9}, "reads_mapped": 9, "on_target_rate": None,
    "windows": [WINDOW], "fragment_bin": 10, "fragment_lengths": [1, 2], "snps": [SNP],
}  # fmt: skip


def written(folder: Path, value: object) -> Path:
    (folder / "x.json").write_text(json.dumps(value))
    return folder / "x.json"


def read_counts(path: Path) -> dict[str, Any]:
    return read_counts_summary(path, ("windows", "reads"), ("templates", "molecules"))


def test_what_is_right_is_read(tmp_path: Path) -> None:
    assert read_counts(written(tmp_path, COUNTS)) == COUNTS
    assert read_align_summary(written(tmp_path, {"pairs_read": 3, "aligner": "x"})) == {"pairs_read": 3, "aligner": "x"}
    assert read_inputs_used(tmp_path / "absent.json") == {}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "not a table of keys"), ({**COUNTS, "windows": {}}, "'windows': bad value"),
        ({**COUNTS, "reads_mapped": "9"}, "'reads_mapped': bad value: found '9', expected a whole number"),
        ({**COUNTS, "reads_mapped": True}, "'reads_mapped': bad value"),
        ({**COUNTS, "reads_mapped": 10**13}, "'reads_mapped': bad value"),
        ({**COUNTS, "on_target_rate": 1.5}, "'on_target_rate': bad value"),
        ({**COUNTS, "reads": {"counted": 9}}, "'reads': bad value"),
        ({**COUNTS, "fragment_lengths": [-1]}, "'fragment_lengths': bad value"),
        ({**COUNTS, "windows": [7]}, "'windows.0': not a table"),
        ({**COUNTS, "windows": [{**WINDOW, "templates": None}]}, "'windows.0.templates': bad value"),
        ({**COUNTS, "windows": [WINDOW, {"templates": 1}]}, "'windows.1.molecules': missing: expected molecules by"),
        ({**COUNTS, "windows": [{**WINDOW, "molecules": {"duplex": 1}}]}, "'windows.0.molecules': bad value"),
        ({**COUNTS, "snps": [{**SNP, "pos": "5"}]}, "'snps.0.pos': bad value"),
        ({k: v for k, v in COUNTS.items() if k != "reads"}, "'reads': missing"),
    ],
)  # fmt: skip
def test_a_bad_value_in_counts_is_named(tmp_path: Path, value: object, told: str) -> None:
    with pytest.raises(InputError) as error:
        read_counts(written(tmp_path, value))
    assert told in str(error.value)
    assert "x.json" in str(error.value)


EVENT = {
    "type": "a.b.raised.v1",
    "data": {"specimens": [{"sample": "s"}], "drivers": [{"variant": "p.D538G", "category": "NEW"}]},
}


def published(folder: Path, listing: object, event: object = EVENT) -> Path:
    (folder / "manifest.json").write_text(json.dumps(listing))
    (folder / "e.json").write_text(json.dumps(event))
    return folder


def test_events_that_are_there_to_be_shown(tmp_path: Path) -> None:
    assert read_events(tmp_path) == []
    assert read_events(published(tmp_path, {"events": [{"file": "e.json"}]})) == [EVENT]


@pytest.mark.parametrize("listing", [[], {}, {"events": 1}, {"events": [{}]}, {"events": [{"file": "../e.json"}]},
                                     {"events": [{"file": "a\0b"}]}, {"events": [{"file": ""}]}])  # fmt: skip
def test_a_manifest_that_lists_no_events(tmp_path: Path, listing: object) -> None:
    with pytest.raises(InputError, match=r"manifest\.json"):
        read_events(published(tmp_path, listing))


@pytest.mark.parametrize("event", [
    [], {}, {**EVENT, "type": "raised"}, {**EVENT, "data": []}, {**EVENT, "data": {"specimens": []}},
    {**EVENT, "data": {"specimens": [{}], "drivers": []}}, {**EVENT, "data": {"specimens": [], "drivers": [{}]}},
])  # fmt: skip
def test_an_event_that_cannot_be_shown(tmp_path: Path, event: object) -> None:
    with pytest.raises(InputError, match=r"e\.json"):
        read_events(published(tmp_path, {"events": [{"file": "e.json"}]}, event))


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (read_align_summary, {"pairs_read": "9"}), (read_align_summary, 3), (read_inputs_used, {"versions": {}}),
        (read_inputs_used, {"versions": {}, "inputs": {"a": {}}}),
        (read_inputs_used, {"versions": {"x": 1}, "inputs": {}}),
    ],
)  # fmt: skip
def test_other_files_of_steps(tmp_path: Path, read: Callable[[Path], object], value: object) -> None:
    with pytest.raises(InputError, match=r"x\.json"):
        read(written(tmp_path, value))
