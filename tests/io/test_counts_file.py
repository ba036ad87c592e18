from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
