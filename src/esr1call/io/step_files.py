"""What steps leave beside their results for people and for later steps: counts.json and align.json, read back.

Each value that is used is held against its kind by hand: a schema would take longer than all the rest of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from esr1call.counts import STRATA
from esr1call.errors import InputError
from esr1call.io.files import read_json
from esr1call.pileup.filters import FILTERS

_MOST = 10**12


def read_counts_summary(path: str | Path, needs: Sequence[str], of_windows: Sequence[str]) -> dict[str, Any]:
    """counts.json (see `count_summary`) with at least the keys `needs`, and `of_windows` in each of its windows.

    Raises InputError, which names the first bad value.
    """
    values = _read(path, _COUNTS, needs)
    for name, kinds, inner_needs in (("windows", _WINDOW, of_windows), ("snps", _SNP, tuple(_SNP))):
        for i, inner in enumerate(values.get(name, ())):
            _check(inner, kinds, inner_needs, path, f"{name}.{i}.")
    return values


def read_align_summary(path: str | Path) -> dict[str, Any]:
    """align.json; InputError names the first bad value."""
    return _read(path, _ALIGN, ())


def read_events(triggers: str | Path) -> list[dict[str, Any]]:
    """The events that a batch published, as its manifest lists them; none without one. They are read to be shown:
    `esr1call verify` is what proves them. Raises InputError where something that is shown is not there."""
    from esr1call.io.outbox import MANIFEST

    manifest = Path(triggers, MANIFEST)
    if not manifest.exists():
        return []
    events = []
    for i, listed in enumerate(_read(manifest, {"events": _LIST}, ("events",))["events"]):
        _check(listed, {"file": _FILE}, ("file",), manifest, f"events.{i}.")
        path = manifest.with_name(listed["file"])
        event = _read(path, _EVENT, tuple(_EVENT))
        _check(event["data"], _DATA, tuple(_DATA), path, "data.")
        for name, keys in (("specimens", ("sample",)), ("drivers", ("variant", "category"))):
            for k, inner in enumerate(event["data"][name]):
                _check(inner, dict.fromkeys(keys, _NAME), keys, path, f"data.{name}.{k}.")
        events.append(event)
    return events


def read_inputs_used(path: str | Path) -> dict[str, Any]:
    """provenance.json as far as it is shown: versions, and inputs with their SHA-256; empty where it is not there."""
    if not Path(path).exists():
        return {}
    values = _read(path, {"versions": _TABLE, "inputs": _TABLE}, ("versions", "inputs"))
    _check(values["versions"], dict.fromkeys(values["versions"], _NAME), (), path, "versions.")
    for name, given in values["inputs"].items():
        _check(given, {"sha256": _NAME}, ("sha256",), path, f"inputs.{name}.")
    return values


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _share(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _wholes(value: object) -> bool:
    return isinstance(value, list) and all(map(_whole, value))


def _by_stratum(value: object) -> bool:
    return isinstance(value, dict) and set(value) == set(STRATA) and all(map(_whole, value.values()))


Kinds = Mapping[str, tuple[Callable[[object], bool], str]]
_NUMBER = _whole, "a whole number, 0 or more"
_RATE = _share, "a share from 0 to 1, or null"
_NAME = _text, "text"
_NUMBERS = _wholes, "a list of whole numbers"
_MOLECULES = _by_stratum, "molecules by stratum"
_LIST = (lambda v: isinstance(v, list)), "a list"
_TABLE = (lambda v: isinstance(v, dict)), "keys and values"
_FILE = (
    (lambda v: isinstance(v, str) and v != "" and Path(v).name == v and "\0" not in v),
    "the name of a file beside it",
)
_EVENT: Kinds = {"type": (lambda v: isinstance(v, str) and v.count(".") > 1, "a type of event"), "data": _TABLE}
_DATA: Kinds = {"specimens": _LIST, "drivers": _LIST}
_WINDOW: Kinds = {
    "templates": _NUMBER, "umi_error_rate": _RATE, "molecules": _MOLECULES, "undecided": _MOLECULES,
    "family_sizes": _NUMBERS,
}  # fmt: skip
_SNP: Kinds = {
    "name": _NAME, "pos": _NUMBER, "ref_molecules": _NUMBER, "alt_molecules": _NUMBER, "other_molecules": _NUMBER,
}  # fmt: skip
_COUNTS: Kinds = {
    "reads_scanned": _NUMBER, "reads_mapped": _NUMBER, "on_target_rate": _RATE,
    "reads": (lambda v: isinstance(v, dict) and set(v) == set(FILTERS) and all(map(_whole, v.values())), "all filters"),
    "windows": _LIST, "snps": _LIST,
    "fragment_bin": (lambda v: _whole(v) and bool(v), "a whole number, 1 or more"),
    "fragment_lengths": (lambda v: v is None or _wholes(v), "a list of whole numbers, or null"),
}  # fmt: skip
_ALIGN: Kinds = dict.fromkeys(
    ("pairs_read", "dropped_by_screen", "dropped_shorter_than_structure", "dropped_short_after_trimming", "pairs_kept",
     "reads_mapped", "reads_unmapped", "reads_on_target"), _NUMBER,
)  # fmt: skip


def _read(path: str | Path, kinds: Kinds, needs: Sequence[str]) -> dict[str, Any]:
    values = read_json(path)
    _check(values, kinds, needs, path, "")
    assert isinstance(values, dict)
    return values


def _check(values: object, kinds: Kinds, needs: Sequence[str], path: str | Path, at: str) -> None:
    hint = "run the sample again"
    if not isinstance(values, dict):
        raise InputError("not a table of keys and values", file=path, field=at[:-1] or None, hint=hint)
    for name in needs:
        if name not in values:
            raise InputError("missing", file=path, field=at + name, expected=kinds[name][1], hint=hint)
    for name, (fits, expected) in kinds.items():
        if name in values and not fits(values[name]):
            raise InputError("bad value", file=path, field=at + name, found=values[name], expected=expected, hint=hint)
