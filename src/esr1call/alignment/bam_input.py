"""Takes a BAM or CRAM that a laboratory already has, in place of FASTQ.

A coordinate-sorted, indexed BAM is linked to, not copied. What it lacks (order, index, BAM format) is made in the
output folder; the input and its folder are never written to.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysam
from pysam.utils import SamtoolsError

from esr1call.alignment.output import (
    drop_other_indices,
    index_path,
    last_line,
    publish,
    publish_indexed,
    publish_sorted,
    quiet_htslib,
    work_folder,
    write_index,
)
from esr1call.contigs import build_of, place
from esr1call.errors import InputError
from esr1call.io.files import require_file

_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
# The last container of a CRAM, of this many bytes, spells EOF.
_CRAM_END = 38
_RX_LOOKED_AT = 10000


@dataclass(frozen=True)
class BamRequest:
    """What a BAM must fit: the configured build and reference, the panel's contig, and whether it must hold RX tags."""

    build: str
    reference: str | Path
    contig: str | None = None
    needs_rx: bool = False


@dataclass(frozen=True)
class BamTaken:
    """What was done with a BAM: `action` is linked, indexed, sorted or converted; counts are reads (index totals)."""

    action: str
    reads_mapped: int
    reads_unmapped: int


def take_bam(bam: str | Path, out: str | Path, request: BamRequest, threads: int) -> BamTaken:
    """Make `out` and its index from `bam`; raises InputError where it is damaged or does not fit the request."""
    source, target = require_file(bam, "bam"), Path(out)
    if target.exists() and source.resolve() == target.resolve() and not target.is_symlink():
        raise InputError("the output is the input", file=out, hint="give another output path")
    with work_folder(target) as folder:
        is_bam, ordered, lengths = _check(source, request, folder)
        if not is_bam:
            converted = _to_bam(source, folder, request.reference, threads)
            action = "converted"
            _sort_or_index(converted, target, folder, ordered, threads, lengths)
        elif (index := _own_index(source)) is not None and ordered is not False:
            action = "linked"
            _link(index, Path(f"{target}{index.suffix}"))
            _link(source, target)
            drop_other_indices(target, Path(f"{target}{index.suffix}"))
        elif ordered is not False and _index_only(source, target, folder, lengths):
            action = "indexed"
        else:
            action = "sorted"
            publish_sorted(source, target, folder, threads, lengths)
    with pysam.AlignmentFile(str(target)) as taken:
        return BamTaken(action, taken.mapped, taken.unmapped)


def check_bam(bam: str | Path, request: BamRequest) -> None:
    """Look at a BAM or CRAM as `take_bam` does before it takes it; raises InputError where it would."""
    with tempfile.TemporaryDirectory() as folder:
        _check(require_file(bam, "bam"), request, Path(folder))


def _check(source: Path, request: BamRequest, folder: Path) -> tuple[bool, bool | None, list[int]]:
    """Look at the header, the end and the first reads: (is a BAM, is sorted if it says so, sequence lengths)."""
    try:
        with (
            quiet_htslib(),
            pysam.AlignmentFile(
                str(source), check_sq=False, reference_filename=_reference(request.reference, folder)
            ) as bam,
        ):
            if not (bam.is_bam or bam.is_cram):
                raise InputError(
                    "is neither BAM nor CRAM", file=source, field="bam", hint="give one of these, or FASTQ"
                )
            _check_sequences(bam, source, request)
            if bam.references:
                bam.get_tid(bam.references[0])  # htslib parses the header's text only when asked for more than names
            if not _ends_whole(source, bam.is_bam):
                raise InputError(
                    "truncated: it has no end-of-file block", file=source, field="bam", hint="copy the file again"
                )
            if request.needs_rx:
                _check_rx(bam, source)
            order = _header_of(bam).get("HD", {}).get("SO")
            return bam.is_bam, {"coordinate": True, "queryname": False, "unsorted": False}.get(order), list(bam.lengths)
    except (OSError, ValueError, NotImplementedError) as error:  # the last: of gzip that is no BGZF
        text = "truncated" if "truncated" in str(error) else "cannot be read as BAM or CRAM"
        raise InputError(text, file=source, field="bam", hint="copy the file again, or give the right one") from error


