"""What the packaging files say must agree, and nothing of a builder's machine may be in them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

# conda's name for what PyPI calls otherwise, the channel of what is not on conda-forge, and what only conda has.
CONDA_NAMES = {"snakemake": "snakemake-minimal", "flit_core": "flit-core", "isal": "python-isal"}
BIOCONDA = {"snakemake-minimal", "snakemake-executor-plugin-slurm", "pysam", "pybwa", "bwa", "bwa-mem2"}
CONDA_ONLY = {"python", "pip", "bwa", "bwa-mem2"}
CONDA_EXTRAS = ("postgresql", "workflow", "test", "build")


def _split(requirement: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[\w+\])?\s*(.*)", requirement.strip())
    assert match, requirement
    return match[1], match[2].replace(" ", "")


def _conda() -> dict[str, tuple[str, str]]:
    """Name -> (channel, bounds); the channel of what pip installs is ``pip``."""
    *entries, last = ENVIRONMENT["dependencies"]
    assert list(last) == ["pip"]
    out = {}
    for entry in [*entries, *(f"pip::{e}" for e in last["pip"])]:
        channel, _, rest = entry.rpartition("::")
        name, bounds = _split(rest)
        assert name not in out, f"{name} is listed twice"
        out[name] = (channel, bounds)
    return out


def _pyproject(extras: tuple[str, ...]) -> dict[str, str]:
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(r for e in extras for r in project["optional-dependencies"][e])]
    return dict(_split(r) for r in wanted)


def test_environment_has_the_names_and_bounds_of_pyproject() -> None:
    conda = {name: bounds for name, (_, bounds) in _conda().items() if name not in CONDA_ONLY}
    assert conda == {CONDA_NAMES.get(name, name): bounds for name, bounds in _pyproject(CONDA_EXTRAS).items()}


def test_whatever_the_package_imports_is_a_requirement() -> None:
    names = {"yaml": "pyyaml"}
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    modules = {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names) - {"esr1call"}
    assert {names.get(m, m) for m in modules} == set(_pyproject(()))


def test_environment_has_the_python_of_pyproject() -> None:
    assert _conda()["python"][1] == PROJECT["project"]["requires-python"]


def test_environment_channels() -> None:
    assert ENVIRONMENT["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    assert {name for name, (channel, _) in _conda().items() if channel == "bioconda"} == BIOCONDA
    assert {channel for channel, _ in _conda().values()} == {"", "bioconda", "pip"}


def test_aligners_of_the_workflow_have_the_bounds_of_the_environment() -> None:
    wanted = yaml.safe_load((ROOT / "workflow" / "envs" / "aligners.yaml").read_text(encoding="utf-8"))
    assert wanted["channels"] == ENVIRONMENT["channels"]
    assert len(wanted["dependencies"]) == 2
    assert set(wanted["dependencies"]) <= set(ENVIRONMENT["dependencies"][:-1])


def _pins() -> dict[str, list[str]]:
    pins: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", LOCK, re.MULTILINE):
        pins.setdefault(_normal(name), []).append(version)
    return pins


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _satisfies(version: str, bounds: str) -> bool:
    def key(text: str) -> list[int]:
        return [int(n) for n in re.findall("[0-9]+", text)]

    for bound in filter(None, bounds.split(",")):
        operator, limit = re.fullmatch(r"(>=|<)(.+)", bound).groups()  # type: ignore[union-attr]
        if (operator == ">=" and key(version) < key(limit)) or (operator == "<" and key(version) >= key(limit)):
            return False
    return True


@pytest.mark.parametrize("extra", sorted(PROJECT["project"]["optional-dependencies"]))
def test_lock_pins_every_requirement_within_its_bounds(extra: str) -> None:
    pins = _pins()
    for name, bounds in _pyproject((extra,)).items():
        assert all(_satisfies(v, bounds) for v in pins[_normal(name)]), (name, bounds, pins[_normal(name)])


def test_lock_pins_the_build_backend_that_the_project_asks_for() -> None:
    assert PROJECT["build-system"]["requires"] == PROJECT["project"]["optional-dependencies"]["build"]


@pytest.mark.parametrize("path", ["requirements.lock", "requirements-peers.lock"])
def test_lock_is_hashed_and_names_no_host_or_path(path: str) -> None:
    lock = (ROOT / path).read_text(encoding="utf-8")
    assert not re.search(r"://|^\s*(-[a-z]|--(?!hash=)|/)|@ ", lock, re.MULTILINE)
    for block in re.split(r"\n(?=\S)", lock.strip()):
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("path", ["Makefile", ".ci/run", "requirements.lock", "pyproject.toml", "environment.yml"])
def test_packaging_files_are_free_of_builders_paths(path: str) -> None:
    assert not re.search(r"/(root|home|tmp|work|opt)/", (ROOT / path).read_text(encoding="utf-8"))


def test_ci_script_parses() -> None:
    subprocess.run(["bash", "-n", str(ROOT / ".ci/run")], check=True)


def _documented(rows: str) -> set[str]:
    """The names in the last but one column of a table's rows."""
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in rows.splitlines() if line.startswith("| ")]
    assert all(len(row[-1]) > 10 or row[-1] in ("why", "---") for row in cells), "a reason for each"
    return {name for row in cells for name in row[-2].split(", ")} - {"package", "---"}


def test_every_dependency_is_documented_with_its_reason_and_no_other_is() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    needed, optional = text.split("Only where they are asked for:")
    assert _documented(needed) == set(_pyproject(()))
    extras = {e: {_split(r)[0] for r in rs} for e, rs in PROJECT["project"]["optional-dependencies"].items()}
    rows = [line for line in optional.splitlines() if line.startswith("| ") and line.split()[1] in extras]
    assert _documented(optional) == {name for names in extras.values() for name in names}
    for row in rows:
        extra = row.split()[1]
        assert _documented(row) <= extras[extra], row
