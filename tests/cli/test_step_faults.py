"""Every step that writes, where it can't: a disk that is full at any point of it, a folder that is read-only."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
import pytest
import yaml

from esr1call.alignment import output
from esr1call.alignment.indexing import build_index
from esr1call.cli import run
from tests.alignment.library import cut_pairs, write_pairs
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT, slices
from tests.small_disk import remount, small_disk

PLACE = ("--reference", str(REFERENCE_FASTA), "--panel", str(PANEL_TSV))
UMIS = ("--read-structure", "3M2S+T 3M2S+T")
RULE = ROOT / "config" / "rules" / "pada1.yaml"
SAMPLES = ("P1-V1", "P1-V2", "P2-V1")
PAGE = 4096


@dataclass(frozen=True)
class Lab:
    """A finished small batch in `folder`, with what it was made from."""

    folder: Path

    def reads(self, sample: str) -> list[str]:
        one, two = (str(self.folder / f"{sample}_R{mate}.fastq.gz") for mate in (1, 2))
        return ["--sample", sample, "--fastq-1", one, "--fastq-2", two, "--index", str(self.folder / "index/reference")]

    @property
    def batch(self) -> Path:
        return self.folder / "results" / "B1"

    @property
    def counts(self) -> list[str]:
        return [str(self.batch / "samples" / s / "counts.tsv") for s in SAMPLES]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    lab, rng = Lab(folder), np.random.default_rng(5)
    bases = slices()[max(slices(), key=lambda n: len(slices()[n]))]
    build_index(REFERENCE_FASTA, folder / "index")
    rows = ["sample\tpatient\tvisit\tcollected\ttype\tfastq_1\tfastq_2\tplasma_ml\tcfdna_ng"]
    for i, sample in enumerate(SAMPLES):
        write_pairs(folder, cut_pairs(bases, 300, rng), sample)
        rows.append(f"{sample}\tP{sample[1]}\tV{sample[-1]}\t2024-01-0{i + 1}\tpatient"
                    f"\t{sample}_R1.fastq.gz\t{sample}_R2.fastq.gz\t4\t20")  # fmt: skip
    (folder / "samples.tsv").write_text("\n".join(rows) + "\n")
    config = {
        "batch": "B1", "study": "S1", "samples": str(folder / "samples.tsv"), "output": str(folder / "results"),
        "reference": {"path": str(REFERENCE_FASTA), "build": "GRCh38"}, "panel": str(PANEL_TSV),
        "background": str(ROOT / "test_data" / "background" / "model.json"),
        "trigger": {"rule": str(RULE), "ledger": str(folder / "ledger.sqlite")},
        "alignment": {"read_structure": "3M2S+T 3M2S+T"},
    }  # fmt: skip
    lab.batch.mkdir(parents=True)
    (lab.batch / "config.json").write_text(yaml.safe_dump(config))
    for sample in SAMPLES:
        out = lab.batch / "samples" / sample
        assert run(["sample", *lab.reads(sample), *UMIS, *PLACE, "--keep-bam", "--out-dir", str(out)]) == 0
    pysam.sort("-n", "-o", str(folder / "by_name.bam"), str(lab.batch / "samples/P1-V1/aligned.bam"))
    assert run(["qc", str(lab.batch)]) == 0
    assert run(["trigger", *TRIGGER, "--batch-dir", str(lab.batch), "--ledger", str(folder / "ledger.sqlite"),
                "--out", str(lab.batch / "triggers")]) == 0  # fmt: skip
    return lab


TRIGGER = ("--rule", str(RULE), "--study", "S1", "--batch", "B1")
CONFIG = "results/B1/config.json"
# What each step is given to write to the folder `out`.
STEPS: dict[str, Callable[[Lab, str], list[str]]] = {
    "index": lambda lab, out: ["index", "--reference", str(REFERENCE_FASTA), "--out-dir", f"{out}/index"],
    "align": lambda lab, out: [
        "align", *lab.reads("P1-V1"), *UMIS, *PLACE, "--out", f"{out}/a.bam", "--stats", f"{out}/align.json",
    ],
    "align through files": lambda lab, out: [
        "align", *lab.reads("P1-V1"), *UMIS, *PLACE, "--out", f"{out}/a.bam", "--stats", f"{out}/align.json",
    ],
    "align a BAM": lambda lab, out: [
        "align", "--sample", "S", "--bam", str(lab.folder / "by_name.bam"), *PLACE, "--out", f"{out}/a.bam",
        "--stats", f"{out}/align.json",
    ],
    "count": lambda lab, out: [
        "count", "--bam", str(lab.batch / "samples/P1-V1/aligned.bam"), *PLACE, "--out", f"{out}/counts.tsv",
        "--stats", f"{out}/counts.json", "--molecules", f"{out}/molecules.npz",
    ],
    "count to Parquet": lambda lab, out: [
        "count", "--bam", str(lab.batch / "samples/P1-V1/aligned.bam"), *PLACE, "--out", f"{out}/counts.parquet",
    ],
    "sample": lambda lab, out: ["sample", *lab.reads("P1-V1"), *UMIS, *PLACE, "--keep-bam", "--out-dir", f"{out}/s"],
    "screen": lambda lab, out: [
        "screen", *(str(lab.folder / f"P1-V1_R{mate}.fastq.gz") for mate in (1, 2)), *PLACE, "--out", f"{out}/kept.fq",
        "--stats", f"{out}/screen.json",
    ],
    "background fit": lambda lab, out: [
        "background", "fit", *PLACE, *lab.counts, "--chemistry", "c", "--lot", "1", "--date", "2024-01-01",
        "--out", f"{out}/model.json",
    ],
    "simulate": lambda lab, out: [
        "simulate", *PLACE, "--molecules", "200", "--targets", "hotspots", "--seed", "1", "--out-prefix", f"{out}/sim",
    ],
    "provenance": lambda lab, out: [
        "provenance", "--config", str(lab.folder / CONFIG), "--out", f"{out}/provenance.json",
    ],
    "earlier": lambda lab, out: ["earlier", "--config", str(lab.folder / CONFIG), "--out", f"{out}/earlier.json"],
    "call": lambda lab, out: [
        "call", "--config", str(lab.folder / CONFIG), "--counts-dir", str(lab.batch / "samples"), "--out-dir", out,
    ],
    "qc": lambda lab, out: ["qc", out],
    "trigger": lambda lab, out: [
        "trigger", *TRIGGER, "--batch-dir", str(lab.batch), "--ledger", f"{out}/l.sqlite", "--out", f"{out}/triggers",
    ],
    "summary": lambda lab, out: ["summary", str(lab.batch), "--out", f"{out}/s.txt", "--reads", f"{out}/reads.tsv"],
    "report": lambda lab, out: ["report", str(lab.batch), "--out", out],
    "export": lambda lab, out: ["export", str(lab.batch), "--out", out],
}  # fmt: skip


HEAVY = ("background fit", "call", "qc", "report", "export")
"""Steps that take long: their disk is full halfway only."""


def prepare(lab: Lab, step: str, out: Path) -> None:
    """What must lie there before: `qc` judges a folder in its place."""
    if step == "qc":
        shutil.copy(lab.batch / "config.json", out)
        for sample in SAMPLES:
            (out / "samples" / sample).mkdir(parents=True)
            for name in ("counts.tsv", "counts.json", "molecules.npz"):
                shutil.copy(lab.batch / "samples" / sample / name, out / "samples" / sample)


def contents(folder: Path) -> dict[str, bytes]:
    """Files by name, but for those that tell a time: a ledger's pages, provenance."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and not p.name.startswith(("l.sqlite", "provenance.json"))}  # fmt: skip


