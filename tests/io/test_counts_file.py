from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pytest
from pyarrow import parquet

from esr1call.counts import UNDECIDED
from esr1call.errors import InputError
from esr1call.io.counts_file import COLUMNS, read_counts, write_counts
from tests.background_builders import empty_counts, hotspot_panel
from tests.builders import count_table, esr1_panel


def written(path: Path) -> list[str]:
    table = count_table({("536-538", "p.D538G"): {"duplex": 3, "singleton_F1R2": 1}, ("536-538", UNDECIDED): 4,
                         ("536-538", ""): 1}, panel=hotspot_panel())  # fmt: skip
    write_counts(path, table, hotspot_panel())
    return path.read_text().splitlines()


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "counts.tsv"
    lines = written(path)
    assert lines[3].split("\t") == list(COLUMNS)
    assert "536-538\tchr6\t152098783\t152098792\tCTCTATGGC\t1\t0\t0\t0\t3" in lines
    table = read_counts(path, hotspot_panel())
    index = hotspot_panel().window_index["536-538"]
    assert table.of(index, "CTCTATGGC").tolist() == [1, 0, 0, 0, 3]
    assert table.of(index, "").sum() == 1
    assert table.undecided()[index].sum() == 4
    again = tmp_path / "again.tsv"
    write_counts(again, table, hotspot_panel())
    assert again.read_bytes() == path.read_bytes()


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    written(tmp_path / "counts.tsv")
    table = read_counts(tmp_path / "counts.tsv", hotspot_panel())
    write_counts(tmp_path / "counts.parquet", table, hotspot_panel())
    again = read_counts(tmp_path / "counts.parquet", hotspot_panel())
    assert again.haplotype == table.haplotype
    assert np.array_equal(again.molecules, table.molecules)
    frame = pandas.read_parquet(tmp_path / "counts.parquet")
    assert list(frame.columns) == list(COLUMNS)
    assert frame.groupby("haplotype").duplex.sum()["CTCTATGGC"] == 3


