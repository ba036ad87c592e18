"""What a trial system does with a folder of events, with nothing but the public key.

    pip install cryptography jsonschema rfc8785
    python consumer_example.py public.pem FOLDER...

Prints each patient's live trigger, or stops at the first thing that is wrong. Give a study's folders in one go: a
patient's chain of events runs through all her batches.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

import jsonschema
import rfc8785
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def check(holds, problem):
    """Stop where something is wrong."""
    if not holds:
        sys.exit(problem)


def encode(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def check_signature(key, path):
    """Detached JWS: `<header>..<signature>`, over `<header>.<the file in base64url>`."""
    header, _, text = Path(f"{path}.jws").read_text().strip().partition("..")
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": encode(key.public_bytes_raw())}
    kid = encode(hashlib.sha256(rfc8785.dumps(jwk)).digest())
    check(header == encode(rfc8785.dumps({"alg": "EdDSA", "kid": kid})), f"{path}: signed by another key")
    signature = base64.urlsafe_b64decode(text + "==")
    check(encode(signature) == text, f"{path}.jws: changed")
    key.verify(signature, f"{header}.{encode(path.read_bytes())}".encode())  # raises InvalidSignature


def events_of(key, folder):
    """The events of a batch, each whole, signed and of the schema that lies beside it."""
    check_signature(key, folder / "manifest.json")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for item in manifest["events"] + manifest["files"]:
        path = folder / item["file"]
        check(path.parent == folder, f"{path}: not in the folder")
        check(hashlib.sha256(path.read_bytes()).hexdigest() == item["sha256"], f"{path}: changed")
    schema = json.loads((folder / "event.schema.json").read_bytes())
    for item in manifest["events"]:
        path = folder / item["file"]
        check_signature(key, path)
        event = json.loads(path.read_bytes())
        jsonschema.validate(event, schema)
        said = {k: event[k] for k in ("source", "type", "subject", "data")}
        check(event["id"] == hashlib.sha256(rfc8785.dumps(said)).hexdigest(), f"{path}: id")
        yield path, event


def main(key_file, *folders):
    """Check everything, then print what is live."""
    key = load_pem_public_key(Path(key_file).read_bytes())
    patients = {}
    for folder in folders:
        for path, event in events_of(key, Path(folder)):
            patients.setdefault((event["source"], event["subject"]), {})[int(event["sequence"])] = path, event
    for (_, patient), chain in sorted(patients.items()):
        last, live = (None, None), None
        for number in range(1, max(chain) + 1):
            check(number in chain, f"{patient}: event {number} has not arrived: wait for it")
            path, event = chain[number]
            before = event.get("previousid"), event.get("previoussha256")
            check(before == last, f"{path}: not after the one before")
            last = event["id"], hashlib.sha256(path.read_bytes()).hexdigest()
            kind = event["type"].split(".")[-2]
            live = event if kind in ("raised", "amended") else None
        if live is not None:
            drivers = ", ".join(f"{d['variant']} {d['category']}" for d in live["data"]["drivers"])
            print(f"{patient}\t{live['data']['state']}\t{drivers}\t{live['id']}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
