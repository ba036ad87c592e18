"""The pages in headless Chromium: they open, sort, filter and print, say nothing on the console and load nothing."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esr1call.report.batch import batch_view
from esr1call.report.render import batch_html, sample_html
from tests.builders import variant_call
from tests.report.batches import material, result
from tests.report.test_render import HOSTILE, hostile

pytestmark = pytest.mark.browser


class Browser:
    """A headless Chromium, and what its pages said and asked for."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, *, dark: bool = False, scripts: bool = True) -> None:
        """Show a page, and forget what earlier ones did."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(page.as_uri())

    def run(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")

    def texts(self, selector: str) -> list[str]:
        """Texts of elements that show."""
        found = self.driver.find_elements("css selector", selector)
        return [e.text for e in found if e.is_displayed()]

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()

    def write(self, selector: str, text: str) -> None:
        field = self.driver.find_element("css selector", selector)
        field.clear()
        field.send_keys(text)

    def requests(self) -> list[str]:
        """What was asked for since the page was opened."""
        messages = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    def pages_of_print(self) -> int:
        """How many sheets of A4 the page prints on."""
        printed = self.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
        return len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(printed["data"])))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that is not told to allow anything."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("Chromium is not installed (Debian: chromium and chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (pip install selenium)")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for option in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(programs[1])))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch's page with five patients and three controls."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(batch_html(batch_view(material(5)), "1"), encoding="utf-8")
    return path


SAMPLES = "#summary-table tbody tr td:nth-child(4)"


@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_says_nothing_and_asks_for_nothing(browser: Browser, page: Path, dark: bool) -> None:
    browser.open(page, dark=dark)
    assert browser.texts("h1") == ["Batch B9"]
    assert browser.driver.get_log("browser") == []
    assert browser.requests() == [page.as_uri()]
    colour = browser.run("getComputedStyle(document.documentElement).backgroundColor")
    assert colour == ("rgb(18, 23, 29)" if dark else "rgb(255, 255, 255)")


def test_plots_are_drawn(browser: Browser, page: Path) -> None:
    browser.open(page)
    drawn = browser.run(
        "Array.from(document.querySelectorAll('svg.plot use')).map(e => e.getBoundingClientRect().width)"
    )
    assert len(drawn) > 30
    assert min(drawn) > 1
    inside = browser.run(
        "Array.from(document.querySelectorAll('svg.plot')).every(s => Array.from(s.querySelectorAll('text')).every(t =>"
        " t.getBBox().x >= -2 && t.getBBox().x + t.getBBox().width <= s.viewBox.baseVal.width + 2))"
    )
    assert inside, "a text leaves its plot"


def test_sorting_by_numbers_with_unknown_ones_last(browser: Browser, page: Path) -> None:
    browser.open(page)
    given = browser.texts(SAMPLES)
    head = "#summary-table th:nth-child(7)"
    for direction in ("ascending", "descending"):
        browser.click(f"{head} button")
        assert browser.driver.find_element("css selector", head).get_attribute("aria-sort") == direction
        shown = browser.texts("#summary-table tbody tr td:nth-child(7)")
        known = [float(s.removesuffix("%")) for s in shown if s]
        assert known == sorted(known, reverse=direction == "descending")
        assert shown[len(known) :] == [""] * (len(shown) - len(known))
    assert sorted(browser.texts(SAMPLES)) == sorted(given)


def test_sorting_by_text(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.click("#summary-table th:nth-child(4) button")
    browser.click("#summary-table th:nth-child(4) button")
    assert browser.texts(SAMPLES) == sorted(browser.texts(SAMPLES), reverse=True)


def test_filters(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.texts("#tools output") == ["8 of 8 samples"]
    browser.write("#tools input", "d538g")
    assert browser.texts(SAMPLES) == ["P001-V4", "PC-1"]
    assert browser.texts("#tools output") == ["2 of 8 samples"]
    browser.click("#tools select[aria-label='Filter by type'] option[value=patient]")
    assert browser.texts(SAMPLES) == ["P001-V4"]
    browser.write("#tools input", "nothing of the kind")
    assert browser.texts(SAMPLES) == []
    browser.write("#tools input", " ")
    browser.click("#tools select[aria-label='Filter by status'] option[value=DETECTED]")
    assert browser.texts(SAMPLES) == ["P001-V4", "P002-V4"]
    assert browser.driver.get_log("browser") == []


def test_a_samples_name_leads_to_its_details(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.texts(".va") == []
    browser.click("#summary-table tbody tr:nth-child(2) a")
    browser.run("new Promise(done => setTimeout(done, 100))")
    (table,) = browser.texts(".va")
    assert "c.1613A>G" in table


def test_without_scripts_everything_is_there_and_no_button_that_does_nothing(browser: Browser, page: Path) -> None:
    browser.open(page, scripts=False)
    assert len(browser.driver.find_elements("css selector", "#summary-table tbody tr")) == 8
    assert browser.texts("#tools") == []
    assert browser.driver.find_elements("css selector", "th button") == []
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_hostile_names_are_text_and_run_nothing(browser: Browser, tmp_path: Path) -> None:
    view = hostile()
    sample = next(s for s in view.samples if s.sample == HOSTILE)
    patient = next(p for p in view.patients if p.patient == HOSTILE)
    for name, html in (("b.html", batch_html(view, "1")), ("s.html", sample_html(sample, patient, view, "1"))):
        (tmp_path / name).write_text(html, encoding="utf-8")
        browser.open(tmp_path / name)
        assert browser.run("document.body.textContent").count(HOSTILE) > 3
        assert browser.run("document.images.length") == 0
        assert browser.driver.get_log("browser") == []
        assert browser.requests() == [(tmp_path / name).as_uri()]


@pytest.mark.parametrize("number", [0, 1, 2, 4, 5, 6])
def test_a_samples_page_prints_on_one_sheet(browser: Browser, tmp_path: Path, number: int) -> None:
    view = batch_view(material(5))
    patient = view.patients[number] if number < len(view.patients) else None
    (tmp_path / "s.html").write_text(sample_html(view.samples[number], patient, view, "1"), encoding="utf-8")
    browser.open(tmp_path / "s.html")
    assert browser.driver.get_log("browser") == []
    assert browser.pages_of_print() == 1


def test_the_page_of_a_bad_sample_prints_on_one_sheet_too(browser: Browser, tmp_path: Path) -> None:
    shown = dict.fromkeys(("c.1613A>G", "c.1610A>C", "c.1138G>C", "c.1609T>A", "c.1387T>C"), 40)
    bad = result("P9-V1", patient="P9", visit="V1", collected="2024-08-08", failed="-", shown=shown)
    told = "control NTC-1 failed: 31 molecules in window 536-538, at most 10 allowed"
    others = [
        variant_call(kind="other", protein=f"p.L54{i}P", cdna="c.1619T>C", panel_variants=(), pos=152098797 + i)
        for i in range(4)
    ]
    bad = replace(bad, reasons=(told, f"contamination failed: {told}"), calls=(*bad.calls, *others))
    view = batch_view(material(0, more=[bad]))
    checks = [
        replace(view.samples[0].checks[0], name=n, outcome="failed", explanation=told, next_step="repeat the batch")
        for n in ("contamination", "carry-over", "identity", "depth")
    ]
    sample = replace(view.samples[0], checks=tuple(checks))
    (tmp_path / "s.html").write_text(sample_html(sample, view.patients[0], view, "1"), encoding="utf-8")
    browser.open(tmp_path / "s.html")
    assert browser.pages_of_print() == 1


def test_a_batch_prints_with_the_samples_that_are_open(browser: Browser, page: Path) -> None:
    browser.open(page)
    closed = browser.pages_of_print()
    browser.run("document.querySelectorAll('#samples details').forEach(d => d.open = true)")
    assert closed + 5 <= browser.pages_of_print()


def test_nothing_is_cut_off_on_paper(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    # A4 without its margins, in CSS pixels
    size = {"width": 703, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    widest = browser.run(
        "Math.max(...Array.from(document.querySelectorAll('table, svg.plot')).map(e => e.scrollWidth))"
    )
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert 300 < widest <= 703
