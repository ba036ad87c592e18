from __future__ import annotations

import datetime
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from esr1call.cli.count import command as count
from esr1call.errors import InputError
from esr1call.io.batch import SECTIONS, Batch, Config, Sample, load_batch
from esr1call.io.schema import read_yaml, schema
from esr1call.io.sheet import load_sheet
from tests.builders import ROOT

HEADER = (
    "sample", "patient", "visit", "collected", "type", "fastq_1", "fastq_2", "bam", "read_structure",
    "plasma_ml", "cfdna_ng", "expected",
)  # fmt: skip


class Lab:
    """A lab's folder: a config and a sheet that are right, to be spoiled by a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ref.fa", "panel.tsv", "rule.yaml", "model.json"):
            (folder / name).write_text("x")
        self.settings: dict[str, Any] = {
            "batch": "B1", "study": "S1", "samples": str(folder / "samples.tsv"),
            "reference": {"path": str(folder / "ref.fa"), "build": "GRCh38"}, "panel": str(folder / "panel.tsv"),
            "background": str(folder / "model.json"),
            "trigger": {"rule": str(folder / "rule.yaml"), "ledger": str(folder / "ledger.sqlite")},
            "alignment": {"read_structure": "3M2S+T 3M2S+T"},
        }  # fmt: skip
        self.rows: list[dict[str, str]] = []

    def row(self, sample: str = "s1", **cells: str) -> Lab:
        """Add a row: a patient's FASTQ pair unless told otherwise ("" empties a cell)."""
        row = {"sample": sample, "type": "patient", "fastq_1": f"{sample}_1.fq", "fastq_2": f"{sample}_2.fq"}
        if cells.get("type", "patient") == "patient":
            row |= {"patient": "P1", "visit": "V1", "collected": "2024-01-31"}
        row |= cells
        for column in ("fastq_1", "fastq_2", "bam"):
            if row.get(column) and "/" not in row[column]:
                (self.folder / row[column]).write_text("reads")
        self.rows.append(row)
        return self

    def sheet(self, text: str | None = None) -> Path:
        path = self.folder / "samples.tsv"
        lines = ["\t".join(HEADER), *("\t".join(r.get(c, "") for c in HEADER) for r in self.rows)]
        path.write_text("\n".join(lines) + "\n" if text is None else text)
        return path

    def config(self, text: str | None = None) -> Path:
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.settings) if text is None else text)
        return path

    def load(self, **overrides: Any) -> Batch:
        self.sheet()
        return load_batch(self.config(), overrides)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def error_of(lab: Lab, **overrides: Any) -> str:
    with pytest.raises(InputError) as caught:
        lab.load(**overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_everything_is_read(lab: Lab) -> None:
    lab.row("s1", plasma_ml="3.5", cfdna_ng="22", read_structure="8M+T 8M+T")
    expected = "p.D538G=0.01;p.Y537S=0.004..0.006"
    lab.row("pc", type="positive_control", expected=expected, fastq_1="", fastq_2="", bam="pc.bam")
    batch = lab.load(calling={"alpha": 0.05})
    first, second = batch.samples
    assert (first.sample, first.patient, first.visit, first.type) == ("s1", "P1", "V1", "patient")
    assert first.collected == datetime.date(2024, 1, 31)
    assert first.files == (lab.folder / "s1_1.fq", lab.folder / "s1_2.fq")
    assert (first.plasma_ml, first.cfdna_ng, first.read_structure) == (3.5, 22.0, "8M+T 8M+T")
    assert second.expected == {"p.D538G": 0.01, "p.Y537S": (0.004, 0.006)}
    assert (second.bam, second.patient, second.collected) == (lab.folder / "pc.bam", None, None)
    config = batch.config
    assert config.folder == Path("results/B1")
    assert config.reference.path == lab.folder / "ref.fa"
    assert config.background == lab.folder / "model.json"
    assert config.calling.alpha == 0.05
    assert batch.settings["calling"] == {"alpha": 0.05}
    assert batch.of_type("positive_control") == (second,)


def test_sheet_as_a_spreadsheet_program_saves_it(lab: Lab) -> None:
    lab.row("s1").row("s2", patient="P2")
    text = lab.sheet().read_text()
    lab.sheet().write_bytes(("\ufeff# my batch\n\n" + text).replace("\n", "\r\n").encode() + b"\t" * 11 + b"\r\n")
    assert [s.sample for s in load_batch(lab.config()).samples] == ["s1", "s2"]


def test_overrides_merge_at_every_depth(lab: Lab) -> None:
    lab.row()
    batch = lab.load(batch="B2", counting={"min_mapq": 30})
    assert batch.config.batch == "B2"
    assert batch.config.counting.min_mapq == 30
    assert batch.config.reference.build == "GRCh38"


def test_config_as_json_and_without_a_file(lab: Lab) -> None:
    lab.row().sheet()
    assert load_batch(lab.config(json.dumps(lab.settings))) == load_batch(None, lab.settings)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"sample": "a b"}, ["line 2", "'sample'", "found 'a b'", "letters, digits"]),
        ({"sample": "../x"}, ["'sample'"]),
        ({"sample": "a/b"}, ["'sample'"]),
        ({"sample": "a..b"}, ["'sample'"]),
        ({"sample": "-rf"}, ["'sample'"]),
        ({"sample": ".hidden"}, ["'sample'"]),
        ({"sample": "x" * 65}, ["'sample'"]),
        ({"sample": "naïve"}, ["'sample'"]),
        ({"sample": "$(id)"}, ["'sample'"]),
        ({"sample": "٣"}, ["'sample'"]),
        ({"sample": ""}, ["'sample'", "missing"]),
        ({"type": ""}, ["'type'", "missing"]),
        ({"type": "Patient"}, ["'type'", "found 'Patient'", "patient, blank, ntc, wild_type or positive_control"]),
        ({"patient": "Jane Doe"}, ["'patient'", "pseudonym"]),
        ({"patient": "Doe-Jane"}, ["'patient'", "looks like a name", "pseudonym"]),
        ({"patient": "JD-1960-05-04"}, ["'patient'", "looks like a date", "pseudonym"]),
        ({"patient": "JD19600504"}, ["'patient'", "looks like a date"]),
        ({"patient": "04.05.60"}, ["'patient'", "looks like a date"]),
        ({"patient": "P04051960"}, ["'patient'", "looks like a date"]),
        ({"patient": "12.31.1960-x"}, ["'patient'", "looks like a date"]),
        ({"visit": "V/1"}, ["'visit'"]),
        ({"collected": "31.01.2024"}, ["'collected'", "YYYY-MM-DD"]),
        ({"collected": "2024-02-30"}, ["no such day", "found '2024-02-30'"]),
        ({"collected": "20240131"}, ["'collected'"]),
        ({"collected": "0024-01-31"}, ["'collected'"]),
        ({"plasma_ml": "-3"}, ["'plasma_ml'", "found '-3'", "above 0"]),
        ({"plasma_ml": "0"}, ["'plasma_ml'", "leave empty"]),
        ({"plasma_ml": "4000"}, ["'plasma_ml'", "at most 200"]),
        ({"plasma_ml": "3,5"}, ["'plasma_ml'", "decimal point"]),
        ({"plasma_ml": "nan"}, ["'plasma_ml'"]),
        ({"cfdna_ng": "-1"}, ["'cfdna_ng'", "found '-1'"]),
        ({"cfdna_ng": "9" * 400}, ["'cfdna_ng'"]),
        ({"cfdna_ng": "NA"}, ["'cfdna_ng'", "leave empty"]),
        ({"read_structure": "8M+T"}, ["'read_structure'", "3M2S+T 3M2S+T"]),
        ({"patient": ""}, ["sample s1", "'patient'", "without a patient"]),
        ({"collected": ""}, ["sample s1", "'collected'", "without a date"]),
        ({"type": "blank", "patient": "P1"}, ["'patient'", "type blank with a patient"]),
        ({"expected": "p.D538G=0.01"}, ["'expected'", "type patient"]),
        ({"type": "positive_control"}, ["'expected'", "nothing expected"]),
        ({"type": "positive_control", "expected": "p.D538G"}, ["'expected'", "p.D538G=0.01"]),
        ({"type": "positive_control", "expected": "p.D538G=1.5"}, ["'expected'", "at most 1"]),
        ({"type": "positive_control", "expected": "p.D538G=0.0.1"}, ["'expected'"]),
        ({"type": "positive_control", "expected": "p.D538G=0.2..0.1"}, ["'expected'", "0.008..0.012"]),
        ({"type": "positive_control", "expected": "p.D538G=..0.1"}, ["'expected'"]),
        ({"type": "positive_control", "expected": "p.D538G=0.1;p.D538G=0.2"}, ["'expected'", "each variant once"]),
        ({"fastq_1": "", "fastq_2": ""}, ["neither FASTQ nor BAM"]),
        ({"bam": "x.bam"}, ["both FASTQ and BAM"]),
        ({"fastq_2": ""}, ["'fastq_2'", "only one of the pair"]),
        ({"fastq_1": ""}, ["'fastq_1'", "only one of the pair"]),
        ({"fastq_2": "s1_1.fq"}, ["input file given twice"]),
        ({"fastq_1": "no/such.fq"}, ["sample s1", "no such file", "line 2", "'fastq_1'", "found", "sheet's folder"]),
        ({"fastq_1": "./"}, ["'fastq_1'", "folder"]),
        ({"fastq_1": "{sample}.fq"}, ["line 2", "a path that Snakemake can't hold", "{sample}.fq'", "rename"]),
        ({"fastq_1": "", "fastq_2": "", "bam": "b.bam", "read_structure": "8M+T +T"}, ["'read_structure'", "BAM"]),
    ],
)  # fmt: skip
def test_a_bad_row(lab: Lab, cells: dict[str, str], words: list[str]) -> None:
    message = error_of(lab.row(**cells))
    assert all(word in message for word in [str(lab.folder / "samples.tsv"), *words]), message


