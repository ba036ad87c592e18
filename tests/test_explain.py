from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from esr1call.counts import STRATA
from esr1call.errors import InputError
from esr1call.explain import COLUMNS, MoleculeReads, chosen, tally, text_rows, window_at
from esr1call.io.bam import explain_bam
from esr1call.panel import Panel
from esr1call.settings import CountSettings
from tests.awkward_reads import awkward_bam
from tests.builders import ReadBuilder
from tests.molecule_oracle import count

HERE = 152098700
D538G = (152098791, "A", "G")


@pytest.mark.parametrize(
    ("seed", "settings"),
    [
        (0, CountSettings()),
        (1, CountSettings(umi="simplex")),
        (2, CountSettings(umi="none")),
        (3, CountSettings(umi_correction="none")),
        (4, CountSettings(min_consensus_quality=60)),
    ],
    ids=str,
)
def test_the_molecules_explained_are_those_counted(
    tmp_path: Path, panel: Panel, seed: int, settings: CountSettings
) -> None:
    mate_tags = seed != 4
    bam = awkward_bam(tmp_path / "x.bam", seed, mate_tags=mate_tags, sloppy=mate_tags)
    expected, _ = count(bam, panel, settings)
    for name in ("536-538", "scan:539-541"):
        found = explain_bam(bam, panel, panel.window_index[name], settings, threads=1 + seed % 2)
        strata = {
            (h, s): n for (w, h), counts in expected.items() if w == name for s, n in zip(STRATA, counts, strict=True)
        }
        assert tally(found) == Counter(strata)
        for m in found:
            assert sum(n for _, n in m.umis_seen) == m.forward + m.reverse
            assert sum(n for _, n in m.shown_forward) == m.forward
            assert sum(n for _, n in m.shown_reverse) == m.reverse
            assert 1 <= len(m.names) <= m.forward + m.reverse


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A duplex of D538G with a misread UMI, a reference singleton, one without a mate, one that cannot decide."""
    builder = ReadBuilder()
    builder.pair(HERE, HERE + 160, umi="AAA-CCC", changes=[D538G], copies=3)
    builder.pair(HERE, HERE + 160, umi="AAA-CCT", changes=[D538G])
    builder.pair(HERE, HERE + 160, umi="CCC-AAA", changes=[D538G], orientation="F2R1", copies=2)
    builder.pair(HERE + 5, HERE + 170, umi="GGG-TTT")
    builder.single(HERE + 20, HERE + 120, umi="ACG", reverse=True)
    builder.pair(HERE, HERE + 160, umi="GTG-TGT", changes_1=[D538G])
    return builder.write(tmp_path / "x.bam")


def test_what_is_told_of_a_molecule(small: Path, panel: Panel) -> None:
    window = panel.window_index["536-538"]
    found = explain_bam(small, panel, window, CountSettings())
    wild, changed = "CTCTATGAC", "CTCTATGGC"
    assert found == [
        MoleculeReads("?", "singleton_F1R2", HERE, HERE + 160, "GTG-TGT", (("GTG-TGT", 1),), 1, 0, ((wild, 1),), (),
                      ("r000009",)),
        MoleculeReads(wild, "singleton_F1R2", HERE + 5, HERE + 170, "GGG-TTT", (("GGG-TTT", 1),), 1, 0, ((wild, 1),),
                      (), ("r000007",)),
        MoleculeReads(wild, "singleton_F2R1", None, HERE + 120, "-ACG", (("-ACG", 1),), 0, 1, (), ((wild, 1),),
                      ("r000008",)),
        MoleculeReads(changed, "duplex", HERE, HERE + 160, "AAA-CCC", (("AAA-CCC", 5), ("AAA-CCT", 1)), 4, 2,
                      ((changed, 4),), ((changed, 2),), tuple(f"r{i:06d}" for i in range(1, 7))),
    ]  # fmt: skip
    rows = list(text_rows(found, panel, panel.windows[window]))
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert dict(zip(COLUMNS, rows[2], strict=True)) == {
        "window": "536-538", "haplotype": wild, "protein": "p.=", "stratum": "singleton_F2R1", "start": ".",
        "end": "152098820", "umi": "-ACG", "umis_seen": "-ACG:1", "templates_F1R2": "0", "templates_F2R1": "1",
        "shown_F1R2": ".", "shown_F2R1": "CTCTATGAC:1", "reads": "r000008",
    }  # fmt: skip
    assert rows[3][2:9] == (
        "p.D538G", "duplex", "152098701", "152098860", "AAA-CCC", "AAA-CCC:5,AAA-CCT:1", "4"
    )  # fmt: skip
    assert [row[2] for row in rows] == ["?", "p.=", "p.=", "p.D538G"]


def test_molecules_are_chosen_by_haplotype_and_variant(small: Path, panel: Panel) -> None:
    window = panel.windows[panel.window_index["536-538"]]
    found = explain_bam(small, panel, panel.window_index["536-538"], CountSettings())
    pick = lambda h, v: [m.haplotype for m in chosen(found, panel, window, h, v)]  # noqa: E731
    assert pick(None, None) == ["?", "CTCTATGAC", "CTCTATGAC", "CTCTATGGC"]
    assert pick("?", None) == ["?"]
    assert pick("CTCTATGAC", None) == ["CTCTATGAC"] * 2
    assert pick(None, "p.D538G") == pick(None, "c.1613A>G") == ["CTCTATGGC"]
    assert pick(None, "p.Y537S") == pick("CTCTATGAC", "p.D538G") == pick("-", None) == []
    with pytest.raises(InputError, match="field 'variant': no such variant in window 536-538: found 'D538G'"):
        pick(None, "D538G")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("536-538", "536-538"), ("380", "380"), ("152098784", "536-538"), ("152098792", "536-538"),
        ("chr6:152098791", "536-538"), ("6:152,098,791", "536-538"), ("152011697", "380"), ("152011699", "380"),
    ],
)  # fmt: skip
def test_windows_are_found_by_name_and_by_position(panel: Panel, place: str, name: str) -> None:
    assert panel.windows[window_at(panel, place)].name == name


@pytest.mark.parametrize(
    "place", ["", "1", "chr7:152098791", "D538G", "-152098791", "152011500", "chr6", "380-2", "9" * 5000]
)
def test_places_without_a_window(panel: Panel, place: str) -> None:
    with pytest.raises(InputError, match="field 'explain': no window there"):
        window_at(panel, place)
