"""Records as the pileup modules take them, made from a list of single records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from esr1call.pileup.records import Records, read_records
from tests.bam_bytes import Record


def records_of(given: Sequence[Record | bytes], references: int = 3) -> Records:
    """Decoded records, with the padding behind them that a chunk has."""
    encoded = [r if isinstance(r, bytes) else r.encode() for r in given]
    data = np.frombuffer(b"".join(encoded) + bytes(64), dtype=np.uint8)
    sizes = [len(e) for e in encoded]
    return read_records(data, np.cumsum([0, *sizes[:-1]]).astype(np.int64), references, "x.bam")
