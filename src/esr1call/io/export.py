"""A batch's results as files of other formats. What each holds is built in `formats`; docs/formats.md describes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysam
from pysam.utils import SamtoolsError

from esr1call import __version__
from esr1call.alignment.output import last_line, quiet_htslib
from esr1call.contigs import chromosome_length
from esr1call.errors import InputError
from esr1call.formats import fhir, multiqc, sdtm, tables, vcf
from esr1call.formats.context import Context, exon_at
from esr1call.io.batch import load_batch
from esr1call.io.decisions import read_result
from esr1call.io.files import atomic_open, atomic_path, read_json, write_json
from esr1call.io.reference import Reference, load_panel
from esr1call.io.rule_file import load_rule
from esr1call.io.schema import validate
from esr1call.io.step_files import read_counts_summary
from esr1call.results import SampleResult

_FASTA_LINE = 100_000
"""Bases a line, so that a chromosome of N takes few of them."""


@dataclass(frozen=True)
class Job:
    """A batch to write: its results, what formats need beside them, and the time, as ISO text.

    `quality` is its qc.json and `reads` what became of each sample's reads; both are empty where no format shows them.
    """

    results: tuple[SampleResult, ...]
    context: Context
    reference: Reference
    created: str
    quality: Mapping[str, Any]
    reads: Mapping[str, Mapping[str, int]]


def export(folder: str | Path, out: str | Path, formats: Sequence[str] | None, created: str) -> list[Path]:
    """Write the formats (None: those of the batch's config) of the batch in `folder` to folders in `out`.

    Returns the files. Raises InputError where something of the batch is missing or no result.
    """
    folder = Path(folder)
    batch = load_batch(folder / "config.json", check_files=False)
    config = batch.config
    reference = Reference(config.reference.path)
    context = Context(
        study=config.study, panel=load_panel(config.panel, reference, config.reference.build),
        required_lod=load_rule(config.trigger.rule).required_lod, min_molecules=config.calling.min_molecules,
        version=__version__, laboratory=config.export.laboratory, namespace=config.export.namespace,
    )  # fmt: skip
    results = tuple(_result(folder, s.sample, context) for s in batch.samples)
    wanted = config.export.formats if formats is None else formats
    quality, reads = _quality(folder, results) if "multiqc" in wanted else ({}, {})
    job = Job(results, context, reference, created, quality, reads)
    return [path for name in dict.fromkeys(wanted) for path in WRITERS[name](job, Path(out) / name)]


def _result(folder: Path, sample: str, context: Context) -> SampleResult:
    """A result that is whole, and of this sample (which names files), panel and build."""
    path = folder / "samples" / sample / "result.json"
    result = read_result(path)
    for field, found, expected in (
        ("sample", result.sample, sample),
        ("build", result.build, context.panel.build),
        ("inputs.panel", result.inputs.get("panel"), context.panel.sha256),
    ):
        if found != expected:
            raise InputError(
                "the result is of another sample, panel or build",
                file=path, field=field, found=found, expected=expected,
                hint="call the batch again",
            )  # fmt: skip
    outside = next((c for c in result.calls if exon_at(context.panel, c.pos) is None), None)
    if outside is not None:
        raise InputError(
            "a call outside the panel's exons", file=path, field="calls", found=f"{outside.cdna} at {outside.pos}",
            hint="call the batch again",
        )  # fmt: skip
    return result


def _quality(folder: Path, results: Sequence[SampleResult]) -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
    """qc.json, and each sample's reads by what became of them."""
    quality = read_json(folder / "qc.json")
    validate(quality, "qc", file=folder / "qc.json")
    reads = {}
    for r in results:
        reads[r.sample] = read_counts_summary(folder / "samples" / r.sample / "counts.json", ("reads",), ())["reads"]
    return quality, reads


def _write_vcf(job: Job, out: Path) -> list[Path]:
    """One bgzipped, indexed file a sample; where the reference is slices, also the chromosome that they are of."""
    contig = job.context.panel.contig
    whole = next((s for s in job.reference.slices if s.contig == contig and ":" not in s.name), None)
    name = contig if whole is None else whole.name
    length = chromosome_length(contig, job.context.panel.build) if whole is None else whole.length
    source = job.reference.path.name if whole else "reference.fa.gz"
    written = [] if whole else _write_chromosome(job, out / source, length)
    for result in job.results:
        path = out / f"{result.sample}.vcf.gz"
        index = Path(f"{path}.tbi")
        lines = vcf.lines(result, job.context, name, length, source)
        text = "".join(f"{line}\n" for line in lines).encode("ascii")
        with atomic_path(path) as temporary, _htslib():
            with pysam.BGZFile(str(temporary), "wb", None) as zipped:
                zipped.write(text)
            with atomic_path(index) as temporary_index:
                pysam.tabix_index(str(temporary), preset="vcf", force=True, index=str(temporary_index))
        written += [path, index]
    return written


@contextmanager
def _htslib() -> Iterator[None]:
    """htslib says nothing on stderr meanwhile, and its errors are ones of the operating system."""
    try:
        with quiet_htslib():
            yield
    except SamtoolsError as error:
        raise OSError(last_line(error)) from error


def _write_chromosome(job: Job, path: Path, length: int | None) -> list[Path]:
    """The reference's slices at their place in a chromosome that is N elsewhere, for tools that want a whole one."""
    contig = job.context.panel.contig
    slices = [s for s in job.reference.slices if s.contig == contig]
    end = max(s.end for s in slices) if length is None else length
    with atomic_path(path) as temporary, _htslib():
        mode: Any = "wb1"  # at level 1, which its types do not know: nearly all of it is N
        with pysam.BGZFile(str(temporary), mode, None) as zipped:
            zipped.write(f">{contig}\n".encode())
            for start in range(0, end, _FASTA_LINE):
                stop = min(start + _FASTA_LINE, end)
                covered = any(s.offset < stop and start < s.end for s in slices)
                bases = job.reference.fetch(contig, start, stop) if covered else "N" * (stop - start)
                zipped.write(f"{bases}\n".encode())
        with atomic_path(f"{path}.fai") as fai, atomic_path(f"{path}.gzi") as gzi:
            pysam.faidx("--fai-idx", str(fai), "--gzi-idx", str(gzi), str(temporary))
    return [path, Path(f"{path}.fai"), Path(f"{path}.gzi")]


def _write_tables(job: Job, out: Path) -> list[Path]:
    """samples and variants, each as TSV and as Parquet."""
    written = []
    for name, table in (
        ("samples", tables.samples(job.results)),
        ("variants", tables.variants(job.results, job.context)),
    ):
        with atomic_open(out / f"{name}.tsv") as file:
            file.write(tables.tsv(table))
        with atomic_path(out / f"{name}.parquet") as temporary:
            _write_parquet(table, temporary)
        written += [out / f"{name}.tsv", out / f"{name}.parquet"]
    return written


def _write_parquet(table: tables.Table, path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    types = {
        "text": pyarrow.string(), "integer": pyarrow.int64(), "number": pyarrow.float64(), "date": pyarrow.date32(),
    }  # fmt: skip
    fields = [pyarrow.field(c.name, types[c.type], metadata={"description": c.description}) for c in table.columns]
    columns = [pyarrow.array([row[i] for row in table.rows], type=field.type) for i, field in enumerate(fields)]
    parquet.write_table(pyarrow.table(columns, schema=pyarrow.schema(fields)), path)


def _write_fhir(job: Job, out: Path) -> list[Path]:
    """One Bundle a patient sample."""
    written = []
    for result in job.results:
        if result.patient is not None:
            written.append(out / f"{result.sample}.fhir.json")
            write_json(written[-1], fhir.bundle(result, job.context), indent=None)
    return written


def _write_sdtm(job: Job, out: Path) -> list[Path]:
    """The GF dataset of the batch."""
    dataset = sdtm.dataset(job.results, job.context, job.created)
    write_json(out / "gf.json", dataset, sort_keys=False, indent=None)
    return [out / "gf.json"]


def _write_multiqc(job: Job, out: Path) -> list[Path]:
    """Custom content of the batch."""
    written = []
    for name, content in multiqc.files(job.results, job.quality, job.reads).items():
        written.append(out / name)
        write_json(written[-1], content, sort_keys=False)
    return written


WRITERS: dict[str, Callable[[Job, Path], list[Path]]] = {
    "vcf": _write_vcf,
    "tables": _write_tables,
    "fhir": _write_fhir,
    "sdtm": _write_sdtm,
    "multiqc": _write_multiqc,
}
"""Format -> what writes it; each has a folder of its name."""
