"""Numbers, dates and words as a reader sees them. Unknown values are shown as a dash, never as 0."""

from __future__ import annotations

UNKNOWN = "–"
_WORDS = {
    "ntc": "no-template control", "wild_type": "wild-type control", "positive_control": "positive control",
    "blank": "blank", "patient": "patient", "on_target": "on-target rate", "carry_over": "carry-over",
}  # fmt: skip


def significant(value: float | None, digits: int = 3) -> str:
    """`value` to a number of significant digits, never in scientific notation."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    short = f"{value:.{digits}g}"
    if "e" not in short:
        return short
    return f"{float(short):,.0f}" if abs(value) >= 1 else f"{float(short):.12f}".rstrip("0")


def percent(fraction: float | None, digits: int = 3) -> str:
    """A fraction (0..1) in percent."""
    return UNKNOWN if fraction is None else f"{significant(100 * fraction, digits)}%"


def interval(low: float | None, high: float | None, *, as_percent: bool = False) -> str:
    """Both ends of an interval; in percent, with one sign. One from 0 is shown by its upper end."""
    if low is None or high is None:
        return UNKNOWN
    scale, unit = (100, "%") if as_percent else (1, "")
    if low == 0:
        return f"≤ {significant(scale * high, 2)}{unit}"
    return f"{significant(scale * low, 2)} to {significant(scale * high, 2)}{unit}"


def probability(p: float | None) -> str:
    """A p-value: three decimals, or its order of magnitude."""
    if p is None:
        return UNKNOWN
    if p >= 0.001:
        return f"{p:.3f}"
    return f"{p:.0e}".replace("e-0", "e-") if p >= 1e-300 else "<1e-300"


def whole(value: float | None) -> str:
    """A count with thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def words(name: str) -> str:
    """A name of ours (a check's, a sample type) as words."""
    return _WORDS.get(name, name.replace("_", " "))


def sentence_list(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
