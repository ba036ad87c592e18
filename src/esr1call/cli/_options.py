"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

ledger = click.option("--ledger", "ledger_path", required=True, help="The study's ledger: a file, or a SQLAlchemy URL.")
study = click.option("--study", required=True, help="The study's identifier.")
rule = click.option("--rule", "rule_path", required=True, help="Trigger rule YAML.")
out = click.option("--out", "folder", required=True, help="Folder for the batch's event files.")
batch_out = click.option(
    "--out", "folder", help="Folder of the batch's events, if they are no longer where they were published."
)
key = click.option("--key", "key_path", help="Private key to sign events with (made by `esr1call keys new`).")
inputs = click.option(
    "--inputs", "inputs_path", help="JSON with the run's input files as they were at its start; none may have changed."
)
by = click.option("--by", required=True, help="Your staff ID (no name): it goes into the ledger and the event.")

F = TypeVar("F", bound=Callable[..., object])


def several(*options: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator that adds options in this order."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add
