"""A whole batch under faults: killed anywhere, run twice at once, in odd places, with inputs that change under it."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from tests.builders import ROOT
from tests.small_disk import small_disk
from tests.workflow.conftest import DEMO, SOME, Project, Run, kill_all, some, start

pytestmark = pytest.mark.slow
YEAR = 365 * 86400
ODD = "a b'c\"d $(touch hit) `touch hit` & | > hit ; é日🧬 \\ #%~*?[1] -x"
"""A name that a shell would take apart or run. (Only ';' is not for FASTQ: it separates lanes.)"""


def wait_for(path: Path, process: psutil.Popen) -> None:
    limit = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, f"ended before {path}"
        assert time.monotonic() < limit
        time.sleep(0.02)


LOGS = ("index/esr1_lbd.GRCh38.fa.GRCh38/index.log", *(f"demo/logs/{name}.log" for name in (
    "sample/P002-V2", "sample/P002-V3", "earlier", "provenance", "call", "trigger", "summary", "export", "html",
)))  # fmt: skip


def test_killed_at_random_points(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    """SIGKILL for Snakemake and all its jobs at a random time of a random step, and started again, KILLS times.

    Whatever is there under its final name at any of them is whole: what the undisturbed run has.
    """
    rng, kills, batches, seen = random.Random(8), 0, 0, Counter[str]()
    wanted = int(os.environ.get("KILLS", "1"))
    while kills < wanted:
        project = some(tmp_path / str(batches))
        while kills < wanted:
            aim = project.folder / "results" / rng.choice(LOGS)
            aim.unlink(missing_ok=True)
            process = start(project)
            while process.poll() is None and not aim.exists():
                time.sleep(0.02)
            try:
                assert process.wait(rng.uniform(0, 1.5)) == 0
                break
            except psutil.TimeoutExpired:
                kill_all(process)
            kills += 1
            shutil.rmtree(project.folder / ".snakemake" / "locks", ignore_errors=True)  # what --unlock does
            found = project.results()
            seen[f"{len(found)} files"] += 1
            for name in found:
                if not name.endswith(NOT_ATOMIC):
                    assert found[name] == undisturbed[name], (kills, name)
        done = project.snakemake(*SOME)
        assert done.returncode == 0, (kills, done.stderr)
        assert project.results() == undisturbed, kills
        assert list((project.folder / "results" / "demo").rglob(".*.tmp")) == []
        shutil.rmtree(project.folder)
        batches += 1
    print(f"{kills} kills over {batches} batches, at {dict(seen)}")


NOT_ATOMIC = ("manifest.json", "manifest.json.jws", "decisions.tsv")
"""Replaced as events are added, each time whole."""


@dataclass(frozen=True)
class Odd:
    project: Project
    second: Run


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Odd:
    """The batch of two samples, run where all is odd: every name a shell could run, decimal commas, reads of last year;
    and a second Snakemake started on the same folder while it goes on."""
    base = tmp_path_factory.mktemp("odd")
    project = Project.at(base / f"new\nline {ODD.replace('/', '')}")
    reads = project.folder / ODD.replace(";", "")
    reads.mkdir()
    head, *lines = (ROOT / "test_data" / "samples.tsv").read_text(encoding="utf-8").splitlines()
    chosen = [line for line in lines if line.split("\t")[0] in ("P002-V2", "P002-V3")]
    for line in chosen:
        sample = line.split("\t")[0]
        for mate in ("R1", "R2"):
            file = reads / f"{sample}_{mate}.fastq.gz"
            shutil.copy(ROOT / "test_data" / "fastq" / file.name, file)
            os.utime(file, (time.time() - YEAR, time.time() - YEAR))
    sheet = project.folder / f"{ODD}.tsv"
    sheet.write_text("\n".join([head, *(x.replace("fastq/", f"{reads.name}/") for x in chosen)]) + "\n", "utf-8")
    settings = yaml.safe_load((ROOT / "test_data" / "config.yaml").read_text(encoding="utf-8"))
    settings |= {"samples": sheet.name, "output": f"{ODD}/results"}
    settings["trigger"]["ledger"] = f"{ODD}/ledger.sqlite"
    (project.folder / "odd.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    process = start(project, "--configfile", "odd.yaml", **comma_locale(base))
    wait_for(project.folder / ODD / "results" / "demo" / "config.json", process)
    process.suspend()  # so that it does not end before the second has begun
    try:
        second = project.snakemake("--configfile", "odd.yaml")
    finally:
        process.resume()
    assert process.wait(600) == 0
    return Odd(project, second)


def comma_locale(folder: Path) -> dict[str, str]:
    """Environment of a German locale, made in `folder`."""
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], capture_output=True, text=True, check=False
    )
    if not (folder / "de_DE.UTF-8").exists():
        pytest.skip(f"a locale with decimal commas can't be made here (localedef): {made.stderr}")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}


def without_places(results: dict[str, str]) -> dict[str, str]:
    """Results but for those that name the places of a run."""
    return {n: h for n, h in results.items() if n not in ("demo/config.json", "demo/summary.txt", "demo/report.html")}


def test_the_same_bytes_wherever_and_whenever_it_runs(odd: Odd, undisturbed: dict[str, str]) -> None:
    found = Project(odd.project.folder / ODD).results()
    assert without_places(found) == without_places(undisturbed)
    assert any(n.endswith(".event.json") for n in found)


def test_no_name_is_run_by_a_shell(odd: Odd) -> None:
    assert [p for p in odd.project.folder.parent.rglob("*") if p.name == "hit"] == []
    assert not Path("hit").exists()


def test_a_second_run_on_the_same_folder_is_refused(odd: Odd) -> None:
    assert odd.second.returncode == 1
    assert "LockException" in odd.second.stderr
    assert "--unlock" in odd.second.stderr
    assert "Traceback" not in odd.second.stderr


def test_reads_that_are_replaced_during_the_run_end_it(tmp_path: Path) -> None:
    """They are older than the counts made of the first ones, so that their time alone would not tell."""
    project = Project.at(tmp_path)
    reads = project.folder / "fastq"
    shutil.copytree(ROOT / "test_data" / "fastq", reads, ignore=shutil.ignore_patterns("P001*", "P003*", "*-1_*"))
    lines = (ROOT / "test_data" / "samples.tsv").read_text(encoding="utf-8").splitlines()
    (project.folder / "some.tsv").write_text("\n".join([lines[0], *(x for x in lines if x.startswith("P002-V3"))]))
    process = start(project)
    wait_for(project.folder / "results" / "demo" / "samples" / "P002-V3" / "counts.tsv", process)
    for mate in ("R1", "R2"):
        (reads / f"P002-V2_{mate}.fastq.gz").replace(reads / f"P002-V3_{mate}.fastq.gz")
    assert process.wait(600) == 1
    folder = project.folder / "results" / "demo"
    told = (folder / "logs" / "call.log").read_text(encoding="utf-8") + (folder / "logs" / "provenance.log").read_text()
    assert "P002-V3_R1.fastq.gz: changed while the run went on; run again" in told
    assert not (folder / "calls.tsv").exists()
    assert not (folder / "triggers").exists()
    again = project.snakemake(*SOME, "--dry-run")
    assert again.returncode == 0
    assert re.search(r"^sample +1$", again.stdout, re.MULTILINE), again.stdout


def test_a_full_disk_is_told_of(tmp_path: Path) -> None:
    """Though the logs lie on it. That each step ends whole once there is space: tests/cli/test_step_faults.py.

    Snakemake's own folder lies on another disk: where that is full too, it may be Snakemake that says so and ends.
    """
    project = some(tmp_path)
    with small_disk(tmp_path / "results", 300) as place:
        done = project.snakemake(*SOME)
        found = [p.name for p in (place / "demo").rglob("*") if p.suffix in (".bam", ".tsv", ".tmp", ".npz")]
    assert done.returncode == 1
    assert "What went wrong:\nno space left on the disk of results/demo" in done.stderr
    assert "Traceback" not in done.stderr
    assert [name for name in found if not name.endswith(".benchmark.tsv")] == []


def test_a_clock_that_was_set_back_is_one_line(project: Project) -> None:
    """All of the present is the future then."""
    shutil.copytree(ROOT / "test_data" / "fastq", project.folder / "fastq", ignore=shutil.ignore_patterns("P00[13]*"))
    project.sheet({"P002-V3"})
    sheet = project.folder / "some.tsv"
    sheet.write_text(sheet.read_text(encoding="utf-8").replace("test_data/", ""))
    file = project.folder / "fastq" / "P002-V3_R2.fastq.gz"
    os.utime(file, (time.time() + YEAR, time.time() + YEAR))
    line = one_line_of(project, *SOME)
    assert "fastq/P002-V3_R2.fastq.gz: was written in the future: found" in line
    assert "set this machine's clock" in line


def test_a_sheet_that_is_replaced_by_an_older_one_is_seen(odd: Odd) -> None:
    """A clock that was set back between two runs makes what is newer look older."""
    sheet = odd.project.folder / f"{ODD}.tsv"
    before = sheet.read_text(encoding="utf-8")
    sheet.write_text(before.replace("\tP002\tV2\t", "\tP002\tV1\t"), encoding="utf-8")
    assert sheet.read_text(encoding="utf-8") != before
    os.utime(sheet, (time.time() - YEAR, time.time() - YEAR))
    again = odd.project.snakemake("--configfile", "odd.yaml", "--dry-run")
    assert again.returncode == 0, again.stderr
    assert re.search(r"^call +1$", again.stdout, re.MULTILINE), again.stdout
    assert not re.search(r"^sample ", again.stdout, re.MULTILINE)


def one_line_of(project: Project, *arguments: str) -> str:
    done = project.snakemake(*arguments)
    assert done.returncode == 2, done.stderr
    (line,) = [x for x in done.stderr.splitlines() if not x.startswith("Using workflow specific profile")]
    assert line.startswith("esr1call: error: ")
    return line


def test_a_loop_of_links_is_one_line(project: Project) -> None:
    (project.folder / "one").symlink_to(project.folder / "two")
    (project.folder / "two").symlink_to(project.folder / "one")
    assert "one, field 'output': is no folder" in one_line_of(project, *DEMO, "--config", "output=one")
