"""Files that one step writes and a later one reads: counts, molecules, model. One clear line, or what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from esr1call.background import BackgroundModel
from esr1call.calling import SampleInfo, call_batch
from esr1call.counts import CountTable
from esr1call.io.counts_file import COLUMNS, _digest, read_counts, write_counts
from esr1call.io.model_file import _digest as digest_of
from esr1call.io.model_file import model_to_json, read_model, write_model
from esr1call.io.molecules_file import read_molecules, write_molecules
from esr1call.molecules.sketch import Sketch
from esr1call.panel import Panel
from esr1call.quality.shared import shared_molecules
from esr1call.settings import CallingSettings
from tests.background_builders import World, hotspot_model, hotspot_panel
from tests.fuzz.mutate import CELLS, json_mutants, mutants, table_mutants
from tests.fuzz.surface import Attack, Surface, refused
from tests.io.test_molecules_file import sketch

Rows = dict[tuple[str, str], list[int]]
PANEL: Panel = hotspot_panel()


def some_counts() -> CountTable:
    """A sample with some haplotypes that are not the reference."""
    return World.of(PANEL).sample(PANEL, np.random.default_rng(1), spikes=[("536-538", "p.D538G", 0.01)])


def rows_of(table: CountTable) -> Rows:
    """Molecules by (window, haplotype)."""
    rows = zip(table.window.tolist(), table.haplotype, table.molecules.tolist(), strict=True)
    return {(table.windows[w], h): m for w, h, m in rows}


def written_rows(lines: Iterator[list[str]]) -> Rows:
    """What the cells of a counts file say, by its own columns."""
    rows = {(c[0], c[4].replace("-", "")): [int(x) for x in c[5:]] for c in lines}
    return {key: molecules for key, molecules in rows.items() if any(molecules)}


def counts_tsv(folder: Path) -> Attack:
    """Counts that are taken are those that stand there."""
    path = folder / "counts.tsv"
    write_counts(path, some_counts(), PANEL)
    whole = path.read_bytes()

    def inputs(number: int, seed: int) -> Iterator[bytes]:
        yield from mutants(whole, number // 4, seed)
        yield from table_mutants(whole.decode(), number - number // 4, seed)

    def check(content: bytes) -> bool:
        path.write_bytes(content)
        found: list[CountTable] = []
        if refused(lambda: found.append(read_counts(path, PANEL)), path):
            return False
        lines = [line.rstrip("\r") for line in content.decode("utf-8-sig").split("\n")]
        body = lines[lines.index("\t".join(COLUMNS)) + 1 :]
        assert rows_of(found[0]) == written_rows(x.split("\t") for x in body if x and not x.startswith("#"))
        return True

    return Attack(inputs, check)


def counts_parquet(folder: Path) -> Attack:
    """Changed bytes are seen; another table is read as it stands there."""
    path = folder / "counts.parquet"
    write_counts(path, some_counts(), PANEL)
    whole, table, expected = path.read_bytes(), parquet.read_table(path), rows_of(some_counts())

    def inputs(number: int, seed: int) -> Iterator[tuple[bytes, Rows | None]]:
        yield from ((content, expected) for content in mutants(whole, number // 2, seed))
        chance = Random(seed)
        for _ in range(number - number // 2):
            columns = [c.to_pylist() for c in table.columns]
            names, meta = list(table.column_names), dict(table.schema.metadata or {})
            _spoil(columns, names, meta, chance)
            try:
                made = pyarrow.table(columns, names=names)
            except (pyarrow.ArrowException, OverflowError):
                continue
            rows = list(zip(*columns, strict=True))
            if chance.random() < 0.9:
                meta[b"sha256"] = _digest(rows).encode()
            parquet.write_table(made.replace_schema_metadata(meta), path)
            yield path.read_bytes(), None if names != list(COLUMNS) else _rows(rows)

    def check(given: tuple[bytes, Rows | None]) -> bool:
        content, rows = given
        path.write_bytes(content)
        found: list[CountTable] = []
        if refused(lambda: found.append(read_counts(path, PANEL)), path):
            return False
        assert rows_of(found[0]) == rows
        return True

    return Attack(inputs, check)


def _rows(rows: list[tuple[Any, ...]]) -> Rows | None:
    try:
        return written_rows([str(c) for c in row] for row in rows)
    except ValueError:
        return None


def _spoil(columns: list[list[Any]], names: list[str], meta: dict[bytes, bytes], chance: Random) -> None:
    at = chance.randrange(len(columns))
    row = chance.randrange(len(columns[0]))
    match chance.randrange(7):
        case 0:
            columns[at][row] = chance.choice((*CELLS, None, -1, 3, 10**12, 2.5, True, b"x", [1]))
        case 1:
            columns[at] = [chance.choice((None, str(x), 1.0, b"\xff")) for x in columns[at]]
        case 2:
            for column in columns:
                column.append(column[row])
        case 3:
            for column in columns:
                del column[row]
        case 4:
            names[at] = chance.choice((*CELLS[:9], *COLUMNS))
        case 5:
            key = chance.choice(list(meta))
            meta[key] = chance.choice((b"", b"\xff\xfe", b"2", b"GRCh37", b"a\tb\tc\td"))
        case _:
            del columns[at], names[at]


def molecules(folder: Path) -> Attack:
    """Changed bytes are seen; arrays that were replaced are refused, or can be compared with other samples'."""
    path = folder / "molecules.npz"
    hotspots = [i for i, w in enumerate(PANEL.windows) if w.kind == "hotspot"][:2]
    write_molecules(path, {w: sketch(40, w) for w in hotspots}, PANEL)
    whole, good = path.read_bytes(), read_molecules(path, PANEL)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}

    def inputs(number: int, seed: int) -> Iterator[tuple[bytes, bool]]:
        yield from ((content, True) for content in mutants(whole, number // 2, seed))
        chance = Random(seed)
        for _ in range(number - number // 2):
            changed = dict(arrays)
            name = chance.choice(list(arrays))
            old = arrays[name]
            kinds = [k for k in ("f8", "U8", "bool", "u8") if old.dtype.kind != "U"]
            new: Any = chance.choice((
                np.zeros((0,)), np.array(chance.choice((0, "x", 1e300, -1))), old.reshape(1, *old.shape),
                np.roll(old, 1), old.astype(chance.choice(kinds)) if kinds else old, old[None],
                *((old[:-1], np.repeat(old, 2), np.full_like(old, chance.choice((0, 1)))) if old.ndim else ()),
            ))  # fmt: skip
            changed[name] = new
            if chance.random() < 0.1:
                del changed[chance.choice(list(changed))]
            np.savez(path, **changed)
            yield path.read_bytes(), False

    def check(given: tuple[bytes, bool]) -> bool:
        content, same = given
        path.write_bytes(content)
        found: list[dict[str, Sketch]] = []
        if refused(lambda: found.append(read_molecules(path, PANEL)), path):
            return False
        if same:
            assert [*found[0]] == [*good]
            assert all((getattr(found[0][w], f) == getattr(good[w], f)).all() for w in good for f in vars(good[w]))
        shared_molecules([found[0] or None, good])
        return True

    return Attack(inputs, check)


def model(folder: Path) -> Attack:
    """A changed model is seen by its hash; one whose hash was made to fit is refused, or calls can be made by it."""
    path, table = folder / "model.json", some_counts()
    whole, good = json.dumps(model_to_json(hotspot_model())).encode(), hotspot_model()
    write_model(path, good)
    kept = read_model(path, PANEL)
    info = SampleInfo(
        sample="s", type="patient", batch="b", patient="P1", visit="V1", collected="2024-01-01", plasma_ml=4.0,
        cfdna_ng=30.0, expected={}, counts_sha256="0" * 64,
    )  # fmt: skip

    def inputs(number: int, seed: int) -> Iterator[tuple[bytes, bool]]:
        yield from ((content, True) for content in mutants(whole, number // 2, seed))
        for value in json_mutants(whole, number - number // 2, seed):
            forged = isinstance(value, dict)
            if forged:
                try:
                    value["sha256"] = digest_of(value)
                except ValueError:  # no canonical form
                    forged = False
            yield json.dumps(value).encode(), not forged

    def check(given: tuple[bytes, bool]) -> bool:
        content, same = given
        path.write_bytes(content)
        found: list[BackgroundModel] = []
        if refused(lambda: found.append(read_model(path, PANEL)), path):
            return False
        if same:
            assert found[0].sha256 == kept.sha256
            assert model_to_json(found[0]) == model_to_json(kept)
        elif len(content) % 4 == 0:
            call_batch([(info, table)], PANEL, found[0], CallingSettings(), lambda protein: True)
        return True

    return Attack(inputs, check)


SURFACES = [
    Surface("counts, TSV", 21_000_000, 600, counts_tsv),
    Surface("counts, Parquet", 22_000_000, 60, counts_parquet),
    Surface("molecules to compare by", 23_000_000, 60, molecules),
    Surface("background model", 24_000_000, 10, model),
]


@pytest.mark.parametrize("surface", SURFACES, ids=str)
def test_damaged(surface: Surface, tmp_path: Path) -> None:
    answered, turned_away = surface.rounds(tmp_path)
    assert answered
    assert turned_away
