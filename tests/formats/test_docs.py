"""docs/formats.md names every column, field and code, with the words of the code."""

from __future__ import annotations

import pytest

from esr1call.formats import fhir, sdtm, tables, vcf
from tests.builders import ROOT

LINES = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").splitlines()


def table_under(header: str, after: str) -> list[list[str]]:
    """Cells of the table that starts with `header`, the first after the line `after`."""
    start = LINES.index(header, LINES.index(after))
    rows = []
    for line in LINES[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split(" | ")])
    return rows


@pytest.mark.parametrize(
    ("section", "columns"),
    [("### samples", tables.SAMPLE_COLUMNS), ("### variants", tables.VARIANT_COLUMNS)],
)
def test_columns_of_the_tables(section: str, columns: tuple[tables.Column, ...]) -> None:
    assert table_under("| column | type | what |", section) == [[c.name, c.type, c.description] for c in columns]


@pytest.mark.parametrize(("kind", "fields"), [("INFO", vcf.INFO), ("FORMAT", vcf.FORMAT)])
def test_fields_of_the_vcf(kind: str, fields: tuple[tuple[str, ...], ...]) -> None:
    assert table_under(f"| {kind} | number | type | what |", "## VCF") == [list(f) for f in fields]


def test_filters_of_the_vcf() -> None:
    assert table_under("| FILTER | what |", "## VCF") == [list(f) for f in vcf.FILTERS.items()]


def test_variables_of_the_dataset() -> None:
    found = table_under("| variable | label | type | what |", "## SDTM")
    assert [tuple(row[:3]) for row in found] == list(sdtm.COLUMNS)
    assert all(row[3] for row in found)


def test_codes_of_the_reports() -> None:
    found = table_under("| component | LOINC's name | value |", "## FHIR")
    assert {row[0]: row[1] for row in found} == fhir.CODES
    said = {row[0]: row[1] for row in table_under("| value | LOINC | when |", "## FHIR")}
    assert said == {display: code for code, display in fhir.PRESENCE.values()}
