from __future__ import annotations

from typing import Any

import pysam
import pytest

from esr1call.formats import vcf
from esr1call.results import SampleResult, SampleStatus
from tests.builders import sample_result
from tests.formats.builders import NO_MOLECULES, NOT_SEEN, TOO_FEW, call_of, context, every_panel_call


def records(result: SampleResult) -> list[dict[str, Any]]:
    """Each record's fields, INFO and the sample's values by name."""
    found = []
    for line in vcf.lines(result, context(), "chr6", 170805979, "reference.fa"):
        if not line.startswith("#"):
            f = line.split("\t")
            info = dict(part.split("=", 1) for part in f[7].split(";"))
            values = dict(zip(f[8].split(":"), f[9].split(":"), strict=True))
            found.append(
                {"pos": int(f[1]), "ref": f[3], "alt": f[4], "qual": f[5], "filter": f[6], "info": info, **values}
            )
    return found


def only(call: Any, **given: Any) -> dict[str, Any]:
    (record,) = records(sample_result(calls=[call], **given))
    return record


def test_numbers_of_a_call() -> None:
    call = call_of(
        "536-538", "p.D538G", alt_by_stratum=(1, 2, 3, 4, 40), depth_by_stratum=(100, 200, 300, 400, 4000),
        p=1e-40, p_adjusted=2e-39,
    )  # fmt: skip
    r = only(call)
    assert (r["filter"], r["FT"], r["GT"], r["qual"]) == ("PASS", "PASS", "0/1", "400")
    assert (r["DP"], r["AD"], r["AF"], r["AFCI"]) == ("5000", "4950,50", "0.01", "0.0075,0.013")
    assert (r["LOB"], r["LOD"], r["LP"], r["LPA"], r["BG"]) == ("0.0008", "0.0016", "40", "38.699", "0")
    assert (r["CPM"], r["CPMCI"]) == ("22.7", "17,29.5")
    assert (r["DPT"], r["ADT"], r["AFT"]) == ("300,700,4000", "3,7,40", "0.01,0.01,0.01")
    assert (r["DPS"], r["ADS"]) == ("100,200,300,400,4000", "1,2,3,4,40")
    assert (r["F1R2"], r["F2R1"]) == ("396,4", "594,6")
    assert r["info"]["HGVSC"] == "c.1613A>G"
    assert r["info"]["VRS"] == "ga4gh:VA.HT9iJwYNXXSWXY-K1dj7f_bvl79kXVUg"


@pytest.mark.parametrize(
    ("given", "failed", "shown", "genotype"),
    [
        ({}, False, "PASS", "0/1"),
        (NOT_SEEN, False, "NOT_DETECTED", "0/0"),
        (TOO_FEW, False, "NO_CALL", "./."),
        ({}, True, "QC_FAILED", "./."),
        (NOT_SEEN, True, "QC_FAILED", "./."),
    ],
)
def test_the_status_is_the_filter(given: dict[str, Any], failed: bool, shown: str, genotype: str) -> None:
    status = {"status": SampleStatus.QC_FAILED} if failed else {}
    r = only(call_of("536-538", "p.D538G", **given), **status)
    assert (r["filter"], r["FT"], r["GT"]) == (shown, shown, genotype)


def test_without_molecules_nothing_is_measured() -> None:
    r = only(call_of("536-538", "p.D538G", **NO_MOLECULES))
    assert r["filter"] == "NO_CALL"
    assert (r["DP"], r["AD"], r["AF"], r["AFCI"], r["LOB"], r["LOD"]) == ("0", "0,0", ".", ".,.", ".", ".")
    assert (r["AFT"], r["CPM"], r["CPMCI"]) == (".,.,.", ".", ".,.")


@pytest.mark.parametrize(("p", "log"), [(0.0, "324"), (1.0, "0"), (0.5, "0.30103"), (5e-324, "323.306")])
def test_p_is_a_logarithm_that_single_precision_can_hold(p: float, log: str) -> None:
    assert only(call_of("536-538", "p.D538G", p=p))["LP"] == log


def test_all_panel_alleles_are_there_by_position() -> None:
    calls = every_panel_call(**NOT_SEEN)
    found = records(sample_result(calls=[*reversed(calls)]))
    assert [(r["pos"], r["ref"], r["alt"]) for r in found] == sorted((c.pos, c.ref, c.alt) for c in calls)


def test_names_with_separators_are_encoded() -> None:
    r = only(call_of("536-538", "CTCTCTGGC", kind="other"))
    assert r["info"]["HGVSP"] == "p.[Y537S%3BD538G]"
    assert r["info"]["PANEL"] == "p.Y537S,p.D538G"
    assert only(call_of("536-538", ""))["info"]["HAPLOTYPE"] == "."


def test_hostile_text_stays_in_its_quotes(tmp_path: Any) -> None:
    hostile = 'a"b\\c>,X="y"\n#CHROM\tz'
    result = sample_result(calls=[call_of("536-538", "p.D538G")], visit=hostile, reasons=(hostile,))
    lines = vcf.lines(result, context(study=hostile), "chr6", None, f"a\nb{hostile}")
    assert all("\n" not in line for line in lines)
    assert sum(line.startswith("#CHROM") for line in lines) == 1
    path = tmp_path / "x.vcf"
    path.write_text("\n".join(lines) + "\n")
    with pysam.VariantFile(str(path)) as file:
        assert [r.pos for r in file] == [152098791]


def test_every_field_is_declared() -> None:
    lines = vcf.lines(sample_result(calls=every_panel_call()), context(), "chr6", 170805979, "x.fa")
    for kind, fields in (("INFO", vcf.INFO), ("FORMAT", vcf.FORMAT)):
        assert [line.split("ID=")[1].split(",")[0] for line in lines if line.startswith(f"##{kind}=")] == [
            name for name, *_ in fields
        ]
    assert "##contig=<ID=chr6,length=170805979,assembly=GRCh38>" in lines
