from __future__ import annotations

from pathlib import Path

import pytest

from esr1call.alignment.indexing import build_index
from tests.builders import REFERENCE_FASTA


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefix of the embedded aligner's index of the committed slices."""
    return build_index(REFERENCE_FASTA, tmp_path_factory.mktemp("index"))
