"""The sample sheet: a tab-separated file, one sample a row, checked before anything runs.

Columns are the fields of `Sample`; only `sample` and `type` are needed, others may be left out or empty. Lines that
start with '#' are comments. A cell `fastq_1` or `fastq_2` may name several files (lanes), separated by ';', and
`fastq_2` is ``interleaved`` where those of `fastq_1` hold both mates in turn. Paths are relative to the sheet's folder.
Columns that are not listed are refused: a mistyped column would be lost in silence, and personal data has no place
here.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from pathlib import Path

from esr1call.alignment.sources import INTERLEAVED, SEPARATOR
from esr1call.errors import InputError
from esr1call.io.files import read_text, require_file
from esr1call.io.schema import schema, validate

CONTROLS = ("blank", "ntc", "wild_type", "positive_control")
_PERSONAL = re.compile(
    r"name|birth|\bdob\b|d\.o\.b|initial|address|street|phone|mail|\bmrn\b|\bssn\b|insurance|national|hospital_?(id|no)"
    r"|geburt|naissance|nom\b|sex$|gender|age$",
    re.IGNORECASE,
)
_YEAR, _MONTH, _DAY = "(19|20)[0-9]{2}", "(0[1-9]|1[0-2])", "(0[1-9]|[12][0-9]|3[01])"
_DATE = re.compile(
    rf"(?<![0-9])({_YEAR}[-._]?{_MONTH}[-._]?{_DAY}|{_DAY}[-._]?{_MONTH}[-._]?{_YEAR}|{_MONTH}[-._]?{_DAY}[-._]?{_YEAR}"
    rf"|{_DAY}\.{_MONTH}\.[0-9]{{2}})(?![0-9])"
)


@dataclass(frozen=True)
class Sample:
    """One row of the sample sheet.

    `patient` and `collected` are always there for type ``patient``; `plasma_ml` is mL of plasma extracted and
    `cfdna_ng` ng of cfDNA recovered from all of it, None where unknown. Either both FASTQ or `bam` are set.
    `expected` maps protein names to fractions, or to the lowest and the highest, for positive controls only.
    """

    sample: str
    type: str
    patient: str | None = None
    visit: str | None = None
    collected: datetime.date | None = None
    fastq_1: tuple[Path, ...] = ()
    fastq_2: tuple[Path, ...] = ()
    interleaved: bool = False
    bam: Path | None = None
    read_structure: str | None = None
    plasma_ml: float | None = None
    cfdna_ng: float | None = None
    expected: dict[str, float | tuple[float, float]] = field(default_factory=dict)
    line: int = 0

    @property
    def files(self) -> tuple[Path, ...]:
        """The sample's input files."""
        return (*self.fastq_1, *self.fastq_2, *([self.bam] if self.bam else []))

    @property
    def fastq_options(self) -> tuple[str, str]:
        """What `esr1call align` takes as --fastq-1 and --fastq-2; empty for a BAM."""
        one, two = (SEPARATOR.join(map(str, paths)) for paths in (self.fastq_1, self.fastq_2))
        return one, INTERLEAVED if self.interleaved else two


def load_sheet(path: str | Path, *, check_files: bool = True) -> tuple[Sample, ...]:
    """All samples of a sheet, in its order; InputError names the line and column that is wrong."""
    rows = _rows(path)
    samples = tuple(_sample(row, line, path) for line, row in rows)
    if not samples:
        raise InputError("no sample", file=path, expected="at least one row below the header")
    _check_unique(samples, path)
    _check_visits(samples, path)
    if check_files:
        for sample in samples:
            for column in ("fastq_1", "fastq_2", "bam"):
                found = getattr(sample, column)
                for file in found if isinstance(found, tuple) else [found] if found else []:
                    _check_file(file, sample, column, path)
    return samples


def _rows(path: str | Path) -> list[tuple[int, dict[str, str]]]:
    columns = list(schema("samples")["properties"])
    header: list[str] | None = None
    rows = []
    for number, text in enumerate(read_text(path).split("\n"), 1):
        line = text.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        cells = [c.strip() for c in line.split("\t")]
        if header is None:
            header = cells
            _check_header(header, columns, path, number, line)
            continue
        if len(cells) != len(header):
            raise InputError(
                "wrong number of cells", file=path, line=number, found=len(cells),
                expected=f"{len(header)}, as the header", hint="separate cells by tabs",
            )  # fmt: skip
        row = {k: v for k, v in zip(header, cells, strict=True) if v}
        if row:
            rows.append((number, row))
    if header is None:
        raise InputError("no header", file=path, expected="tab-separated " + ", ".join(columns))
    return rows


