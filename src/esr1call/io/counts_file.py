"""The counts file: molecules of each haplotype of each codon window of one sample.

Tab-separated UTF-8. The first line is ``#esr1call-counts<TAB>1``; ``#panel`` gives the panel's name, version and
SHA-256, ``#build`` the genome build; ``#end`` with the number of rows closes the file, so that a truncated one is
known. Columns:

=================  =================================================================================================
window             name of the codon window
contig             chromosome
start, end         the window on the genome, 0-based half-open
haplotype          forward-strand bases that the molecules show; ``-`` none (all deleted), ``?`` undecided molecules
singleton_F1R2     molecules seen in one read (pair), read 1 on the forward strand
singleton_F2R1     the same, read 1 on the reverse strand
simplex_F1R2       molecules seen in two or more read pairs of one strand, read 1 on the forward strand
simplex_F2R1       the same, read 1 on the reverse strand
duplex             molecules of which both strands were seen
=================  =================================================================================================

A path that ends in ``.parquet`` gives the same columns (text, and int64 for numbers) as Parquet, with format, panel and
build in the schema's metadata, and the SHA-256 of the rows as the text file has them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from esr1call.counts import STRATA, UNDECIDED, CountTable
from esr1call.errors import InputError
from esr1call.io.files import atomic_open, atomic_path, read_text, require_file
from esr1call.panel import Panel

COLUMNS = ("window", "contig", "start", "end", "haplotype", *STRATA)
_MAGIC, _PARQUET_KEY = "#esr1call-counts\t1", "esr1call-counts"
_TEXT = ("window", "contig", "haplotype")
_HINT = "count the sample again"


def write_counts(path: str | Path, table: CountTable, panel: Panel) -> None:
    """Write `table`, whose windows must be the panel's."""
    if table.windows != tuple(w.name for w in panel.windows):
        raise ValueError("the counts are over other windows than the panel's")
    rows: list[tuple[str | int, ...]] = []
    for index, haplotype, molecules in zip(table.window, table.haplotype, table.molecules.tolist(), strict=True):
        w = panel.windows[index]
        rows.append((w.name, w.contig, w.start, w.end, haplotype or "-", *molecules))
    if _is_parquet(path):
        _write_parquet(path, rows, panel)
        return
    with atomic_open(path) as out:
        out.write(f"{_MAGIC}\n#panel\t{panel.name}\t{panel.version}\t{panel.sha256}\n#build\t{panel.build}\n")
        out.write("\t".join(COLUMNS) + "\n")
        for row in rows:
            out.write("\t".join(map(str, row)) + "\n")
        out.write(f"#end\t{len(rows)}\n")


def _is_parquet(path: str | Path) -> bool:
    return Path(path).suffix == ".parquet"


def _write_parquet(path: str | Path, rows: list[tuple[str | int, ...]], panel: Panel) -> None:
    import pyarrow
    from pyarrow import parquet

    fields = [(name, pyarrow.string() if name in _TEXT else pyarrow.int64()) for name in COLUMNS]
    meta = {
        _PARQUET_KEY: "1", "panel": "\t".join((panel.name, panel.version, panel.sha256)), "build": panel.build,
        "sha256": _digest(rows),
    }  # fmt: skip
    schema = pyarrow.schema(fields, metadata=meta)
    columns = [pyarrow.array([row[i] for row in rows], type=field.type) for i, field in enumerate(schema)]
    with atomic_path(path) as temporary:
        parquet.write_table(pyarrow.table(columns, schema=schema), temporary)


def _digest(rows: Iterable[Sequence[str | int]]) -> str:
    return hashlib.sha256("".join("\t".join(map(str, row)) + "\n" for row in rows).encode()).hexdigest()


