"""The report of `validate_calling.py`: figures beside their bars, tables, and plots as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from pathlib import Path

from validate_calling_world import NAMED, Study, shown

from esr1call.io.files import atomic_open

Place = Callable[[float, float], tuple[float, float]]
WIDTH, HEIGHT, EDGE = 560, 280, 50


def frame(
    xs: tuple[float, float],
    ys: tuple[float, float],
    x_ticks: list[float],
    y_ticks: list[float],
    labels: tuple[str, str],
) -> tuple[list[str], Place]:
    """Axes of a plot with logarithmic scales, and where a point lies."""

    def place(x: float, y: float) -> tuple[float, float]:
        def along(v: float, ends: tuple[float, float]) -> float:
            return (math.log(v) - math.log(ends[0])) / (math.log(ends[1]) - math.log(ends[0]))

        y = min(max(y, ys[0]), ys[1])
        return EDGE + along(x, xs) * (WIDTH - 2 * EDGE), HEIGHT - EDGE - along(y, ys) * (HEIGHT - 2 * EDGE)

    parts = [f'<rect x="{EDGE}" y="{EDGE}" width="{WIDTH - 2 * EDGE}" height="{HEIGHT - 2 * EDGE}" class="frame"/>']
    for x in x_ticks:
        at, bottom = place(x, ys[0])
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{x:g}</text>')
    for y in y_ticks:
        left, at = place(xs[0], y)
        parts.append(f'<line x1="{left}" x2="{WIDTH - EDGE}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{html.escape(labels[0])}</text>')
    parts.append(f'<text x="{EDGE}" y="{EDGE - 10}">{html.escape(labels[1])}</text>')
    return parts, place


def svg(parts: list[str]) -> str:
    """A whole picture."""
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">{"".join(parts)}</svg>'


def ratio_plot(points: list[tuple[float, float, float, float]]) -> str:
    """Ratios with intervals by alpha; the first data set left of the tick, the second right of it."""
    parts, place = frame(
        (3e-5, 3e-2),
        (0.25, 8),
        [1e-4, 1e-3, 1e-2],
        [0.25, 0.5, 0.8, 1, 1.25, 2, 4, 8],
        ("alpha", "observed / attainable"),
    )
    for i, (alpha, ratio, low, high) in enumerate(points):
        x = alpha * (0.85 if i < len(points) / 2 else 1.18)
        (px, py), (_, top), (_, bottom) = (
            place(x, max(ratio, 0.26)),
            place(x, max(high, 0.26)),
            place(x, max(low, 0.26)),
        )
        colour = "#0072b2" if i < len(points) / 2 else "#d55e00"
        parts.append(f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="{colour}"/>')
        parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"/>')
    return svg(parts)


def lod_plot(points: list[tuple[str, int, float]]) -> str:
    """LoD95 of each allele by molecules."""
    parts, place = frame(
        (1500, 14000), (3e-4, 2e-2), [2000, 5000, 10000], [3e-4, 1e-3, 3e-3, 1e-2], ("molecules", "LoD95")
    )
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#666666")
    for k, (name, colour) in enumerate(zip(NAMED, colours, strict=True)):
        line = [place(n, lod) for allele, n, lod in points if allele == name]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in line)}"/>'
        )
        parts.append(f'<text x="{WIDTH - EDGE - 70}" y="{EDGE + 18 + 14 * k}" fill="{colour}">{name}</text>')
    return svg(parts)


STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 2rem}
td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}
.frame{fill:none;stroke:#888}.grid{stroke:#eee}text{font-size:11px}.missed{color:#b00;font-weight:600}"""
BARS: dict[str, tuple[float, float]] = {
    "fpr_ratio_1e2": (0.8, 1.25),
    "fpr_ratio_1e3": (0.8, 1.25),
    "fpr_ratio_1e4": (0, 2),
    "lod95_detection_min": (0.93, 0.97),
    "lod95_detection_max": (0.93, 0.97),
    "sens_0p1pct_transversions": (0.95, 1),
    "sens_0p1pct_d538g_duplex": (0.95, 1),
    "sens_0p3pct": (0.99, 1),
    "false_samples_per_1000_blanks": (0, 1),
    "power_vs_shearwater_0p1pct": (0.9, 1),
    "rise_type1": (0.04, 0.06),
    "rise_ci_coverage": (0.94, 0.96),
    "one_allele_share": (1, 1),
    "call_1000_samples_s": (0, 2),
}


def verdicts(study: Study) -> list[list[object]]:
    """Each figure beside its bar."""
    out: list[list[object]] = []
    for key, value in study.figures.items():
        low, high = BARS.get(key, (-math.inf, math.inf))
        met = "not measured" if value is None else "met" if low <= value <= high else "missed"
        bar = "" if key not in BARS else f"{low:g} to {high:g}"
        out.append([key, "" if value is None else value, bar, met if key in BARS else ""])
    return out


def write_report(study: Study, folder: Path) -> None:
    """report.html and one TSV for each table."""
    folder.mkdir(parents=True, exist_ok=True)
    body = ["<h1>Calling: validation study</h1>"]
    for name, title, columns, rows in study.tables:
        with atomic_open(folder / f"{name}.tsv") as out:
            out.write("\t".join(columns) + "\n")
            out.writelines("\t".join(shown(v) for v in row) + "\n" for row in rows)
        head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
        lines = []
        for row in rows:
            mark = ' class="missed"' if "missed" in row else ""
            lines.append(f"<tr{mark}>" + "".join(f"<td>{html.escape(shown(v))}</td>" for v in row) + "</tr>")
        body.append(f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{''.join(lines)}</table>")
    for title, picture in study.plots:
        body.append(f"<h2>{html.escape(title)}</h2>{picture}")
    with atomic_open(folder / "report.html") as out:
        out.write(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Calling: validation study</title>'
            f"<style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
        )