@pytest.mark.parametrize("patient", ["P1", "FR-001-02-13", "12345678", "PADA1-0017", "S03.P12", "19991399"])
def test_a_pseudonym_with_numbers_is_no_date(lab: Lab, patient: str) -> None:
    lab.row("s1", patient=patient)
    assert lab.load().samples[0].patient == patient


def test_a_signing_key_must_be_there(lab: Lab) -> None:
    lab.row("s1")
    with pytest.raises(InputError, match=r"field 'trigger\.signing_key': no such file"):
        lab.load(trigger={"signing_key": "none.pem"})


def test_an_empty_fastq(lab: Lab) -> None:
    lab.row().row("s2")
    (lab.folder / "s2_2.fq").write_text("")
    message = error_of(lab)
    assert "sample s2: the file is empty" in message
    assert "line 3" in message
    assert "'fastq_2'" in message


def test_reads_that_are_a_loop_of_links(lab: Lab) -> None:
    lab.row()
    (lab.folder / "s1_1.fq").unlink()
    (lab.folder / "s1_1.fq").symlink_to(lab.folder / "s1_1.fq")
    message = error_of(lab)
    assert "line 2, field 'fastq_1': sample s1: cannot read: Too many levels of symbolic links" in message


def test_files_need_not_be_there_when_not_asked(lab: Lab) -> None:
    lab.row(fastq_1="no/such.fq").sheet()
    (lab.folder / "ref.fa").unlink()
    assert len(load_batch(lab.config(), check_files=False).samples) == 1


