from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from esr1call.cli import run
from tests.alignment.library import cut_pairs, fastq_text, random_bases, write_gz, write_pairs
from tests.builders import PANEL_TSV, REFERENCE_FASTA, slices

RNG = np.random.default_rng(3)
OWN = [(f"own:{n}", a, b) for n, a, b in cut_pairs(next(iter(slices().values())), 50, RNG)]
FOREIGN = [(f"foreign:{n}", a, b) for n, a, b in cut_pairs(random_bases(RNG, 20000), 500, RNG)]
GIVEN = ["--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA)]


def interleaved(pairs: list[tuple[str, str, str]]) -> str:
    return "".join(fastq_text([(n, a), (n, b)]) for n, a, b in pairs)


def test_kept_pairs_go_to_standard_output(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    one, two = write_pairs(tmp_path, FOREIGN[:250] + OWN + FOREIGN[250:])
    assert run(["screen", str(one), str(two), *GIVEN, "--stats", str(tmp_path / "s.json")]) == 0
    out, err = capfdbinary.readouterr()
    assert out.decode() == interleaved(OWN)
    assert err.decode() == "esr1call screen: kept 50 of 550 pairs\n"
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["pairs_read"], stats["pairs_kept"]) == (550, 50)


def test_lanes_and_an_interleaved_file_to_a_file(tmp_path: Path) -> None:
    lanes = [write_pairs(tmp_path, part, f"l{i}") for i, part in enumerate((FOREIGN[:9] + OWN[:20], OWN[20:]))]
    given = [";".join(str(lane[mate]) for lane in lanes) for mate in (0, 1)]
    assert run(["screen", *given, *GIVEN, "--out", str(tmp_path / "out.fq")]) == 0
    assert (tmp_path / "out.fq").read_text() == interleaved(OWN)
    file = write_gz(tmp_path / "both.gz", interleaved(FOREIGN[:9] + OWN))
    assert run(["screen", str(file), *GIVEN, "--out", str(tmp_path / "again.fq")]) == 0
    assert (tmp_path / "again.fq").read_text() == interleaved(OWN)


def test_what_goes_wrong_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = write_pairs(tmp_path, OWN)
    two.write_bytes(two.read_bytes()[:-30])
    out = ["--out", str(tmp_path / "out.fq")]
    assert run(["screen", str(one), str(two), *GIVEN, *out]) == 2
    assert run(["screen", str(one), str(one), *GIVEN, *out]) == 2
    assert run(["screen", str(one), *GIVEN, *out]) == 2
    assert run(["screen", str(one), str(two), *GIVEN, *out, "--build", "GRCh37"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 4
    for line, said in zip(err, ("truncated gzip", "both mates", "name differs", "reference"), strict=True):
        assert said in line
    assert not (tmp_path / "out.fq").exists()
