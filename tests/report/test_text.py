from __future__ import annotations

from typing import Any

from esr1call.counts import STRATA
from esr1call.pileup.filters import FILTERS
from esr1call.report.text import READS_COLUMNS, reads_table, summary, tally, text_table
from esr1call.results import SampleStatus
from tests.builders import negative_call, sample_result, variant_call


def event(kind: str, samples: list[str], **drivers: str) -> dict[str, Any]:
    return {
        "type": f"org.esr1call.trigger.{kind}.v1",
        "data": {
            "specimens": [{"sample": s} for s in samples],
            "drivers": [{"variant": f"p.{v}", "category": c} for v, c in drivers.items()],
        },
    }


def test_summary_lists_patients_by_date_then_controls() -> None:
    results = [
        sample_result(
            sample="NTC", patient=None, visit=None, collected=None, sample_type="ntc", status=SampleStatus.QC_FAILED
        ),
        sample_result(sample="P01-V10", visit="V10", collected="2024-05-01", calls=[variant_call(), negative_call()]),
        sample_result(sample="P01-V2", visit="V2", collected="2024-03-01"),
        sample_result(sample="P00-V1", patient="P00", visit=None, collected="2024-03-09"),
    ]
    header, _, *rows = summary(results, []).splitlines()
    assert [line.split() for line in (header, *rows)] == [
        ["patient", "visit", "variant", "molecules", "VAF", "copies/mL", "status", "event"],
        ["P00", "2024-03-09", "-", "NOT_DETECTED"],
        ["P01", "V2", "-", "NOT_DETECTED"],
        ["P01", "V10", "p.D538G", "c.1613A>G", "50/5000", "1%", "22.7", "DETECTED"],
        ["ntc", "NTC", "-", "QC_FAILED"],
    ]


def test_a_summary_of_few_rows_leaves_out_what_tells_least() -> None:
    statuses = [
        SampleStatus.NOT_DETECTED,
        SampleStatus.INDETERMINATE,
        SampleStatus.QC_FAILED,
        SampleStatus.NOT_DETECTED,
    ]
    results = [
        sample_result(sample=f"S{i}", patient=f"P{i}", visit="V1", status=status) for i, status in enumerate(statuses)
    ]
    results.append(sample_result(sample="S4", patient="P4", visit="V1", calls=[variant_call()]))
    events = [event("inconclusive", ["S3"]), event("not-raised", ["S0"])]
    kept = {
        most: [row.split()[0] for row in summary(results, events, most=most).splitlines()[2:]] for most in range(1, 6)
    }
    assert kept == {
        1: ["P2", "and"],
        2: ["P2", "P3", "and"],
        3: ["P2", "P3", "P4", "and"],
        4: ["P1", "P2", "P3", "P4", "and"],
        5: ["P0", "P1", "P2", "P3", "P4"],
    }
    assert summary(results, events, most=4).endswith("\nand 1 more rows\n")
    assert tally(results, events, []) == (
        "5 samples: 1 DETECTED, 1 INDETERMINATE, 2 NOT_DETECTED, 1 QC_FAILED; 0 controls; "
        "2 events: 1 inconclusive, 1 not-raised"
    )


def test_summary_puts_each_events_words_beside_the_variant_that_drove_it() -> None:
    both = variant_call(
        protein="p.[Y537S;D538G]", haplotype="CTCTCTGGC", panel_variants=("p.Y537S", "p.D538G"), copies_per_ml=None
    )
    results = [
        sample_result(sample="a", calls=[variant_call(), variant_call(protein="p.E380Q", panel_variants=("p.E380Q",))]),
        sample_result(sample="b", visit="V2", collected="2024-02-01"),
        sample_result(sample="c", visit="V3", collected="2024-03-01", calls=[both]),
    ]
    events = [
        event("raised", ["a"], E380Q="NEW"),
        event("not-raised", ["b"]),
        event("amended", ["c"], Y537S="INCREASED"),
    ]
    rows = summary(results, events).splitlines()[2:]
    assert [row.split("DETECTED")[-1].strip() for row in rows] == ["", "raised NEW", "not-raised", "amended INCREASED"]


def test_summary_says_whether_controls_passed() -> None:
    results = [sample_result(sample=s, patient=None, sample_type="ntc") for s in ("n1", "n2")]
    checks = [
        {"sample": "n1", "name": "ntc", "outcome": "passed"}, {"sample": "n2", "name": "ntc", "outcome": "failed"},
        {"sample": "n2", "name": "ntc", "outcome": "passed"}, {"sample": "n1", "name": "depth", "outcome": "warning"},
        {"sample": None, "name": "wild_type", "outcome": "not_assessed"},
    ]  # fmt: skip
    rows = summary(results, [], checks).splitlines()[2:]
    assert [row.split("DETECTED")[-1].strip() for row in rows] == ["control passed", "control failed"]


def test_columns_line_up() -> None:
    table = text_table(("a", "b"), [("x", "1"), ("long", "1000")], frozenset({"b"}))
    assert table == "a        b\n----  ----\nx        1\nlong  1000\n"


def test_reads_table_says_what_became_of_the_reads() -> None:
    def window(duplex: int, simplex: int) -> dict[str, Any]:
        strata = dict.fromkeys(STRATA, 0)
        return {
            "molecules": {**strata, "duplex": duplex, "simplex_F1R2": simplex},
            "undecided": {**strata, "duplex": 1},
        }

    counts = {
        "reads_scanned": 90, "reads": {**dict.fromkeys(FILTERS, 0), "low_mapq": 4, "counted": 86},
        "windows": [window(5, 10), window(6, 20), window(9, 0)],
    }  # fmt: skip
    fastq = {"pairs_read": 50, "pairs_kept": 48, "reads_mapped": 95, "reads_unmapped": 1, "reads_on_target": 90}
    text = reads_table([("s1", fastq, counts), ("s2", {"source": "bam", "reads_mapped": 95}, counts)])
    header, first, second = (line.split("\t") for line in text.splitlines())
    assert tuple(header) == READS_COLUMNS
    one, two = dict(zip(header, first, strict=True)), dict(zip(header, second, strict=True))
    assert (one["sample"], one["pairs_read"], one["pairs_kept"], one["dropped_low_mapq"]) == ("s1", "50", "48", "4")
    assert (one["reads_counted"], one["median_molecules"], one["median_duplex_molecules"]) == ("86", "15", "6")
    assert len(set(header)) == len(header)
    assert one["median_undecided_molecules"] == "1"
    assert (two["sample"], two["pairs_read"], two["reads_mapped"]) == ("s2", "", "95")
