from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from esr1call.errors import InputError
from esr1call.history import Kind
from esr1call.io.audit import audit
from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import place, publish
from esr1call.io.signing import Signer, Verifier, new_keys
from esr1call.io.verify import against_ledger, verify
from tests.builders import ROOT
from tests.io.killed_run import decide, run
from tests.postgresql import new_schema
from tests.trigger_builders import pada1, sample

FILES = ["P01.0001.raised.event.json", "P02.0001.not-raised.event.json"]


@pytest.fixture
def ledger(ledger_place: str) -> Iterator[Ledger]:
    with Ledger(ledger_place) as ledger:
        with ledger.writing("S") as writer:
            results = [sample(0), sample(28, D538G=9), sample(0, patient="P02")]
            take_results(writer, results, pada1(), "batch1")
        yield ledger


def events(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.event.json"))}


def test_each_event_is_one_file_with_the_ledgers_bytes(ledger: Ledger, tmp_path: Path) -> None:
    publish(ledger, "S", "batch1", tmp_path / "out")
    with ledger.reading("S") as reader:
        rows = [e.body.encode() for e in reader.entries(kind=Kind.EVENT)]
        assert len(reader.entries(kind=Kind.PUBLISHED)) == 2
    assert events(tmp_path / "out") == dict(zip(FILES, rows, strict=True))
    assert {stat.S_IMODE((tmp_path / "out" / f).stat().st_mode) for f in FILES} == {0o644}


def test_again_writes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    publish(ledger, "S", "batch1", tmp_path / "out")
    before = {p.name: p.stat() for p in (tmp_path / "out").iterdir()}
    publish(ledger, "S", "batch1", tmp_path / "out")
    assert {p.name: p.stat() for p in (tmp_path / "out").iterdir()} == before
    with ledger.reading("S") as reader:
        assert len(reader.entries(kind=Kind.PUBLISHED)) == 2


def test_a_lost_file_comes_back_with_the_same_bytes(ledger: Ledger, tmp_path: Path) -> None:
    publish(ledger, "S", "batch1", tmp_path / "out")
    whole = events(tmp_path / "out")
    (tmp_path / "out" / FILES[0]).unlink()
    publish(ledger, "S", "batch1", tmp_path / "out")
    assert events(tmp_path / "out") == whole


def test_stopped_between_file_and_note_it_ends_the_same(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, placed = os.link, []

    def link_once(source: str, target: Path) -> None:
        if placed:
            raise KeyboardInterrupt
        placed.append(target)
        real(source, target)

    monkeypatch.setattr(os, "link", link_once)
    with pytest.raises(KeyboardInterrupt):
        publish(ledger, "S", "batch1", tmp_path / "out")
    assert list(events(tmp_path / "out")) == FILES[:1]
    monkeypatch.undo()
    publish(ledger, "S", "batch1", tmp_path / "out")
    assert list(events(tmp_path / "out")) == FILES
    assert not list((tmp_path / "out").glob(".*"))
    with ledger.reading("S") as reader:
        assert len(reader.entries(kind=Kind.PUBLISHED)) == 2


def test_another_file_is_never_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "x"
    assert place(target, b"one")
    assert not place(target, b"one")
    with pytest.raises(InputError, match="never overwritten"):
        place(target, b"two")
    assert target.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_folder_is_of_one_batch(ledger: Ledger, tmp_path: Path) -> None:
    publish(ledger, "S", "batch1", tmp_path / "out")
    before = events(tmp_path / "out")
    with pytest.raises(InputError, match="the folder is another batch's: found 'S batch1', expected S batch2"):
        publish(ledger, "S", "batch2", tmp_path / "out")
    assert events(tmp_path / "out") == before


def test_where_a_file_is_there_can_be_no_folder(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(InputError, match="cannot be made: File exists"):
        publish(ledger, "S", "batch1", tmp_path / "out")


def test_a_folder_is_of_one_ledger(ledger: Ledger, tmp_path: Path) -> None:
    """With a ledger of another name, say, a patient's chain would begin anew beside what was sent before."""
    publish(ledger, "S", "batch1", tmp_path / "out")
    before = events(tmp_path / "out")
    with Ledger(tmp_path / "other") as other:
        with other.writing("S") as writer:
            take_results(writer, [sample(28, D538G=9)], pada1(), "batch1")
        with pytest.raises(InputError, match=r"P01\.0001.*the ledger does not have this event"):
            publish(other, "S", "batch1", tmp_path / "out")
    assert events(tmp_path / "out") == before


def test_a_signed_folder_stays_signed(ledger: Ledger, tmp_path: Path) -> None:
    new_keys(tmp_path / "lab.pem")
    publish(ledger, "S", "batch1", tmp_path / "out", Signer.load(tmp_path / "lab.pem"))
    with ledger.writing("S") as writer:
        take_results(writer, [sample(0, patient="P03")], pada1(), "batch1")
    with pytest.raises(InputError, match="events are signed; give the private key by --key"):
        publish(ledger, "S", "batch1", tmp_path / "out")
    assert list(events(tmp_path / "out")) == FILES
    assert verify([tmp_path / "out"], Verifier.load(tmp_path / "lab.pub.pem")).signatures == 3


def test_each_step_is_made_to_last_before_the_next(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a power cut: the row, then the whole file, its name, and last the note that it was published."""
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def note_sync(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        assert kind == "folder" or os.fstat(handle).st_size > 0
        with ledger.reading("S") as reader:
            counts = [len(reader.entries(kind=k)) for k in (Kind.EVENT, Kind.PUBLISHED)]
        steps.append(f"{kind} synced, {counts[0]} events and {counts[1]} published in the ledger")
        fsync(handle)

    def note_link(source: str, target: Path) -> None:
        steps.append(f"{Path(target).name} linked")
        link(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "link", note_link)
    publish(ledger, "S", "batch1", tmp_path / "out")
    synced = "file synced, 2 events and 0 published in the ledger"
    assert steps[:4] == [synced, f"{FILES[0]} linked", synced, f"{FILES[1]} linked"]
    assert steps[-1] == "folder synced, 2 events and 0 published in the ledger"
    with ledger.reading("S") as reader:
        assert len(reader.entries(kind=Kind.PUBLISHED)) == 2


def no_links(source: str, target: Path) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_without_hard_links_files_are_whole_and_never_replaced(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    publish(ledger, "S", "batch1", tmp_path / "out")
    assert list(events(tmp_path / "out")) == FILES
    assert not list((tmp_path / "out").glob(".*"))

    def no_links_and_a_rival(source: str, target: Path) -> None:
        target.write_bytes(b"rival")
        no_links(source, target)

    monkeypatch.setattr(os, "link", no_links_and_a_rival)
    with pytest.raises(InputError, match="never overwritten"):
        place(tmp_path / "x", b"ours")
    assert (tmp_path / "x").read_bytes() == b"rival"


def full(source: str, target: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_line_and_the_next_run_ends_it(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", full)
    with pytest.raises(InputError, match="cannot write: No space left"):
        publish(ledger, "S", "batch1", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    with ledger.reading("S") as reader:
        assert reader.entries(kind=Kind.PUBLISHED) == []
    monkeypatch.undo()
    publish(ledger, "S", "batch1", tmp_path / "out")
    assert list(events(tmp_path / "out")) == FILES


def test_what_a_stopped_run_left_half_written_is_cleared(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".{FILES[0]}.abc.tmp").write_bytes(b"half")
    (tmp_path / "out" / ".manifest.json.abc.tmp").write_bytes(b"half")
    (tmp_path / "out" / ".someone-elses").write_bytes(b"x")
    publish(ledger, "S", "batch1", tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").glob(".*")] == [".someone-elses"]


def published(folder: Path) -> dict[str, bytes]:
    """What a consumer sees."""
    return {p.name: p.read_bytes() for p in (folder / "out").glob("[!.]*")}


def check(folder: Path, patients: int, ledger_place: str = "") -> dict[str, bytes]:
    """The ledger verifies, and each event is in it once and noted as published once; the files of the outbox."""
    with Ledger(ledger_place or folder / "ledger.sqlite", create=False) as ledger:
        audit(ledger)
        with ledger.reading("S") as reader:
            for kind in (Kind.EVENT, Kind.PUBLISHED):
                names = [e.name for e in reader.entries(kind=kind)]
                assert len(names) == len(set(names)) == patients
    assert not list((folder / "out").glob(".*"))
    return published(folder)


def check_whole(folder: Path, patients: int, ledger_place: str = "") -> dict[str, bytes]:
    """As a consumer would, too: schema, hashes, signatures, chains."""
    with Ledger(ledger_place or folder / "ledger.sqlite", create=False) as ledger:
        found = verify([folder / "out"], Verifier.load(folder.parent / "lab.pub.pem"))
        against_ledger(folder / "out", ledger)
    assert (found.events, found.signatures) == (patients, patients + 1)
    return check(folder, patients, ledger_place)


def test_two_runs_at_once_on_one_ledger_double_nothing(ledger_place: str, tmp_path: Path) -> None:
    new_keys(tmp_path / "lab.pem")
    (tmp_path / "a").mkdir()
    given = f"Path({str(tmp_path / 'a')!r}), 40, {ledger_place!r}"
    code = f"from pathlib import Path; from tests.io.killed_run import run; run({given})"
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    assert [(p.communicate()[1], p.returncode) for p in both] == [(b"", 0), (b"", 0)]
    files = check_whole(tmp_path / "a", 40, ledger_place)
    assert len(files) == 2 * 40 + 4


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a killed process loses nothing that it wrote, synced or not."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


class Killer:
    """Runs in processes of their own that are killed after some time."""

    def __init__(self) -> None:
        # One warm process that forks: a start of Python for each run would take longer than the run.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.io.killed_run"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def killed(self, place: Path, patients: int, after: float, ledger_place: str = "") -> bool:
        """Whether a run was still running when it was killed after so many seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{place}\t{patients}\t{ledger_place}\t{after:.4f}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline() == "1\n"


def kill_study(folder: Path, patients: int, kills: int, seed: int) -> None:
    """Kill runs at random moments until so many were hit, finish each, and compare with a run that was left alone.

    One in eight decides and publishes, the others publish what is decided already. Most are killed once or
    twice more when started again. At each kill, what is published by then is whole.
    """
    new_keys(folder / "lab.pem")
    (folder / "decided").mkdir()
    decide(folder / "decided", patients)
    place, chance, hit = folder / "place", random.Random(seed), 0

    def begin(given: int) -> None:
        if given:
            place.mkdir()
        else:
            shutil.copytree(folder / "decided", place)

    longest, wholes = {}, []
    for given in (patients, 0):
        begin(given)
        start = time.perf_counter()
        run(place, given)
        longest[given] = time.perf_counter() - start
        wholes.append(check_whole(place, patients))
        shutil.rmtree(place)
    whole = wholes[0]
    assert wholes[1] == whole
    with Killer() as killer:
        while hit < kills:
            given = chance.choice((patients, 0, 0, 0, 0, 0, 0, 0))
            begin(given)
            for again in range(chance.choice((1, 2, 3))):
                hit += killer.killed(place, given, chance.uniform(0, longest[given] / (again + 1)))
                assert published(place).items() <= whole.items(), hit
            run(place, given)
            assert check(place, patients) == whole, hit
            shutil.rmtree(place)


def test_killed_at_some_moments_it_ends_the_same(quick_folder: Path) -> None:
    kill_study(quick_folder, 20, 5, seed=1)


def test_killed_on_postgresql_it_ends_the_same(postgresql_url: str, quick_folder: Path) -> None:
    new_keys(quick_folder / "lab.pem")
    whole, place, chance = quick_folder / "whole", quick_folder / "place", random.Random(3)
    whole.mkdir()
    start = time.perf_counter()
    run(whole, 20)
    longest, hit = time.perf_counter() - start, 0
    with Killer() as killer:
        while hit < 5:
            place.mkdir()
            ledger_place = new_schema(postgresql_url)
            hit += killer.killed(place, 20, chance.uniform(0, longest), ledger_place)
            run(place, 20, ledger_place)
            assert check(place, 20, ledger_place) == published(whole), hit
            shutil.rmtree(place)


@pytest.mark.slow
def test_killed_at_200_random_moments_of_500_events_it_ends_the_same(quick_folder: Path) -> None:
    kill_study(quick_folder, 500, 200, seed=2)
