from __future__ import annotations

import importlib.util
from pathlib import Path
from unittest import mock

import pytest

from esr1call.alignment import indexing
from esr1call.errors import InputError
from tests.builders import REFERENCE_FASTA


def test_a_missing_aligner_is_told_of_as_such(tmp_path: Path) -> None:
    def without(name: str, package: str | None = None) -> object:
        return None if name == "pybwa" else importlib.util.find_spec(name, package)

    told = pytest.raises(InputError, match=r"the embedded aligner is not installed; pip install")
    with mock.patch.object(indexing, "find_spec", without), told:
        indexing.build_index(REFERENCE_FASTA, tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_the_index_is_of_the_content_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "another name.fa"
    copy.write_bytes(REFERENCE_FASTA.read_bytes())
    found = []
    for source, folder in ((REFERENCE_FASTA, "a"), (copy, "b")):
        prefix = indexing.build_index(source, tmp_path / folder)
        found.append({file.name: file.read_bytes() for file in prefix.parent.iterdir()})
    assert found[0] == found[1]
    assert {f"reference.{kind}" for kind in ("amb", "ann", "bwt", "pac", "sa", "dict")} == set(found[0])
