"""A batch's results in every format, each read by a tool that is not ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from esr1call.cli import run
from esr1call.cli.export import FORMATS
from esr1call.io.export import WRITERS
from esr1call.settings import ExportSettings
from esr1call.timeline import to_json
from tests.builders import GRCH37_SHIFT, PANEL_TSV, moved_slices, sample_result, slices, write_fasta
from tests.formats import outside
from tests.formats.builders import batch_results, call_of, random_haplotypes, write_batch

WHEN = "1767225600"


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch's folder with its export."""
    folder = write_batch(
        tmp_path_factory.mktemp("batch"), export={"laboratory": 'Labor "Ost" & <Co>', "namespace": "https://x.org/s1/"}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", WHEN)
        assert run(["export", str(folder)]) == 0
    return folder


def test_there_is_a_folder_for_each_format(batch: Path) -> None:
    assert sorted(p.name for p in (batch / "export").iterdir()) == sorted(FORMATS) == sorted(WRITERS)
    assert ExportSettings().formats == FORMATS
    assert not [p for p in (batch / "export").rglob("*") if p.name.startswith(".")]


def test_bcftools_and_pysam_take_the_vcf(batch: Path) -> None:
    assert outside.check_vcf(batch / "export" / "vcf") == len(batch_results())


def test_bcftools_finds_every_other_haplotype_normalised(tmp_path: Path) -> None:
    """Changes of all kinds in all windows."""
    calls = [call_of(window, shown, kind="other") for window, shown in random_haplotypes(1000)]
    result = sample_result(sample="P1-V1", patient="P1", calls=calls, inputs=batch_results()[0].inputs)
    folder = write_batch(tmp_path)
    (folder / "samples" / "P1-V1" / "result.json").write_text(json.dumps(to_json(result)))
    assert run(["export", str(folder), "--format", "vcf"]) == 0
    assert outside.check_vcf(folder / "export" / "vcf") == len(batch_results())


def test_fhir_resources_takes_the_reports(batch: Path) -> None:
    said = outside.check_fhir(batch / "export" / "fhir")
    counts = {name: {v: values.count(v) for v in values} for name, values in said.items()}
    panel = 26
    assert counts == {
        "P1-V1.fhir.json": {"Absent": panel},
        "P1-V2.fhir.json": {"Present": 5, "Absent": panel - 3},
        "P2-V1.fhir.json": {"No call": panel - 1, "Indeterminate": 1},
        "P2_V2.fhir.json": {"Indeterminate": panel + 2},
    }


def test_odmlib_takes_the_dataset(batch: Path) -> None:
    records = outside.check_sdtm(batch / "export" / "sdtm" / "gf.json")
    assert {r["USUBJID"] for r in records} == {"S1-P1", "S1-P2"}


def test_pyarrow_reads_what_the_tsv_says(batch: Path) -> None:
    from pyarrow import parquet

    for name, rows in (("samples", len(batch_results())), ("variants", sum(len(r.calls) for r in batch_results()))):
        table = parquet.read_table(batch / "export" / "tables" / f"{name}.parquet")
        header, *lines = (batch / "export" / "tables" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
        assert table.column_names == header.split("\t")
        assert table.num_rows == len(lines) == rows
        assert all(field.metadata[b"description"] for field in table.schema)


@pytest.mark.peers
@pytest.mark.slow
def test_multiqc_shows_the_batch(batch: Path, tmp_path: Path) -> None:
    report = outside.check_multiqc(batch, tmp_path)
    assert all(result.sample in report for result in batch_results())
    assert "<script>alert(1)" not in report
    assert "&lt;script&gt;alert(1)" in report


def test_the_same_batch_gives_the_same_bytes(
    batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", WHEN)
    assert run(["export", str(batch), "--out", str(tmp_path)]) == 0
    files = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert capsys.readouterr().err == f"{len(files)} files written\n"
    assert [f for f in files if (tmp_path / f).read_bytes() != (batch / "export" / f).read_bytes()] == []


def test_the_dataset_tells_when_it_was_made(tmp_path: Path, batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "datasetJSONCreationDateTime"
    assert json.loads((batch / "export/sdtm/gf.json").read_text())[key] == "2026-01-01T00:00:00+00:00"
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert run(["export", str(batch), "--out", str(tmp_path), "--format", "sdtm"]) == 0
    assert json.loads((tmp_path / "sdtm/gf.json").read_text())[key] > "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("options", "config", "expected"),
    [
        ([], {}, set(FORMATS)),
        ([], {"formats": ["tables"]}, {"tables"}),
        ([], {"formats": []}, set()),
        (["--format", "fhir", "--format", "sdtm"], {"formats": ["tables"]}, {"fhir", "sdtm"}),
    ],
)
def test_formats_are_chosen(tmp_path: Path, options: list[str], config: dict[str, object], expected: set[str]) -> None:
    folder = write_batch(tmp_path, export=config)
    assert run(["export", str(folder), *options]) == 0
    assert {p.name for p in folder.glob("export/*")} == expected


def test_a_whole_chromosome_of_the_users_keeps_its_name(tmp_path: Path) -> None:
    """With a whole reference its own name of the chromosome is used, and no other FASTA is written."""
    end = max(int(name.rsplit("-", 1)[1]) for name in slices())
    bases = bytearray(b"N") * end
    for name, shown in slices().items():
        start = int(name.split(":")[1].split("-")[0])
        bases[start - 1 : start - 1 + len(shown)] = shown.encode()
    fasta = tmp_path / "whole.fa"
    fasta.write_bytes(b">6\n" + bases + b"\n")
    folder = write_batch(tmp_path / "batch", reference={"path": str(fasta), "build": "GRCh38"})
    assert run(["export", str(folder), "--format", "vcf"]) == 0
    assert not (folder / "export" / "vcf" / "reference.fa.gz").exists()
    assert outside.check_vcf(folder / "export" / "vcf", fasta) == len(batch_results())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("missing", ["P1-V1", "result.json", "No such file"]),
        ("not a result", ["P1-V1", "result.json"]),
        ("other panel", ["P1-V1", "inputs.panel", "call the batch again"]),
        ("other sample", ["P1-V1", "'sample'", "call the batch again"]),
        ("call elsewhere", ["P1-V1", "'calls'", "outside the panel's exons", "at 152000000", "call the batch again"]),
        ("no config", ["config.json"]),
        ("no qc", ["qc.json"]),
    ],
)
def test_what_is_missing_or_wrong_is_told(
    tmp_path: Path, spoil: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_batch(tmp_path)
    result = folder / "samples" / "P1-V1" / "result.json"
    if spoil == "missing":
        result.unlink()
    elif spoil == "not a result":
        result.write_text('{"sample": "P1-V1"}')
    elif spoil == "other sample":
        result.write_text(result.read_text().replace('"P1-V1"', '"P9-V9"'))
    elif spoil == "other panel":
        result.write_text(result.read_text().replace(json.loads(result.read_text())["inputs"]["panel"], "0" * 64))
    elif spoil == "call elsewhere":
        values = json.loads(result.read_text())
        values["calls"][3]["pos"] = 152_000_000
        result.write_text(json.dumps(values))
    else:
        (folder / ("config.json" if spoil == "no config" else "qc.json")).unlink()
    assert run(["export", str(folder)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert all(word in told for word in words), told
    assert not (folder / "export").exists()


def test_a_reference_of_another_place_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fasta = write_fasta(tmp_path / "moved.fa", moved_slices(GRCH37_SHIFT))
    folder = write_batch(tmp_path / "batch", reference={"path": str(fasta), "build": "GRCh38"})
    assert run(["export", str(folder)]) == 2
    assert PANEL_TSV.name in capsys.readouterr().err


def test_pyarrow_is_imported_for_tables_only(batch: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from esr1call.cli import run; "
        f"run(['export', {str(batch)!r}, '--out', {str(tmp_path)!r}, '--format', 'fhir']); "
        "print('pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
