"""The demo batch from FASTQ to events: what it finds is what was put in, and a second run finds nothing to do."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from esr1call.io.schema import validate
from esr1call.quality.controls import CONTROLS
from tests.builders import ROOT
from tests.formats import outside
from tests.workflow.conftest import DEMO, Project, Run

pytestmark = pytest.mark.slow
AFTER_COUNTS = {"call": 1, "trigger": 1, "summary": 1, "html": 1, "export": 1, "provenance": 1, "all": 1}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run]:
    """The demo batch, run once, in a folder whose name a shell would take apart."""
    project = Project.at(tmp_path_factory.mktemp("demo") / "it's a $(folder) & more")
    run = project.snakemake(*DEMO)
    assert run.returncode == 0, run.stderr
    return project, run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def results(demo: tuple[Project, Run]) -> Path:
    return demo[0].folder / "results" / "demo"


def files_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Every result file's time and hash."""
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def jobs(run: Run) -> dict[str, int]:
    """Jobs by rule, from the table that a dry run prints."""
    assert run.returncode == 0, run.stderr
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", run.stdout + run.stderr, re.DOTALL)
    return {} if table is None else {k: int(v) for k, v in (line.split() for line in table[1].splitlines())}


def test_calls_equal_the_truth(demo: tuple[Project, Run]) -> None:
    keys = ("sample", "window", "haplotype", "protein", "cdna")
    called = [c for c in rows(results(demo) / "calls.tsv") if c["status"] == "DETECTED"]
    spiked = {tuple(t[k] for k in keys): t for t in rows(ROOT / "test_data" / "truth.tsv") if t["origin"] == "clone"}
    assert sorted(tuple(c[k] for k in keys) for c in called) == sorted(spiked)
    for call in called:
        put_in = spiked[tuple(call[k] for k in keys)]
        assert float(call["vaf_low"]) <= int(put_in["mutant"]) / int(put_in["covering"]) <= float(call["vaf_high"])
        assert float(call["lob"]) < float(call["lod95"]) <= 0.005


def test_the_three_patients_decisions(demo: tuple[Project, Run]) -> None:
    folder = results(demo) / "triggers"
    decided = {r["patient"]: (r["decision"], r["samples"], r["variants"]) for r in rows(folder / "decisions.tsv")}
    assert decided == {
        "P001": ("not-raised", "P001-V3", ""),
        "P002": ("raised", "P002-V3", "p.D538G=NEW"),
        "P003": ("raised", "P003-V3", "p.Y537S=REAPPEARED"),
    }
    listed = json.loads((folder / "manifest.json").read_text())["events"]
    assert {e["file"]: e["sha256"] for e in listed} == {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.event.json")
    }


def test_controls_pass(demo: tuple[Project, Run]) -> None:
    quality = json.loads((results(demo) / "qc.json").read_text())
    assert quality["passed"]
    assert {(c["sample"], c["outcome"]) for c in quality["checks"] if c["name"] in CONTROLS} == {
        ("NTC-1", "passed"), ("PC-1", "passed"), ("WT-1", "passed"),
    }  # fmt: skip


def test_the_run_ends_with_the_summary(demo: tuple[Project, Run]) -> None:
    assert demo[1].stdout == (results(demo) / "summary.txt").read_text()
    assert re.search(r"^P002 +V3 +p\.D538G c\.1613A>G +\d+/\d+ .* DETECTED +raised NEW$", demo[1].stdout, re.MULTILINE)


def test_the_run_says_how_far_it_is(demo: tuple[Project, Run]) -> None:
    lines = re.findall(r"^(\d+) of (\d+) jobs \(\d+%\), (\d+) of 13 samples, \d+:\d\d$", demo[1].stderr, re.MULTILINE)
    total = int(lines[0][1])
    assert [(int(done), int(of)) for done, of, _ in lines] == [(n, total) for n in range(1, total + 1)]
    assert [int(ready) for _, _, ready in lines] == sorted(int(ready) for _, _, ready in lines)
    assert lines[-1][2] == "13"
    assert "Finished jobid" not in demo[1].stderr


def test_snakemakes_report_holds_the_labs(demo: tuple[Project, Run]) -> None:
    made = demo[0].snakemake(*DEMO, "--report", "snakemake-report.html")
    assert made.returncode == 0, made.stderr
    assert '"results/demo/report.html"' in (demo[0].folder / "snakemake-report.html").read_text(encoding="utf-8")


