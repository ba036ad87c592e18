"""Views to HTML through the package's templates. Everything is escaped; a page loads nothing, and runs one script.

The Content-Security-Policy of a page allows its own script by hash and no connection, image or frame, so that nothing
that a file could say (a sample's name, an explanation) can run or send anything.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

import jinja2

from esr1call.report.batch import BatchView
from esr1call.report.patients import PatientView
from esr1call.report.samples import TIER_HEADS, SampleView


def batch_html(view: BatchView, version: str) -> str:
    """The batch's page."""
    return _page("batch.html.j2", version, batch=view)


def sample_html(sample: SampleView, patient: PatientView | None, batch: BatchView, version: str) -> str:
    """One sample's page, which prints as the laboratory's report."""
    return _page("sample.html.j2", version, sample=sample, patient=patient, batch=batch)


def _page(template: str, version: str, **views: Any) -> str:
    shared: dict[str, Any] = {"version": version, "style": _inline("style.css"), "heads": TIER_HEADS}
    if template.startswith("batch"):
        shared["script"] = _inline("table.js")
        shared["script_hash"] = base64.b64encode(hashlib.sha256(shared["script"].encode()).digest()).decode()
    return _environment().get_template(template).render(shared | views)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("esr1call.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip


@cache
def _inline(name: str) -> str:
    """Our own style sheet or script; templates mark it as safe."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
