from __future__ import annotations

import datetime

from esr1call.formats import tables
from tests.builders import sample_result
from tests.formats.builders import NO_MOLECULES, NOT_SEEN, TOO_FEW, batch_results, call_of, context, every_panel_call


def test_a_row_for_each_sample() -> None:
    calls = [call_of("380", "p.E380Q", **TOO_FEW), call_of("536-538", "p.D538G")]
    table = tables.samples([sample_result(calls=calls, visit=None, reasons=("one", "two"))])
    row = dict(zip([c.name for c in table.columns], table.rows[0], strict=True))
    assert row["collected_date"] == datetime.date(2024, 1, 15)
    assert (row["visit"], row["reasons"]) == (None, "one; two")
    assert (row["variants_detected"], row["variants_no_call"]) == ("p.D538G", "p.E380Q")
    assert (row["molecules_lowest"], row["lod95_highest_fraction"]) == (300, 0.0157)
    assert row["counts_sha256"] == "0" * 64


def test_no_highest_lod_where_an_allele_has_none() -> None:
    table = tables.samples(
        [sample_result(calls=[call_of("380", "p.E380Q", **NO_MOLECULES), call_of("536-538", "p.D538G")])]
    )
    row = dict(zip([c.name for c in table.columns], table.rows[0], strict=True))
    assert (row["molecules_lowest"], row["lod95_highest_fraction"]) == (0, None)


def test_a_row_for_each_allele() -> None:
    call = call_of("536-538", "p.D538G", alt_by_stratum=(1, 2, 3, 4, 40), depth_by_stratum=(100, 200, 300, 400, 4000))
    table = tables.variants([sample_result(calls=[call])], context())
    row = dict(zip([c.name for c in table.columns], table.rows[0], strict=True))
    assert [row[f"molecules_alt_{s}"] for s in ("singleton_f1r2", "simplex_f2r1", "duplex")] == [1, 4, 40]
    assert [row[f"molecules_total_{s}"] for s in ("singleton_f2r1", "simplex_f1r2", "duplex")] == [200, 300, 4000]
    assert (row["sample_status"], row["status"], row["gene"], row["position_1based"]) == (
        "DETECTED", "DETECTED", "ESR1", 152098791,
    )  # fmt: skip
    assert row["vrs_id"] == "ga4gh:VA.HT9iJwYNXXSWXY-K1dj7f_bvl79kXVUg"


def test_values_have_the_types_of_their_columns() -> None:
    kinds = {"text": str, "integer": int, "number": float, "date": datetime.date}
    results = batch_results()
    for table in (tables.samples(results), tables.variants(results, context())):
        for column, values in zip(table.columns, zip(*table.rows, strict=True), strict=True):
            assert {type(v) for v in values} <= {kinds[column.type], type(None)}, column.name
            assert column.description


def test_names_are_there_once() -> None:
    for columns in (tables.SAMPLE_COLUMNS, tables.VARIANT_COLUMNS):
        assert len({c.name for c in columns}) == len(columns)


def test_tsv_is_rectangular_whatever_the_text() -> None:
    results = batch_results()
    for table in (tables.samples(results), tables.variants(results, context())):
        lines = tables.tsv(table).splitlines()
        assert len(lines) == len(table.rows) + 1
        assert {line.count("\t") for line in lines} == {len(table.columns) - 1}


def test_numbers_stay_numbers() -> None:
    call = call_of("380", "p.E380Q", **{**NOT_SEEN, "p": 1e-40})
    text = tables.tsv(tables.variants([sample_result(calls=[call])], context()))
    header, line = (x.split("\t") for x in text.splitlines())
    assert dict(zip(header, line, strict=True))["p"] == "1e-40"


def test_every_panel_allele_has_its_row() -> None:
    assert len(tables.variants([sample_result(calls=every_panel_call())], context()).rows) == 26
