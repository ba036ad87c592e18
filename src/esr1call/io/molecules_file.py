"""Molecules kept of each hotspot window, to be compared with other samples': a compressed numpy archive (.npz).

Arrays: `panel` (SHA-256), `windows` (names), `window` int16 [n], the fields of `molecules.sketch.Sketch` but for `key`
(which is made from the others), and `limits` uint64 [windows, 2]. The same molecules give the same bytes.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from esr1call.errors import InputError
from esr1call.io.files import atomic_path, require_file
from esr1call.molecules.sketch import NO_LIMIT, Sketch, keys_of
from esr1call.panel import Panel

_FIELDS = {
    "start": np.int32, "end": np.int32, "left": np.uint64, "right": np.uint64, "haplotype": np.uint64,
    "reference": np.bool_, "templates": np.int32,
}  # fmt: skip
_HINT = "count the sample again"
_NOT_NUMPYS = (TypeError, KeyError, AttributeError, NotImplementedError, SyntaxError, RuntimeError, MemoryError)
"""What numpy and zipfile raise, too, at archives and array headers that are not what they should be."""


def write_molecules(path: str | Path, sketches: Mapping[int, Sketch], panel: Panel) -> None:
    """Write sketches by window number of `panel`."""
    names, found = sorted(sketches), [sketches[w] for w in sorted(sketches)]
    arrays = {
        name: np.concatenate([np.zeros(0, dtype), *(getattr(s, name).astype(dtype) for s in found)])
        for name, dtype in _FIELDS.items()
    }
    arrays["window"] = np.repeat(np.arange(len(found), dtype=np.int16), [len(s) for s in found])
    arrays["limits"] = np.array([s.limits for s in found], dtype=np.uint64).reshape(len(found), 2)
    arrays["windows"] = np.array([panel.windows[w].name for w in names], dtype=np.str_)
    arrays["panel"] = np.array(panel.sha256)
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, **arrays)


def read_molecules(path: str | Path, panel: Panel) -> dict[str, Sketch]:
    """Sketches by window name; InputError where the file is no such file, or of another panel."""
    file = require_file(path)
    bad = InputError("not a molecules file", file=path, expected="a molecules.npz of this software", hint=_HINT)
    try:
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, *_NOT_NUMPYS) as error:
        raise bad from error
    if not {*_FIELDS, "window", "limits", "windows", "panel"} <= set(arrays):
        raise bad
    if str(arrays["panel"]) != panel.sha256:
        raise InputError(
            "made with another panel", file=path, field="panel", found=str(arrays["panel"]), expected=panel.sha256,
            hint=_HINT,
        )  # fmt: skip
    n, windows = arrays["window"].size, arrays["windows"].size
    kinds = {**_FIELDS, "window": np.int16, "limits": np.uint64}
    shapes = {**dict.fromkeys((*_FIELDS, "window"), (n,)), "windows": (windows,), "limits": (windows, 2)}
    if any(arrays[k].shape != shape or arrays[k].dtype != kinds.get(k, arrays[k].dtype) for k, shape in shapes.items()):
        raise bad
    out = {}
    for i, name in enumerate(arrays["windows"]):
        rows = arrays["window"] == i
        start, end = (arrays[k][rows].astype(np.int64) for k in ("start", "end"))
        left, right = arrays["left"][rows], arrays["right"][rows]
        keys = keys_of(start, end, left, right)
        reference, limits = arrays["reference"][rows], arrays["limits"][i]
        if (keys[1:] < keys[:-1]).any() or not all(
            limit in (NO_LIMIT, keys[reference == kind].max(initial=0)) and limit > 0
            for kind, limit in zip((False, True), limits, strict=True)
        ):
            raise bad
        out[str(name)] = Sketch(
            keys, start, end, left, right, arrays["haplotype"][rows],
            reference, arrays["templates"][rows].astype(np.int64), limits,
        )  # fmt: skip
    return out
