"""What every rule must have, read from the rule files themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from esr1call.cli import COMMANDS
from tests.builders import ROOT
from tests.workflow.conftest import Project

FILES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))


def test_lint_finds_nothing(project: Project) -> None:
    run = project.snakemake("--lint", "--configfile", "test_data/config.yaml")
    assert run.returncode == 0
    assert "Congratulations" in run.stderr


def test_a_job_tried_again_gets_more(project: Project) -> None:
    (project.folder / "more.smk").write_text(
        'include: "workflow/Snakefile"\n'
        "for r in workflow.rules:\n"
        "    if r.name != 'all':\n"
        "        keys = ('mem_mb', 'runtime')\n"
        "        need = [[r.resources[k].evaluate(None, attempt=n).value for n in (1, 2, 3)] for k in keys]\n"
        "        assert all(b == [b[0], 2 * b[0], 3 * b[0]] and b[0] > 0 for b in need), (r.name, need)\n"
        "        print('grows', r.name)\n"
    )
    run = project.snakemake("--snakefile", "more.smk", "--configfile", "test_data/config.yaml", "--dry-run")
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("grows ") == len(RULES)


def rules(path: Path) -> list[tuple[str, str]]:
    """(name, body) of each rule in a file."""
    parts = re.split(r"^rule (\w+):\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


RULES = [pytest.param(body, id=f"{path.stem}:{name}") for path in FILES for name, body in rules(path)]


def shell_of(body: str) -> str:
    """The command, its string literals joined."""
    return "".join(re.findall(r'^        "(.*)"$', body.split("    shell:\n")[1], re.MULTILINE))


def test_rules_are_found() -> None:
    assert len(RULES) >= 6


@pytest.mark.parametrize("path", [*FILES, ROOT / "workflow" / "Snakefile"], ids=lambda p: p.name)
def test_no_code_in_jobs(path: Path) -> None:
    assert not re.search(r"^ +(run|script|wrapper|notebook):", path.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("body", RULES)
def test_a_rule_calls_one_subcommand_with_log_benchmark_and_resources(body: str) -> None:
    assert all(f"    {part}:\n" in body for part in ("log", "benchmark", "conda", "resources"))
    for resource in ("mem_mb", "runtime"):
        assert re.search(rf"^        {resource}=(growing|with_reference)\(", body, re.MULTILINE), resource
    shell = shell_of(body)
    words = shell.split()
    assert words[0] == "esr1call"
    assert words[1] in COMMANDS
    assert shell.endswith(" > {log:q} 2>&1")
    assert not re.search(r"[;&|`$]", shell.removesuffix(" > {log:q} 2>&1"))


@pytest.mark.parametrize("body", RULES)
def test_whatever_a_user_names_is_quoted(body: str) -> None:
    unquoted = set(re.findall(r"\{([a-z_.]+)\}", shell_of(body)))
    chosen_from_lists_or_numbers = {"build", "min_mapq", "min_base_quality", "umi", "umi_correction", "keep"}
    assert unquoted <= {"threads"} | {f"params.{name}" for name in chosen_from_lists_or_numbers}
