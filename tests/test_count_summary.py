from __future__ import annotations

from pathlib import Path
from typing import Any

import pysam
import pytest

from esr1call.count_summary import summarise
from esr1call.io.bam import count_bam
from esr1call.panel import Panel
from esr1call.settings import CountSettings
from tests.awkward_reads import awkward_bam
from tests.builders import ReadBuilder

HERE = 152098700


def summary(bam: Path, panel: Panel, settings: CountSettings | None = None) -> dict[str, Any]:
    return summarise(*count_bam(bam, panel, settings or CountSettings()))


def window(found: dict[str, Any], name: str = "536-538") -> dict[str, Any]:
    return next(w for w in found["windows"] if w["window"] == name)


@pytest.fixture
def bam(tmp_path: Path) -> Path:
    """A duplex of six templates, one with a misread UMI, a simplex of two and a singleton, and reads elsewhere."""
    builder = ReadBuilder()
    builder.pair(HERE, HERE + 160, umi="AAA-CCC", copies=3)
    builder.pair(HERE, HERE + 160, umi="AAA-CCT")
    builder.pair(HERE, HERE + 160, umi="CCC-AAA", orientation="F2R1", copies=2)
    builder.pair(HERE + 5, HERE + 95, umi="GGG-TTT", copies=2)
    builder.pair(HERE + 9, HERE + 170, umi="GTG-TTT", changes_1=[(152098791, "A", "G")])
    builder.single(152098682, 152098720, umi="AAA", mapq=0)
    builder.single(152099300, 152099400, umi="AAA", copies=5)
    lost = pysam.AlignedSegment(builder.header)
    lost.query_name, lost.flag, lost.query_sequence = "lost", 4, "ACGT"
    builder.segments.append(lost)
    return builder.write(tmp_path / "x.bam", index=False)


def test_what_is_told_of_a_window(bam: Path, panel: Panel) -> None:
    found = window(summary(bam, panel))
    assert found == {
        "window": "536-538", "reads_forward": 9, "reads_reverse": 9, "templates": 9, "templates_umi_corrected": 1,
        "umi_error_rate": pytest.approx(1 / 54, rel=1e-5), "umi_collisions_expected": 0.0,
        "molecules": {"singleton_F1R2": 0, "singleton_F2R1": 0, "simplex_F1R2": 1, "simplex_F2R1": 0, "duplex": 1},
        "undecided": {"singleton_F1R2": 1, "singleton_F2R1": 0, "simplex_F1R2": 0, "simplex_F2R1": 0, "duplex": 0},
        "duplex_yield": pytest.approx(1 / 3, rel=1e-5), "family_sizes": [0, 1, 2, 0, 1],
    }  # fmt: skip
    empty = window(summary(bam, panel), "380")
    assert (empty["umi_error_rate"], empty["umi_collisions_expected"], empty["duplex_yield"]) == (None, None, None)
    assert empty["family_sizes"] == [0]


def test_without_umis_nothing_is_said_of_them(bam: Path, panel: Panel) -> None:
    found = window(summary(bam, panel, CountSettings(umi="none")))
    assert (found["umi_error_rate"], found["umi_collisions_expected"]) == (None, None)


def test_reads_add_up_and_the_target_rate_needs_no_index(bam: Path, panel: Panel) -> None:
    whole = summary(bam, panel)
    assert whole["reads_scanned"] == sum(whole["reads"].values()) == 25
    assert whole["reads_mapped"] == 24
    assert whole["reads_on_target"] == 18
    assert whole["on_target_rate"] == 0.75
    for option, suffix in (("-b", ".bai"), ("-c", ".csi")):
        pysam.index(option, str(bam), f"{bam}{suffix}")
        found = summary(bam, panel)
        assert found["reads_mapped"] == 24
        assert found["on_target_rate"] == 0.75
        Path(f"{bam}{suffix}").unlink()


def test_an_empty_file(tmp_path: Path, panel: Panel) -> None:
    found = summary(ReadBuilder().write(tmp_path / "x.bam"), panel)
    assert (found["reads_scanned"], found["reads_mapped"], found["on_target_rate"]) == (0, 0, None)


def test_families_templates_and_molecules_agree(tmp_path: Path, panel: Panel) -> None:
    found = summary(awkward_bam(tmp_path / "x.bam", 21), panel)
    seen = window(found)
    families = sum(seen["family_sizes"])
    molecules = sum(seen["molecules"].values()) + sum(seen["undecided"].values())
    duplex = seen["molecules"]["duplex"] + seen["undecided"]["duplex"]
    assert families >= molecules + duplex
    assert sum(size * n for size, n in enumerate(seen["family_sizes"])) == seen["templates"]
    assert seen["templates_umi_corrected"] > 0
    assert seen["reads_forward"] + seen["reads_reverse"] <= found["reads"]["counted"]
    assert seen["templates"] <= seen["reads_forward"] + seen["reads_reverse"]
    assert found["reads_scanned"] == sum(found["reads"].values())
