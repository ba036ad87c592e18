"""Reading a trigger rule file."""

from __future__ import annotations

from pathlib import Path

from esr1call.io.files import require_file
from esr1call.io.schema import read_yaml, validate
from esr1call.rule import Rule, parse_rule


def load_rule(path: str | Path) -> Rule:
    """The rule in a YAML file, checked against the shipped schema; InputError names the first key that is wrong."""
    require_file(path, hint="give a trigger rule, such as config/rules/pada1.yaml")
    values = read_yaml(path)
    validate(values, "rule", file=path)
    return parse_rule(values, str(path))