@pytest.mark.parametrize("name", ["s1", "S1"])
def test_a_duplicated_sample(lab: Lab, name: str) -> None:
    message = error_of(lab.row("s1").row(name, fastq_1="a.fq", fastq_2="b.fq"))
    assert "sample given twice" in message
    assert "line 3" in message
    assert "line 2 has it" in message


def test_a_patient_by_two_names(lab: Lab) -> None:
    message = error_of(lab.row("s1", patient="P1a").row("s2", patient="P1A"))
    assert "differ in capitals only: found 'P1A', expected P1a, as in line 2" in message


def test_one_fastq_in_two_samples(lab: Lab) -> None:
    message = error_of(lab.row("s1").row("s2", fastq_1="s1_1.fq"))
    assert "input file given twice" in message
    assert "line 2 has it" in message


@pytest.mark.parametrize(
    ("visits", "good"),
    [
        ([("V1", "2024-01-01"), ("V2", "2024-03-01"), ("V10", "2024-05-01")], True),
        ([("V10", "2024-05-01"), ("V2", "2024-03-01"), ("V1", "2024-01-01")], True),
        ([("V2", "2024-03-01"), ("V10", "2024-02-01")], False),
        ([("V1", "2024-03-01"), ("V2", "2023-03-01")], False),
        ([("C1D1", "2024-03-01"), ("C1D15", "2024-03-15"), ("C2D1", "2024-03-29")], True),
        ([("C2D1", "2024-03-01"), ("C1D15", "2024-03-15")], False),
        ([("V1", "2024-03-01"), ("V1", "2024-03-01")], True),
        ([("unscheduled", "2024-03-01"), ("unscheduled", "2024-04-01")], True),
        ([("unscheduled", "2024-03-01"), ("Unscheduled", "2024-02-01")], False),
        ([("V2", "2024-03-01"), ("end", "2024-02-01"), ("M1", "2024-01-01")], True),
    ],
)
def test_dates_follow_visits(lab: Lab, visits: list[tuple[str, str]], good: bool) -> None:
    for i, (visit, day) in enumerate(visits):
        lab.row(f"s{i}", visit=visit, collected=day)
    lab.row("other", patient="P2", visit=visits[-1][0], collected="1999-01-01")
    if good:
        assert len(lab.load().samples) == len(visits) + 1
    else:
        message = error_of(lab)
        assert "patient P1: visit" in message
        assert "is dated before visit" in message
        assert "'collected'" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sample\ttype\n", ["no sample"]),
        ("sample\ttype\n# s1\tblank\n\t\n", ["no sample"]),
        ("", ["empty"]),
        ("# nothing\n", ["no header"]),
        ("sample,type\ns1,blank\n", ["line 1", "tabs", "save as TSV"]),
        ("sample\tsample\ttype\n", ["column given twice", "'sample'"]),
        ("sample\n", ["missing column", "'type'"]),
        ("sample\ttype\tplasma_mL\n", ["unknown column", "'plasma_mL'", "plasma_ml"]),
        ("sample\ttype\tname\n", ["personal data", "'name'", "pseudonyms"]),
        ("sample\ttype\tDate of Birth\n", ["personal data", "'Date of Birth'"]),
        ("sample\ttype\tpatient_initials\n", ["personal data"]),
        ("sample\ttype\tDOB\n", ["personal data"]),
        ("sample\ttype\nx\tblank\tmore\n", ["line 2", "wrong number of cells", "found '3'"]),
    ],
)
def test_a_bad_sheet(lab: Lab, text: str, words: list[str]) -> None:
    lab.sheet(text)
    with pytest.raises(InputError) as caught:
        load_batch(lab.config())
    assert all(word in str(caught.value) for word in ["samples.tsv", *words]), caught.value


