from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esr1call.errors import InputError
from esr1call.io.corrections import void
from esr1call.io.decisions import take_results
from esr1call.io.ledger import Ledger
from esr1call.io.outbox import manifest_digest, publish
from esr1call.io.signing import Signer, Verifier, new_keys
from esr1call.io.verify import against_ledger, folders_of, verify
from esr1call.trigger import event_id, to_bytes
from tests.trigger_builders import pada1, sample

N = 28
FIRST, SECOND, THIRD = (f"P01.{i:04d}.{k}.event.json" for i, k in enumerate(("not-raised", "raised", "retracted"), 1))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two batches of a study, signed: in the second, P01 is raised and taken back, and P02 has her first event."""
    folder = tmp_path_factory.mktemp("world")
    new_keys(folder / "lab.pem")
    signer = Signer.load(folder / "lab.pem")
    with Ledger(folder / "ledger.sqlite") as ledger:
        for batch, results in {
            "b1": [sample(0)],
            "b2": [sample(N, D538G=9), sample(0, patient="P02", D538G=50)],
        }.items():
            with ledger.writing("S") as writer:
                take_results(writer, results, pada1(), batch)
            publish(ledger, "S", batch, folder / batch, signer)
        with ledger.writing("S") as writer:
            void(writer, "P01-2024-02-01", "qa-7", "swapped", pada1())
        publish(ledger, "S", "b2", folder / "b2", signer)
    return folder


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    shutil.copytree(world, tmp_path / "copy")
    return tmp_path / "copy"


def keys(folder: Path) -> Verifier:
    return Verifier.load(folder / "lab.pub.pem")


def test_whole_folders_are_found_right(world: Path) -> None:
    found = verify([world / "b1", world / "b2"], keys(world))
    assert (found.folders, found.events, found.signatures, found.live) == (2, 4, 6, {})
    assert verify([world / "b1", world / "b2"], unsigned=True).signatures == 0


def test_a_live_trigger_is_told_of(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        with ledger.writing("S") as writer:
            [outcome] = take_results(writer, [sample(0), sample(N, D538G=9)], pada1(), "b1")
        publish(ledger, "S", "b1", tmp_path / "b1")
    assert outcome.event is not None
    assert verify([tmp_path / "b1"]).live == {"P01": outcome.event.id}


def test_signatures_are_not_passed_over(world: Path) -> None:
    with pytest.raises(InputError, match=r"signature is not checked; give the public key by --key"):
        verify([world / "b1"])


def test_the_earlier_events_of_a_chain_must_be_there(world: Path) -> None:
    with pytest.raises(InputError, match=r"P01\.0002.*: event 1 of patient P01 comes before it and is missing"):
        verify([world / "b2"], keys(world))


def test_part_of_a_study_can_be_checked_by_itself(world: Path, copy: Path) -> None:
    found = verify([world / "b2"], keys(world), part=True)
    assert (found.events, found.missing) == (3, 1)
    assert verify([world / "b1", world / "b2"], keys(world), part=True).missing == 0
    _rewrite(copy / "b2", lambda event: event.pop("previousid"))
    with pytest.raises(InputError, match=f"{SECOND}: against the schema: 'previousid' is a "):
        verify([copy / "b2"], keys(copy), part=True)


def test_in_part_of_a_study_what_is_there_must_follow(copy: Path) -> None:
    _rewrite(copy / "b2", _set(previousid="0" * 64), THIRD)
    with pytest.raises(InputError, match=f"{THIRD}: does not follow the event before it"):
        verify([copy / "b2"], keys(copy), part=True)


def test_a_first_event_has_none_before_it(copy: Path) -> None:
    _rewrite(copy / "b1", _set(previousid="0" * 64, previoussha256="0" * 64), FIRST)
    with pytest.raises(InputError, match=f"{FIRST}: against the schema: rule 'not' does not hold"):
        verify([copy / "b1"], keys(copy))


def test_the_folders_in_a_folder_are_found(world: Path, tmp_path: Path) -> None:
    assert folders_of([world]) == [world / "b1", world / "b2"]
    assert folders_of([world / "b2", world / "b1"]) == [world / "b2", world / "b1"]
    assert folders_of([tmp_path / "none"]) == [tmp_path / "none"]
    (tmp_path / "lost").mkdir()
    shutil.copy(world / "b1" / FIRST, tmp_path / "lost")
    with pytest.raises(InputError, match=r"lost/manifest\.json: cannot read"):
        verify(folders_of([tmp_path]))


def flipped(path: Path, at: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("name", [FIRST, "manifest.json", "event.schema.json", "decisions.tsv"])
def test_a_flipped_bit_in_any_file_is_found_without_the_key(copy: Path, name: str) -> None:
    whole = (copy / "b1" / name).read_bytes()
    chance = random.Random(3)
    for at in sorted(chance.sample(range(len(whole)), min(len(whole), 300))):
        flipped(copy / "b1" / name, at, chance.randrange(8))
        with pytest.raises(InputError):
            verify([copy / "b1"], unsigned=True)
        (copy / "b1" / name).write_bytes(whole)


@pytest.mark.slow
def test_a_flipped_byte_anywhere_in_any_published_file_is_found_with_the_key(copy: Path) -> None:
    chance, known, tried = random.Random(4), keys(copy), 0
    for path in sorted((copy / "b1").iterdir()):
        whole = path.read_bytes()
        for at in chance.sample(range(len(whole)), min(len(whole), 1500)):  # only the schema is longer than that
            flipped(path, at, chance.randrange(8))
            with pytest.raises(InputError):
                verify([copy / "b1"], known)
            path.write_bytes(whole)
            tried += 1
    assert tried > 3500
    verify([copy / "b1"], known)


def _rewrite(
    folder: Path, change: Callable[[dict[str, Any]], object], name: str = SECOND, *, sign: bool = True
) -> None:
    """Change an event and all that depends on it inside its folder, as someone with the key could: id, manifest."""
    event = json.loads((folder / name).read_text())
    change(event)
    listing = json.loads((folder / "manifest.json").read_text())
    content = to_bytes(event)
    for item in listing["events"]:
        if item["file"] == name:
            item |= {k: event[k] for k in ("id", "type", "subject", "sequence")}
            item["sha256"] = hashlib.sha256(content).hexdigest()
    listing["sha256"] = manifest_digest(listing)
    for file, text in ((name, content), ("manifest.json", to_bytes(listing))):
        (folder / file).write_bytes(text)
        if sign:
            (folder / f"{file}.jws").write_bytes(Signer.load(folder.parent / "lab.pem").sign(text))


def _say(**data: object) -> Callable[[dict[str, Any]], None]:
    def change(event: dict[str, Any]) -> None:
        event["data"].update(data)
        event["id"] = event_id(event)

    return change


def _set(**values: object) -> Callable[[dict[str, Any]], None]:
    return lambda event: event.update(values)


def _huge(event: dict[str, Any]) -> None:
    event["data"]["drivers"][0]["evidence"]["molecules"] = 10**400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_huge, f"{SECOND}: has no canonical form"),
        (_set(id="0" * 64), "its id is not the hash of what it says"),
        (_set(time="2024-01-01T00:00:00Z"), "against the schema"),
        (_set(sequence="3"), "the file's name is another event's"),
        (_set(previousid="0" * 64), "does not follow the event before it"),
        (_set(previoussha256="0" * 64), "does not follow the event before it"),
        (_say(patient="P09"), "subject or source are not those"),
        (_say(study="T"), "subject or source are not those"),
        (_say(supersedes="0" * 64), "supersedes another event"),
        (_say(decision="raised", drivers=[]), "against the schema"),
    ],
)
def test_an_event_that_is_wrong_in_itself_is_found(
    copy: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    _rewrite(copy / "b2", change)
    with pytest.raises(InputError, match=message):
        verify([copy / "b1", copy / "b2"], keys(copy))


def _retype(folder: Path, name: str, kind: str) -> str:
    """An event of another kind that supersedes the one before it, all names and hashes to fit; its file's new name."""

    def change(event: dict[str, Any]) -> None:
        event["data"] |= {"supersedes": event["previousid"], "decision": "not-raised", "reasons": ["NEGATIVE"]}
        event["data"] |= {"state": "bESR1mut not rising", "drivers": []}
        event["type"] = f"org.esr1call.trigger.{kind}.v1"
        event["id"] = event_id(event)

    _rewrite(folder, change, name)
    new = name.replace(name.split(".")[2], kind)
    listing = json.loads((folder / "manifest.json").read_text())
    for item in listing["events"]:
        if item["file"] == name:
            item["file"] = new
    listing["sha256"] = manifest_digest(listing)
    (folder / "manifest.json").write_bytes(to_bytes(listing))
    (folder / "manifest.json.jws").write_bytes(Signer.load(folder.parent / "lab.pem").sign(to_bytes(listing)))
    for suffix in ("", ".jws"):
        (folder / (name + suffix)).rename(folder / (new + suffix))
    return new


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (THIRD, "not-raised", "not-raised, while an event before it is live"),
        (SECOND, "retracted", "retracted, and no event before it is live"),
    ],
)
def test_an_event_out_of_turn_is_found(copy: Path, name: str, kind: str, message: str) -> None:
    new = _retype(copy / "b2", name, kind)
    with pytest.raises(InputError, match=f"{new}: {message}"):
        verify([copy / "b1", copy / "b2"], keys(copy))


