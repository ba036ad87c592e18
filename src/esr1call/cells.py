"""Text in the cells of tables that people open in a spreadsheet."""

from __future__ import annotations

import re


def spreadsheet_safe(text: str) -> str:
    """`text` in one cell, with an apostrophe in front where a spreadsheet would run it as a formula."""
    text = re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text)
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@") else text
