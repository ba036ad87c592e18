"""Writes aligned records as one coordinate-sorted, indexed BAM that does not depend on time, place or threads."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pysam
from pysam.utils import SamtoolsError

from esr1call import __version__
from esr1call.errors import InputError

# A BAI index reaches 2^29 bases into a sequence.
_BAI_LIMIT = 1 << 29
_INDEX_SUFFIXES = (".bai", ".csi")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SORT_MEMORY = "512M"
IN_MEMORY = 250_000
"""Records (some 0.2 GB) that are sorted in memory; where there are more, all go through files beside the output."""
# A quarter larger than at level 6, in a third of the time, which would be a tenth of the whole alignment.
_COMPRESSION = "2"
_UNMAPPED, _PROPER, _SECONDARY_OR_SUPPLEMENTARY, _SUPPLEMENTARY = 0x4, 0x2, 0x900, 0x800


@dataclass(frozen=True)
class ReadGroup:
    """The @RG line of a sample's BAM."""

    sample: str
    library: str
    platform_unit: str
    platform: str = "ILLUMINA"

    @property
    def id(self) -> str:
        """Identifier that every record's RG tag holds."""
        return f"{self.sample}.{self.platform_unit}"

    def fields(self) -> dict[str, str]:
        """The line's fields."""
        return {
            "ID": self.id, "SM": self.sample, "LB": self.library, "PU": self.platform_unit, "PL": self.platform
        }  # fmt: skip


@dataclass
class AlignedCounts:
    """Reads (not records) by what the aligner made of them."""

    reads_mapped: int = 0
    reads_unmapped: int = 0
    reads_properly_paired: int = 0
    supplementary_records: int = 0
    reads_foreign: int = 0


def header(sequences: list[tuple[str, int]], group: ReadGroup, aligner: str, version: str) -> dict[str, Any]:
    """Header of an unsorted BAM. Its @PG lines name programs and versions, no command lines: those hold paths."""
    return {
        "HD": {"VN": "1.6", "SO": "unsorted"},
        "SQ": [{"SN": name, "LN": length} for name, length in sequences],
        "RG": [group.fields()],
        "PG": [
            {"ID": "aligner", "PN": aligner, "VN": version},
            {"ID": "esr1call", "PN": "esr1call", "VN": __version__, "PP": "aligner"},
        ],
    }


def write_sorted(
    records: Iterable[Any], head: dict[str, Any], out: str | Path, threads: int, counts: AlignedCounts,
    passing: bool = False,
) -> None:  # fmt: skip
    """Write records to `out`, sorted, with its index; both appear whole or not at all. Adds to `counts`.

    One that is `passing`, to be read once and removed, is not compressed unless it is large.
    """
    target, lengths = Path(out), [s["LN"] for s in head["SQ"]]
    records = _counted(records, counts)
    with work_folder(target) as folder:
        first = list(islice(records, IN_MEMORY + 1))
        if len(first) > IN_MEMORY:
            unsorted = folder / "unsorted.bam"
            _write(chain(first, records), head, unsorted, "0", threads)
            publish_sorted(unsorted, target, folder, threads, lengths)
        else:
            first.sort(key=_place)
            done, level = folder / "sorted.bam", "0" if passing else _COMPRESSION
            _write(first, {**head, "HD": {**head["HD"], "SO": "coordinate"}}, done, level, threads)
            publish_indexed(done, target, folder, lengths)


def _counted(records: Iterable[Any], counts: AlignedCounts) -> Iterator[Any]:
    """The records, each added to `counts` as it passes."""
    for record in records:
        flag = record.flag
        if flag & _SECONDARY_OR_SUPPLEMENTARY:
            counts.supplementary_records += bool(flag & _SUPPLEMENTARY)
        elif flag & _UNMAPPED:
            counts.reads_unmapped += 1
        else:
            counts.reads_mapped += 1
            counts.reads_properly_paired += bool(flag & _PROPER)
        yield record


