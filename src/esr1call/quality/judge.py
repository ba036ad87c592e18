"""All checks of a batch, and the status in which each result may be reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from esr1call.calling import SampleInfo
from esr1call.counts import CountTable
from esr1call.quality.controls import CONTROLS, judge_controls
from esr1call.results import BatchQuality, SampleResult, SampleStatus
from esr1call.settings import QcSettings


def judge_batch(
    samples: Sequence[tuple[SampleInfo, CountTable]], results: Sequence[SampleResult], settings: QcSettings
) -> tuple[list[SampleResult], BatchQuality]:
    """Results as they may be reported, in the order given, and why.

    Every control of the batch is judged. Where one fails, it and all patient samples of the batch are QC_FAILED: what
    went wrong in a control may have gone wrong in any of them. Their calls stay, for a person to look at.
    """
    quality = BatchQuality(
        samples[0][0].batch if samples else "", tuple(judge_controls(samples, results, settings)), ()
    )
    reasons = tuple(f"control {c.sample} failed: {c.explanation}" for c in quality.failed if c.name in CONTROLS)
    own = {c.sample for c in quality.failed}
    out = []
    for result in results:
        if reasons and (result.sample_type == "patient" or result.sample in own):
            result = replace(result, status=SampleStatus.QC_FAILED, reasons=(*reasons, *result.reasons))
        out.append(result)
    return out, quality
