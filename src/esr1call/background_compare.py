"""What differs between two background models: a new lot, another chemistry, blanks of another month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esr1call.background import BackgroundModel
from esr1call.counts import STRATA, TIERS
from esr1call.panel import Panel


@dataclass(frozen=True)
class Difference:
    """One rate per molecule in two models. `z`: the log ratio over its standard deviation; beyond 3, a true change."""

    tier: str
    name: str
    old: float
    new: float
    z: float

    @property
    def ratio(self) -> float:
        """New over old."""
        return self.new / self.old


def compare_substitutions(old: BackgroundModel, new: BackgroundModel) -> list[Difference]:
    """Rates by tier and substitution that both models know."""
    out = []
    for tier, a, b in zip(TIERS, old.tiers, new.tiers, strict=True):
        for name in sorted(set(a.substitutions) & set(b.substitutions)):
            (m1, s1), (m2, s2) = a.substitutions[name], b.substitutions[name]
            out.append(
                Difference(tier, name, float(np.exp(m1)), float(np.exp(m2)), (m2 - m1) / float(np.hypot(s1, s2)))
            )
    return out


def compare_haplotypes(
    old: BackgroundModel, new: BackgroundModel, panel: Panel, haplotypes: Sequence[tuple[str, str]]
) -> list[Difference]:
    """Expected rates of (window, haplotype) pairs in each stratum, by `STRATA`; z is from both predictions' spread."""
    a, b = (m.predict(panel, haplotypes) for m in (old, new))
    spread = [np.maximum((p.weight * p.rate**2).sum(axis=-1) / p.mean**2 - 1, 1e-12) for p in (a, b)]
    z = np.log(b.mean / a.mean) / np.sqrt(np.log1p(spread[0]) + np.log1p(spread[1]))
    return [
        Difference(STRATA[t], f"{w}:{h}", float(a.mean[i, t]), float(b.mean[i, t]), float(z[i, t]))
        for i, (w, h) in enumerate(haplotypes)
        for t in range(len(STRATA))
    ]
