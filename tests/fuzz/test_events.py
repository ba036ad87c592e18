"""Rules, results, published files, ledgers and keys that were damaged: one clear line, or a right answer."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from esr1call.decision import decide
from esr1call.io.corrections import void
from esr1call.io.decisions import read_results, take_results
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import manifest_digest, publish
from esr1call.io.rule_file import load_rule
from esr1call.io.signing import Signer, Verifier, new_keys
from esr1call.io.verify import verify
from tests.fuzz.mutate import json_mutants, mutants
from tests.fuzz.surface import Attack, Surface, command, refused
from tests.trigger_builders import RULE_FILE, draws, pada1, sample, write_results

N = 28
HISTORY = [sample(0, D538G=40), sample(N, D538G=9, Y537S=None), sample(3 * N, Y537S=50)]


def world_of(folder: Path) -> None:
    """A study of two patients: ledger, keys, signed folder."""
    new_keys(folder / "lab.pem")
    with Ledger(folder / "ledger.sqlite") as ledger:
        with ledger.writing("S") as writer:
            results = [sample(0), sample(N, D538G=9), sample(0, patient="P02", D538G=50)]
            take_results(writer, results, pada1(), "b1")
            void(writer, "P01-2024-02-01", "qa-7", "swapped", pada1())
        publish(ledger, "S", "b1", folder / "b1", Signer.load(folder / "lab.pem"))


def rules(folder: Path) -> Attack:
    """A rule that is taken decides."""
    path, whole = folder / "rule.yaml", RULE_FILE.read_bytes()

    def check(content: bytes) -> bool:
        path.write_bytes(content)

        def use() -> None:
            rule = load_rule(path)
            decide("P01", draws(*HISTORY, by=rule), rule)

        return not refused(use)

    return Attack(lambda number, seed: mutants(whole, number, seed), check)


def results(folder: Path) -> Attack:
    """A result that is taken is decided on."""
    [name] = write_results(folder, sample(0, D538G=9, E380Q=None))
    whole = Path(name).read_bytes()
    ledger = Ledger(folder / "ledger")
    studies = itertools.count()

    def inputs(number: int, seed: int) -> Iterator[bytes]:
        yield from mutants(whole, number // 4, seed)
        for value in json_mutants(whole, number - number // 4, seed):
            yield json.dumps(value).encode()

    def check(content: bytes) -> bool:
        Path(name).write_bytes(content)

        def use() -> None:
            with ledger.writing(f"S{next(studies)}") as writer:
                take_results(writer, [sample(N), *read_results([name], None)], pada1(), "b1")

        return not refused(use)

    return Attack(inputs, check)


def published_files(folder: Path) -> Attack:
    """Whatever is done to the bytes of whatever file is seen."""
    world_of(folder)
    batch, keys = folder / "b1", Verifier.load(folder / "lab.pub.pem")
    good = {path: path.read_bytes() for path in sorted(batch.iterdir())}

    def inputs(number: int, seed: int) -> Iterator[tuple[Path, bytes]]:
        for i, (path, whole) in enumerate(good.items()):
            for content in mutants(whole, -(-number // len(good)), len(good) * seed + i):
                yield path, content

    def check(given: tuple[Path, bytes]) -> bool:
        path, content = given
        path.write_bytes(content)
        try:
            seen = refused(lambda: verify([batch], keys))
        finally:
            path.write_bytes(good[path])
        assert seen == (content != good[path]), path
        return not seen

    return Attack(inputs, check)


def forged_events(folder: Path) -> Attack:
    """A forger without the key can make all hashes fit; what the event says is still checked."""
    world_of(folder)
    path = folder / "b1" / "P01.0001.raised.event.json"
    whole, listing = path.read_bytes(), json.loads((folder / "b1" / "manifest.json").read_bytes())
    [item] = (e for e in listing["events"] if e["file"] == path.name)

    def check(value: Any) -> bool:
        content = (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
        item["sha256"] = hashlib.sha256(content).hexdigest()
        if isinstance(value, dict):
            item.update({k: value[k] for k in ("id", "type", "subject", "sequence") if k in value})
        try:
            listing["sha256"] = manifest_digest(listing)
        except ValueError:  # no canonical form: lone surrogates, integers beyond a float's
            return False
        path.write_bytes(content)
        (folder / "b1" / "manifest.json").write_text(json.dumps(listing, indent=2, sort_keys=True) + "\n")
        return not refused(lambda: verify([folder / "b1"], unsigned=True))

    return Attack(lambda number, seed: json_mutants(whole, number, seed), check)


def forged_manifests(folder: Path) -> Attack:
    """The same for a manifest that fits itself: only the signature would tell."""
    world_of(folder)
    path = folder / "b1" / "manifest.json"
    whole = path.read_bytes()

    def check(value: Any) -> bool:
        try:
            value["sha256"] = manifest_digest(value)
        except (ValueError, AttributeError, TypeError):
            return False
        path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
        return not refused(lambda: verify([folder / "b1"], unsigned=True))

    return Attack(lambda number, seed: json_mutants(whole, number, seed), check)


def rows(path: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT * FROM entries ORDER BY entry").fetchall()
    finally:
        connection.close()


def ledgers(folder: Path) -> Attack:
    """No command fails but by one line, and what `ledger verify` finds right has its rows unchanged."""
    world_of(folder)
    path = folder / "ledger.sqlite"
    whole, expected = path.read_bytes(), rows(path)
    names = write_results(folder, sample(0, patient="P09"))
    ledger, study, rule = ["--ledger", str(path)], ["--study", "S"], ["--rule", str(RULE_FILE)]
    commands = [
        ["ledger", "verify", *ledger], ["ledger", "show", *ledger, *study],
        ["ledger", "history", "P01", *ledger, *study, *rule],
        ["verify", str(folder / "b1"), "--unsigned", *ledger],
        ["trigger", *names, *ledger, *study, *rule, "--batch", "b9", "--out", str(folder / "b9")],
    ]  # fmt: skip

    def check(content: bytes) -> bool:
        sound = False
        for arguments in commands:
            path.write_bytes(content)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            shutil.rmtree(folder / "b9", ignore_errors=True)
            if command(arguments) and arguments is commands[0]:
                assert rows(path) == expected
                sound = True
        return sound

    return Attack(lambda number, seed: mutants(whole, number, seed), check)


def keys(folder: Path) -> Attack:
    """A damaged key is refused, or is another key, or the same in other words."""
    world_of(folder)
    signature = Signer.load(folder / "lab.pem").sign(b"x")
    good = {name: (folder / name).read_bytes() for name in ("lab.pem", "lab.pub.pem")}
    path = folder / "given.pem"
    path.touch(mode=0o600)

    def inputs(number: int, seed: int) -> Iterator[tuple[str, bytes]]:
        for i, (name, whole) in enumerate(good.items()):
            yield from ((name, content) for content in mutants(whole, number // 2, 2 * seed + i))

    def check(given: tuple[str, bytes]) -> bool:
        name, content = given
        path.write_bytes(content)
        if name == "lab.pem":
            return not refused(lambda: Signer.load(path).sign(b"x"))
        return not refused(lambda: Verifier.load(path).problem(b"x", signature))

    return Attack(inputs, check)


SURFACES = [
    Surface("rules", 41_000_000, 100, rules),
    Surface("results", 42_000_000, 400, results),
    Surface("published files", 43_000_000, 400, published_files),
    Surface("events whose hashes were made to fit", 44_000_000, 300, forged_events),
    Surface("manifests whose hashes were made to fit", 45_000_000, 300, forged_manifests),
    Surface("ledgers", 46_000_000, 25, ledgers),
    Surface("keys", 47_000_000, 2000, keys),
]


@pytest.mark.parametrize("surface", SURFACES, ids=str)
def test_damaged(surface: Surface, tmp_path: Path) -> None:
    answered, turned_away = surface.rounds(tmp_path)
    assert turned_away
    assert answered or surface.make in (published_files, forged_events)