def _place(record: Any) -> tuple[bool, int, int, bool]:
    """What samtools sorts by: reads without a place last, then sequence, position, strand; ties keep their order."""
    return record.reference_id < 0, record.reference_id, record.reference_start, record.is_reverse


def _write(records: Iterable[Any], head: dict[str, Any], path: Path, level: str, threads: int) -> None:
    with pysam.AlignmentFile(
        str(path), "wb", header=head, threads=threads, format_options=[f"level={level}"]
    ) as bam:  # fmt: skip
        for record in records:
            bam.write(record)


@contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out`, removed afterwards. What can't be written in it is told of `out`."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp")
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", file=out) from error
    with made as folder, quiet_htslib():
        try:
            yield Path(folder)
        except OSError as error:
            if error.errno not in _NO_ROOM and folder not in str(error.filename):
                raise  # of something that is read
            problem = os.strerror(error.errno) if error.errno else str(error)
            raise InputError(f"cannot write: {problem}", file=out) from error


@contextmanager
def quiet_htslib() -> Iterator[None]:
    """htslib tells of no error on stderr, nor pysam once more when it frees a file that it could not open: each is an
    exception anyway."""
    before, hooks = pysam.set_verbosity(0), (sys.excepthook, sys.unraisablehook)
    sys.excepthook, sys.unraisablehook = (lambda *told: None), (lambda told: None)
    try:
        yield
    finally:
        pysam.set_verbosity(before)
        sys.excepthook, sys.unraisablehook = hooks


def publish_sorted(bam: Path, out: Path, folder: Path, threads: int, lengths: list[int]) -> None:
    """Sort `bam` by coordinate (ties keep their order) and move it with its index to `out`.

    `folder` lies on `out`'s file system and takes the temporary files; `lengths` are the reference's.
    """
    done = folder / "sorted.bam"
    try:
        pysam.sort(
            "--no-PG", "-@", str(max(0, threads - 1)), "-m", _SORT_MEMORY, "-l", _COMPRESSION,
            "-T", str(folder / "sort"), "-o", str(done), str(bam),
        )  # fmt: skip
    except SamtoolsError as error:
        raise InputError(f"cannot be sorted: {last_line(error)}", file=out) from error
    publish_indexed(done, out, folder, lengths)


def publish_indexed(done: Path, out: Path, folder: Path, lengths: list[int]) -> None:
    """Move a sorted BAM with its index, which is made in `folder`, to `out`."""
    try:
        index = write_index(done, folder / "sorted.index", lengths)
    except SamtoolsError as error:
        raise InputError(f"cannot be indexed: {last_line(error)}", file=out) from error
    publish(index, index_path(out, lengths))
    publish(done, out)
    drop_other_indices(out, index_path(out, lengths))


def drop_other_indices(bam: Path, kept: Path) -> None:
    """Remove what indices a BAM of this name had before: htslib believes an old .csi beside a new .bai."""
    for suffix in _INDEX_SUFFIXES:
        if (other := Path(f"{bam}{suffix}")) != kept:
            other.unlink(missing_ok=True)


def index_path(bam: Path, lengths: list[int]) -> Path:
    """Where a BAM's index lies: ``.bai``, or ``.csi`` where a sequence is too long for it."""
    return Path(f"{bam}.{'csi' if max(lengths, default=0) > _BAI_LIMIT else 'bai'}")


def write_index(bam: Path, index: Path, lengths: list[int]) -> Path:
    """Index a sorted BAM into the file `index`; raises SamtoolsError where it is not sorted."""
    pysam.index("-c" if max(lengths, default=0) > _BAI_LIMIT else "-b", "-o", str(index), str(bam))
    return index


def publish(made: Path, target: Path) -> None:
    """Move a finished file to its place, on disk before it is seen."""
    try:
        with made.open("rb+") as written:
            os.fsync(written.fileno())
        made.replace(target)
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror or error}", file=target) from error


def last_line(error: Exception) -> str:
    """The last line of what a samtools command said."""
    lines = [line for line in str(error).replace("\\n", "\n").splitlines() if line.strip(" '\"")]
    return lines[-1].strip(" '\"") if lines else "unknown error"
