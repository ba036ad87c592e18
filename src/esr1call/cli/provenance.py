"""`esr1call provenance`: write versions, config and input checksums of a run."""

from __future__ import annotations

import click

from esr1call.cli import _options


@click.command(name="provenance")
@click.option("--config", "config_path", required=True, help="The run's config.")
@click.option("--out", required=True, help="JSON to write; checksums it already holds of unchanged files are kept.")
@_options.inputs
def command(config_path: str, out: str, inputs_path: str | None) -> None:
    """Write what a run rests on: versions, the merged config, size and SHA-256 of every input."""
    import datetime
    from pathlib import Path

    from esr1call.errors import InputError
    from esr1call.io.batch import load_batch
    from esr1call.io.files import read_json, write_json
    from esr1call.io.inputs import check_since_start
    from esr1call.provenance import checksums, input_files, record

    batch = load_batch(config_path)
    started = datetime.datetime.now(datetime.UTC)
    before = read_json(out) if Path(out).exists() else {"inputs": {}}
    known = before.get("inputs") if isinstance(before, dict) else None
    if not isinstance(known, dict) or not all(isinstance(values, dict) for values in known.values()):
        raise InputError(
            "not a provenance file", file=out, expected="what `esr1call provenance` wrote", hint="move it away"
        )
    inputs = checksums(input_files(batch), known)
    if inputs_path is not None:
        check_since_start(inputs_path)
    write_json(out, record(batch, inputs, started))
