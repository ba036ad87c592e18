from __future__ import annotations

import json
from pathlib import Path

import pytest

from esr1call.cli import run
from tests.io.test_batch import Lab


def test_merged_settings_become_a_config(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.row().sheet()
    out = tmp_path / "made" / "config.json"
    lab.settings["reference"]["path"] = "no/such.fa"  # files are looked at elsewhere
    assert run(["settings", json.dumps(lab.settings), "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == lab.settings


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not JSON"), ("[]", "found 'list'"), ('{"batch": "b"}', "'study': missing")]
)
def test_bad_settings(tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["settings", text, "--out", str(tmp_path / "x.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not list(tmp_path.iterdir())
