"""Foreign DNA in a sample: how much, from where, and whether it could be what a call rests on.

Two measures of the share of molecules that are another sample's: molecules shared by ends and UMI (`shared`), which
show what was mixed after UMIs were attached; and, where a sample is homozygous at a SNP, molecules with the other
allele, which show any mixture, but only where the other sample's genotype differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc

from esr1call.pileup.windows import PACKED_BASES, code_of
from esr1call.quality.evidence import Evidence
from esr1call.quality.shared import Share, SharedMolecules, shared_alleles
from esr1call.results import CallStatus, Check, Outcome, VariantCall
from esr1call.settings import QcSettings
from esr1call.snps import HETEROZYGOUS, HOMOZYGOUS, LEAST_MOLECULES, AlleleCounts
from esr1call.stats import Floats

UNLIKELY = 0.02
"""A call is unlikely to be foreign where so many molecules would come from another sample less often than this."""
_ERROR_RATE = 3e-4
"""Rate at which a molecule shows a SNP's other allele by error, where the batch has too few samples to tell."""
_LEAST_ERROR = 1e-4
_GRID = np.concatenate([[0.0], np.logspace(-5, np.log10(0.5), 300)])
_DROP = 1.92
"""Fall of the log likelihood at the ends of a 95% interval."""
_NEXT = "repeat the library from the sample; if it shows again, the extraction"


@dataclass(frozen=True)
class Foreign:
    """The share of a sample's molecules that are foreign, by one measure, and the likeliest source (None: unknown)."""

    share: Share
    source: str | None
    told: str

    def above(self, limit: float) -> bool:
        """Whether it is estimated above `limit`, and surely above half of it."""
        return self.share.value > limit and self.share.low > limit / 2


def snp_shares(samples: Sequence[Evidence]) -> list[list[Share | None]]:
    """[taker][giver]: share of the taker's molecules that SNPs show to be the giver's, None where they can't tell.

    The last of the givers stands for anyone outside the batch, homozygous for the other allele: the least
    contamination that explains what is seen.
    """
    errors = _error_rates(samples)
    fractions = [{a.snp.name: _alt_fraction(a) for a in s.alleles} for s in samples]
    out: list[list[Share | None]] = []
    for taker in samples:
        seen = [(a, *found) for a in taker.alleles if (found := _foreign_allele(a)) is not None]
        doses = [[_dose(giver.get(a.snp.name), is_alt) for a, _, is_alt in seen] for giver in fractions]
        out.append(
            _snp_shares(
                np.array([x for _, x, _ in seen], dtype=np.float64),
                np.array([a.ref + a.alt for a, *_ in seen], dtype=np.float64),
                np.array([*doses, [1.0] * len(seen)]),
                np.array([errors[a.snp.name, is_alt] for a, _, is_alt in seen]),
            )
        )
    return out


def _alt_fraction(a: AlleleCounts) -> float | None:
    n = a.ref + a.alt
    return a.alt / n if n >= LEAST_MOLECULES else None


def _dose(alt_fraction: float | None, is_alt: bool) -> float:
    """The giver's share of the allele that the taker lacks; 0 where it has none, or is not known."""
    share = 0.0 if alt_fraction is None else alt_fraction if is_alt else 1 - alt_fraction
    return share if share >= HETEROZYGOUS else 0.0


def _foreign_allele(a: AlleleCounts) -> tuple[int, bool] | None:
    """(molecules, whether it is the alternative) of the allele that a homozygous sample lacks, else None."""
    fraction = _alt_fraction(a)
    if fraction is None or HOMOZYGOUS <= fraction <= 1 - HOMOZYGOUS:
        return None
    return (a.alt, True) if fraction < HOMOZYGOUS else (a.ref, False)


