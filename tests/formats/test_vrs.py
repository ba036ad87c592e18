from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.formats.refget import ACCESSIONS
from esr1call.formats.vrs import allele_id, digest, normalised
from esr1call.panel_file import parse, resolve
from tests.builders import PANEL_TSV, esr1_panel, fetcher, moved_slices, variant_call
from tests.formats.builders import call_of, context


@pytest.mark.parametrize(
    ("window", "name", "expected"),
    [
        ("536-538", "p.D538G", "ga4gh:VA.HT9iJwYNXXSWXY-K1dj7f_bvl79kXVUg"),
        ("536-538", "c.1610A>C", "ga4gh:VA.8kpkrn5TIHULGBbigoMG1F_f4yjtdo-B"),
        ("380", "p.E380Q", "ga4gh:VA._wOAfPCpjxRRWOC_IlAImHHCXaNFX-LQ"),
    ],
)
def test_identifiers_published_for_these_variants(window: str, name: str, expected: str) -> None:
    assert allele_id(call_of(window, name), context()) == expected


def test_every_allele_has_an_identifier_of_its_own() -> None:
    ids = {allele_id(variant_call(pos=v.pos, ref=v.ref, alt=v.alt), context()) for v in esr1_panel().variants}
    assert len(ids) == len(esr1_panel().variants)
    assert None not in ids


def test_another_build_is_another_sequence() -> None:
    panel = resolve(parse(PANEL_TSV.read_text().splitlines(), "panel"), "GRCh37", fetcher(moved_slices()))
    call = call_of("536-538", "p.D538G", panel)
    moved = allele_id(call, context(panel=panel))
    assert moved is not None
    assert moved != allele_id(call_of("536-538", "p.D538G"), context())


def test_no_identifier_where_the_chromosome_has_no_known_digest() -> None:
    panel = resolve(parse(PANEL_TSV.read_text().replace("\tchr6\n", "\tMY6\n").splitlines(), "panel"), "GRCh38",
                    fetcher(moved_slices(0, "MY6")))  # fmt: skip
    assert allele_id(call_of("536-538", "p.D538G", panel), context(panel=panel)) is None


def test_accessions_are_distinct_digests() -> None:
    every = [a for build in ACCESSIONS.values() for a in build.values()]
    assert len(set(every)) == len(every) == 48
    assert all(len(a) == 35 and a.startswith("SQ.") for a in every)


@pytest.mark.parametrize(
    ("text", "expected"), [("", "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXc"), ("ACGT", "aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2")]
)
def test_digest_is_the_specifications(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its examples are of bare text; `digest` is of JSON."""
    monkeypatch.setattr("esr1call.formats.vrs.json.dumps", lambda value, **_: value)
    assert digest(text) == expected


@pytest.mark.parametrize(
    ("sequence", "start", "ref", "alt", "expected"),
    [
        ("TACGA", 2, "C", "G", (2, 3, "G")),
        ("TACGA", 2, "CG", "T", (2, 4, "T")),
        ("TACGA", 2, "C", "", (2, 3, (0, 1))),
        ("TACCCGA", 3, "C", "", (2, 5, (2, 1))),
        ("TGTGCGTGTGA", 5, "G", "", (5, 6, (0, 1))),
        ("TACACGA", 1, "AC", "", (1, 5, (2, 2))),
        ("TACGA", 2, "", "T", (2, 2, "T")),
        ("TACCGA", 2, "", "C", (2, 4, (3, 1))),
        ("TACC", 2, "", "GA", (1, 2, "AGA")),
        ("TACACGA", 5, "", "AC", (1, 5, (6, 2))),
        ("TACACGA", 1, "", "ACAC", (1, 5, (8, 4))),
        ("CCCCC", 2, "C", "", None),
        ("NCCGA", 1, "C", "", None),
    ],
)
def test_indels_are_fully_justified(
    sequence: str, start: int, ref: str, alt: str, expected: tuple[int, int, str | tuple[int, int]] | None
) -> None:
    found = normalised(sequence, start, ref, alt)
    if expected is None:
        assert found is None
        return
    low, high, put = expected
    assert found is not None
    assert found[:2] == (low, high)
    if isinstance(put, str):
        assert found[2] == {"type": "LiteralSequenceExpression", "sequence": put}
    else:
        assert found[2] == {"type": "ReferenceLengthExpression", "length": put[0], "repeatSubunitLength": put[1]}


bases = st.text("ACG", min_size=1, max_size=4)


@pytest.mark.peers
@given(st.text("ACG", min_size=8, max_size=24), st.integers(0, 20), st.integers(0, 4), st.one_of(st.just(""), bases))
def test_ga4gh_agrees(core: str, at: int, length: int, alt: str) -> None:
    """The reference implementation gives the same identifier, also for indels in repeats."""
    models = pytest.importorskip("ga4gh.vrs.models", reason="pip install ga4gh.vrs")
    from ga4gh.core import ga4gh_identify
    from ga4gh.vrs.dataproxy import _DataProxy
    from ga4gh.vrs.normalize import normalize

    sequence = f"TT{core}TT"
    start = min(at, len(core)) + 2
    ref = sequence[start : min(start + length, len(core) + 2)]
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    if not ref and not alt:
        return

    class Sequence(_DataProxy):
        def get_sequence(self, identifier: str, start: int | None = None, end: int | None = None) -> str:
            return sequence[start:end]

        def get_metadata(self, identifier: str) -> dict[str, object]:
            return {"length": len(sequence), "alphabet": "ACGT", "aliases": []}

        _get_sequence, _get_metadata = get_sequence, get_metadata

    accession = ACCESSIONS["GRCh38"]["chr6"]
    location = models.SequenceLocation(
        sequenceReference=models.SequenceReference(refgetAccession=accession), start=start, end=start + len(ref)
    )
    theirs = normalize(
        models.Allele(location=location, state=models.LiteralSequenceExpression(sequence=alt)), Sequence()
    )
    found = normalised(sequence, start, ref, alt)
    assert found is not None
    low, high, state = found
    ours = {
        "type": "SequenceLocation", "start": low, "end": high,
        "sequenceReference": {"type": "SequenceReference", "refgetAccession": accession},
    }  # fmt: skip
    allele = {"type": "Allele", "location": digest(ours), "state": state}
    assert f"ga4gh:VA.{digest(allele)}" == ga4gh_identify(theirs)
