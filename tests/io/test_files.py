from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esr1call.errors import InputError
from esr1call.io.files import (
    atomic_open,
    atomic_path,
    read_json,
    read_text,
    remove_leftovers,
    require_file,
    sha256_of,
    write_json,
)


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Without root's rights, which no permission holds back."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


# ---------------------------------------------------------------- writing


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "x.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("all")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert target.read_text() == "all"
    assert os.listdir(target.parent) == ["x.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(error), atomic_open(target) as out:
        _write_half_and_fail(out, error)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def _write_half_and_fail(out: IO[str], error: type[BaseException]) -> None:
    out.write("half")
    out.flush()
    raise error


def test_a_failure_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_open(tmp_path / "x.txt") as out:
        out.write(str(1 / 0))
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_told_of_the_target(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    with pytest.raises(InputError, match="cannot write: No space left on device") as error, atomic_path(target):
        raise OSError(28, "No space left on device")
    assert error.value.file == str(target)
    assert os.listdir(tmp_path) == []


def test_another_files_trouble_is_not_told_of_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "x.txt"):
        (tmp_path / "missing").read_text()
    assert os.listdir(tmp_path) == []


def test_a_read_only_folder_is_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    with _as_nobody(), pytest.raises(InputError, match="cannot write: Permission denied"), atomic_open(folder / "x"):
        pass
    assert os.listdir(folder) == []


@pytest.mark.parametrize("path", ["file/x.txt", "folder", "n" * 300])
def test_places_that_cannot_be_written(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "kept").mkdir(parents=True)
    with pytest.raises(InputError, match="cannot write: "), atomic_open(tmp_path / path):
        pass
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_honours_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "x.json", {})
        assert os.umask(umask) == umask  # left as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == mode


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("input")
    (tmp_path / "x").symlink_to(kept)
    with atomic_open(tmp_path / "x") as out:
        out.write("output")
    assert (kept.read_text(), (tmp_path / "x").read_text()) == ("input", "output")


def test_json_is_stable_readable_and_strict(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": "é", "a": [1, 0.1]})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n "a": [\n  1,\n  0.1\n ],\n "b": "é"\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "y.json", {"p": float("nan")})
    assert os.listdir(tmp_path) == ["x.json"]


_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(_scalars, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=5))
def test_json_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "round.json"
    write_json(path, value)
    assert read_json(path) == value


def test_a_file_name_that_is_no_utf8_can_be_written_down(tmp_path: Path) -> None:
    name = os.fsdecode(b"sample\xff.fastq")
    write_json(tmp_path / "x.json", {"file": name})
    assert read_json(tmp_path / "x.json") == {"file": name}
    with pytest.raises(InputError, match=r"x.json: not JSON: half a character \('\\udcff'\)"):
        read_json(tmp_path / "x.json", file_names=False)


def test_two_halves_of_a_character_are_one(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(r'"\ud83e\uddec \\ud800"')
    assert read_json(tmp_path / "x.json", file_names=False) == "🧬 \\ud800"


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "{'a': 1}", "[1,]", "NaN", '{"a": NaN}', "[Infinity]", "-Infinity", "1e999", "[" * 100_000, "1" * 5000,
        r'"\ud800"', r'{"\uDC7F": 1}', r'["\udc80", "\ud83d \ude00"]', r'"\uDFFF"',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not JSON: ") as error:
        read_json(path)
    assert error.value.file == str(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"a\n", "a\n"), (b"\xef\xbb\xbfa", "a"), ("é".encode(), "é"), (b"", "")],
)
def test_text_is_utf8_with_or_without_mark(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "x").write_bytes(content)
    assert read_text(tmp_path / "x") == text


@pytest.mark.parametrize("content", [b"\xff\xfe", b"caf\xe9", b"BAM\x01\x80"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match="x: not a text file: expected UTF-8 text"):
        read_text(tmp_path / "x")


@pytest.mark.parametrize("read", [read_text, read_json])
def test_missing_files_and_folders_cannot_be_read(tmp_path: Path, read: object) -> None:
    with pytest.raises(InputError, match="gone: cannot read: No such file or directory"):
        read(tmp_path / "gone")  # type: ignore[operator]
    with pytest.raises(InputError, match="cannot read: Is a directory"):
        read(tmp_path)  # type: ignore[operator]


@pytest.mark.parametrize("read", [read_text, require_file])
def test_an_unreadable_file_is_refused(tmp_path: Path, read: object) -> None:
    path = tmp_path / "x"
    path.write_text("secret")
    path.chmod(0)
    with _as_nobody(), pytest.raises(InputError, match="cannot read: Permission denied"):
        read(path)  # type: ignore[operator]


def test_required_files(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("x")
    (tmp_path / "empty").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert require_file(str(tmp_path / "full")) == tmp_path / "full"
    for name, problem in (
        ("gone", "no such file"), ("dangling", "no such file"), ("empty", "the file is empty"),
        (".", "is a folder, expected a file"), ("nul\0", "no such file"),
        ("n" * 300, "cannot read: File name too long"),
        ("full/below", "no such file"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"field 'fastq_1': {problem}; check it"):
            require_file(tmp_path / name, field="fastq_1", hint="check it")


def test_a_checksum_is_of_the_bytes(tmp_path: Path) -> None:
    content = os.urandom(3 * (1 << 20) + 17)
    (tmp_path / "x").write_bytes(content)
    steps: list[int] = []
    assert sha256_of(tmp_path / "x", steps.append) == hashlib.sha256(content).hexdigest()
    assert sum(steps) == len(content)
    (tmp_path / "x").write_bytes(b"")
    assert sha256_of(tmp_path / "x") == hashlib.sha256(b"").hexdigest()


def test_written_json_is_plain_json(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": (1, 2)})
    assert json.loads((tmp_path / "x.json").read_bytes()) == {"a": [1, 2]}


def test_what_killed_processes_left_goes_and_nothing_else(tmp_path: Path) -> None:
    kept = ["S1/counts.tsv", "S1/.snakemake_timestamp", "S1/notes.tmp", "elsewhere/file"]
    left = ["S1/.counts.tsv.a1b2c3d4.tmp", "S1/.aligned.bam.x_y_z_00.tmp/sorted.bam", ".qc.json.00000000.tmp"]
    for name in kept + left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "S1" / ".link.tmp").symlink_to(tmp_path / "elsewhere")
    remove_leftovers(tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)
    assert not (tmp_path / "S1" / ".aligned.bam.x_y_z_00.tmp").exists()
    remove_leftovers(tmp_path / "not there")


def test_a_file_being_written_is_named_as_a_leftover(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "x") as temporary:
        remove_leftovers(tmp_path)
        assert not temporary.exists()
        temporary.write_text("x")
