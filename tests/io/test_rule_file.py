from __future__ import annotations

from pathlib import Path

import pytest

from esr1call.errors import InputError
from esr1call.io.rule_file import load_rule
from tests.trigger_builders import RULE_FILE

TEXT = RULE_FILE.read_text()


def test_comments_are_no_part_of_the_rule(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text("\n".join(line.split("#")[0].rstrip() for line in TEXT.splitlines()))
    assert load_rule(path) == load_rule(RULE_FILE)


def test_a_changed_setting_is_another_rule(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(TEXT.replace("fold: 2.0", "fold: 2.5"))
    assert load_rule(path).increase.fold == 2.5
    assert load_rule(path).sha256 != load_rule(RULE_FILE).sha256


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: pada1", "title: pada1", "unknown key"),
        ("fold: 2.0", "fold: 0.5", r"field 'increase\.fold': bad value: found '0.5', expected the least ratio"),
        ("fold: 2.0", "fold: two", r"increase\.fold"),
        ("comparator: nadir", "comparator: peak", "expected nadir or last_valid"),
        ("[vaf, copies_per_ml]", "[]", r"increase\.measures"),
        ("required_lod: 0.005", "required_lod: 5%", "field 'required_lod'"),
        ("required_lod: 0.005", "", "field 'required_lod': missing"),
        ("[380, 536, 537, 538]", "[]", "nothing may trigger"),
        ("excluded: []", "excluded: [S463P]", r"expected a protein change as the panel names it"),
        ("event_prefix: org.esr1call", "event_prefix: My Lab", "expected a reverse domain name"),
        ('version: "1.0.0"', "version: 1.0", "expected a version in quotes"),
        ("same_visit_days: 3", "same_visit_days: -1", "same_visit_days"),
        ("trigger:", "trigger: &a", "trigger"),
        ("name: pada1", "name: pada1\nname: pada2", "a key is given twice"),
        ("latched: true", "latched: perhaps", "field 'latched'"),
        ("sign_off: [retracted]", "sign_off: [all]", r"field 'sign_off\.0'.*expected raised, amended, retracted"),
        ("first_days: [0, 28]", "first_days: [28, 0]", "field 'schedule': planned draws are out of order"),
        ("late_days: 14", "late_days: 21", r"their windows overlap: found '\[0, 28, 84\]'"),
        ("then_every_days: 56", "then_every_days: 0", "expected days between later draws"),
    ],
)
def test_a_bad_rule_is_one_clear_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "rule.yaml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new) if new != "trigger: &a" else TEXT.replace("trigger:\n", "trigger: 5\nx:\n"))
    with pytest.raises(InputError, match=message) as caught:
        load_rule(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_variant_may_not_be_both_in_and_out(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(TEXT.replace("variants: []", "variants: [p.S463P]").replace("excluded: []", "excluded: [p.S463P]"))
    with pytest.raises(InputError, match=r"both in variants and excluded: found 'p\.S463P'"):
        load_rule(path)


def test_a_missing_rule_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_rule(tmp_path / "none.yaml")
