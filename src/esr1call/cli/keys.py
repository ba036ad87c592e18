"""`esr1call keys`: keys to sign events with."""

from __future__ import annotations

import click


@click.group(name="keys")
def command() -> None:
    """Keys to sign events with."""


@command.command()
@click.argument("path")
def new(path: str) -> None:
    """Make an Ed25519 key pair: the private key at PATH, and beside it the public key to give to consumers."""
    from esr1call.io.signing import new_keys

    public, thumbprint = new_keys(path)
    click.echo(f"private key {path}: keep it here and secret\npublic key {public}: give it to consumers ({thumbprint})")
