"""Nothing that a file or a cell says is run: by a shell, a loader, a database, a browser or a spreadsheet."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from esr1call.cli import run
from esr1call.errors import InputError
from esr1call.history import Kind
from esr1call.io.audit import audit
from esr1call.io.batch import load_batch
from esr1call.io.ledger import Ledger
from esr1call.io.results_file import write_calls, write_quality
from esr1call.io.schema import schema
from esr1call.io.sheet import load_sheet
from esr1call.results import BatchQuality, Check, Outcome
from tests.builders import ROOT, sample_result, variant_call
from tests.io.test_batch import HEADER, Lab
from tests.trigger_builders import RULE_FILE, sample, write_results

CODE = sorted(
    [*ROOT.glob("src/**/*.py"), *ROOT.glob("scripts/*.py"), *ROOT.glob("docs/*.py"), *ROOT.glob("workflow/**/*.py")]
)
FORMULAS = ['=HYPERLINK("http://x/"&A1;"y")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1"]
SHELL = ["$(touch hit)", "; touch hit", "`touch hit`", "' ; touch hit ; '", '" && touch hit "', "| touch hit", "a\nb"]
SQL = ["' OR '1'='1", "x'; DROP TABLE entries; --", '" OR ""="', "%", "_", "\\", "P01' --", "\x00"]

# ---------------------------------------------------------------- the source


def dangers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) of each thing that could run what it reads."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{a.name}" for a in node.names]
        for name in names:
            if name.partition(".")[0] in ("pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"):
                yield node.lineno, name
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {k.arg: ast.unparse(k.value) for k in node.keywords}
        last = called.rpartition(".")[2]
        if called in ("eval", "exec", "os.system", "os.popen", "compile", "__import__") or last in ("read_pickle",):
            yield node.lineno, called
        if given.get("shell", "False") != "False":
            yield node.lineno, f"{called}(shell)"
        # numpy.load refuses pickles unless it is asked; who writes must not make one of an array of objects
        pickles = {"np.load": "False", "np.save": "True", "np.savez": "True", "np.savez_compressed": "True"}
        if given.get("allow_pickle", pickles.get(called, "False")) != "False":
            yield node.lineno, f"{called}(allow_pickle)"
        if called in ("yaml.load", "yaml.load_all", "yaml.parse"):
            loader = given.get("Loader", ast.unparse(node.args[1]) if len(node.args) > 1 else "none")
            if loader not in SAFE_LOADERS:
                yield node.lineno, f"{called}({loader})"
        if called in ("yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all"):
            yield node.lineno, called
        if last in ("execute", "exec_driver_sql", "executemany", "executescript") or called == "sa.text":
            for argument in node.args[:1]:
                for part in ast.walk(argument):
                    if isinstance(part, ast.JoinedStr | ast.BinOp):
                        names_in = {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
                        if names_in - CONSTANTS:
                            yield node.lineno, f"{called}({ast.unparse(argument)})"


SAFE_LOADERS = {"yaml.SafeLoader", "_StrictLoader"}  # the second is one of the first, see below
CONSTANTS = {"WAIT_SECONDS", "_LOCK"}
"""Names that a statement of SQL may be put together with: numbers of our own."""


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_code_runs_what_it_reads(path: Path) -> None:
    assert list(dangers(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from pickle import loads", "import joblib", "eval(x)", "os.system(x)",
        "subprocess.run(x, shell=True)", "np.load(x, allow_pickle=True)", "np.savez(x, **y)", "pd.read_pickle(x)",
        "yaml.load(x)", "yaml.load(x, Loader=yaml.Loader)", "yaml.unsafe_load(x)", "yaml.full_load(x)",
        "c.execute(f'SELECT {x}')", "c.exec_driver_sql('SELECT ' + x)", "sa.text('a %s' % x)",
    ],
)  # fmt: skip
def test_what_could_is_found(code: str) -> None:
    assert list(dangers(ast.parse(code)))


def test_the_strict_loader_is_a_safe_one(tmp_path: Path) -> None:
    import yaml

    from esr1call.io import schema as module

    assert issubclass(module._StrictLoader, yaml.SafeLoader)
    (tmp_path / "x.yaml").write_text("a: !!python/object/apply:os.system ['touch hit']\n")
    with pytest.raises(InputError, match="not YAML"):
        module.read_yaml(tmp_path / "x.yaml")


def test_templates_escape_whatever_they_show() -> None:
    """`safe` is for the style sheet and the script of our own alone."""
    from esr1call.report.render import _environment

    assert _environment().autoescape is True
    marked = [
        line.strip()
        for path in (ROOT / "src" / "esr1call" / "report" / "templates").glob("*.j2")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "|safe" in line.replace(" ", "")
    ]
    assert marked == [
        "{{ style|safe }}</style>",
        "{% if script is defined %}<script>{{ script|safe }}</script>{% endif %}",
    ]


# ---------------------------------------------------------------- the sample sheet


@pytest.fixture
def sheet(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.mark.parametrize("column", list(schema("samples")["properties"]))
def test_no_cell_of_a_sheet_holds_what_something_could_run(column: str, sheet: Lab) -> None:
    """Names of files may be any, and must be there; they reach a shell quoted (tests/workflow/test_faults.py)."""
    path = sheet.row().sheet()
    good = dict(zip(HEADER, path.read_text().splitlines()[1].split("\t"), strict=True))
    for text in [*SHELL, *FORMULAS, *SQL, "../x", "/etc/passwd", "a/../../b"]:
        cells = good | {column: f"no/{text}" if column in ("fastq_1", "fastq_2", "bam") else text}
        if column == "bam":
            cells |= {"fastq_1": "", "fastq_2": ""}
        if column == "expected":
            cells |= {"type": "positive_control", "patient": "", "collected": "", "expected": f"{text}=0.1"}
        sheet.sheet("\t".join(HEADER) + "\n" + "\t".join(cells.values()) + "\n")
        with pytest.raises(InputError, match=r"samples\.tsv, (line [23]|field)"):
            load_sheet(path)


def test_a_sample_of_any_name_that_is_taken_stays_in_its_folder(sheet: Lab) -> None:
    for i, name in enumerate(("a.b", "A-1", "x_y", "0", "con", "a" * 64)):
        sheet.row(name, patient=f"P{i}")
    batch = sheet.load()
    for s in batch.samples:
        folder = (batch.config.folder / "samples" / s.sample).resolve()
        assert folder.parent == (batch.config.folder / "samples").resolve()


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "..", ".", "", "x\n", "a\\..\\b/c"])
@pytest.mark.parametrize("field", ["sample", "patient", "batch", "study"])
def test_a_result_made_elsewhere_can_not_lead_out_of_the_folder(
    field: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"sample": "S1", "patient": "P01", "batch": "b1", "study": "S"} | {field: name}
    result = replace(sample(0), sample=given["sample"], patient=given["patient"])
    folder = tmp_path / "b1"
    write_results(folder, replace(result, sample="S1"))
    (file,) = folder.rglob("result.json")
    file.write_text(file.read_text().replace('"S1"', __import__("json").dumps(given["sample"])))
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    code = run(["trigger", str(file), "--rule", str(RULE_FILE), "--ledger", str(tmp_path / "l"),
                "--study", given["study"], "--batch", given["batch"], "--out", str(tmp_path / "out")])  # fmt: skip
    if field == "batch" and code == 0:  # it names no file
        return
    assert code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [p for p in sorted(str(p) for p in tmp_path.rglob("*")) if p not in before and "event.json" in p] == []


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("text", FORMULAS)
def test_no_table_has_a_cell_that_a_spreadsheet_runs(text: str, tmp_path: Path) -> None:
    call = replace(variant_call(), protein=text, cdna=text, window=text, consequence=text, panel_variants=(text,))
    result = sample_result(sample=text, patient=text, visit=text, batch=text, calls=(call,), reasons=(text,))
    check = Check(name="ntc", sample=text, outcome=Outcome.FAILED, value=-1.0, threshold=None, explanation=text,
                  next_step=text)  # fmt: skip
    write_calls(tmp_path / "calls.tsv", [result])
    write_quality(tmp_path, BatchQuality(batch=text, checks=(check,), samples=()))
    for name in ("calls.tsv", "qc.tsv"):
        head, *rows = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        assert len(rows) == 1
        cells = rows[0].split("\t")
        assert len(cells) == len(head.split("\t"))
        assert [c for c in cells if c.lstrip()[:1] in ("=", "+", "@")] == []
        assert [c for c in cells if c[:1] == "-" and not c[1:].replace(".", "").isdigit()] == []


def test_the_table_of_decisions_too(tmp_path: Path) -> None:
    """A protein's name comes from a result, which may be made elsewhere."""
    result = sample(28, D538G=50)
    odd = tuple(replace(c, protein="=1+1") if c.status == "DETECTED" else c for c in result.calls)
    write_results(tmp_path / "b", sample(0), replace(result, calls=odd))
    given = ["--rule", str(RULE_FILE), "--ledger", str(tmp_path / "l"), "--study", "S", "--batch", "b"]
    assert run(["trigger", "--batch-dir", str(tmp_path / "b"), *given, "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "decisions.tsv").read_text()
    assert [c for line in text.splitlines() for c in line.split("\t") if c[:1] in ("=", "+", "-", "@")] == []


# ---------------------------------------------------------------- the ledger


@pytest.mark.parametrize("text", SQL[:-1])
def test_nothing_asked_of_the_ledger_is_taken_for_sql(text: str, ledger_place: str) -> None:
    with Ledger(ledger_place) as ledger:
        with ledger.writing("S") as writer:
            writer.append("P01", Kind.VOID, "a", "{}", "b1")
            writer.append("P02", Kind.VOID, "s", "{}", "b2")
        with ledger.writing(text) as writer:
            writer.append(text, Kind.VOID, text, text, text)
        with ledger.reading("S") as reader:
            assert reader.entries(patient=text) == reader.entries(name=[text, "%"]) == reader.entries(batch=text) == []
            assert reader.owners([text]) == {}
            assert reader.patients(text) == []
            assert reader.patients() == ["P01", "P02"]
        with ledger.reading(text) as reader:
            assert [e.body for e in reader.entries(patient=text, name=[text], batch=text)] == [text]
            assert reader.patients() == [text]
        audit(ledger)


def test_keys_and_ledger_are_their_owners_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        assert run(["keys", "new", str(tmp_path / "keys" / "lab.pem")]) == 0
        with Ledger(tmp_path / "l" / "ledger.sqlite") as ledger, ledger.writing("S") as writer:
            writer.append("P01", Kind.VOID, "a", "{}", "b1")
            writer.flush()
            files = [tmp_path / "keys" / "lab.pem", *(tmp_path / "l").iterdir()]
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in files}
    finally:
        os.umask(old)
    assert modes == {"lab.pem": 0o600, "ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600}


def test_a_check_of_a_hostile_batch_runs_nothing(sheet: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sheet.folder)
    for i, text in enumerate(SHELL[:-1]):
        name = text.replace("/", "").replace(";", ",")
        sheet.row(f"s{i}", patient=f"P{i}", fastq_1=f"{name}1.fq", fastq_2=f"{name}2.fq")
    sheet.settings["export"] = {"laboratory": SHELL[3]}
    sheet.sheet()
    assert len(load_batch(sheet.config()).samples) == len(SHELL) - 1
    run(["batch", "check", str(sheet.config())])
    assert not (sheet.folder / "hit").exists()
