from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from esr1call.report.quality_plots import QualityPlots, Strip, quality_plots
from esr1call.results import BatchQuality
from esr1call.settings import QcSettings
from tests.report.batches import SUBSTITUTIONS, controls, quality, result

PATIENTS = [result(f"S{i}", patient=f"P{i}", collected="2024-01-08", depth=1000 + 100 * i) for i in range(20)]


def plots(given: BatchQuality | None = None) -> QualityPlots:
    return quality_plots(asdict(given or quality([*PATIENTS, *controls()])), QcSettings())


def strip(shown: QualityPlots, label: str) -> Strip:
    return next(s for s in shown.strips if s.label == label)


def test_every_sample_is_a_dot_and_none_hides_another() -> None:
    for s in plots().strips:
        assert len({(d.x, d.y) for d in s.dots}) == len(s.dots)
        assert all(12 <= d.x <= 328 and 0 < d.y < s.base for d in s.dots)
    assert len(strip(plots(), "Molecules").dots) == 23
    assert len(strip(plots(), "Duplex yield").dots) == 22, "a no-template control has no yield to speak of"


def test_dots_are_in_order_and_named() -> None:
    dots = strip(plots(), "Molecules").dots
    assert [d.x for d in dots] == sorted(d.x for d in dots)
    assert dots[0].title == "NTC-1: 0"
    assert dots[1].title == "S0: 1,000"


def test_limits_of_the_config() -> None:
    assert [text for _, text in strip(plots(), "Fragment length").limits] == ["120", "220"]
    assert [text for _, text in strip(plots(), "Contamination").limits] == ["0.5%"]
    assert strip(plots(), "On target").limits == (), "without a limit there is no line"


def test_a_failed_check_shows() -> None:
    shown = plots(quality(PATIENTS, {"S3": "contamination"}))
    assert [d.title.split(":")[0] for d in strip(shown, "Contamination").dots if d.outcome == "failed"] == ["S3"]


def test_what_is_not_known_is_counted() -> None:
    given = quality(PATIENTS)
    samples = (replace(given.samples[0], conversion=None), *given.samples[1:])
    assert strip(plots(replace(given, samples=samples)), "Conversion").unknown == 1


def test_fragment_lengths() -> None:
    profile = plots().profile
    assert profile is not None
    peak = min((tuple(map(float, p.split(","))) for p in profile.median.split()), key=lambda p: p[1])
    assert 12 + 316 * 155 / 610 < peak[0] < 12 + 316 * 180 / 610
    assert profile.samples == 22


def test_errors() -> None:
    errors = plots().errors
    assert errors is not None
    assert [label for _, label in errors.labels] == list(SUBSTITUTIONS)
    assert len(errors.marks) == 36
    singletons = [m.seen for m in errors.marks if m.tier == "singleton"]
    simplex = [m.seen for m in errors.marks if m.tier == "simplex"]
    assert max(y for y in singletons if y) < min(y for y in simplex if y), "more errors are higher up"


def test_a_batch_of_nothing() -> None:
    empty: dict[str, Any] = {"checks": [], "samples": []}
    assert quality_plots(empty, QcSettings()) == QualityPlots((), None, None)