def read_counts(path: str | Path, panel: Panel) -> CountTable:
    """Read a counts file made with this panel; InputError names the line (or the row, of Parquet) that is wrong."""
    require_file(path)
    if _is_parquet(path):
        return _read_parquet(path, panel)
    text = read_text(path)
    lines = text.split("\n")
    if lines[0] != _MAGIC:
        raise InputError("not a counts file", file=path, line=1, found=lines[0], expected=repr(_MAGIC))
    rows: dict[tuple[int, str], list[int]] = {}
    meta: dict[str, list[str]] = {}
    header = False
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if "end" in meta:
            if line:
                raise InputError("lines after the end", file=path, line=number, found=line, hint=_HINT)
        elif line.startswith("#"):
            meta[cells[0][1:]] = cells[1:]
        elif not header:
            if tuple(cells) != COLUMNS:
                raise InputError("bad columns", file=path, line=number, found=line, expected=", ".join(COLUMNS))
            header = True
        elif line or number < len(lines):
            key, molecules = _row(cells, panel, path, number)
            if key in rows:
                raise InputError("row given twice", file=path, line=number, found=f"{cells[0]} {cells[4]}", hint=_HINT)
            rows[key] = molecules
    if not text.endswith("\n") or meta.get("end") != [str(len(rows))]:
        raise InputError("the file is cut off", file=path, expected=f"'#end' and {len(rows)} rows", hint=_HINT)
    _check_meta(meta, panel, path)
    return CountTable.build([w.name for w in panel.windows], ((w, h, np.array(m)) for (w, h), m in rows.items()))


def _read_parquet(path: str | Path, panel: Panel) -> CountTable:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
        cells = list(zip(*(c.to_pylist() for c in table.columns), strict=True))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read as Parquet", file=path, hint=_HINT) from error
    stored = (table.schema.metadata or {}).items()
    meta = {k.decode(errors="replace"): v.decode(errors="replace").split("\t") for k, v in stored}
    if meta.get(_PARQUET_KEY) != ["1"]:
        raise InputError("not a counts file", file=path, expected=f"{_PARQUET_KEY}: 1 in its metadata")
    if tuple(table.column_names) != COLUMNS:
        raise InputError("bad columns", file=path, found=", ".join(table.column_names), expected=", ".join(COLUMNS))
    _check_meta(meta, panel, path)
    rows: dict[tuple[int, str], list[int]] = {}
    for number, row in enumerate(cells, 1):
        key, molecules = _row([str(cell) for cell in row], panel, path, number)
        if key in rows:
            raise InputError("row given twice", file=path, line=number, found=f"{row[0]} {row[4]}", hint=_HINT)
        rows[key] = molecules
    if meta.get("sha256") != [_digest(cells)]:
        raise InputError("the rows are not those that were written", file=path, field="sha256", hint=_HINT)
    return CountTable.build([w.name for w in panel.windows], ((w, h, np.array(m)) for (w, h), m in rows.items()))


def _row(cells: list[str], panel: Panel, path: str | Path, line: int) -> tuple[tuple[int, str], list[int]]:
    if len(cells) != len(COLUMNS):
        raise InputError(
            "wrong number of columns", file=path, line=line, found=len(cells), expected=str(len(COLUMNS)), hint=_HINT
        )
    index = panel.window_index.get(cells[0])
    if index is None:
        raise InputError(
            "unknown window", file=path, line=line, field="window", found=cells[0], expected="a window of the panel"
        )
    w = panel.windows[index]
    if cells[1:4] != [w.contig, str(w.start), str(w.end)]:
        raise InputError(
            "the window lies elsewhere on the panel", file=path, line=line, field="start", found=":".join(cells[1:4]),
            expected=f"{w.contig}:{w.start}:{w.end}", hint=_HINT,
        )  # fmt: skip
    haplotype = "" if cells[4] == "-" else cells[4]
    if haplotype != UNDECIDED and (set(haplotype) - set("ACGT") or not cells[4]):
        raise InputError(
            "bad haplotype", file=path, line=line, field="haplotype", found=cells[4], expected="bases, '-' or '?'"
        )
    for name, value in zip(STRATA, cells[5:], strict=True):
        if not (value.isascii() and value.isdigit() and len(value) <= 15):
            raise InputError(
                "not a number of molecules", file=path, line=line, field=name, found=value, expected="0 or more"
            )
    return (index, haplotype), [int(v) for v in cells[5:]]


def _check_meta(meta: dict[str, list[str]], panel: Panel, path: str | Path) -> None:
    if meta.get("build") != [panel.build]:
        found = " ".join(meta.get("build", ["none"]))
        raise InputError(
            "counted on another genome build", file=path, field="build", found=found, expected=panel.build, hint=_HINT
        )
    if meta.get("panel", [])[2:] != [panel.sha256]:
        raise InputError(
            "counted with another panel", file=path, field="panel", found=" ".join(meta.get("panel", ["none"])),
            expected=f"{panel.name} {panel.version} {panel.sha256}", hint=_HINT,
        )  # fmt: skip
