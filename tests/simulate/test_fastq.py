from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from esr1call.simulate import write_fastq, write_molecules
from esr1call.simulate.fastq import fastq_records
from esr1call.simulate.sample import ReadChunk
from tests.simulate.world import CLEAN, simulate, text


def chunk(first: int = 0, pairs: int = 3) -> ReadChunk:
    bases = np.tile(np.arange(5, dtype=np.uint8), (pairs, 1))
    quality = np.tile(np.array([37, 23, 12, 37, 2], dtype=np.uint8), (pairs, 1))
    return ReadChunk(
        bases, quality, bases[:, ::-1], quality[:, ::-1], np.arange(pairs) + 7, np.arange(pairs) % 2 == 0,
        np.arange(pairs), first,
    )  # fmt: skip


def test_records() -> None:
    lines = fastq_records(chunk(first=49_999), 2).decode().split("\n")
    assert lines[:8] == [
        "@SIM01:1:SIMFLOWX:1:1101:10000:59999 2:N:0:ACGTACGT", "NTGCA", "+", "#F-8F",
        "@SIM01:1:SIMFLOWX:1:1102:10000:10000 2:N:0:ACGTACGT", "NTGCA", "+", "#F-8F",
    ]  # fmt: skip


def test_tagged_names_tell_molecule_strand_and_member() -> None:
    names = fastq_records(chunk(), 1, tag_names=True).decode().split("\n")[0::4][:2]
    assert [n.split()[0].split(":")[-3:] for n in names] == [
        ["m000000007", "t", "00000"],
        ["m000000008", "b", "00001"],
    ]


def test_names_are_unique_over_many_reads() -> None:
    at = [0, 1, 49_999, 50_000, 50_000 * 8898, 50_000 * 8899, 50_000 * 8899 + 1, 2 * 50_000 * 8899]
    names = [fastq_records(chunk(first, 1), 1).split(b" ")[0] for first in at]
    assert len(set(names)) == len(at)
    assert len({len(n) for n in names}) == 1


def test_files(tmp_path: Path) -> None:
    simulation = simulate(molecules=60, chunk_pairs=200, read_length=60)
    paths = tmp_path / "a_R1.fastq.gz", tmp_path / "a_R2.fastq.gz"
    write_fastq(simulation, *paths)
    for path in paths:
        header = path.read_bytes()[:10]
        assert header[3] == 0, "no file name"
        assert header[4:8] == bytes(4), "no time"
    one, two = (gzip.decompress(p.read_bytes()).decode().splitlines() for p in paths)
    assert len(one) == len(two) == 4 * simulation.read_pairs
    assert [n.split()[0] for n in one[0::4]] == [n.split()[0] for n in two[0::4]]
    assert len(set(one[0::4])) == simulation.read_pairs
    assert one[1::4] == [text(b) for c in simulation.chunks() for b in c.bases_1]
    assert two[3::4] == [bytes(q + 33).decode() for c in simulation.chunks() for q in c.quality_2]
    again = tmp_path / "b_R1.fastq.gz", tmp_path / "b_R2.fastq.gz"
    write_fastq(simulate(molecules=60, chunk_pairs=200, read_length=60), *again)
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in (*paths, *again))


@pytest.mark.parametrize(
    ("structure", "heads", "umi"),
    [
        ("3M2S+T 3M2S+T", (5, 5), lambda one, two: f"{one[:3]}+{two[:3]}"),
        ("8M1S+T +T", (9, 0), lambda one, two: one[:8]),
    ],
)
def test_umis_in_names(tmp_path: Path, structure: str, heads: tuple[int, int], umi: Callable[[str, str], str]) -> None:
    simulation = simulate(molecules=10, read_length=60, read_structure=structure)
    plain, named = ([tmp_path / f"{x}{i}.gz" for i in (1, 2)] for x in "ab")
    write_fastq(simulation, *plain)
    write_fastq(simulation, *named, umi_in_name=True)
    p1, p2, n1, n2 = (gzip.decompress(p.read_bytes()).decode().splitlines() for p in (*plain, *named))
    for i in range(0, len(p1), 4):
        assert n1[i].split()[0] == n2[i].split()[0] == f"{p1[i].split()[0]}:{umi(p1[i + 1], p2[i + 1])}"
    for before, after, head in ((p1, n1, heads[0]), (p2, n2, heads[1])):
        assert [x[head:] for x in before[1::4]] == after[1::4]
        assert [x[head:] for x in before[3::4]] == after[3::4]


def test_empty_sample_is_an_empty_gzip(tmp_path: Path) -> None:
    write_fastq(simulate(molecules=0), tmp_path / "1.gz", tmp_path / "2.gz")
    assert gzip.decompress((tmp_path / "1.gz").read_bytes()) == b""


def test_clumped_reads_compress_better(tmp_path: Path) -> None:
    sizes = []
    for clumped in (False, True):
        simulation = simulate(molecules=400, read_length=100, clumped=clumped, **CLEAN)
        write_fastq(simulation, tmp_path / "1.gz", tmp_path / "2.gz", level=9)
        sizes.append((tmp_path / "1.gz").stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


def test_molecule_table(tmp_path: Path) -> None:
    simulation = simulate(molecules=20, stray_molecules=2)
    write_molecules(simulation, tmp_path / "m.tsv")
    header, *rows = (line.split("\t") for line in (tmp_path / "m.tsv").read_text().splitlines())
    assert header[0] == "molecule"
    assert len(rows) == len(simulation.molecules)
    assert [r[0] for r in rows] == [str(i) for i in range(len(rows))]
    assert sum(int(r[6]) + int(r[7]) for r in rows) == simulation.read_pairs
    assert sum(r[1] == "stray" for r in rows) == 2
    assert {r[4] for r in rows} == {"wt"}