def test_the_readme_shows_it(demo: tuple[Project, Run]) -> None:
    shown = [line.strip() for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()]
    assert [line for line in demo[1].stdout.splitlines() if line not in shown] == []


def test_every_read_is_accounted_for(demo: tuple[Project, Run]) -> None:
    table = rows(results(demo) / "reads.tsv")
    assert len(table) == 13
    for row in table:
        parts = [int(v) for k, v in row.items() if k.startswith("dropped_") and k not in ALIGN_DROPS]
        assert sum(parts) + int(row["reads_counted"]) == int(row["reads_scanned"])
        assert int(row["pairs_read"]) == int(row["pairs_kept"]) + sum(int(row[k]) for k in ALIGN_DROPS)
        assert 2 * int(row["pairs_kept"]) == int(row["reads_mapped"]) + int(row["reads_unmapped"])


ALIGN_DROPS = ("dropped_by_screen", "dropped_shorter_than_structure", "dropped_short_after_trimming")


def test_provenance_names_every_input(demo: tuple[Project, Run]) -> None:
    found = json.loads((results(demo) / "provenance.json").read_text())
    assert len(found["inputs"]) == 6 + 2 * 13
    assert found["config"]["batch"] == "demo"


def test_every_sample_has_a_vcf_that_bcftools_takes(demo: tuple[Project, Run]) -> None:
    assert outside.check_vcf(results(demo) / "export" / "vcf") == 13


def test_every_patient_sample_has_a_report_that_fhir_resources_takes(demo: tuple[Project, Run]) -> None:
    said = outside.check_fhir(results(demo) / "export" / "fhir")
    called = [c for c in rows(results(demo) / "calls.tsv") if c["status"] == "DETECTED" and c["patient"]]
    assert len(said) == 10
    assert sum(values.count("Present") for values in said.values()) == len(called)
    assert {v for values in said.values() for v in values} == {"Present", "Absent"}


def test_odmlib_takes_the_dataset(demo: tuple[Project, Run]) -> None:
    file = results(demo) / "export" / "sdtm" / "gf.json"
    validate(json.loads(file.read_text(encoding="utf-8")), "dataset_json", file=file)
    records = outside.check_sdtm(file)
    found = {(r["GFREFID"], r["GFSTRESC"]) for r in records if r["GFTSTDTL"] == "VARIANT DETECTION"}
    assert ("P002-V3", "NM_000125.4:c.1613A>G p.(Asp538Gly)") in found
    assert {r["USUBJID"] for r in records} == {"DEMO-P001", "DEMO-P002", "DEMO-P003"}


def test_the_parquet_table_has_the_calls(demo: tuple[Project, Run]) -> None:
    from pyarrow import parquet

    table = parquet.read_table(results(demo) / "export" / "tables" / "variants.parquet").to_pylist()
    calls = rows(results(demo) / "calls.tsv")
    assert [(r["sample"], r["cdna"], r["molecules_alt"], r["molecules_total"], r["status"]) for r in table] == [
        (c["sample"], c["cdna"], int(c["molecules"]), int(c["depth"]), c["status"]) for c in calls
    ]


def test_every_result_keeps_to_its_schema(demo: tuple[Project, Run]) -> None:
    files = sorted(results(demo).glob("samples/*/result.json"))
    assert len(files) == 13
    for file in files:
        validate(json.loads(file.read_text(encoding="utf-8")), "result", file=file)


@pytest.mark.peers
def test_multiqc_shows_the_batch(demo: tuple[Project, Run], tmp_path: Path) -> None:
    report = outside.check_multiqc(results(demo), tmp_path)
    assert all(sample["sample"] in report for sample in rows(ROOT / "test_data" / "samples.tsv"))


def test_a_second_run_does_nothing(demo: tuple[Project, Run]) -> None:
    project, _ = demo
    before = files_of(project.folder / "results")
    run = project.snakemake(*DEMO)
    assert run.returncode == 0
    assert "Nothing to be done" in run.stderr
    assert files_of(project.folder / "results") == before