def _error_rates(samples: Sequence[Evidence]) -> dict[tuple[str, bool], float]:
    """Rate of molecules that show the allele a homozygous sample lacks: of the batch's samples the lower median."""
    rates: dict[tuple[str, bool], list[float]] = {}
    for s in samples:
        for a in s.alleles:
            if (found := _foreign_allele(a)) is not None:
                rates.setdefault((a.snp.name, found[1]), []).append(found[0] / (a.ref + a.alt))
    return {
        key: max(sorted(r)[(len(r) - 1) // 2], _LEAST_ERROR) if len(r) > 1 else _ERROR_RATE for key, r in rates.items()
    }


def _snp_shares(x: Floats, n: Floats, dose: Floats, error: Floats) -> list[Share | None]:
    """Maximum likelihood of c by giver, with x ~ Poisson(n (c dose + error)) at each SNP, and its profile interval.

    `dose` [givers, SNPs], the others [SNPs].
    """
    mean = n * (_GRID[:, None] * dose[:, None, :] + error)
    log_likelihood = (x * np.log(mean) - mean).sum(axis=2)
    out: list[Share | None] = []
    for curve, informative in zip(log_likelihood, (n * dose).sum(axis=1) >= LEAST_MOLECULES, strict=True):
        inside = np.flatnonzero(curve >= curve.max() - _DROP)
        share = Share(float(_GRID[curve.argmax()]), float(_GRID[inside[0]]), float(_GRID[inside[-1]]))
        out.append(share if informative else None)
    return out


def foreign_by_molecules(samples: Sequence[Evidence], shared: SharedMolecules, taker: int) -> Foreign | None:
    """By molecules shared with the batch's other samples; None where there are none to compare."""
    found = shared.contamination(taker)
    if found is None:
        return None
    share, giver = found
    seen, chance, whole = (pairs[:, taker] for pairs in (shared.molecules, shared.chance, shared.compared))
    told = (
        f"{seen.sum():.0f} of {whole.max():.0f} molecules are also in samples that have more reads of them "
        f"({chance.sum():.1f} expected by chance)"
    )
    return Foreign(share, samples[giver].info.sample, told)


def foreign_by_snps(samples: Sequence[Evidence], shares: Sequence[Share | None]) -> Foreign | None:
    """By SNPs: the sample of the batch that surest gives molecules, or where none does someone outside it."""
    *inside, outside = shares
    if outside is None:
        return None
    givers = [(s.low, s.value, i) for i, s in enumerate(inside) if s is not None]
    if givers and max(givers)[0] > 0:
        giver = max(givers)[2]
        found = inside[giver]
        assert found is not None
        return Foreign(found, samples[giver].info.sample, "SNPs show another sample's alleles")
    told = "SNPs show alleles that the sample should lack" if outside.low > 0 else "SNPs show no foreign alleles"
    return Foreign(outside, None, told)


def judge_contamination(sample: str, found: Sequence[Foreign], settings: QcSettings) -> Check:
    """Whether a sample holds too much of another one, by any measure."""
    limit = settings.max_contamination
    if not found:
        told = "neither molecules with UMIs nor SNPs at which the sample is homozygous"
        return Check("contamination", sample, Outcome.NOT_ASSESSED, told, None, limit, "add SNPs to qc.snps")
    worst = max(found, key=lambda f: (f.above(limit), f.share.low, f.share.value))
    told = "; ".join(_told(f) for f in found) + f"; at most {limit:.2%} allowed"
    bad = worst.above(limit)
    return Check(
        "contamination", sample, Outcome.FAILED if bad else Outcome.PASSED, told, worst.share.value, limit,
        _NEXT + (f"; look at {worst.source} too" if worst.source else "") if bad else "",
    )  # fmt: skip


def _told(f: Foreign) -> str:
    of = f" of {f.source}" if f.source and f.share.value > 0 else ""
    return f"{f.told}: {f.share.value:.2%}{of} ({f.share.low:.2%} to {f.share.high:.2%})"


def judge_carry_over(
    samples: Sequence[Evidence],
    taker: int,
    shared: SharedMolecules,
    snps: Sequence[Share | None],
    settings: QcSettings,
) -> Check:
    """Whether another sample of the batch could explain a call of a sample.

    A giver that has the variant at fraction f puts about c f N of its molecules among the taker's N, where c is at most
    the upper limit of what is shared with it by ends and UMI, and at most `carry_over` (less where SNPs say so) of what
    was mixed before, which leaves no trace there; draws of the same patient share her variants anyway, so between them
    only the former counts. A call is explained where P(X >= x | c f N + background) is above `UNLIKELY`, or where half
    of its molecules are the giver's.
    """
    own = samples[taker]
    explained, unlikely = [], 0.0
    detected = [c for c in own.result.calls if c.status is CallStatus.DETECTED]
    for call in detected:
        for giver, other in enumerate(samples):
            theirs = None if giver == taker else _same_call(other, call)
            if theirs is None:
                continue
            direct, tail = _direct(other, own, call), _tail(samples, giver, taker, theirs, call, shared, snps, settings)
            unlikely = max(unlikely, tail)
            if tail > UNLIKELY or 2 * direct >= call.molecules:
                explained.append(
                    f"{call.protein} {call.cdna} ({call.molecules} molecules, {call.vaf:.2%}) could be of "
                    f"{other.info.sample}, which has it at {theirs.vaf:.2%}"
                    + (f" and {direct} of the very same molecules" if direct else "")
                )
    if explained:
        return Check(
            "carry_over", own.info.sample, Outcome.FAILED, "; ".join(explained), unlikely, UNLIKELY,
            "repeat the library apart from the other sample before anything is said of the variant",
        )  # fmt: skip
    told = "no other sample explains its calls" if detected else "no calls to explain"
    return Check("carry_over", own.info.sample, Outcome.PASSED, told, unlikely if detected else None, UNLIKELY)


def _same_call(other: Evidence, call: VariantCall) -> VariantCall | None:
    key = (call.window, call.haplotype)
    return next(
        (c for c in other.result.calls if (c.window, c.haplotype) == key and c.status is CallStatus.DETECTED), None
    )


def _direct(giver: Evidence, taker: Evidence, call: VariantCall) -> int:
    """The taker's molecules of the call that the giver has too."""
    one, two = ((s.sketches or {}).get(call.window) for s in (giver, taker))
    if one is None or two is None or not 0 < len(call.haplotype) <= PACKED_BASES:
        return 0
    return shared_alleles(one, two, np.uint64(code_of(call.haplotype)))


def _tail(
    samples: Sequence[Evidence],
    giver: int,
    taker: int,
    theirs: VariantCall,
    call: VariantCall,
    shared: SharedMolecules,
    snps: Sequence[Share | None],
    settings: QcSettings,
) -> float:
    """P(at least so many molecules) if the giver's are all that there is besides background."""
    pair, snp = shared.pair(giver, taker), snps[giver]
    before = settings.carry_over if snp is None else min(settings.carry_over, snp.high)
    if samples[giver].info.patient is not None and samples[giver].info.patient == samples[taker].info.patient:
        before = 0.0
    mixed = max(before, 0.0 if pair is None else pair.high)
    mean = mixed * theirs.vaf * call.depth + call.background
    return float(gammainc(call.molecules, mean)) if mean > 0 else 0.0