def _check_header(header: list[str], columns: list[str], path: str | Path, number: int, line: str) -> None:
    if len(header) == 1 and re.search("[,;]", line):
        raise InputError(
            "one column only", file=path, line=number, found=line, expected="tabs between columns", hint="save as TSV"
        )
    for i, name in enumerate(header):
        if name in header[:i]:
            raise InputError("column given twice", file=path, line=number, field=name, expected="each column once")
        if name not in columns and _PERSONAL.search(name):
            raise InputError(
                "looks like personal data", file=path, line=number, field=name, expected="pseudonyms only",
                hint="remove the column",
            )  # fmt: skip
        if name not in columns:
            raise InputError(
                "unknown column", file=path, line=number, field=name, expected="one of " + ", ".join(columns)
            )
    for name in ("sample", "type"):
        if name not in header:
            raise InputError("missing column", file=path, line=number, field=name)


def _sample(row: dict[str, str], line: int, path: str | Path) -> Sample:
    validate(row, "samples", file=path, line=line)
    folder = Path(path).parent
    interleaved = row.get("fastq_2") == INTERLEAVED
    fastq = {
        k: tuple(folder / f.strip() for f in row.get(k, "").split(SEPARATOR) if f.strip())
        for k in ("fastq_1", "fastq_2")
    }
    sample = Sample(
        sample=row["sample"], type=row["type"], patient=row.get("patient"), visit=row.get("visit"),
        collected=_date(row, line, path), fastq_1=fastq["fastq_1"],
        fastq_2=() if interleaved else fastq["fastq_2"], interleaved=interleaved,
        bam=folder / row["bam"] if "bam" in row else None, read_structure=row.get("read_structure"),
        plasma_ml=_amount(row, "plasma_ml", 200, line, path), cfdna_ng=_amount(row, "cfdna_ng", 1e6, line, path),
        expected=_expected(row, line, path), line=line,
    )  # fmt: skip
    _check_row(sample, path)
    return sample


def _date(row: dict[str, str], line: int, path: str | Path) -> datetime.date | None:
    if "collected" not in row:
        return None
    try:
        return datetime.date.fromisoformat(row["collected"])
    except ValueError:
        raise InputError(
            "no such day", file=path, line=line, field="collected", found=row["collected"],
            expected="the day of the blood draw as YYYY-MM-DD",
        ) from None  # fmt: skip


def _amount(row: dict[str, str], column: str, most: float, line: int, path: str | Path) -> float | None:
    if column not in row:
        return None
    value = float(row[column])
    if not 0 < value <= most:
        expected = schema("samples")["properties"][column]["description"]
        raise InputError("bad value", file=path, line=line, field=column, found=row[column], expected=expected)
    return value


def _expected(row: dict[str, str], line: int, path: str | Path) -> dict[str, float | tuple[float, float]]:
    out: dict[str, float | tuple[float, float]] = {}
    for part in row.get("expected", "").split(";"):
        if not part:
            continue
        name, _, text = part.partition("=")
        low, _, high = text.partition("..")
        try:
            fractions = (float(low), float(high or low))
        except ValueError:
            fractions = (-1.0, -1.0)
        if not 0 < fractions[0] <= fractions[1] <= 1 or name.strip() in out:
            raise InputError(
                "bad value", file=path, line=line, field="expected", found=part,
                expected="each variant once, with a fraction above 0 and at most 1, or two such as 0.008..0.012",
            )  # fmt: skip
        out[name.strip()] = fractions if high else fractions[0]
    return out


def _check_row(sample: Sample, path: str | Path) -> None:
    """What the columns of one row say about each other."""

    def fail(field: str, problem: str, expected: str, hint: str | None = None) -> InputError:
        return InputError(
            f"sample {sample.sample}: {problem}", file=path, line=sample.line, field=field, expected=expected, hint=hint
        )

    fastq = [c for c in ("fastq_1", "fastq_2") if getattr(sample, c)]
    if sample.bam is not None and fastq:
        raise fail("bam", "both FASTQ and BAM", "fastq_1 and fastq_2, or bam", "empty one of them")
    if sample.bam is None and not fastq:
        raise fail("fastq_1", "neither FASTQ nor BAM", "fastq_1 and fastq_2, or bam")
    if len(fastq) == 1 and not (sample.interleaved and sample.fastq_1):
        missing = "fastq_1" if fastq == ["fastq_2"] else "fastq_2"
        raise fail(missing, "only one of the pair of FASTQ", "fastq_1 and fastq_2", f"or '{INTERLEAVED}' as fastq_2")
    if not sample.interleaved and len(sample.fastq_1) != len(sample.fastq_2):
        n1, n2 = len(sample.fastq_1), len(sample.fastq_2)
        raise fail("fastq_2", f"{n1} files with R1 and {n2} with R2", "as many, lane by lane in the same order")
    if sample.bam is not None and sample.read_structure is not None:
        raise fail("read_structure", "is for FASTQ, and the row has a BAM", "an empty cell (UMIs are in the RX tag)")
    if sample.type == "patient":
        if sample.patient is None:
            raise fail("patient", "a patient sample without a patient", "the trial's pseudonym")
        _check_pseudonym(sample, path)
        if sample.collected is None:
            raise fail("collected", "a patient sample without a date", "the day of the blood draw as YYYY-MM-DD")
    elif sample.patient is not None:
        raise fail("patient", f"type {sample.type} with a patient", "an empty cell, or type patient")
    if sample.type == "positive_control" and not sample.expected:
        raise fail("expected", "nothing expected of a positive control", "such as 'p.D538G=0.01;p.Y537S=0.005'")
    if sample.type != "positive_control" and sample.expected:
        raise fail("expected", f"type {sample.type} with expected variants", "an empty cell, or type positive_control")


