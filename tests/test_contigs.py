from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.contigs import Slice, build_of, canonical, chromosome_length, place, refseq

CHR6 = {"GRCh38": 170805979, "GRCh37": 171115067}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("6", "chr6"),
        ("chr6", "chr6"),
        ("NC_000006.12", "chr6"),
        ("NC_000006.11", "chr6"),
        ("X", "chrX"),
        ("NC_000023.11", "chrX"),
        ("NC_000024.9", "chrY"),
        ("NC_000006.10", "NC_000006.10"),  # NCBI36, a build that is not ours
        ("GL000009.2", "GL000009.2"),
        ("HLA-A*01:01:01:01", "HLA-A*01:01:01:01"),
        ("chr60", "chr60"),
        ("", ""),
    ],
)
def test_canonical(name: str, expected: str) -> None:
    assert canonical(name) == expected


@pytest.mark.parametrize("contig", [f"chr{c}" for c in [*range(1, 23), "X", "Y"]])
@pytest.mark.parametrize("build", ["GRCh38", "GRCh37"])
def test_an_accession_leads_back_to_its_chromosome_and_build(contig: str, build: str) -> None:
    accession = refseq(contig, build)
    assert accession is not None
    assert canonical(accession) == contig
    assert build_of([(accession, 1)]) == build


def test_accessions_known_by_heart() -> None:
    assert refseq("chr6", "GRCh38") == "NC_000006.12"
    assert refseq("chr6", "GRCh37") == "NC_000006.11"
    assert refseq("chrX", "GRCh38") == "NC_000023.11"
    assert refseq("chrM", "GRCh38") is None


@pytest.mark.parametrize("contig", ["chr6", "6", "NC_000006.12"])
def test_a_region_name_carries_its_offset(contig: str) -> None:
    name = f"{contig}:152098682-152099500"
    s = place(name, 819)
    assert s == Slice(name, "chr6", 152098681, 819)
    assert s.end == 152099500


@pytest.mark.parametrize(
    ("name", "length"),
    [
        ("chr6:152098682-152099500", 818),  # not as long as it says
        ("chr6:0-99", 100),
        ("chr6:200-101", 100),
        ("HLA-DRB1*04:03:01", 100),
        ("chr6", 100),
        ("chr6:" + "9" * 5000 + "-" + "9" * 5000, 1),
    ],
)
def test_other_names_are_whole_contigs(name: str, length: int) -> None:
    s = place(name, length)
    assert (s.contig, s.offset, s.length) == (canonical(name), 0, length)


@given(st.text(min_size=1), st.integers(1, 10**9), st.integers(1, 10**6))
def test_any_contig_name_can_be_sliced(contig: str, start: int, length: int) -> None:
    if "\n" in contig:
        return
    s = place(f"{contig}:{start}-{start + length - 1}", length)
    assert (s.contig, s.offset, s.end) == (canonical(contig), start - 1, start - 1 + length)


@pytest.mark.parametrize("build", ["GRCh38", "GRCh37"])
def test_the_build_shows_in_lengths_and_accessions(build: str) -> None:
    for name in ("6", "chr6"):
        assert build_of([("lambda", 48502), (name, CHR6[build])]) == build
    accession = refseq("chr6", build)
    assert build_of([(f"{accession}:152098682-152099500", 819)]) == build


def test_slices_and_strangers_show_no_build() -> None:
    assert build_of([("chr6:152098682-152099500", 819), ("chr6", 819), ("lambda", 48502)]) is None
    assert build_of([]) is None


@pytest.mark.parametrize(("build", "length"), CHR6.items())
def test_chromosome_length(build: str, length: int) -> None:
    assert chromosome_length("chr6", build) == length
    assert chromosome_length("chr60", build) is None