def _header_of(bam: pysam.AlignmentFile) -> dict[str, Any]:
    """The header's lines; ValueError where there is one of an unknown kind, which pysam takes for a bug."""
    try:
        found: dict[str, Any] = bam.header.to_dict()
    except AssertionError as error:
        raise ValueError(str(error)) from error
    return found


def _check_sequences(bam: pysam.AlignmentFile, source: Path, request: BamRequest) -> None:
    named = list(zip(bam.references, bam.lengths, strict=True))
    found = build_of(named)
    if found is not None and found != request.build:
        raise InputError(
            f"BAM is on {found} while the config says {request.build}", file=source, field="bam",
            hint="set the build of the config, or give reads aligned to it",
        )  # fmt: skip
    if request.contig is not None and request.contig not in {place(n, k).contig for n, k in named}:
        raise InputError(
            "the BAM has no sequence of the panel's chromosome", file=source, field="bam",
            found=", ".join(bam.references[:5]) or "no reference sequence", expected=request.contig,
        )  # fmt: skip


def _check_rx(bam: pysam.AlignmentFile, source: Path) -> None:
    """Reads without UMIs must not pass for reads with UMIs: every molecule would look like a singleton."""
    seen = 0
    for read in bam.fetch(until_eof=True):
        if read.has_tag("RX"):
            return
        seen += 1
        if seen == _RX_LOOKED_AT:
            break
    if seen:
        raise InputError(
            f"none of the first {seen} reads has an RX tag", file=source, field="bam",
            expected="the UMI in the RX tag", hint="set the UMI source to 'none' for reads without UMIs",
        )  # fmt: skip


def _ends_whole(file: Path, is_bam: bool) -> bool:
    with file.open("rb") as handle:
        handle.seek(max(0, file.stat().st_size - _CRAM_END))
        end = handle.read()
    return end.endswith(_BGZF_END) if is_bam else b"EOF" in end


def _own_index(bam: Path) -> Path | None:
    """The index beside a BAM, unless it is older than the BAM."""
    for name in (f"{bam}.bai", f"{bam}.csi", str(bam.with_suffix(".bai"))):
        index = Path(name)
        if index.is_file() and index.stat().st_mtime >= bam.stat().st_mtime:
            return index
    return None


def _link(source: Path, target: Path) -> None:
    """Symlink `target` to `source`, replacing what is there in one step."""
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp") as folder:
            link = Path(folder, "link")
            link.symlink_to(source.resolve())
            link.replace(target)
    except OSError as error:
        raise InputError(f"cannot link: {error.strerror}", file=target) from error


def _index_only(source: Path, target: Path, folder: Path, lengths: list[int]) -> bool:
    """Index a BAM that may be sorted and link to it; False where it turns out not to be sorted."""
    save = pysam.set_verbosity(0)
    try:
        index = write_index(source, folder / "index", lengths)
    except SamtoolsError:
        return False
    finally:
        pysam.set_verbosity(save)
    publish(index, index_path(target, lengths))
    _link(source, target)
    drop_other_indices(target, index_path(target, lengths))
    return True


def _sort_or_index(
    bam: Path, target: Path, folder: Path, ordered: bool | None, threads: int, lengths: list[int]
) -> None:
    if ordered:
        publish_indexed(bam, target, folder, lengths)
    else:
        publish_sorted(bam, target, folder, threads, lengths)


def _reference(reference: str | Path, folder: Path) -> str:
    """A path to the reference whose .fai may be made: a link in `folder`, so that nothing appears beside the input."""
    link = folder / f"reference{''.join(Path(reference).suffixes[-2:])}"
    if not link.exists():
        link.symlink_to(Path(reference).resolve())
        for end in (".fai", ".gzi"):
            if os.path.exists(f"{reference}{end}"):
                Path(f"{link}{end}").symlink_to(Path(f"{reference}{end}").resolve())
    return str(link)


def _to_bam(cram: Path, folder: Path, reference: str | Path, threads: int) -> Path:
    made = folder / "converted.bam"
    try:
        pysam.view(
            "-b", "--no-PG", "-@", str(max(0, threads - 1)), "-T", _reference(reference, folder), "-o", str(made),
            str(cram), catch_stdout=False,
        )  # fmt: skip
    except SamtoolsError as error:
        raise InputError(
            f"cannot be decoded: {last_line(error)}", file=cram, field="bam",
            hint="the reference must be the one the CRAM was written with",
        ) from error  # fmt: skip
    return made
