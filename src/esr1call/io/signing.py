"""Detached signatures of files: JWS (RFC 7515, appendix F) with Ed25519 (RFC 8037), in a file of its own beside each.

A signature is ``<header>..<signature>`` in base64url; what is signed is the file's bytes. The header names the key by
its thumbprint (RFC 7638). Ed25519 is deterministic, so signing again gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from esr1call.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SUFFIX = ".jws"
_NEW = "make a key by 'esr1call keys new'"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    """Strict base64url: one spelling for each value, so that no changed character goes unseen."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _encode(data) != text:
        raise ValueError("not base64url")
    return data


def thumbprint(key: Ed25519PublicKey) -> str:
    """RFC 7638 thumbprint of a public key."""
    jwk = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": _encode(key.public_bytes_raw())}, separators=(",", ":"))
    return _encode(hashlib.sha256(jwk.encode()).digest())


def _header(key: Ed25519PublicKey) -> str:
    return _encode(json.dumps({"alg": "EdDSA", "kid": thumbprint(key)}, separators=(",", ":")).encode())


class Signer:
    """Holds a private key and signs with it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._header = _header(key.public_key())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """From a PEM file that only its owner may read; InputError otherwise."""
        from cryptography.exceptions import InternalError, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            with Path(path).open("rb") as handle:
                mode = os.fstat(handle.fileno()).st_mode
                content = handle.read()
        except OSError as error:
            raise InputError(f"cannot read: {error.strerror}", file=path, hint=_NEW) from error
        if mode & 0o077:
            raise InputError(
                "others may use the private key", file=path, found=f"mode {mode & 0o777:o}", expected="mode 600",
                hint="chmod 600 it, and make a new key if others may have read it",
            )  # fmt: skip
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
            raise InputError("not a private key", file=path, expected="PEM without a password", hint=_NEW) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError("another kind of key", file=path, expected="Ed25519", hint=_NEW)
        return cls(key)

    def sign(self, content: bytes) -> bytes:
        """The detached signature of a file's bytes."""
        signature = self._key.sign(f"{self._header}.{_encode(content)}".encode())
        return f"{self._header}..{_encode(signature)}\n".encode()


class Verifier:
    """Knows public keys and checks signatures with them."""

    def __init__(self, keys: list[Ed25519PublicKey]) -> None:
        self._keys = {_header(key): key for key in keys}

    @classmethod
    def load(cls, *paths: str | Path) -> Self:
        """From PEM files of public keys."""
        from cryptography.exceptions import InternalError, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        keys = []
        for path in paths:
            try:
                key = load_pem_public_key(Path(path).read_bytes())
            except OSError as error:
                raise InputError(f"cannot read: {error.strerror}", file=path) from error
            except (ValueError, UnsupportedAlgorithm, InternalError) as error:
                raise InputError("not a public key", file=path, expected="an Ed25519 public key as PEM") from error
            if not isinstance(key, Ed25519PublicKey):
                raise InputError("another kind of key", file=path, expected="an Ed25519 public key as PEM")
            keys.append(key)
        return cls(keys)

    def problem(self, content: bytes, signature: bytes) -> str | None:
        """What is wrong with the signature of a file's bytes, None where it holds."""
        from cryptography.exceptions import InvalidSignature

        parts = signature.decode("latin-1").split(".")
        if len(parts) != 3 or parts[1] or not parts[2].endswith("\n"):
            return "not a detached JWS"
        key = self._keys.get(parts[0])
        if key is None:
            return "signed by none of the given keys"
        try:
            key.verify(_decode(parts[2][:-1]), f"{parts[0]}.{_encode(content)}".encode())
        except (InvalidSignature, ValueError):
            return "the signature does not hold"
        return None


def new_keys(path: str | Path) -> tuple[Path, str]:
    """Make a key pair: the private key at `path` (mode 600), the public one beside it; returns its path and thumbprint.

    Nothing is overwritten.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    private, key = Path(path), Ed25519PrivateKey.generate()
    public = private.with_name(private.stem + ".pub" + (private.suffix or ".pem"))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    shown = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made: list[Path] = []
    for target, content, mode in ((public, shown, 0o644), (private, secret, 0o600)):
        try:
            if private.exists():
                raise FileExistsError
            target.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(target)
            with os.fdopen(handle, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        except FileExistsError as error:
            raise InputError("is there already, and keys are never overwritten", file=target) from error
        except OSError as error:
            for path in made:  # half a pair would be in the way of the next one
                path.unlink()
            raise InputError(f"cannot write: {error.strerror}", file=target) from error
    return public, thumbprint(key.public_key())
