"""Reading inputs with clear errors, and writing outputs whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from esr1call.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; fsynced and renamed to `path` on success, removed on failure."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", file=target) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        if error.filename is not None and str(error.filename) not in (name, str(target)):
            raise  # another file's trouble inside the block: not to be told of this one
        problem = error.strerror or f"{error} (is the disk full?)"  # htslib does not say why
        raise InputError(f"cannot write: {problem}", file=target) from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def remove_leftovers(folder: str | Path) -> None:
    """Remove what processes that were killed were writing anywhere below `folder`: hidden names that end in .tmp.

    A process that still runs fails then, so nothing else may be at work there.
    """
    for path in list(Path(folder).rglob(".*.tmp")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last through a power cut, where the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_open(path: str | Path) -> Iterator[IO[str]]:
    """A UTF-8 text file that appears at `path` only when the block ends without an error.

    Bytes of a file name that are no UTF-8 are written escaped (as JSON escapes them), never a reason to fail.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as out,
    ):
        yield out


def write_json(path: str | Path, value: Any, *, sort_keys: bool = True, indent: int | None = 1) -> None:
    """Write `value` as JSON, by default with sorted keys (NaN and infinity are refused).

    Without `indent`, for what only machines read, it is written many times faster.
    """
    with atomic_open(path) as out:
        out.write(json.dumps(value, indent=indent, sort_keys=sort_keys, allow_nan=False, ensure_ascii=False) + "\n")


def read_text(path: str | Path) -> str:
    """Whole UTF-8 text file; InputError where it is missing, a folder, unreadable or not text."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("not a text file", file=path, expected="UTF-8 text") from error
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", file=path) from error
    except ValueError as error:
        raise InputError("no such file", file=path) from error  # a NUL in the name


def read_json(path: str | Path, *, file_names: bool = True) -> Any:
    """Parsed JSON file; InputError where it does not parse, also for NaN, numbers too large for a float, and half
    characters, but (with `file_names`) those that stand for bytes of a file name."""
    text = read_text(path)
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        if _ESCAPED_HALF.search(text):
            _refuse_halves(value, _HALF if file_names else _HALF_OR_BYTE)
        return value
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", file=path) from error


_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # one of a pair, or alone
_HALF, _HALF_OR_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]"), re.compile("[\ud800-\udfff]")


def _refuse_halves(value: Any, halves: re.Pattern[str]) -> None:
    """ValueError for text that no file can hold as it stands; two halves that belong together are one by now."""
    found = halves.search(json.dumps(value, ensure_ascii=False))
    if found:
        raise ValueError(f"half a character ({found[0]!a})")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _no_constant(digits)


def require_file(path: str | Path, field: str | None = None, hint: str | None = None) -> Path:
    """`path` as a Path if it is a readable, non-empty file, else InputError."""
    found = Path(path)
    try:
        info = found.stat()
        if stat.S_ISREG(info.st_mode):
            found.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError("no such file", file=path, field=field, hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", file=path, field=field, hint=hint) from error
    if stat.S_ISDIR(info.st_mode):
        raise InputError("is a folder, expected a file", file=path, field=field, hint=hint)
    if stat.S_ISREG(info.st_mode) and info.st_size == 0:
        raise InputError("the file is empty", file=path, field=field, hint=hint)
    return found


def sha256_of(path: str | Path, progress: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file's bytes, as hex."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
            if progress:
                progress(len(block))
    return digest.hexdigest()
