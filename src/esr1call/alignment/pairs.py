"""Mate pairs as sequenced to template pairs: UMI taken out, spacer and adapter read-through cut off."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from esr1call.alignment.fastq import PairChunk
from esr1call.alignment.read_structure import PLAIN, ReadStructure
from esr1call.alignment.trimming import adapter_length, overlap_length, reverse_complements
from esr1call.errors import InputError

ILLUMINA_ADAPTERS = ("AGATCGGAAGAGCACACGTCTGAACTCCAGTCA", "AGATCGGAAGAGCGTCGTGTAGGGAAAGAGTGT")
"""Illumina TruSeq adapters as read 1 and read 2 run into them."""

_UMI_IN_NAME = re.compile(r"[ACGTN]+(-[ACGTN]+)?")


@dataclass(frozen=True)
class PairSettings:
    """How the library was made.

    `umi`: where the UMI is, ``read_structure``, ``read_name`` (after the last `name_delimiter`), ``tag`` (RX of an
    unaligned BAM) or ``none``.
    `adapters`: what read 1 and read 2 run into. `min_length`: shortest template kept after trimming (bases).
    """

    structures: tuple[ReadStructure, ReadStructure] = (PLAIN, PLAIN)
    umi: str = "read_structure"
    name_delimiter: str = ":"
    adapters: tuple[str, str] = ILLUMINA_ADAPTERS
    min_length: int = 20


@dataclass
class PairCounts:
    """What became of the pairs read; counted while they stream through."""

    pairs_read: int = 0
    dropped_by_screen: int = 0
    dropped_shorter_than_structure: int = 0
    dropped_short_after_trimming: int = 0
    trimmed_by_overlap: int = 0
    trimmed_by_adapter: int = 0

    @property
    def pairs_kept(self) -> int:
        """Pairs handed to the aligner."""
        dropped = self.dropped_by_screen + self.dropped_shorter_than_structure + self.dropped_short_after_trimming
        return self.pairs_read - dropped


@dataclass(frozen=True)
class TemplatePairs:
    """Columns of equal length, one entry a pair; `umi` is the RX value or '' where there is none."""

    name: list[str] = field(default_factory=list)
    umi: list[str] = field(default_factory=list)
    bases_1: list[str] = field(default_factory=list)
    quality_1: list[str] = field(default_factory=list)
    bases_2: list[str] = field(default_factory=list)
    quality_2: list[str] = field(default_factory=list)


def template_pairs(
    chunks: Iterable[PairChunk], settings: PairSettings, counts: PairCounts, file: str = ""
) -> Iterator[TemplatePairs]:
    """Turn chunks of pairs into template pairs, adding to `counts`; raises InputError for a name without its UMI."""
    for chunk in chunks:
        counts.pairs_read += len(chunk.name) + chunk.screened_out
        counts.dropped_by_screen += chunk.screened_out
        if chunk.name:
            yield _convert(chunk, settings, counts, file)


def _convert(chunk: PairChunk, settings: PairSettings, counts: PairCounts, file: str) -> TemplatePairs:
    """One chunk. This loop runs once a pair, so it holds only slices, `str.find` and appends."""
    one, two = settings.structures
    start_1, end_1, start_2, end_2 = one.template_start, one.template_end, two.template_start, two.template_end
    adapter_1, adapter_2 = settings.adapters
    from_name = settings.umi == "read_name"
    has_umi = settings.umi == "read_structure"
    minimum_1, minimum_2, min_length = one.minimum, two.minimum, settings.min_length
    out = TemplatePairs()
    reverse_2 = reverse_complements(chunk.bases_2)
    columns = zip(chunk.name, chunk.bases_1, chunk.quality_1, chunk.bases_2, chunk.quality_2, reverse_2, strict=True)
    for i, (name, read_1, quality_1, read_2, quality_2, rc_2) in enumerate(columns):
        if len(read_1) < minimum_1 or len(read_2) < minimum_2:
            counts.dropped_shorter_than_structure += 1
            continue
        bases_1, bases_2 = read_1[start_1:end_1], read_2[start_2:end_2]
        n_2 = len(read_2)
        length = overlap_length(bases_1, rc_2[(0 if end_2 is None else max(0, n_2 - end_2)) : n_2 - start_2])
        by_overlap = length is not None
        if length is None:
            tail_1 = rc_2[n_2 - start_2 :] + adapter_1
            tail_2 = reverse_complements([read_1[:start_1]])[0] + adapter_2
            length = adapter_length(bases_1, bases_2, tail_1, tail_2, start_2, start_1)
        if length < len(bases_1) or length < len(bases_2):
            if by_overlap:
                counts.trimmed_by_overlap += 1
            else:
                counts.trimmed_by_adapter += 1
            bases_1, bases_2 = bases_1[:length], bases_2[:length]
        if len(bases_1) < min_length or len(bases_2) < min_length:
            counts.dropped_short_after_trimming += 1
            continue
        if chunk.umi is not None:
            umi = chunk.umi[i] if settings.umi == "tag" else ""
            if settings.umi == "tag" and not umi:
                raise InputError(
                    f"read {chunk.numbers[i]}: no UMI in an RX tag", file=file or None, found=name,
                    hint="set the UMI source to 'none' for reads without UMIs",
                )  # fmt: skip
        elif has_umi:
            umi_1 = "".join([read_1[a:b] for a, b in one.umi])
            umi_2 = "".join([read_2[a:b] for a, b in two.umi])
            umi = f"{umi_1}-{umi_2}" if umi_1 and umi_2 else umi_1 or umi_2
        else:
            umi = umi_from_name(name, settings.name_delimiter, file, chunk.numbers[i]) if from_name else ""
        out.name.append(name)
        out.umi.append(umi)
        out.bases_1.append(bases_1)
        out.quality_1.append(quality_1[start_1 : start_1 + len(bases_1)])
        out.bases_2.append(bases_2)
        out.quality_2.append(quality_2[start_2 : start_2 + len(bases_2)])
    return out


def umi_from_name(name: str, delimiter: str = ":", file: str = "", number: int = 0) -> str:
    """The UMI in a read name's last field, '+' between two UMIs written as '-'; InputError where it is none."""
    umi = name.rpartition(delimiter)[2].replace("+", "-")
    if delimiter not in name or not _UMI_IN_NAME.fullmatch(umi):
        raise InputError(
            f"read {number}: no UMI in the read's name", file=file or None, found=name,
            expected=f"a name that ends with '{delimiter}' and the UMI, such as ...{delimiter}ACGT+TTAG",
            hint="set the UMI source to what the reads have",
        )  # fmt: skip
    return umi
