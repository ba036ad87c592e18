from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esr1call.errors import InputError
from esr1call.io.molecules_file import read_molecules, write_molecules
from esr1call.molecules.sketch import Sketch, collect
from esr1call.panel import Panel
from esr1call.pileup.windows import code_of
from tests.background_builders import hotspot_panel


def sketch(n: int, seed: int = 1) -> Sketch:
    rng = np.random.default_rng(seed)
    start = rng.integers(151_944_000, 151_944_300, n)
    umis = rng.integers(1, 500, (2, n)).astype(np.uint64)
    haplotype = np.array([code_of("AAG"), code_of("AGG")], dtype=np.uint64)[rng.integers(0, 2, n)]
    return collect(start, start + 166, *umis, haplotype, rng.integers(1, 9, n), code_of("AAG"), most=100).sketch


def test_molecules_come_back_as_they_were(tmp_path: Path, panel: Panel) -> None:
    names = [w.name for w in panel.windows]
    given = {names.index("303"): sketch(500), names.index("380"): sketch(3), names.index("463"): sketch(0)}
    for path in (tmp_path / "a.npz", tmp_path / "b.npz"):
        write_molecules(path, given, panel)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_molecules(tmp_path / "a.npz", panel)
    assert sorted(found) == ["303", "380", "463"]
    for number, old in given.items():
        new = found[names[number]]
        assert all((getattr(new, f) == getattr(old, f)).all() for f in vars(old))
    write_molecules(tmp_path / "none.npz", {}, panel)
    assert read_molecules(tmp_path / "none.npz", panel) == {}


def test_bad_files(tmp_path: Path, panel: Panel) -> None:
    path = tmp_path / "x.npz"
    write_molecules(path, {0: sketch(50)}, panel)
    with pytest.raises(InputError, match="another panel"):
        read_molecules(path, hotspot_panel())
    good = path.read_bytes()
    for bad in (b"", b"nonsense", good[: len(good) // 2]):
        path.write_bytes(bad)
        with pytest.raises(InputError):
            read_molecules(path, panel)
    np.savez(path, panel=panel.sha256)
    with pytest.raises(InputError, match="not a molecules file"):
        read_molecules(path, panel)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", np.int16(0)),
        ("windows", np.array("303")),
        ("start", np.full(50, np.nan)),
        ("limits", np.zeros((1, 2))),
        ("left", np.full(50, "AAA")),
        ("start", np.arange(50, dtype=np.int32)[::-1]),
        ("templates", np.ones((50, 1), np.int32)),
        ("limits", np.zeros((1, 2), np.uint64)),
    ],
)
def test_other_arrays_than_were_written(tmp_path: Path, panel: Panel, name: str, value: np.ndarray) -> None:
    """Of another kind or shape; or out of order, so that nothing would be found among them."""
    path = tmp_path / "x.npz"
    write_molecules(path, {0: sketch(50)}, panel)
    with np.load(path) as archive:
        arrays = {k: archive[k] for k in archive.files}
    np.savez(path, **{**arrays, name: value})
    with pytest.raises(InputError, match="not a molecules file"):
        read_molecules(path, panel)