def looks_personal(patient: str) -> str | None:
    """What a patient's pseudonym looks like where it is none, else None.

    It has a digit (a name has none) and holds no date (which may be that of her birth).
    """
    return "a date" if _DATE.search(patient) else None if re.search("[0-9]", patient) else "a name"


def _check_pseudonym(sample: Sample, path: str | Path) -> None:
    """The value is not told: it would end in a log."""
    found = looks_personal(sample.patient or "")
    if found:
        raise InputError(
            f"sample {sample.sample}: the patient looks like {found}", file=path, line=sample.line, field="patient",
            expected="the trial's pseudonym, with a number and without dates", hint="no personal data here",
        )  # fmt: skip


def _check_unique(samples: tuple[Sample, ...], path: str | Path) -> None:
    """Sample names (also where a file system ignores case) and input files occur once."""
    names: dict[str, Sample] = {}
    patients: dict[str, Sample] = {}
    inputs: dict[Path, Sample] = {}
    for sample in samples:
        first = names.setdefault(sample.sample.casefold(), sample)
        if first is not sample:
            raise InputError(
                "sample given twice", file=path, line=sample.line, field="sample", found=sample.sample,
                expected=f"a name of its own (line {first.line} has it)",
            )  # fmt: skip
        if sample.patient is not None:
            same = patients.setdefault(sample.patient.casefold(), sample)
            if same.patient != sample.patient:
                raise InputError(
                    "a patient by two names that differ in capitals only", file=path, line=sample.line,
                    field="patient", found=sample.patient, expected=f"{same.patient}, as in line {same.line}",
                )  # fmt: skip
        for file in sample.files:
            other = inputs.get(file)
            if other is not None:
                raise InputError(
                    "input file given twice", file=path, line=sample.line, found=file,
                    expected=f"a file of its own (line {other.line} has it)",
                )  # fmt: skip
            inputs[file] = sample


def visit_order(visit: str) -> tuple[str, tuple[int, ...]]:
    """A label's kind, and its numbers, by which labels of one kind are ordered."""
    return re.sub("[0-9]+", "#", visit.casefold()), tuple(int(n) for n in re.findall("[0-9]+", visit))


def _check_visits(samples: tuple[Sample, ...], path: str | Path) -> None:
    """A patient's dates must not contradict the order of visits.

    Labels of one kind (the same but for their numbers: V1 and V2, C1D1 and C1D15) follow their numbers; rows with
    the very same label (repeats of one draw, or "unscheduled" used twice) follow their order in the sheet.
    """
    groups: dict[tuple[str | None, str], list[tuple[tuple[int, ...], int, Sample]]] = {}
    for sample in samples:
        if sample.patient is not None and sample.visit is not None and sample.collected is not None:
            kind, numbers = visit_order(sample.visit)
            groups.setdefault((sample.patient, kind), []).append((numbers, sample.line, sample))
    for group in groups.values():
        latest: Sample | None = None
        for _, _, sample in sorted(group, key=lambda g: g[:2]):
            if latest is not None and sample.collected < latest.collected:  # type: ignore[operator]
                raise InputError(
                    f"patient {sample.patient}: visit {sample.visit} is dated before visit {latest.visit} "
                    f"(line {latest.line})",
                    file=path, line=sample.line, field="collected", found=sample.collected,
                    expected=f"{latest.collected} or later", hint="correct the dates or the visit labels",
                )  # fmt: skip
            latest = sample


def _check_file(file: Path, sample: Sample, column: str, path: str | Path) -> None:
    try:
        require_file(file)
    except InputError as error:
        raise InputError(
            f"sample {sample.sample}: {error.problem}", file=path, line=sample.line, field=column,
            found=file, expected="a readable file with reads", hint="paths are relative to the sheet's folder",
        ) from error  # fmt: skip
