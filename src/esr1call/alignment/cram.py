"""An alignment as CRAM, a third of the BAM's size."""

from __future__ import annotations

from pathlib import Path

import pysam
from pysam.utils import SamtoolsError

from esr1call.alignment.output import last_line, publish, work_folder
from esr1call.errors import InputError

SUFFIX = ".cram"


def write_cram(bam: str | Path, out: str | Path, threads: int) -> None:
    """Write a sorted BAM as CRAM `out` with its index ``.crai``; both appear whole or not at all.

    The bases that the reads cover are in the file, so that no reference is needed to read it, and no path of one is
    told in it.
    """
    target = Path(out)
    with work_folder(target) as folder:
        made, index = folder / "made.cram", folder / "made.crai"
        try:
            pysam.view(
                "-C", "--no-PG", "-@", str(max(0, threads - 1)), "--output-fmt-option", "embed_ref=2",
                "-o", str(made), str(bam), catch_stdout=False,
            )  # fmt: skip
            pysam.index("-o", str(index), str(made))
        except SamtoolsError as error:
            raise InputError(f"cannot be written as CRAM: {last_line(error)}", file=out) from error
        publish(index, Path(f"{target}.crai"))
        publish(made, target)
