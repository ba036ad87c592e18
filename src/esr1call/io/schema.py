"""Checking a parsed file against a JSON Schema that is shipped with the package, with a one-line error."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from esr1call.errors import InputError
from esr1call.io.files import read_text

_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice (YAML's own rule, which PyYAML does not hold)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _Refused("a key is not text", key_node, repr(key), "a name; put it in quotes")
            if key in seen:
                raise _Refused("a key is given twice", key_node, key, "each key once")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


class _Refused(Exception):
    def __init__(self, problem: str, at: yaml.Node | yaml.Event, found: str, expected: str) -> None:
        super().__init__(problem)
        self.line = None if at.start_mark is None else at.start_mark.line + 1
        self.problem, self.found, self.expected = problem, found, expected


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML (or JSON) file, by the safe loader.

    InputError for anything else, a repeated key, or an alias (aliases can make a small file a huge or endless value).
    """
    text = read_text(path)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise _Refused("an alias", event, f"*{event.anchor}", "the value itself")
        value = yaml.load(text, Loader=_StrictLoader)
    except _Refused as error:
        raise InputError(
            error.problem, file=path, line=error.line, found=error.found, expected=error.expected
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(
            f"not YAML: {error.problem or error.context}", file=path, line=None if mark is None else mark.line + 1,
            hint="check indentation, colons and quotes there",
        ) from error  # fmt: skip
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"not YAML: {error}", file=path) from error
    if not isinstance(value, dict):
        raise InputError("not a table of keys and values", file=path, expected="lines of 'key: value'")
    return value


@cache
def schema(name: str) -> dict[str, Any]:
    """The shipped JSON Schema called `name` (``config`` for ``schemas/config.schema.json``)."""
    text = files("esr1call").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def with_numbers(value: Any, rule: dict[str, Any]) -> Any:
    """`value` with text that spells a number, true, false or null turned into it where the schema `rule` wants it.

    YAML takes ``1e-3`` for text, and so does Snakemake everything inside ``--config a='{b: 1, c: false}'``.
    """
    if isinstance(value, dict):
        return {k: with_numbers(v, rule.get("properties", {}).get(k, {})) for k, v in value.items()}
    if isinstance(value, str) and rule.get("type") in ("integer", "number") and _NUMBER.fullmatch(value):
        return int(value) if value.lstrip("+-").isdigit() else float(value)
    if isinstance(value, str) and rule.get("type") == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value == "null" and "null" in rule.get("type", ()):
        return None
    return value


@cache
def validator(name: str) -> Any:
    """A jsonschema validator of the shipped schema `name`."""
    from jsonschema import Draft202012Validator, validators

    extend: Any = validators.extend  # has no types
    return extend(Draft202012Validator, {"pattern": _pattern})(schema(name))


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[Any]:
    """As JSON Schema means it: `$` is the very end of a text (to Python a line break may follow), a digit is ASCII."""
    from jsonschema import ValidationError

    strict = pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern
    if isinstance(value, str) and not re.search(strict, value, re.ASCII):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def validate(value: Any, name: str, *, file: str | Path, line: int | None = None) -> None:
    """Check `value` against the shipped schema `name`; InputError names the first key that is wrong.

    A schema's `description` says what is expected, so the words live beside the rule.
    """
    _refuse_non_finite(value, "", file, line)
    errors = sorted(validator(name).iter_errors(value), key=lambda e: [str(p) for p in e.path])
    if not errors:
        return
    error = errors[0]
    rule: Any = error.schema
    key = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        expected = rule.get("properties", {}).get(missing, {}).get("description")
        raise InputError("missing", file=file, line=line, field=_join(key, missing), expected=expected)
    if error.validator == "additionalProperties":
        extra = next(k for k in error.instance if k not in rule["properties"])
        known = ", ".join(rule["properties"])
        raise InputError("unknown key", file=file, line=line, field=_join(key, extra), expected=f"one of {known}")
    hint = None
    if error.validator == "type":
        hint = _quoting_hint(error.instance, error.validator_value)
    raise InputError(
        "bad value", file=file, line=line, field=key or None, found=json.dumps(error.instance, default=str).strip('"'),
        expected=rule.get("description") or f"{error.validator} {error.validator_value}", hint=hint,
    )  # fmt: skip


def _refuse_non_finite(value: Any, key: str, file: str | Path, line: int | None) -> None:
    """YAML knows .nan and .inf, and every comparison with a limit lets NaN through; integers know no end, and to a
    schema 1e300 is one."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError("not a finite number", file=file, line=line, field=key or None, found=value)
    if isinstance(value, int | float) and abs(value) > 2**53:
        raise InputError("too large a number", file=file, line=line, field=key or None, expected="at most 2^53")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in items:
        _refuse_non_finite(inner, _join(key, str(part)), file, line)


def _join(key: str, part: str) -> str:
    return f"{key}.{part}" if key else part


def _quoting_hint(found: object, expected: object) -> str | None:
    kinds = expected if isinstance(expected, list) else [expected]
    if "string" in kinds and not isinstance(found, (dict, list)):
        return "put the value in quotes"
    if isinstance(found, str) and {"number", "integer"} & set(kinds):
        return "write numbers with a decimal point"
    return None