def test_a_sheet_that_is_no_text(lab: Lab) -> None:
    lab.sheet().write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(InputError, match="not a text file"):
        load_batch(lab.config())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"batch": "a b"}, ["'batch'", "found 'a b'", "folder name"]),
        ({"batch": 7}, ["'batch'", "found '7'", "in quotes"]),
        ({"study": "../x"}, ["'study'"]),
        ({"batch": "B1\n"}, ["'batch'", "folder name"]),
        ({"output": "a{sample}"}, ["'output'", "a path that Snakemake can't hold", "found 'a{sample}'", "rename"]),
        ({"output": "-o"}, ["'output'", "found '-o'"]),
        ({"output": "9" * 256}, ["'output'", "a name that no file can have"]),
        ({"trigger": {"ledger": f"/tmp/{'é' * 128}/l.sqlite"}}, ["'trigger.ledger'", "a name that no file can have"]),
        ({"trigger": {"ledger": "\ud800"}}, ["'trigger.ledger'", "a name that no file can have"]),
        ({"trigger": {"ledger": "postgresql://u:se{cret@h/d"}}, ["'trigger.ledger'", "Snakemake can't hold: expected"]),
        ({"reference": {"build": "hg38"}}, ["'reference.build'", "found 'hg38'", "GRCh38 or GRCh37"]),
        ({"refernce": {}}, ["'refernce'", "unknown key", "reference"]),
        ({"calling": {"alpha": "0,001"}}, ["'calling.alpha'", "found '0,001'", "decimal point"]),
        ({"calling": {"alpha": 2}}, ["'calling.alpha'", "found '2'"]),
        ({"calling": {"alpha": float("nan")}}, ["'calling.alpha'"]),
        ({"calling": {"alhpa": 0.1}}, ["'calling.alhpa'", "unknown key", "alpha"]),
        ({"counting": {"min_mapq": True}}, ["'counting.min_mapq'"]),
        ({"counting": None}, ["'counting'"]),
        ({"alignment": {"aligner": "bowtie"}}, ["'alignment.aligner'", "bwa-mem2"]),
        ({"alignment": {"read_structure": "3M"}}, ["'alignment.read_structure'"]),
        ({"panel": "no_such.tsv"}, ["no such file", "'panel'", "folder you run in"]),
        ({"samples": "no_such.tsv"}, ["no such file", "'samples'"]),
        ({"background": "no_such.json"}, ["no such file", "'background'"]),
        ({"background": "fit"}, ["no blanks", "model file", "samples.tsv"]),
        ({"alignment": {"read_structure": "+T3M +T"}}, ["'alignment.read_structure'", "found '+T3M +T'"]),
        ({"alignment": {"read_structure": "8M+T +T"}}, ["'alignment.read_structure'", "one of the reads", "simplex"]),
        ({"alignment": {"read_structure": "+T +T"}}, ["both of the reads", "none"]),
        ({"alignment": {"umi": "none"}}, ["'alignment.umi, counting.umi'", "none in both"]),
        ({"counting": {"umi": "none"}}, ["'alignment.umi, counting.umi'"]),
        ({"alignment": {"aligner": "bwa-mem2"}}, ["'reference.index'", "bwa-mem2 index"]),
        ({"alignment": {"read_structure": None}}, ["no read structure for sample s1", "'alignment.read_structure'"]),
    ],
)
def test_a_bad_config(lab: Lab, overrides: dict[str, Any], words: list[str]) -> None:
    message = error_of(lab.row(), **overrides)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(("text", "number"), [("1e-3", 0.001), ("0.001", 0.001), ("+1.e-3", 0.001)])
