"""`esr1call provenance`: write versions, config and input checksums of a run."""

from __future__ import annotations

import click


@click.command(name="provenance")
@click.option("--config", "config_path", required=True, help="The run's config.")
@click.option("--out", required=True, help="JSON to write; checksums it already holds of unchanged files are kept.")
def command(config_path: str, out: str) -> None:
    """Write what a run rests on: versions, the merged config, size and SHA-256 of every input."""
    import datetime
    from pathlib import Path

    from esr1call.errors import InputError
    from esr1call.io.batch import load_batch
    from esr1call.io.files import read_json, write_json
    from esr1call.provenance import checksums, input_files, record

    batch = load_batch(config_path)
    started = datetime.datetime.now(datetime.UTC)
    before = read_json(out) if Path(out).exists() else {"inputs": {}}
    known = before.get("inputs") if isinstance(before, dict) else None
    if not isinstance(known, dict) or not all(isinstance(values, dict) for values in known.values()):
        raise InputError(
            "not a provenance file", file=out, expected="what `esr1call provenance` wrote", hint="move it away"
        )
    write_json(out, record(batch, checksums(input_files(batch), known), started))
