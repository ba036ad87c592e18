from __future__ import annotations

import base64
import hashlib
import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from esr1call.errors import InputError
from esr1call.io.signing import Signer, Verifier, new_keys

CONTENT = b'{"a": 1}\n'


@pytest.fixture
def private(tmp_path: Path) -> Path:
    new_keys(tmp_path / "keys" / "lab.pem")
    return tmp_path / "keys" / "lab.pem"


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_new_key_is_its_owners_only(private: Path) -> None:
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert sorted(p.name for p in private.parent.iterdir()) == ["lab.pem", "lab.pub.pem"]


def test_keys_are_never_overwritten(private: Path) -> None:
    before = private.read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        new_keys(private)
    private.with_name("lab.pub.pem").unlink()
    with pytest.raises(InputError, match="never overwritten"):
        new_keys(private)
    assert private.read_bytes() == before
    assert not private.with_name("lab.pub.pem").exists()


def test_a_signature_is_a_detached_jws(private: Path) -> None:
    """Taken apart by hand, as RFC 7515 (appendix F), 7638 and 8037 say."""
    signature = Signer.load(private).sign(CONTENT).decode()
    assert signature.endswith("\n")
    header, payload, value = signature.strip().split(".")
    assert payload == ""
    key = load_pem_private_key(private.read_bytes(), None).public_key()
    x = base64.urlsafe_b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode().rstrip("=")
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(jwk.encode()).digest()).decode().rstrip("=")
    assert json.loads(decode(header)) == {"alg": "EdDSA", "kid": thumbprint}
    signed = f"{header}.{base64.urlsafe_b64encode(CONTENT).decode().rstrip('=')}"
    key.verify(decode(value), signed.encode())  # type: ignore[union-attr, call-arg]


def test_signing_again_gives_the_same_bytes(private: Path) -> None:
    assert Signer.load(private).sign(CONTENT) == Signer.load(private).sign(CONTENT)


def test_any_changed_byte_of_file_or_signature_is_found(private: Path) -> None:
    keys, signature = Verifier.load(private.with_name("lab.pub.pem")), Signer.load(private).sign(CONTENT)
    assert keys.problem(CONTENT, signature) is None
    for i in range(len(signature)):
        for flip in range(8):
            changed = bytearray(signature)
            changed[i] ^= 1 << flip
            assert keys.problem(CONTENT, bytes(changed)) is not None, (i, flip)
    for i in range(len(CONTENT)):
        changed = bytearray(CONTENT)
        changed[i] ^= 1
        assert keys.problem(bytes(changed), signature) == "the signature does not hold"
    assert keys.problem(CONTENT + b" ", signature) is not None
    assert keys.problem(CONTENT, signature[:-1]) == "not a detached JWS"


def test_another_key_is_told_of(private: Path, tmp_path: Path) -> None:
    public, _ = new_keys(tmp_path / "other.pem")
    signature = Signer.load(private).sign(CONTENT)
    assert Verifier.load(public).problem(CONTENT, signature) == "signed by none of the given keys"
    both = Verifier.load(public, private.with_name("lab.pub.pem"))
    assert both.problem(CONTENT, signature) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601])
def test_a_private_key_that_others_may_use_is_refused(private: Path, mode: int) -> None:
    private.chmod(mode)
    with pytest.raises(InputError, match=f"others may use the private key: found 'mode {mode:o}', expected mode 600"):
        Signer.load(private)


def _pem(key: object, encryption: object = None) -> bytes:
    given = (Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return key.private_bytes(*given)  # type: ignore[attr-defined, no-any-return]


def _mislabelled() -> bytes:
    """An Ed25519 key that says it is an X448 one, which is longer."""
    der = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    changed = der.replace(bytes.fromhex("06032b6570"), bytes.fromhex("06032b656f"))
    return b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(changed) + b"\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a private key"),
        (_mislabelled(), "not a private key"),
        (b"text", "not a private key"),
        (_pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"x")), "PEM without a password"),
        (_pem(generate_private_key(65537, 2048)), "expected Ed25519"),
    ],
)
def test_what_is_no_private_key_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InputError, match=message):
        Signer.load(path)


def test_missing_and_wrong_keys_are_one_line(private: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file.*esr1call keys new"):
        Signer.load(tmp_path / "none.pem")
    with pytest.raises(InputError, match="No such file"):
        Verifier.load(tmp_path / "none.pem")
    with pytest.raises(InputError, match="not a public key"):
        Verifier.load(private)