def apart(arguments: list[str], folder: Path, in_memory: int = 250_000) -> tuple[int, list[str]]:
    """Exit code, and lines on stderr, of a command run in a copy of this process, which may end it from within C."""
    told = folder / "stderr"
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            handle = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
            output.IN_MEMORY = in_memory
            os.environ["SOURCE_DATE_EPOCH"] = "1767225600"
            code = run(arguments)
            sys.stderr.flush()
        except BaseException as error:
            os.write(2, f"Traceback {error!r}\n".encode())
            code = 99
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, told.read_text().splitlines()


def one_error(told: list[str]) -> str:
    """The only line that is no news (which `screen` and `call` have)."""
    told = [
        line
        for line in told
        if not re.match(r"esr1call screen: kept|[0-9]+ read pairs|[0-9]+ (NOT_)?DETECTED|[a-z_]+ of ", line)
    ]
    assert len(told) == 1, told
    assert told[0].startswith("esr1call: error: "), told
    return told[0]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 64 MB of its own."""
    with small_disk(tmp_path_factory.mktemp("disk"), 64 << 10) as place:
        yield place


@pytest.fixture
def empty(disk: Path) -> Iterator[Path]:
    """It, empty, and writable at the end."""
    yield disk
    remount(disk, "rw")
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def fill(disk: Path, left: int) -> None:
    """Take all of a disk but `left` pages."""
    state = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (state.f_bavail - left) * state.f_frsize)
    assert os.statvfs(disk).f_bavail == left


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_at_any_point_is_one_line_and_leaves_nothing_half_written(
    step: str, lab: Lab, empty: Path, tmp_path: Path
) -> None:
    many = 10 if step == "align through files" else 250_000
    whole = tmp_path / "whole"
    whole.mkdir()
    prepare(lab, step, whole)
    before = contents(whole)
    code, _ = apart(STEPS[step](lab, str(whole)), tmp_path, many)
    assert code == 0
    expected = contents(whole)
    written = {name: value for name, value in expected.items() if before.get(name) != value}
    pages = max(1, sum(-(-len(value) // PAGE) for value in written.values())) + (12 if step == "trigger" else 0)
    codes = []
    for left in [pages // 2] if step in HEAVY else sorted({0, pages // 2, pages - 1}):
        out = empty / str(left)
        out.mkdir()
        prepare(lab, step, out)
        fill(empty, left)
        code, told = apart(STEPS[step](lab, str(out)), tmp_path, many)
        codes.append(code)
        assert code in (0, 2), (left, pages, code, told)
        if code == 2:
            assert any(words in one_error(told) for words in ("No space left", "disk is full", "disk full?")), told
        for name, value in contents(out).items():
            assert value in (before.get(name), expected.get(name)), (left, name)
        (empty / "filler").unlink()
        if left != pages // 2:
            continue
        code, told = apart(STEPS[step](lab, str(out)), tmp_path, many)
        assert code == 0, told
        assert contents(out) == expected, left
    assert codes[0] == 2


@pytest.mark.parametrize("left", [0, 1])
def test_a_full_disk_leaves_no_half_a_key(left: int, empty: Path, tmp_path: Path) -> None:
    """A key that was begun would be in the way of the next one: keys are never overwritten."""
    fill(empty, left)
    code, told = apart(["keys", "new", str(empty / "lab.pem")], tmp_path)
    assert code == 2
    assert "No space left" in one_error(told)
    assert [p.name for p in empty.iterdir()] == ["filler"]
    (empty / "filler").unlink()
    assert apart(["keys", "new", str(empty / "lab.pem")], tmp_path)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_read_only_folder_is_one_line_and_stays_as_it_was(step: str, lab: Lab, empty: Path, tmp_path: Path) -> None:
    out = empty / "out"
    out.mkdir()
    prepare(lab, step, out)
    before = contents(empty)
    remount(empty, "ro")
    code, told = apart(STEPS[step](lab, str(out)), tmp_path)
    assert code == 2, told
    assert any(words in one_error(told) for words in ("Read-only file system", "readonly")), told
    assert contents(empty) == before
