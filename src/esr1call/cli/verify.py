"""`esr1call verify`: check published events the way a consumer would."""

from __future__ import annotations

import click


@click.command(name="verify")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.option("--key", "key_paths", multiple=True, help="Public key; every event and manifest must be signed by one.")
@click.option("--unsigned", is_flag=True, help="Leave signatures unchecked.")
@click.option("--part", is_flag=True, help="The FOLDERs are only part of a study's: earlier events may be elsewhere.")
@click.option("--ledger", "ledger_path", help="Also check that the folders hold just what this ledger says.")
def command(
    folders: tuple[str, ...], key_paths: tuple[str, ...], unsigned: bool, part: bool, ledger_path: str | None
) -> None:
    """Check schema, hashes, signatures and each patient's chain of events in all of a study's FOLDERs.

    A FOLDER may hold the folders of several batches. Names the first thing that is wrong and exits 2.
    """
    from esr1call.io.ledger import Ledger
    from esr1call.io.signing import Verifier
    from esr1call.io.verify import against_ledger, folders_of, verify

    if key_paths and unsigned:
        raise click.UsageError("--key and --unsigned exclude each other")
    places = folders_of(folders)
    found = verify(places, Verifier.load(*key_paths) if key_paths else None, unsigned=unsigned, part=part)
    if ledger_path is not None:
        with Ledger(ledger_path, create=False) as ledger:
            for place in places:
                against_ledger(place, ledger)
    signed = f"{found.signatures} signatures" if key_paths else "signatures not checked"
    told = f"ok: {found.events} events in {found.folders} folders, {signed}, {len(found.live)} live triggers"
    elsewhere = f"; {found.missing} events that these are chained to are not here" if found.missing else ""
    click.echo(told + elsewhere)
