"""Writing simulated reads: a pair of gzipped FASTQ files and the molecule table, the same bytes for the same seed."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esr1call.io.files import atomic_open, atomic_path
from esr1call.simulate.library import umi_columns
from esr1call.simulate.parameters import Layout
from esr1call.simulate.sample import ReadChunk, Simulation

_BASES = np.frombuffer(b"ACGTN", dtype=np.uint8)
_CLUSTERS_PER_TILE = 50_000


def write_fastq(
    simulation: Simulation, path_1: str | Path, path_2: str | Path, tag_names: bool = False, level: int = 4,
    umi_in_name: bool = False,
) -> None:  # fmt: skip
    """Write read 1 and read 2 as FASTQ.gz (no name and no time in the gzip header).

    Names look like Illumina's; with `tag_names` they go on with ``:m<molecule>:<t|b>:<member>``, the truth of each
    read. With `umi_in_name` the reads start with the template and the names end in the UMIs, ``:ACG+TTA``.
    """
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        files = []
        for path in (path_1, path_2):
            raw = stack.enter_context(stack.enter_context(atomic_path(path)).open("wb"))
            files.append(stack.enter_context(gzip.GzipFile("", "wb", compresslevel=level, fileobj=raw, mtime=0)))
        layouts = simulation.parameters.layouts if umi_in_name else None
        for chunk in simulation.chunks():
            texts = [fastq_records(chunk, mate, tag_names, layouts) for mate in (1, 2)]
            list(pool.map(lambda pair: pair[0].write(pair[1]), zip(files, texts, strict=True)))


def fastq_records(
    chunk: ReadChunk, mate: int, tag_names: bool = False, layouts: tuple[Layout, Layout] | None = None
) -> bytes:
    """FASTQ text of one mate of a chunk; with `layouts` the UMIs are moved from the reads to the names.

    Every record has the same width, so the text is one matrix.
    """
    bases, quality = (chunk.bases_1, chunk.quality_1) if mate == 1 else (chunk.bases_2, chunk.quality_2)
    number = chunk.first + np.arange(len(bases))
    tile, cluster = np.divmod(number, _CLUSTERS_PER_TILE)
    parts: list[bytes | tuple[NDArray[np.int64], int] | NDArray[np.uint8]] = [
        b"@SIM01:1:SIMFLOWX:1:", (1101 + tile % 8899, 4), b":", (10_000 + tile // 8899, 5), b":",
        (10_000 + cluster, 5),
    ]  # fmt: skip
    if tag_names:
        strand = np.where(chunk.top, ord("t"), ord("b")).astype(np.uint8)[:, None]
        parts += [b":m", (chunk.molecule, 9), b":", strand, b":", (chunk.member, 5)]
    if layouts is not None:
        umis = [
            _BASES[b[:, : len(x)][:, umi_columns(x)]]
            for b, x in zip((chunk.bases_1, chunk.bases_2), layouts, strict=True) if x.umi_length
        ]  # fmt: skip
        for separator, umi in zip((b":", b"+"), umis, strict=False):
            parts += [separator, umi]
        bases, quality = bases[:, len(layouts[mate - 1]) :], quality[:, len(layouts[mate - 1]) :]
    parts += [b" %d:N:0:ACGTACGT\n" % mate, _BASES[bases], b"\n+\n", quality + np.uint8(33), b"\n"]
    return _columns(len(bases), parts).tobytes()


def _columns(
    rows: int, parts: Sequence[bytes | tuple[NDArray[np.int64], int] | NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Put fixed text, zero-padded numbers (values, digits) and character matrices side by side."""
    width = sum(len(p) if isinstance(p, bytes) else p[1] if isinstance(p, tuple) else p.shape[1] for p in parts)
    out = np.empty((rows, width), dtype=np.uint8)
    at = 0
    for part in parts:
        if isinstance(part, bytes):
            out[:, at : at + len(part)] = np.frombuffer(part, dtype=np.uint8)
            at += len(part)
        elif isinstance(part, tuple):
            values, digits = part
            out[:, at : at + digits] = values[:, None] // 10 ** np.arange(digits - 1, -1, -1) % 10 + ord("0")
            at += digits
        else:
            out[:, at : at + part.shape[1]] = part
            at += part.shape[1]
    return out


def write_molecules(simulation: Simulation, path: str | Path) -> None:
    """Write one row per source molecule: id, contig, start, end (0-based half-open), clone, parental allele, the read
    pairs of the top (F1R2) and bottom (F2R1) strand family. Clone ``wt`` is the wild type."""
    m = simulation.molecules
    clones = ["wt", *(s.name for s in simulation.parameters.spikes)]
    with atomic_open(path) as out:
        out.write("molecule\tcontig\tstart\tend\tclone\tallele\ttop_pairs\tbottom_pairs\n")
        columns = (m.region, m.start, m.end, m.version, m.top, m.bottom)
        for i, (region, start, end, version, top, bottom) in enumerate(
            zip(*(c.tolist() for c in columns), strict=True)
        ):
            contig, clone = simulation.regions[region].contig, clones[version // 2]
            out.write(f"{i}\t{contig}\t{start}\t{end}\t{clone}\t{version % 2}\t{top}\t{bottom}\n")
