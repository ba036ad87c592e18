from __future__ import annotations

import pytest

from esr1call.errors import InputError
from esr1call.panel import Panel
from esr1call.simulate import SimulationParameters, Spike, parse_read_structure, parse_snp, parse_spike
from esr1call.simulate.parameters import Change


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("3M2S+T 3M2S+T", ("MMMSS", "MMMSS")),
        ("8M+T +T", ("M" * 8, "")),
        ("+T +T", ("", "")),
        ("19M16S+T +T", ("M" * 19 + "S" * 16, "")),
        ("2S3M1S+T 4M+T", ("SSMMMS", "MMMM")),
    ],
)
def test_read_structure(text: str, kinds: tuple[str, str]) -> None:
    layouts = parse_read_structure(text)
    assert tuple(layout.kinds for layout in layouts) == kinds
    assert layouts[0].umi_length == kinds[0].count("M")


@pytest.mark.parametrize(
    "text", ["", "3M2S+T", "3M2S+T 3M2S+T +T", "3M2S 3M2S", "+T3M +T", "3X+T +T", "+M+T +T", "T +T"]
)
def test_bad_read_structure(text: str) -> None:
    with pytest.raises(InputError, match="read_structure"):
        parse_read_structure(text)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("p.D538G=0.01", [(152098790, "A", "G")]),
        ("D538G=0.01", [(152098790, "A", "G")]),
        ("c.1613A>G=0.01", [(152098790, "A", "G")]),
        ("p.Y537S=0.01", [(152098787, "A", "C")]),
        ("c.1609_1610delinsAG=0.01", [(152098786, "TA", "AG")]),
        ("p.L536Q=0.01", [(152098784, "TC", "AG")]),
        ("536-538:CTCTATGGC=0.01", [(152098790, "A", "G")]),
        ("scan:539-541:CTGCTGTTG=0.01", [(152098798, "C", "T")]),
        ("p.D538G+p.E380Q=0.01", [(152011696, "G", "C"), (152098790, "A", "G")]),
    ],
)
def test_spike(panel: Panel, text: str, changes: list[tuple[int, str, str]]) -> None:
    spike = parse_spike(text, panel)
    assert [(c.start, c.ref, c.alt) for c in spike.changes] == changes
    assert spike.vaf == 0.01


def test_deletion_takes_three_bases(panel: Panel) -> None:
    (change,) = parse_spike("p.V422del=1", panel).changes
    assert len(change.ref) == 3
    assert change.alt == ""
    assert change.window == "421-423"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("p.D538G", "VAF"), ("p.D538G=", "VAF"), ("p.D538G=2", "VAF"), ("p.D538G=nan", "VAF"), ("=0.1", "VAF"),
        ("p.D538X=0.1", "unknown variant"), ("p.D538G+=0.1", "unknown variant"), ("999:ACG=0.1", "unknown variant"),
        ("536-538:CTCTATGAC=0.1", "haplotype"), ("536-538:ctc=0.1", "haplotype"),
        ("p.D538G+c.1613A>G=0.1", "overlap"), ("p.L536Q+p.L536R=0.1", "overlap"),
    ],
)  # fmt: skip
def test_bad_spike(panel: Panel, text: str, found: str) -> None:
    with pytest.raises(InputError, match=found):
        parse_spike(text, panel)


def test_snp() -> None:
    assert parse_snp("152098700:A>G:het").change == Change(152098699, "A", "G")
    assert parse_snp("5:A>G:hom").homozygous
    for bad in ("5:A>A:het", "0:A>G:het", "5:A>G", "x:A>G:het", "5:A>GG:het"):
        with pytest.raises(InputError, match="snp"):
            parse_snp(bad)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("molecules", -1.0), ("molecules", float("nan")), ("recovery", 1.1), ("mean_family_size", 0.5),
        ("duplex_rate", -0.1), ("read_length", 10), ("polymerase_error", 0.5), ("quality_bins", (37, 12, 2)),
        ("quality_bins", (2, 37)), ("low_quality", (0.1, 0.9)), ("fragment_mode", 5), ("read_structure", "x"),
    ],
)  # fmt: skip
def test_out_of_range(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        SimulationParameters(**{name: value})  # type: ignore[arg-type]


def test_reads_shorter_than_their_structure() -> None:
    with pytest.raises(InputError, match="too short for the read structure"):
        SimulationParameters(read_length=50, read_structure="19M16S+T +T")


def test_vafs_of_clones_add_up_to_one_at_most() -> None:
    change = (Change(0, "A", "C"),)
    SimulationParameters(spikes=(Spike("a", 0.5, change), Spike("b", 0.5, change)))
    with pytest.raises(InputError, match="add up"):
        SimulationParameters(spikes=(Spike("a", 0.6, change), Spike("b", 0.5, change)))
