# The number of threads is set before numpy is imported.
# ruff: noqa: E402

from __future__ import annotations

import os

# As the command line does: threads of parallel test processes would only wait for each other.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from esr1call.panel import Panel
from tests import postgresql
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


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """URL of a PostgreSQL server of our own."""
    folder = postgresql.binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install esr1call[postgresql])")
    with postgresql.running(folder) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new ledger can be: a file, and an empty schema of a server."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite")
    return postgresql.new_schema(request.getfixturevalue("postgresql_url"))
