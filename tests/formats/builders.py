"""Calls and contexts for the tests of the formats."""

from __future__ import annotations

from typing import Any

from esr1call.formats.context import Context
from esr1call.haplotype import describe
from esr1call.panel import Panel
from esr1call.results import VariantCall
from tests.builders import esr1_panel, haplotype_of, variant_call, window_of


def context(**given: Any) -> Context:
    """The shipped panel in study S1; any field can be given."""
    values: dict[str, Any] = {
        "study": "S1", "panel": esr1_panel(), "required_lod": 0.005, "min_molecules": 2, "version": "1.2.3",
    }  # fmt: skip
    return Context(**{**values, **given})


def call_of(window: str, shown: str, panel: Panel | None = None, **given: Any) -> VariantCall:
    """A call of a window's haplotype (bases, or a panel variant's name), named as calling names it."""
    panel = panel or esr1_panel()
    haplotype = haplotype_of(panel, window, shown) if shown[:2] in ("p.", "c.") else shown
    name = describe(panel, window_of(panel, window), haplotype)
    return variant_call(
        window=window, haplotype=haplotype, protein=name.protein, cdna=name.cdna, consequence=name.consequence,
        panel_variants=name.panel_variants, contig=panel.contig, pos=name.pos, ref=name.ref, alt=name.alt, **given,
    )  # fmt: skip
