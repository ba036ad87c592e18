"""Holds the shape of the package: imports run downwards, the core touches no files, no clock and no chance."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import ROOT

SOURCE = ROOT / "src" / "esr1call"
# Each line may import from its own and from the lines above.
LAYERS = (
    ("errors", "cells", "contigs", "stats", "settings"),
    ("panel", "haplotype", "panel_file"),
    ("pileup", "screening"),
    ("molecules",),
    ("counts",),
    ("counting", "results", "background", "background_compare", "background_fit", "snps"),
    ("lod", "rise", "rule"),
    ("fraction",),
    ("calling",),
    ("quality", "explain", "consensus_reads", "count_summary"),
    ("timeline", "decision", "schedule"),
    ("trigger", "history", "formats"),
    ("io", "alignment", "simulate", "report", "patient_history", "provenance"),
    ("cli",),
)
LAYER = {name: i for i, names in enumerate(LAYERS) for name in names}
EDGE = LAYER["io"]
# Where the world comes in.
IMPURE_MODULES = {
    "bz2", "click", "concurrent", "deflate", "fcntl", "glob", "gzip", "io", "isal", "logging", "lzma", "mmap",
    "multiprocessing", "os", "pandas", "platform", "pyarrow", "pybwa", "pysam", "random", "secrets", "shutil", "socket",
    "sqlalchemy", "sqlite3", "subprocess", "sys", "tarfile", "tempfile", "threading", "time", "urllib", "uuid",
    "yaml", "zipfile",
}  # fmt: skip
IMPURE_NAMES = {"open", "input", "print", "exec", "eval", "breakpoint"}
IMPURE_ATTRIBUTES = {
    # files
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "exists", "unlink", "mkdir", "touch", "iterdir",
    "fromfile", "tofile", "memmap", "loadtxt", "savetxt", "genfromtxt", "savez", "joinpath",
    # clocks
    "now", "utcnow", "today",
}  # fmt: skip
SLOW_TO_IMPORT = {
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pysam",
    "jsonschema",
    "sqlalchemy",
    "yaml",
    "pybwa",
    "rfc8785",
}
FILES = sorted(SOURCE.rglob("*.py"))


def _name(path: Path) -> str:
    """The part of the package a file belongs to: ``panel`` for panel.py, ``io`` for io/files.py."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, wherever it stands; ``from a import b`` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _upward(tree: ast.AST, name: str) -> list[str]:
    """Imports of the package's own modules from layers above `name`."""
    found = []
    for line, module in _imports(tree):
        parts = module.split(".")
        if parts[0] != "esr1call" or len(parts) == 1 or parts[1].startswith("__"):
            continue
        if parts[1] not in LAYER or LAYER[parts[1]] > LAYER.get(name, -1):
            found.append(f"line {line}: {module}")
    return found


def _impure(tree: ast.AST) -> list[str]:
    """What a pure module may not do: reach files, processes, clocks, or chance other than a generator it is given."""
    found = [f"line {line}: imports {m}" for line, m in _imports(tree) if m.split(".")[0] in IMPURE_MODULES]
    found += [f"line {line}: imports {m}" for line, m in _imports(tree) if m.startswith("importlib.resources")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in IMPURE_NAMES:
                found.append(f"line {node.lineno}: calls {called.id}")
            if isinstance(called, ast.Attribute) and called.attr in IMPURE_ATTRIBUTES:
                found.append(f"line {node.lineno}: calls .{called.attr}")
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "random"
            and node.attr != "Generator"
        ):
            found.append(f"line {node.lineno}: uses random.{node.attr}")
    return found


def _top_level(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Imports that run when the module is imported (those for the type checker do not)."""
    for statement in tree.body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield from _imports(statement)


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def test_every_module_has_its_layer() -> None:
    found = {_name(path) for path in FILES if path.name != "__init__.py" or path.parent != SOURCE}
    assert found - set(LAYER) == set(), "give the new module a place in LAYERS"
    assert {"errors", "panel", "counts", "io", "cli"} <= found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_downwards(path: Path) -> None:
    if path == SOURCE / "__init__.py":
        assert list(_imports(_parse(path))) == []
    else:
        assert _upward(_parse(path), _name(path)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_the_core_is_pure_and_nothing_slow_is_imported_anywhere(path: Path) -> None:
    tree = _parse(path)
    if LAYER.get(_name(path), EDGE) < EDGE:
        assert _impure(tree) == []
    slow = [m for _, m in _imports(tree) if m.startswith(("pandas", "scipy.stats"))]
    assert slow == []


@pytest.mark.parametrize("path", sorted((SOURCE / "cli").glob("*.py")), ids=lambda p: p.stem)
def test_commands_import_slow_things_only_when_they_run(path: Path) -> None:
    light = {"cli", "errors", "contigs"}
    early = [
        m
        for _, m in _top_level(_parse(path))
        if m.split(".")[0] in SLOW_TO_IMPORT
        or (m.startswith("esr1call.") and not m.split(".")[1].startswith("__") and m.split(".")[1] not in light)
    ]
    assert early == []


def test_importing_the_commands_imports_nothing_slow() -> None:
    modules = ["esr1call.cli", *(f"esr1call.cli.{p.stem}" for p in (SOURCE / "cli").glob("*.py") if p.stem[0] != "_")]
    program = (
        f"import sys\nfrom importlib import import_module\nfor name in {modules}: import_module(name)\n"
        f"print(sorted({SLOW_TO_IMPORT} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- the checks themselves


@pytest.mark.parametrize(
    "source",
    [
        "import pysam",
        "from pandas import DataFrame",
        "def f():\n    import os.path",
        "from importlib.resources import files",
        "open('x')",
        "Path('x').read_text()",
        "np.memmap('x')",
        "datetime.date.today()",
        "rng = np.random.default_rng(1)",
        "np.random.seed(1)",
        "print(1)",
    ],
)
def test_impure_code_is_found(source: str) -> None:
    assert len(_impure(ast.parse(source))) >= 1


@pytest.mark.parametrize(
    "source",
    ["import numpy as np\ndef f(rng: np.random.Generator) -> None: rng.random()", "from datetime import date",
     "from scipy.special import gammaln", "from pathlib import Path", "date.fromisoformat('2024-01-01')"],
)  # fmt: skip
def test_pure_code_is_let_through(source: str) -> None:
    assert _impure(ast.parse(source)) == []


@pytest.mark.parametrize(
    ("name", "source", "refused"),
    [
        ("panel", "from esr1call.counts import STRATA", True),
        ("panel", "def f():\n    from esr1call.haplotype import describe", False),
        ("panel", "import esr1call.io.files", True),
        ("trigger", "from esr1call import io", True),
        ("io", "from esr1call.trigger import event", False),
        ("io", "from esr1call import __version__", False),
        ("report", "from esr1call.cli import run", True),
        ("cli", "from esr1call.nowhere import x", True),
    ],
)
def test_upward_imports_are_found(name: str, source: str, refused: bool) -> None:
    assert bool(_upward(ast.parse(source), name)) == refused
