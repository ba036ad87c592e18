"""`esr1call release`: let out an event that waits for sign-off."""

from __future__ import annotations

import click

from esr1call.cli import _options


@click.command(name="release")
@click.argument("event")
@_options.by
@click.option("--meaning", required=True, help="What you mean by it, such as 'reviewed and approved'.")
@_options.ledger
@_options.study
@_options.batch_out
@_options.key
def command(
    event: str, by: str, meaning: str, ledger_path: str, study: str, folder: str | None, key_path: str | None
) -> None:
    """Publish EVENT (an id that `esr1call ledger show` lists as waiting) with your ID and what you mean by it."""
    from esr1call.io.corrections import release
    from esr1call.io.ledger import Ledger
    from esr1call.io.outbox import check_folder, folder_of, publish
    from esr1call.io.signing import Signer
    from esr1call.trigger import file_name

    signer = None if key_path is None else Signer.load(key_path)
    with Ledger(ledger_path, create=False) as ledger:
        with ledger.writing(study) as writer:
            issued, batch = release(writer, event, by, meaning)
            out = folder_of(writer, batch, folder)
            check_folder(writer, batch, out, signer)
        publish(ledger, study, batch, out, signer)
    click.echo(f"released: {file_name(issued.event)}")
