from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from esr1call.panel import Panel
from tests.builders import REFERENCE_FASTA, ReadBuilder, esr1_panel

# A slow shared machine must not fail a property test by its clock; the same examples every run.
settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")


@pytest.fixture
def panel() -> Panel:
    """The shipped ESR1 panel on GRCh38."""
    return esr1_panel()


@pytest.fixture
def reference_fasta() -> Path:
    """The committed GRCh38 slices."""
    return REFERENCE_FASTA


@pytest.fixture
def reads() -> ReadBuilder:
    """An empty read builder on the committed slices."""
    return ReadBuilder()