def test_two_events_at_one_place_are_found(copy: Path) -> None:
    """Two ledgers of one study, say: each has a first event of the patient."""
    with Ledger(copy / "other.sqlite") as ledger:
        with ledger.writing("S") as writer:
            take_results(writer, [sample(0, depth=9000)], pada1(), "b7")
        publish(ledger, "S", "b7", copy / "b7", Signer.load(copy / "lab.pem"))
    with pytest.raises(InputError, match=f"b7/{FIRST}: another event has the same place in the patient's chain"):
        verify([copy / "b1", copy / "b7"], keys(copy))


def test_without_the_private_key_a_consistent_change_is_found_by_its_signature(copy: Path) -> None:
    _rewrite(copy / "b1", _say(without_power=["p.D538G"]), FIRST, sign=False)
    with pytest.raises(InputError, match="the signature does not hold"):
        verify([copy / "b1"], keys(copy))
    assert verify([copy / "b1"], unsigned=True).events == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (FIRST, f"{FIRST}.jws: a signature without its file"),
        (f"{FIRST}.jws", f"{FIRST}: no signature"),
        ("manifest.json", r"manifest\.json\.jws: a signature without its file"),
        ("event.schema.json", "missing, and the manifest lists it"),
        ("decisions.tsv", "missing, and the manifest lists it"),
    ],
)
def test_a_missing_file_is_found(copy: Path, name: str, message: str) -> None:
    (copy / "b1" / name).unlink()
    with pytest.raises(InputError, match=message):
        verify([copy / "b1"], keys(copy))


