"""Rules, results, published files, ledgers and keys that were damaged: one clear line, or a right answer."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from esr1call.cli import run
from esr1call.decision import decide
from esr1call.errors import InputError
from esr1call.io.corrections import void
from esr1call.io.decisions import read_results, take_results
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import manifest_digest, publish
from esr1call.io.rule_file import load_rule
from esr1call.io.signing import Signer, Verifier, new_keys
from esr1call.io.verify import verify
from tests.fuzz.mutate import count, json_mutants, mutants
from tests.trigger_builders import RULE_FILE, draws, pada1, sample, write_results

N = 28
HISTORY = [sample(0, D538G=40), sample(N, D538G=9, Y537S=None), sample(3 * N, Y537S=50)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two patients: ledger, keys, signed folder."""
    folder = tmp_path_factory.mktemp("world")
    new_keys(folder / "lab.pem")
    with Ledger(folder / "ledger.sqlite") as ledger:
        with ledger.writing("S") as writer:
            results = [sample(0), sample(N, D538G=9), sample(0, patient="P02", D538G=50)]
            take_results(writer, results, pada1(), "b1")
            void(writer, "P01-2024-02-01", "qa-7", "swapped", pada1())
        publish(ledger, "S", "b1", folder / "b1", Signer.load(folder / "lab.pem"))
    return folder


def refused(call: Callable[[], Any]) -> bool:
    """Whether it ends in one clear line; any other error is a bug."""
    try:
        call()
    except InputError as error:
        told = str(error)
        assert told.isprintable()
        assert len(told) < 1500
        return True
    return False


def test_rules(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    whole, good = RULE_FILE.read_bytes(), 0
    for content in mutants(whole, count(200), seed=1):
        path.write_bytes(content)

        def use() -> None:
            rule = load_rule(path)
            decide("P01", draws(*HISTORY, by=rule), rule)

        good += not refused(use)
    assert good < count(200)


def test_results(tmp_path: Path) -> None:
    [name] = write_results(tmp_path, sample(0, D538G=9, E380Q=None))
    whole = Path(name).read_bytes()

    def contents() -> Iterator[bytes]:
        yield from mutants(whole, count(100), seed=2)
        for value in json_mutants(whole, count(300), seed=3):
            yield json.dumps(value).encode()

    good = 0
    with Ledger(tmp_path / "ledger") as ledger:
        for number, content in enumerate(contents()):
            Path(name).write_bytes(content)

            def use(study: str = f"S{number}") -> None:
                with ledger.writing(study) as writer:
                    take_results(writer, [sample(N), *read_results([name], None)], pada1(), "b1")

            good += not refused(use)
    assert 0 < good < count(400)


def test_published_files(world: Path, tmp_path: Path) -> None:
    """Whatever is done to the bytes of whatever file is seen."""
    folder, keys = tmp_path / "b1", Verifier.load(world / "lab.pub.pem")
    shutil.copytree(world / "b1", folder)
    for number, path in enumerate(sorted(folder.iterdir())):
        whole = path.read_bytes()
        for content in mutants(whole, count(40), seed=100 + number):
            path.write_bytes(content)
            assert refused(lambda: verify([folder], keys)) == (content != whole), path
        path.write_bytes(whole)


def test_events_that_fit_their_manifest(world: Path, tmp_path: Path) -> None:
    """A forger without the key can make all hashes fit; what the event says is still checked."""
    folder = tmp_path / "b1"
    shutil.copytree(world / "b1", folder)
    path = folder / "P01.0001.raised.event.json"
    listing = json.loads((folder / "manifest.json").read_bytes())
    [item] = (e for e in listing["events"] if e["file"] == path.name)
    for value in json_mutants(path.read_bytes(), count(300), seed=4):
        content = (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
        item["sha256"] = hashlib.sha256(content).hexdigest()
        if isinstance(value, dict):
            item |= {k: value[k] for k in ("id", "type", "subject", "sequence") if k in value}
        try:
            listing["sha256"] = manifest_digest(listing)
        except ValueError:  # no canonical form: lone surrogates, integers beyond a float's
            continue
        path.write_bytes(content)
        (folder / "manifest.json").write_text(json.dumps(listing, indent=2, sort_keys=True) + "\n")
        refused(lambda: verify([folder], unsigned=True))


def test_manifests(world: Path, tmp_path: Path) -> None:
    """The same for a manifest that fits itself: only the signature would tell."""
    folder = tmp_path / "b1"
    shutil.copytree(world / "b1", folder)
    path = folder / "manifest.json"
    for value in json_mutants(path.read_bytes(), count(300), seed=5):
        try:
            value["sha256"] = manifest_digest(value)
        except (ValueError, AttributeError, TypeError):
            continue
        path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
        refused(lambda: verify([folder], unsigned=True))


def rows(path: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT * FROM entries ORDER BY entry").fetchall()
    finally:
        connection.close()


def test_ledgers(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No command fails but by one line, and what `ledger verify` finds right has its rows unchanged."""
    whole, path = (world / "ledger.sqlite").read_bytes(), tmp_path / "ledger.sqlite"
    results = write_results(tmp_path, sample(0, patient="P09"))
    ledger, study, rule = ["--ledger", str(path)], ["--study", "S"], ["--rule", str(RULE_FILE)]
    commands = [
        ["ledger", "verify", *ledger], ["ledger", "show", *ledger, *study],
        ["ledger", "history", "P01", *ledger, *study, *rule],
        ["verify", str(world / "b1"), "--unsigned", *ledger],
        ["trigger", *results, *ledger, *study, *rule, "--batch", "b9", "--out", str(tmp_path / "b9")],
    ]  # fmt: skip
    expected, sound = rows(world / "ledger.sqlite"), 0
    for content in mutants(whole, count(40), seed=6):
        for command in commands:
            path.write_bytes(content)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            shutil.rmtree(tmp_path / "b9", ignore_errors=True)
            code = run(command)
            told = capsys.readouterr().err.splitlines()
            assert code in (0, 2), (command, told)
            assert code == 0 or len(told) == 1, told
            if command is commands[0] and code == 0:
                assert rows(path) == expected
                sound += 1
    assert sound < count(40)


@pytest.mark.parametrize("name", ["lab.pem", "lab.pub.pem"])
def test_keys(world: Path, tmp_path: Path, name: str) -> None:
    """A damaged key is refused, or is another key, or the same in other words."""
    whole, path = (world / name).read_bytes(), tmp_path / name
    signature = Signer.load(world / "lab.pem").sign(b"x")
    path.touch(mode=0o600)
    for content in mutants(whole, count(500), seed=7):
        path.write_bytes(content)

        def use() -> None:
            if name == "lab.pem":
                Signer.load(path).sign(b"x")
            else:
                Verifier.load(path).problem(b"x", signature)

        refused(use)