def test_deciding_again_emits_nothing(demo: tuple[Project, Run], tmp_path: Path) -> None:
    again = Project.at(tmp_path)
    for name in ("results", ".snakemake"):
        shutil.copytree(demo[0].folder / name, tmp_path / name, symlinks=True)
    before = {n: h for n, (_, h) in files_of(results(demo)).items() if n.startswith("triggers/")}
    assert again.snakemake(*DEMO, "--forcerun", "call", "--rerun-triggers", "mtime").returncode == 0
    after = {n: h for n, (_, h) in files_of(tmp_path / "results" / "demo").items() if n.startswith("triggers/")}
    assert after == before
    assert (tmp_path / "results" / "demo" / "logs" / "trigger.log").read_text().count("no new event") == 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("calling={alpha: 0.01}", AFTER_COUNTS),
        ("counting={min_mapq: 30}", {"sample": 13, **AFTER_COUNTS}),
        ("alignment={min_length: 30}", {"sample": 13, **AFTER_COUNTS}),
        ("background=other.json", AFTER_COUNTS),
        ("qc={min_molecules: 100}", AFTER_COUNTS),
        ("qc={snps: null}", {"sample": 13, **AFTER_COUNTS}),
        ("study=OTHER", {"earlier": 1, **AFTER_COUNTS}),
        ("export={laboratory: Lab}", {"html": 1, "export": 1, "provenance": 1, "all": 1}),
        ("export={formats: []}", {"html": 1, "provenance": 1, "all": 1}),
        ("alignment={keep_bam: false}", {"html": 1, "provenance": 1, "all": 1}),
        ("alignment={format: cram}", {"sample": 13, **AFTER_COUNTS}),
    ],
)
def test_a_changed_setting_runs_what_depends_on_it(
    demo: tuple[Project, Run], change: str, expected: dict[str, int]
) -> None:
    model = ROOT / "test_data" / "background" / "model.json"
    (demo[0].folder / "other.json").write_bytes(model.read_bytes())
    run = demo[0].snakemake(*DEMO, "--config", change, "--dry-run")
    assert jobs(run) == expected


def test_a_new_sample_runs_alone(demo: tuple[Project, Run]) -> None:
    project, _ = demo
    reads = ROOT / "test_data" / "fastq"
    for mate in ("R1", "R2"):
        shutil.copy(reads / f"WT-1_{mate}.fastq.gz", project.folder / f"new_{mate}.fastq.gz")
    sheet = (ROOT / "test_data" / "samples.tsv").read_text().splitlines()
    control = next(line for line in sheet if line.startswith("WT-1\t"))
    lines = [line.replace("fastq/", "test_data/fastq/") for line in sheet]
    lines.append(control.replace("WT-1\t", "WT-2\t").replace("fastq/WT-1", "new"))
    (project.folder / "more.tsv").write_text("\n".join(lines) + "\n")
    planned = jobs(project.snakemake(*DEMO, "--config", "samples=more.tsv", "--dry-run"))
    assert planned == {"sample": 1, "earlier": 1, **AFTER_COUNTS}


def test_a_failed_job_is_told_of_in_one_line(tmp_path: Path) -> None:
    project = Project.at(tmp_path)
    lines = (ROOT / "test_data" / "samples.tsv").read_text().splitlines()
    sample = next(line for line in lines if line.startswith("NTC-1"))
    reads = (ROOT / "test_data" / "fastq" / "NTC-1_R1.fastq.gz").read_bytes()
    (tmp_path / "cut_R1.fastq.gz").write_bytes(reads[: len(reads) // 2])
    os.link(ROOT / "test_data" / "fastq" / "NTC-1_R2.fastq.gz", tmp_path / "cut_R2.fastq.gz")
    sheet = "\n".join([lines[0], sample.replace("fastq/NTC-1", "cut")]) + "\n"
    (tmp_path / "cut.tsv").write_text(sheet)
    run = project.snakemake(*DEMO, "--config", "samples=cut.tsv")
    assert run.returncode == 1
    told = run.stderr.partition("What went wrong:\n")[2].splitlines()
    assert told[0].startswith("results/demo/logs/sample/NTC-1.log:esr1call: error: ")
    assert "cut_R1.fastq.gz" in told[0]
    assert not (tmp_path / "results" / "demo" / "samples" / "NTC-1" / "aligned.bam").exists()
