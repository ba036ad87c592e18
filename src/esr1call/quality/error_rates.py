"""Do the batch's molecules show the errors that the background model expects?

A model that was fitted on other blanks than this batch's chemistry and lot deserve makes every p wrong. Errors are
molecules that differ from the reference by one base, over all windows, by the substitution that their own strand shows
and by tier. Haplotypes that may be real are left out: the panel's, SNPs, and all on more than a few molecules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import gammaincinv

from esr1call.background import LOG_RATES, BackgroundModel, change_of, log_prior_on_grid
from esr1call.counts import STRATA, TIER_OF_STRATUM, TIERS
from esr1call.panel import Panel
from esr1call.quality.evidence import Evidence
from esr1call.results import Check, ErrorRate, Outcome
from esr1call.settings import QcSettings
from esr1call.snps import Snp
from esr1call.stats import Floats

_REAL = 0.002
_LEAST_REAL = 10
"""A haplotype on so many of a sample's molecules, and on this part of them, is no error."""
_LEAST_EXPECTED = 5.0
_TAIL = 0.001


class ErrorCounter:
    """All one-base changes of a panel's windows, each with its substitutions and the rate that the model expects."""

    def __init__(self, panel: Panel, model: BackgroundModel, snps: Iterable[Snp] = ()) -> None:
        common = {(s.position, s.alt) for s in snps if s.contig == panel.contig}
        keys, names = [], list[tuple[tuple[str, str], ...]]()
        for i, w in enumerate(panel.windows):
            for at, ref in enumerate(w.reference):
                for alt in "ACGT":
                    haplotype = w.reference[:at] + alt + w.reference[at + 1 :]
                    is_snp = (w.start + at, alt) in common
                    if alt != ref and not is_snp and (w.name, haplotype) not in panel.variants_by_haplotype:
                        keys.append((i, haplotype))
                        names.append(change_of(panel, w, haplotype).classes())
        self._keys = keys
        self._window = np.array([w for w, _ in keys])
        classes = sorted({c for n in names for c in n})
        number = {c: i for i, c in enumerate(classes)}
        which = np.array([[number[c] for c in n] for n in names]).reshape(-1, len(STRATA))
        self._rate = _class_rates(model, classes)[TIER_OF_STRATUM, which]
        self.substitutions = sorted({s for _, s in classes})
        self._class = np.array([self.substitutions.index(s) for _, s in classes])[which]

    def of(self, sample: Evidence) -> tuple[ErrorRate, ...]:
        """A sample's errors by substitution and tier."""
        depth = sample.table.depth()[self._window]
        seen = sample.table.of_all(self._keys)
        total = seen.sum(axis=1)
        real = (total >= _LEAST_REAL) & (total > _REAL * depth.sum(axis=1))
        seen, depth, rate, kind = seen[~real], depth[~real], self._rate[~real], self._class[~real]
        number = kind * len(TIERS) + TIER_OF_STRATUM
        size = len(self.substitutions) * len(TIERS)

        def by_class(values: Floats) -> list[float]:
            sums: list[float] = np.bincount(number.ravel(), weights=values.ravel(), minlength=size).tolist()
            return sums

        columns = zip(by_class(seen), by_class(depth * rate), by_class(depth), strict=True)
        return tuple(
            ErrorRate(self.substitutions[i // len(TIERS)], TIERS[i % len(TIERS)], round(x), expected, round(n))
            for i, (x, expected, n) in enumerate(columns)
            if n > 0
        )


def _class_rates(model: BackgroundModel, classes: Sequence[tuple[str, str]]) -> Floats:
    """Mean error rate [tiers, classes] of a site of each (class, substitution)."""
    out = np.empty((len(TIERS), len(classes)))
    for t, tier in enumerate(model.tiers):
        mean, sd = np.array([tier.of(*c) for c in classes]).reshape(-1, 2).T
        out[t] = np.exp(log_prior_on_grid(tier.shape, mean, sd)) @ np.exp(LOG_RATES)
    return out


def error_ratio(errors: Sequence[ErrorRate]) -> float | None:
    """Errors seen over errors expected."""
    expected = sum(e.expected for e in errors)
    return sum(e.molecules for e in errors) / expected if expected else None


def judge_errors(samples: Iterable[Sequence[ErrorRate]], settings: QcSettings) -> Check:
    """The batch's errors added up: failed where a substitution of a tier is surely above the limit, a warning where it
    is surely below its inverse (the model then costs power), in both cases by a Poisson interval of 99.8%."""
    summed: dict[tuple[str, str], list[float]] = {}
    for errors in samples:
        for e in errors:
            own = summed.setdefault((e.substitution, e.tier), [0.0, 0.0])
            own[0] += e.molecules
            own[1] += e.expected
    limit = settings.max_error_ratio
    known = {k: v for k, v in summed.items() if v[1] >= _LEAST_EXPECTED}
    if not known:
        return Check("error_rate", None, Outcome.NOT_ASSESSED, "too few molecules to see errors", None, limit)
    high, low, told = [], [], {}
    for (substitution, tier), (seen, expected) in known.items():
        told[substitution, tier] = (
            f"{substitution} of {tier} molecules {seen / expected:.2g} times as often as the background model expects "
            f"({seen:.0f} molecules, {expected:.0f} expected)"
        )
        if seen > 0 and gammaincinv(seen, _TAIL) / expected > limit:
            high.append((seen / expected, substitution, tier))
        if gammaincinv(seen + 1, 1 - _TAIL) / expected < 1 / limit:
            low.append((seen / expected, substitution, tier))
    overall = sum(v[0] for v in known.values()) / sum(v[1] for v in known.values())
    if high:
        shown = "; ".join(told[s, t] for _, s, t in sorted(high, reverse=True))
        step = "the model is not of this chemistry: fit it on blanks of this lot, or find what damaged the DNA"
        return Check("error_rate", None, Outcome.FAILED, shown, max(high)[0], limit, step)
    if low:
        shown = "; ".join(told[s, t] for _, s, t in sorted(low))
        step = "fit the background on blanks of this lot: calls lose power by a model that expects too much"
        return Check("error_rate", None, Outcome.WARNING, shown, min(low)[0], 1 / limit, step)
    shown = f"errors are {overall:.2g} times what the background model expects; up to {limit:g} times allowed for each"
    return Check("error_rate", None, Outcome.PASSED, f"{shown} substitution and tier", overall, limit)