def test_a_number_that_yaml_takes_for_text(lab: Lab, text: str, number: float) -> None:
    batch = lab.row().load(calling={"alpha": text}, counting={"min_mapq": "30"}, batch="7")
    assert (batch.config.calling.alpha, batch.config.counting.min_mapq, batch.config.batch) == (number, 30, "7")
    assert batch.settings["calling"]["alpha"] == number


@pytest.mark.parametrize(("text", "keep"), [("false", False), ("True", True)])
def test_true_and_false_as_text(lab: Lab, text: str, keep: bool) -> None:
    assert lab.row().load(alignment={"keep_bam": text}).config.alignment.keep_bam is keep


def test_null_of_a_command_line_is_none(lab: Lab) -> None:
    config = lab.row().load(qc={"snps": "null"}, trigger={**lab.settings["trigger"], "signing_key": "null"}).config
    assert (config.qc.snps, config.trigger.signing_key) == (None, None)
    assert lab.load(export={"laboratory": "Null"}).config.export.laboratory == "Null"


def test_a_samples_own_read_structure_is_checked_where_it_stands(lab: Lab) -> None:
    message = error_of(lab.row("s1").row("s2", read_structure="8M+T +T"))
    assert "samples.tsv, line 3, field 'read_structure'" in message


def test_umis_in_read_names_need_no_structure(lab: Lab) -> None:
    assert lab.row().load(alignment={"umi": "read_name", "read_structure": None}).samples