def parquet_of(path: Path, metadata: dict[bytes, str] | None = None, **changed: object) -> None:
    """A Parquet counts file with every row's column changed as said; `metadata` adds to its schema's."""
    write_counts(path, count_table({("536-538", "p.D538G"): 4}, panel=hotspot_panel()), hotspot_panel())
    table = parquet.read_table(path)
    metadata = {**table.schema.metadata, **(metadata or {})}
    columns = {name: table[name].to_pylist() for name in table.column_names}
    columns |= {name: [value] * len(table) for name, value in changed.items()}
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"metadata": {b"esr1call-counts": "2"}}, "not a counts file"),
        ({"metadata": {b"build": "GRCh37"}}, "another genome build"),
        ({"metadata": {b"panel": "x\t1\tabc"}}, "another panel"),
        ({"more": 1}, "bad columns"),
        ({"haplotype": "XYZ"}, "line 1, field 'haplotype': bad haplotype"),
        ({"duplex": -1}, "line 1, field 'duplex': not a number of molecules"),
        ({"duplex": None}, "line 1, field 'duplex': not a number of molecules"),
        ({"haplotype": "CTCTATGGC"}, ": row given twice"),
        ({"start": 5}, "the window lies elsewhere"),
    ],
)
def test_bad_parquet(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    path = tmp_path / "counts.parquet"
    parquet_of(path, **changed)
    with pytest.raises(InputError) as error:
        read_counts(path, hotspot_panel())
    assert said in str(error.value)


def test_a_number_that_was_changed_in_parquet_is_seen(tmp_path: Path) -> None:
    """It has no checksum of its own, and a digit is no less a digit for a flipped bit."""
    parquet_of(tmp_path / "counts.parquet", duplex=3)
    with pytest.raises(InputError, match="field 'sha256': the rows are not those that were written"):
        read_counts(tmp_path / "counts.parquet", hotspot_panel())


def test_parquet_with_text_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "counts.parquet"
    write_counts(path, count_table({("536-538", "p.D538G"): 4}, panel=hotspot_panel()), hotspot_panel())
    table = parquet.read_table(path)
    letters = pyarrow.array([b"\xd4"] * len(table), type=pyarrow.binary()).view(pyarrow.string())
    parquet.write_table(table.set_column(4, "haplotype", letters), path)
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_counts(path, hotspot_panel())


def test_parquet_with_metadata_that_is_no_text(tmp_path: Path) -> None:
    parquet_of(tmp_path / "counts.parquet", {b"build": b"\xff"})
    with pytest.raises(InputError, match="counted on another genome build"):
        read_counts(tmp_path / "counts.parquet", hotspot_panel())


def test_a_cut_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "counts.parquet"
    parquet_of(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_counts(path, hotspot_panel())


def test_a_sample_without_molecules(tmp_path: Path) -> None:
    path = tmp_path / "counts.tsv"
    write_counts(path, empty_counts(hotspot_panel()), hotspot_panel())
    table = read_counts(path, hotspot_panel())
    assert not table.depth().any()
    assert np.array_equal(table.windows, [w.name for w in hotspot_panel().windows])


def test_counts_over_other_windows_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other windows"):
        write_counts(tmp_path / "counts.tsv", empty_counts(esr1_panel()), hotspot_panel())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("#esr1call-counts\t1", "#esr1call-counts\t2", "line 1: not a counts file"),
        ("\tduplex\n", "\n", "line 4: bad columns"),
        ("\tstart\t", "\tend\t", "line 4: bad columns"),
        ("CTCTATGGC\t1", "CTCTATGGC\t-1", "field 'singleton_F1R2': not a number of molecules: found '-1'"),
        ("CTCTATGGC\t1", "CTCTATGGC\t1.5", "field 'singleton_F1R2': not a number"),
        ("CTCTATGGC\t1", "CTCTATGGC\t9999999999999999", "field 'singleton_F1R2': not a number"),
        ("CTCTATGGC\t1", "CTCTATGGC\t", "field 'singleton_F1R2': not a number"),
        ("CTCTATGGC\t1", "CTCTATGGC\t٣", "field 'singleton_F1R2': not a number"),
        ("CTCTATGGC\t1", "CTCTATGGC\t1\t1", "wrong number of columns: found '11', expected 10"),
        ("CTCTATGGC\t1", "ctctatggc\t1", "field 'haplotype': bad haplotype"),
        ("CTCTATGGC\t1", "\t1", "field 'haplotype': bad haplotype"),
        ("CTCTATGGC\t1", "CTCTATGAC\t1", "row given twice: found '536-538 CTCTATGAC'"),
        ("536-538\tchr6\t152098783\t152098792\tCTCTATGGC", "1-2\tchr6\t1\t2\tA", "unknown window: found '1-2'"),
        ("152098783\t152098792\tCTCTATGGC", "152419918\t152419927\tCTCTATGGC", "the window lies elsewhere"),
        ("#build\tGRCh38", "#build\tGRCh37", "field 'build': counted on another genome build"),
        ("#build\tGRCh38\n", "", "field 'build': counted on another genome build: found 'none'"),
        ("#panel\tesr1_lbd", "#panel\tx\tesr1_lbd", "field 'panel': counted with another panel"),
        ("#end\t", "#end\t1", "the file is cut off"),
        ("#end\t", "#fin\t", "the file is cut off"),
    ],
)
def test_spoiled_files(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "counts.tsv"
    written(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_counts(path, hotspot_panel())
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_cut_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "counts.tsv"
    written(path)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(InputError):
            read_counts(path, hotspot_panel())
    path.write_bytes(data + b"more\n")
    with pytest.raises(InputError, match="lines after the end"):
        read_counts(path, hotspot_panel())


def test_another_panel(tmp_path: Path) -> None:
    path = tmp_path / "counts.tsv"
    written(path)
    with pytest.raises(InputError, match="another panel"):
        read_counts(path, esr1_panel())
