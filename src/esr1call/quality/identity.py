"""Is a sample of the person it is said to be of? Its genotypes against those of her earlier samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from esr1call.quality.evidence import Evidence
from esr1call.results import Check, Outcome, SampleResult, SampleStatus
from esr1call.settings import QcSettings
from esr1call.snps import Snp, agreement

_NEXT = "add SNPs to qc.snps that the panel's probes cover"


def earlier_genotypes(
    own: Evidence, batch: Sequence[Evidence], before: Sequence[SampleResult]
) -> list[tuple[str, Mapping[str, str]]]:
    """(sample, genotypes) of the patient's samples that were drawn earlier, in this batch or `before` (her results of
    other batches, those that count); of draws of one day those earlier in the batch come first."""
    day, names = own.info.collected or "", {s.info.sample for s in batch}
    found = [
        (r.collected or "", r.sample, r.genotypes)
        for r in before
        if r.sample not in names and r.status is not SampleStatus.QC_FAILED and (r.collected or "") <= day
    ]
    for s in batch:
        if s is own:
            found += [
                (t.info.collected or "", t.info.sample, t.genotypes)
                for t in batch
                if t is not own
                and t.info.patient == own.info.patient
                and ((t.info.collected or "") < day or ((t.info.collected or "") == day and _first(batch, t, own)))
            ]
    return [(sample, genotypes) for _, sample, genotypes in sorted(found, key=lambda f: f[:2])]


def _first(batch: Sequence[Evidence], one: Evidence, two: Evidence) -> bool:
    return next(s for s in batch if s is one or s is two) is one


def judge_identity(
    own: Evidence, earlier: Sequence[tuple[str, Mapping[str, str]]], snps: Sequence[Snp], settings: QcSettings
) -> Check:
    """Concordant, discordant or not informative; not assessed where there is nothing to compare.

    Only different genotypes fail. Agreement passes where few unrelated people would agree too. `value` is the chance
    that an unrelated person has the genotypes that agree.
    """

    def nothing(told: str, next_step: str = "") -> Check:
        return Check("identity", own.info.sample, Outcome.NOT_ASSESSED, told, None, settings.max_coincidence, next_step)

    if not snps:
        return nothing("no SNPs to tell people apart by", _NEXT)
    if not own.genotypes:
        return nothing("too few molecules at any SNP for a genotype", _NEXT)
    if not earlier:
        return nothing("the patient has no earlier sample")
    differ, told, chances = [], [], []
    for sample, genotypes in earlier:
        same, different, chance = agreement(own.genotypes, genotypes, snps)
        if different:
            at = [f"{s.name} is {own.genotypes[s.name]}, there {genotypes[s.name]}" for s in snps
                  if own.genotypes.get(s.name, "") != genotypes.get(s.name, "")
                  and s.name in own.genotypes and s.name in genotypes]  # fmt: skip
            differ.append(f"discordant with {sample}: {', '.join(at)}")
        elif same:
            told.append(f"{sample} at {same} SNP{'s' if same > 1 else ''}")
            chances.append(chance)
    if differ:
        return Check(
            "identity", own.info.sample, Outcome.FAILED, "; ".join(differ), 0.0, settings.max_coincidence,
            "look for swapped tubes or rows of the sample sheet; draw again where it stays unexplained",
        )  # fmt: skip
    if not chances:
        return nothing("no SNP has a genotype both here and in an earlier sample")
    lowest = min(chances)
    agrees = f"agrees with {', '.join(told)}; so would {lowest:.0%} of unrelated people"
    if lowest > settings.max_coincidence:
        return Check(
            "identity", own.info.sample, Outcome.NOT_ASSESSED, f"not informative: {agrees}", lowest,
            settings.max_coincidence, _NEXT,
        )  # fmt: skip
    return Check("identity", own.info.sample, Outcome.PASSED, f"concordant: {agrees}", lowest, settings.max_coincidence)