def test_a_missing_key(lab: Lab) -> None:
    del lab.settings["trigger"]["ledger"]
    message = error_of(lab.row())
    assert "config.yaml, field 'trigger.ledger': missing" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch: a\nbatch: b\n", ["line 2", "a key is given twice", "found 'batch'"]),
        ("calling:\n  alpha: 1\n  alpha: 2\n", ["line 3", "a key is given twice"]),
        ("batch: [a\n", ["not YAML", "line"]),
        ("- a\n", ["keys and values"]),
        ("", ["keys and values"]),
        ("1: a\n", ["a key is not text"]),
        ("batch: !!python/object/apply:os.system ['true']\n", ["not YAML"]),
        ("a: &a [*a]\n", ["line 1", "an alias", "found '*a'"]),
        ("batch: 2024-13-45\n", ["config.yaml"]),
    ],
)
def test_a_config_that_is_no_config(lab: Lab, text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        load_batch(lab.config(text))
    assert all(word in str(caught.value) for word in ["config.yaml", *words]), caught.value


def test_a_background_of_the_batchs_blanks(lab: Lab) -> None:
    lab.row().row("b1", type="blank")
    assert lab.load(background="fit").config.background is None


def test_every_setting_has_a_key_and_every_key_a_setting() -> None:
    def names(cls: type) -> set[str]:
        return {f.name for f in fields(cls)}

    sections = schema("config")["properties"]
    assert set(sections) == names(Config)
    for section, cls in SECTIONS.items():
        assert set(sections[section]["properties"]) <= names(cls), section
    options = {option.name for option in count.params}
    assert set(sections["counting"]["properties"]) <= options, "the workflow could not pass it on"
    assert set(schema("samples")["properties"]) | {"line", "interleaved"} == names(Sample)


def test_the_template_names_every_key_with_its_default(lab: Lab) -> None:
    template = read_yaml(ROOT / "config" / "config.yaml")
    for key, rule in schema("config")["properties"].items():
        assert set(rule.get("properties", {})) == (set(template[key]) if "properties" in rule else set()), key
    del lab.settings["alignment"]
    bare = lab.row(read_structure="3M2S+T 3M2S+T").load().config
    optional = {k: template[k] for k in ("output", "alignment", "counting", "calling", "qc")}
    optional["alignment"] = optional["alignment"] | {"read_structure": None}
    optional["qc"] = optional["qc"] | {"snps": None}
    assert lab.load(**optional).config == bare


@pytest.mark.parametrize("name", ["config", "samples"])
def test_schemas_are_schemas_with_a_description_of_each_key(name: str) -> None:
    from jsonschema import Draft202012Validator

    def leaves(node: dict[str, Any]) -> list[dict[str, Any]]:
        return [x for p in node.get("properties", {}).values() for x in [p, *leaves(p)]]

    Draft202012Validator.check_schema(schema(name))
    assert leaves(schema(name))
    assert all(leaf["description"] for leaf in leaves(schema(name)))


def test_lanes_and_interleaved_fastq(tmp_path: Path) -> None:
    for name in ("a_1", "b_1", "a_2", "b_2"):
        (tmp_path / name).write_text("@r\nA\n+\nF\n")
    sheet = tmp_path / "s.tsv"
    sheet.write_text("sample\ttype\tfastq_1\tfastq_2\nx\tblank\ta_1; b_1\ta_2;b_2\n")
    (sample,) = load_sheet(sheet)
    assert sample.files == tuple(tmp_path / n for n in ("a_1", "b_1", "a_2", "b_2"))
    assert sample.fastq_options == (f"{tmp_path}/a_1;{tmp_path}/b_1", f"{tmp_path}/a_2;{tmp_path}/b_2")
    sheet.write_text("sample\ttype\tfastq_1\tfastq_2\nx\tblank\ta_1;b_1\tinterleaved\n")
    (sample,) = load_sheet(sheet)
    assert sample.files == (tmp_path / "a_1", tmp_path / "b_1")
    assert sample.fastq_options == (f"{tmp_path}/a_1;{tmp_path}/b_1", "interleaved")
    for cells, said in (
        ("a_1;b_1\ta_2", "2 files with R1 and 1 with R2"),
        ("\tinterleaved", "neither FASTQ nor BAM"),
        ("a_1;none\ta_2;b_2", "no such file"),
        ("a_1;a_1\ta_2;b_2", "input file given twice"),
    ):
        sheet.write_text(f"sample\ttype\tfastq_1\tfastq_2\nx\tblank\t{cells}\n")
        with pytest.raises(InputError, match=said):
            load_sheet(sheet)
