from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from esr1call.report.batch import BatchView, batch_view
from esr1call.report.render import batch_html, sample_html
from tests.report.batches import material, quality, result

HOSTILE = "</title></style><script>alert(1)</script>\"'><img src=//x onerror=alert(2)>&amp;{{ 7*7 }}"
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """Elements, attributes and text; fails where tags do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile() -> BatchView:
    """A batch in which everything that a file can say is hostile."""
    bad = result(HOSTILE, patient=HOSTILE, visit=HOSTILE, collected="2024-08-08", shown={"c.1613A>G": 40})
    bad = replace(bad, reasons=(HOSTILE,), inputs={HOSTILE: HOSTILE}, genotypes={HOSTILE: HOSTILE}, build=HOSTILE)
    calls = tuple(replace(c, protein=HOSTILE, cdna=HOSTILE, window=HOSTILE) for c in bad.calls)
    bad = replace(bad, calls=calls)
    told = [vars(c) | {"explanation": HOSTILE, "next_step": HOSTILE} for c in quality([bad], {HOSTILE: "depth"}).checks]
    event = {
        "type": "x.trigger.raised.v1",
        "data": {"specimens": [{"sample": HOSTILE}], "drivers": [{"variant": HOSTILE, "category": HOSTILE}]},
    }
    given = material(
        1, more=[bad], study=HOSTILE, batch=HOSTILE, laboratory=HOSTILE, events=(event,),
        provenance={"versions": {HOSTILE: HOSTILE}, "inputs": {HOSTILE: {"sha256": HOSTILE}}},
    )  # fmt: skip
    measured = [vars(s) for s in quality([bad]).samples]
    measured = [m | {"errors": [vars(e) for e in m["errors"]]} for m in measured]
    return batch_view(replace(given, quality={"checks": told, "samples": measured}))


def test_whatever_a_file_says_is_shown_as_text() -> None:
    view = hostile()
    sample = next(s for s in view.samples if s.sample == HOSTILE)
    patient = next(p for p in view.patients if p.patient == HOSTILE)
    for html, scripts in ((batch_html(view, "1"), 1), (sample_html(sample, patient, view, "1"), 0)):
        page = Page(html)
        tags = [tag for tag, _ in page.elements]
        assert tags.count("script") == scripts
        assert not {"img", "iframe", "object", "embed"} & set(tags)
        assert HOSTILE in page.text
        assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]


def test_a_page_refers_to_nothing_outside_itself() -> None:
    view = batch_view(material(3))
    pages = [batch_html(view, "1"), *(sample_html(s, None, view, "1") for s in view.samples)]
    for html in pages:
        for tag, attributes in Page(html).elements:
            for name in ("src", "href", "data", "action", "srcset"):
                target = attributes.get(name)
                assert target is None or re.match(r"#|samples/[^:]*$|data:,$", target), (tag, target)
        assert not re.search(r"url\(|@import|https?://", html)
        assert "default-src 'none'" in html


def test_ids_are_unique_and_every_link_inside_a_page_has_its_target() -> None:
    elements = Page(batch_html(batch_view(material(4)), "1")).elements
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for _, a in elements if str(a.get("href", "")).startswith("#")} <= set(ids)


def test_every_variant_of_every_sample_is_in_the_batchs_page() -> None:
    view = batch_view(material(2))
    html = batch_html(view, "1")
    assert html.count("c.1609_1610delinsAG") == len(view.samples)
    for text in ("LoB", "LoD95", "450 / 450", "What this report can't say", "d" * 64, "a dot is a sample"):
        assert text.lower() in html.lower()


@pytest.mark.parametrize("number", range(5))
def test_the_page_of_a_sample(number: int) -> None:
    view = batch_view(material(5))
    page = Page(sample_html(view.samples[number], view.patients[number], view, "1"))
    for text in (view.samples[number].sample, view.samples[number].conclusion, "Next draw due", "Reviewed by"):
        assert text in page.text


def test_the_same_batch_gives_the_same_bytes() -> None:
    assert batch_html(batch_view(material(5)), "1") == batch_html(batch_view(material(5)), "1")


def test_a_batch_of_96_samples_stays_far_under_5_mb() -> None:
    html = batch_html(batch_view(material(93, 6)), "1")
    assert 500_000 < len(html.encode()) < 4_000_000
