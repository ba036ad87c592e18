"""`esr1call settings`: a batch's merged settings as a file that the steps of the whole batch read."""

from __future__ import annotations

import click


@click.command(name="settings")
@click.argument("text")
@click.option("--out", required=True, help="JSON to write.")
def command(text: str, out: str) -> None:
    """Check TEXT (a whole config, as JSON) and write it to --out, which serves as a config by itself."""
    import json

    from esr1call.errors import InputError
    from esr1call.io.batch import load_batch
    from esr1call.io.files import write_json

    try:
        given = json.loads(text)
    except ValueError as error:
        raise InputError(f"not JSON: {error}", field="TEXT") from error
    if not isinstance(given, dict):
        raise InputError("not a config", field="TEXT", found=type(given).__name__, expected="a JSON object")
    write_json(out, load_batch(None, given, check_files=False).settings)
