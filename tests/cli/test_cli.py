from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
import types
from importlib import import_module
from pathlib import Path

import click
import pytest

from esr1call import __version__
from esr1call.cli import COMMANDS, cli, run
from esr1call.errors import InputError
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT, moved_slices, write_fasta


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """A command `broken` that raises what the test puts under "error"."""
    raised: dict[str, BaseException] = {}

    @click.command(name="broken")
    def command() -> None:
        raise raised["error"]

    module = types.ModuleType("broken_command")
    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broken_command", module)
    monkeypatch.setitem(COMMANDS, "broken", ("broken_command", "Breaks."))
    return raised


# ---------------------------------------------------------------- the command itself


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_lists_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in out] == []


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "\nCommands:\n" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"esr1call, version {__version__}\n"


def test_help_runs_without_importing_anything_slow() -> None:
    program = (
        "import sys\nfrom esr1call.cli import run\nassert run(['--help']) == 0\n"
        "slow = {'numpy', 'scipy', 'pandas', 'pysam', 'jsonschema', 'sqlalchemy'} & set(sys.modules)\n"
        "sys.exit(f'imported {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, line = COMMANDS[name]
    assert isinstance(import_module(module).command, click.Command)
    assert line.endswith(".")
    assert run([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: esr1call {name} ")


# ---------------------------------------------------------------- every error is one line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["non\nsense\x1b[31m"], "No such command 'non"),
        (["--nonsense"], "No such option"),
        (["panel"], "Missing option '--panel'"),
        (["panel", "--panel", "x", "--reference", "y", "--build", "hg18"], "'hg18' is not one of"),
        (["panel", "--panel", "x", "--reference", "gone.fa"], "gone.fa: no such file"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("esr1call: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert err[:-1].isprintable()


def test_bad_input_is_one_line_and_exit_2(broken: dict[str, BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    broken["error"] = InputError("bad\nvolume", file="samples.tsv", line=3)
    assert run(["broken"]) == 2
    assert capsys.readouterr() == ("", "esr1call: error: samples.tsv, line 3: bad\\nvolume\n")


@pytest.mark.parametrize(
    "error", [ValueError("two\nlines\x00"), AssertionError(), MemoryError(), RecursionError("deep")]
)
def test_a_bug_is_one_line_and_exit_1(
    broken: dict[str, BaseException], error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    broken["error"] = error
    assert run(["broken"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"esr1call: internal error: {type(error).__name__}: ")
    assert err.count("\n") == 1
    assert err.endswith("; please report it with --debug\n")
    assert err[:-1].isprintable()


@pytest.mark.parametrize("code", [errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP])
def test_a_place_that_cannot_be_used_is_no_bug(
    broken: dict[str, BaseException], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    broken["error"] = OSError(code, os.strerror(code), "/some/where")
    assert run(["broken"]) == 2
    assert capsys.readouterr() == ("", f"esr1call: error: /some/where: cannot be used: {os.strerror(code)}\n")
    broken["error"] = OSError(code, os.strerror(code))
    assert run(["broken"]) == 1
    broken["error"] = OSError(errno.EBADF, "Bad file descriptor", "/some/where")
    assert run(["broken"]) == 1


def _options() -> list[list[str]]:
    """Each option and argument of each command that takes text, with a name too long for a file."""
    found = []
    pending: list[tuple[list[str], click.Command]] = [([], cli)]
    while pending:
        name, command = pending.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            for n in command.list_commands(context):
                inner = command.get_command(context, n)
                assert inner is not None
                pending.append(([*name, n], inner))
            continue
        found += [_given(name, command, p) for p in command.params if type(p.type) is click.types.StringParamType]
    return found


def _given(name: list[str], command: click.Command, long: click.Parameter) -> list[str]:
    arguments = list(name)
    for p in command.params:
        value = f"/tmp/{'9' * 5000}/x" if p is long else str(_KNOWN.get(p.name or "", "/nowhere"))
        if p.required or p is long:
            arguments += [value] if isinstance(p, click.Argument) else [p.opts[-1], value]
    return arguments


_KNOWN = {
    "panel": PANEL_TSV, "reference": REFERENCE_FASTA, "config": ROOT / "test_data" / "config.yaml", "sample": "s",
    "rule": ROOT / "config" / "rules" / "pada1.yaml", "study": "S", "batch": "b",
}  # fmt: skip


@pytest.mark.parametrize("arguments", _options(), ids=lambda a: " ".join(x if len(x) < 50 else "9" for x in a))
def test_no_value_is_too_long_to_be_told_of(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    code = run(arguments)
    err = capfd.readouterr().err
    assert code in (0, 2), err
    if code == 2:
        assert err.count("\n") == 1
        assert err.startswith("esr1call: error: ")


@pytest.mark.parametrize(("error", "code"), [(InputError("bad volume"), 2), (ValueError("a slip"), 1)])
def test_debug_adds_the_traceback_and_keeps_the_exit_code(
    broken: dict[str, BaseException], error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    broken["error"] = error
    assert run(["--debug", "broken"]) == code
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert str(error) in err.splitlines()[-1]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_no_bug(
    broken: dict[str, BaseException], error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    broken["error"] = error
    assert run(["broken"]) == 130
    assert capsys.readouterr().err.strip() == "esr1call: interrupted"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = ["esr1call", "panel", "--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_path()) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        err = running.stderr.read()
    assert "Traceback" not in err
    assert "error" not in err


def test_the_installed_command_exits_as_told() -> None:
    done = subprocess.run(["esr1call", "nonsense"], capture_output=True, text=True, env=_path())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "esr1call: error: No such command 'nonsense'.\n"


def _path() -> dict[str, str]:
    return {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}


# ---------------------------------------------------------------- esr1call panel


def test_panel_lists_its_alleles(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["panel", "--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA)]) == 0
    out, err = capsys.readouterr()
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["protein", "cdna", "contig", "pos", "ref", "alt", "window", "haplotype"]
    assert ["p.D538G", "c.1613A>G", "chr6", "152098791", "A", "G", "536-538", "CTCTATGGC"] in rows
    assert ["p.V422del", "c.1265_1267del", "chr6", "152061016", "ATGG", "A", "421-423", "ATGGAG"] in rows
    assert len(rows) == 27
    assert err.startswith("esr1_lbd 1.0.0: 26 alleles, 8 hotspot windows")
    assert f"#{err.split()[-2]}\t{err.split()[-1]}" in PANEL_TSV.read_text(encoding="utf-8").splitlines()


def test_panel_on_grch37(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fasta = write_fasta(tmp_path / "x.fa", moved_slices(contig="6"))
    arguments = ["panel", "--panel", str(PANEL_TSV), "--reference", str(fasta)]
    assert run([*arguments, "--build", "GRCh37"]) == 0
    assert "p.D538G\tc.1613A>G\tchr6\t152419926\tA\tG" in capsys.readouterr().out
    assert run(arguments) == 2
    assert "is the reference GRCh38?" in capsys.readouterr().err


def test_panel_names_the_row_that_disagrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "panel.tsv"
    wrong.write_text(PANEL_TSV.read_text().replace("p.D538G\tc.1613A>G", "p.D538G\tc.1613A>C"))
    assert run(["panel", "--panel", str(wrong), "--reference", str(REFERENCE_FASTA)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{wrong}, line 38, field 'cdna': p.D538G c.1613A>C" in err
    assert "expected c.1613A>G" in err


PANEL = ["panel", "--panel", str(PANEL_TSV), "--reference", str(REFERENCE_FASTA)]
WRONG = ["report", "/no/such"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "outputs", "code"),
    [
        (WRONG, "2> /dev/full", 2), (WRONG, "> /dev/full 2>&1", 2), (WRONG, "2>&-", 2), (WRONG, ">&- 2>&-", 2),
        (PANEL, "> /dev/full 2>&1", 2), (PANEL, "> /dev/full 2>&-", 2), (PANEL, "2>&-", 0), (PANEL, ">&- 2>&-", 0),
        (["--help"], "> /dev/full", 2), (["--help"], "2> /dev/full", 0), (["--help"], ">&-", 0),
    ],
)  # fmt: skip
def test_the_exit_code_tells_where_nothing_can_be_written(
    arguments: list[str], outputs: str, code: int, unbuffered: str
) -> None:
    """A log lies on the disk that is full, or there is none at all. Python by itself ends with 120."""
    command = f"exec esr1call {shlex.join(arguments)} {outputs}"
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    assert subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=False).returncode == code


def test_output_on_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(["esr1call", *PANEL], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "esr1call: error: cannot write: No space left on device\n")
