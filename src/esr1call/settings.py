"""What a lab may set, as frozen values; `io.batch` reads them from the config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CountSettings:
    """Which reads and bases count, and how molecules are told apart.

    `min_mapq`, `min_base_quality`: reads and bases below do not count. `max_base_quality`: evidence of one base call is
    capped there, since errors from before sequencing have no base quality; `max_template_quality` likewise for a read
    pair whose mates agree. `min_consensus_quality`: phred lead of a base over the next best that decides a column.
    `umi`: ``duplex`` (UMIs on both reads tell both strands of a fragment), ``simplex`` (strands are never paired) or
    ``none`` (fragment ends alone tell molecules apart). `umi_correction`: ``directional`` or ``none``.
    """

    min_mapq: int = 20
    min_base_quality: int = 10
    max_base_quality: int = 40
    max_template_quality: int = 60
    min_consensus_quality: int = 20
    umi: str = "duplex"
    umi_correction: str = "directional"
