"""A finished batch whose files were changed afterwards, read by summary, report, export, call and trigger's report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from esr1call.count_summary import summarise
from esr1call.io.bam import count_bam
from esr1call.io.files import write_json
from esr1call.settings import CountSettings
from esr1call.timeline import to_json
from tests.awkward_reads import awkward_bam
from tests.builders import PANEL_TSV, REFERENCE_FASTA, esr1_panel, sample_result
from tests.cli.test_call import Lab
from tests.fuzz.mutate import json_mutants, mutants
from tests.fuzz.surface import Attack, Surface, command
from tests.report import batches

Given = tuple[Path, bytes, int]
"""(file, its content, which of the commands reads it)"""


def counts_json(folder: Path) -> bytes:
    """What counting says of a small BAM."""
    panel = esr1_panel()
    table, counter = count_bam(awkward_bam(folder / "x.bam", 1), panel, CountSettings())
    return json.dumps(summarise(table, counter)).encode()


def changed(path: Path, whole: bytes, chance: Random) -> bytes:
    """Its bytes or its values changed."""
    if chance.random() < 0.3:
        return next(mutants(whole, 1, chance.getrandbits(32)))
    return json.dumps(next(json_mutants(whole, 1, chance.getrandbits(32)))).encode()


def finished(folder: Path) -> Attack:
    """Every file of a batch's folder, read by summary, report and export."""
    out = batches.folder(folder, patients=1, visits=2)
    settings = json.loads((out / "config.json").read_bytes())
    settings |= {"reference": {"path": str(REFERENCE_FASTA), "build": "GRCh38"}, "panel": str(PANEL_TSV)}
    write_json(out / "config.json", settings)
    counts = counts_json(folder)
    sha = esr1_panel().sha256
    for place in (out / "samples").iterdir():
        (place / "counts.json").write_bytes(counts)
        result = json.loads((place / "result.json").read_bytes())
        result["inputs"]["panel"] = sha
        write_json(place / "result.json", result)
    files = [p for p in sorted(out.rglob("*.json")) if p.name != "manifest.schema.json" and "NTC" not in str(p)]
    good = {p: p.read_bytes() for p in files}
    made = str(folder / "made")
    commands = [
        ["summary", str(out), "--out", f"{made}.txt", "--reads", f"{made}.tsv"],
        ["report", str(out), "--out", made],
        ["export", str(out), "--out", made, "--format", "tables", "--format", "multiqc", "--format", "sdtm"],
        ["export", str(out), "--out", made, "--format", "fhir"],
    ]
    for arguments in commands:
        assert command(arguments)

    def inputs(number: int, seed: int) -> Iterator[Given]:
        chance = Random(seed)
        for _ in range(number):
            path = chance.choice(files)
            yield path, changed(path, good[path], chance), chance.randrange(len(commands))

    def check(given: Given) -> bool:
        path, content, which = given
        path.write_bytes(content)
        try:
            return command(commands[which])
        finally:
            path.write_bytes(good[path])

    return Attack(inputs, check)


def called(folder: Path) -> Attack:
    """What lies beside a sample's counts, and the patients' earlier results, read by call."""
    lab = Lab(folder)
    assert lab.run() == 0
    stats, earlier = folder / "samples" / "p2" / "counts.json", folder / "earlier.json"
    before = sample_result(sample="old", patient="P1", collected="2023-06-01")
    write_json(earlier, {"P1": [to_json(before)]})
    good = {stats: counts_json(folder), earlier: earlier.read_bytes()}
    stats.write_bytes(good[stats])
    arguments = ["call", "--config", str(folder / "config.yaml"), "--counts-dir", str(folder / "samples")]
    arguments += ["--out-dir", str(folder / "out"), "--earlier", str(earlier)]
    assert command(arguments)

    def inputs(number: int, seed: int) -> Iterator[Given]:
        chance = Random(seed)
        for _ in range(number):
            path = chance.choice(list(good))
            yield path, changed(path, good[path], chance), 0

    def check(given: Given) -> bool:
        path, content, _ = given
        path.write_bytes(content)
        try:
            return command(arguments, path)
        finally:
            path.write_bytes(good[path])

    return Attack(inputs, check)


SURFACES = [
    Surface("files of a finished batch, by summary, report and export", 31_000_000, 12, finished),
    Surface("counts.json and earlier results, by call", 32_000_000, 4, called),
]


@pytest.mark.parametrize("surface", SURFACES, ids=str)
def test_damaged(surface: Surface, tmp_path: Path) -> None:
    answered, turned_away = surface.rounds(tmp_path)
    assert answered
    assert turned_away