def test_a_missing_event_and_an_added_one_are_found(copy: Path) -> None:
    text = (copy / "b1" / FIRST).read_bytes()
    (copy / "b1" / FIRST).unlink()
    with pytest.raises(InputError, match="missing, and the manifest lists it"):
        verify([copy / "b1"], unsigned=True)
    (copy / "b1" / FIRST).write_bytes(text)
    (copy / "b1" / "P09.0001.raised.event.json").write_bytes(text)
    with pytest.raises(InputError, match="an event that the manifest does not list"):
        verify([copy / "b1"], unsigned=True)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]\n", b"{}\n", b'{"sha256": "x"}\n', b'{\n  "events": [\n    1\n  ],\n  "sha256": "x"\n}\n', b"\xff"],
)
def test_what_is_no_manifest_is_one_line(copy: Path, text: bytes) -> None:
    (copy / "b1" / "manifest.json").write_bytes(text)
    with pytest.raises(InputError, match=r"manifest\.json"):
        verify([copy / "b1"], unsigned=True)


def test_a_manifest_never_leads_out_of_its_folder(copy: Path) -> None:
    path = copy / "b1" / "manifest.json"
    listing = json.loads(path.read_text())
    listing["events"][0]["file"] = f"../b2/{SECOND}"
    listing["sha256"] = manifest_digest(listing)
    path.write_bytes(to_bytes(listing))
    with pytest.raises(InputError, match="expected the name of a file in the folder"):
        verify([copy / "b1"], unsigned=True)


def test_a_files_name_of_any_length_is_one_line(copy: Path) -> None:
    path = copy / "b1" / "manifest.json"
    listing = json.loads(path.read_text())
    listing["files"][0]["file"] = "x" * 10_000
    listing["sha256"] = manifest_digest(listing)
    path.write_bytes(to_bytes(listing))
    with pytest.raises(InputError, match=r"field 'files\.0\.file': bad value") as caught:
        verify([copy / "b1"], unsigned=True)
    assert len(str(caught.value)) < 600


def test_a_folder_given_twice_is_no_other_event(world: Path) -> None:
    assert verify([world / "b1", world / "b1"], keys(world)).events == 1


def test_no_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        verify([tmp_path / "none"])
    with pytest.raises(InputError, match=r"manifest\.json: cannot read"):
        verify([tmp_path])


def test_folders_are_held_against_the_ledger(copy: Path) -> None:
    with Ledger(copy / "ledger.sqlite") as ledger:
        for batch in ("b1", "b2"):
            against_ledger(copy / batch, ledger)
        with ledger.writing("S") as writer:
            take_results(writer, [sample(0, patient="P03")], pada1(), "b1")
        with pytest.raises(InputError, match="the ledger has an event that is not here"):
            against_ledger(copy / "b1", ledger)
    with (
        Ledger(copy / "other.sqlite") as other,
        pytest.raises(InputError, match=f"{FIRST}: not an event of the ledger"),
    ):
        against_ledger(copy / "b1", other)
