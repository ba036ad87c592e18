"""`esr1call summary`: what a batch found, and where its reads were lost."""

from __future__ import annotations

import click


@click.command(name="summary")
@click.argument("folder")
@click.option("--out", help="Text file to write in place of standard output.")
@click.option("--reads", help="TSV to write: where each sample's reads were lost, step by step.")
@click.option("--rows", type=click.IntRange(1), help="Show no more rows: those that tell most.  [default: all]")
def command(folder: str, out: str | None, reads: str | None, rows: int | None) -> None:
    """Print the table of a batch's results in FOLDER: variants, molecules, VAF, copies/mL, status, events."""
    from pathlib import Path

    from esr1call.io.batch import load_batch
    from esr1call.io.decisions import read_result
    from esr1call.io.files import atomic_open, read_json
    from esr1call.io.schema import validate
    from esr1call.io.step_files import read_align_summary, read_counts_summary, read_events
    from esr1call.report.text import reads_table, summary, tally

    batch = load_batch(Path(folder, "config.json"), check_files=False)
    places = {s.sample: Path(folder, "samples", s.sample) for s in batch.samples}
    results = [read_result(place / "result.json") for place in places.values()]
    events = read_events(Path(folder, "triggers"))
    quality = read_json(Path(folder, "qc.json"))
    validate(quality, "qc", file=Path(folder, "qc.json"))
    checks = quality["checks"]
    text = f"batch {batch.config.batch} of study {batch.config.study}, results in {folder}\n"
    text += tally(results, events, checks) + "\n\n" + summary(results, events, checks, rows)
    if reads:
        needs = ("windows", "reads_scanned", "reads"), ("molecules", "undecided")
        steps = [
            (name, read_align_summary(p / "align.json"), read_counts_summary(p / "counts.json", *needs))
            for name, p in places.items()
        ]
        with atomic_open(reads) as table:
            table.write(reads_table(steps))
    if out is None:
        click.echo(text, nl=False)
    else:
        with atomic_open(out) as file:
            file.write(text)
