"""`esr1call ledger`: look at a study's ledger, check it, and correct it by adding to it."""

from __future__ import annotations

from collections.abc import Callable

import click

from esr1call.cli import _options


@click.group(name="ledger")
def command() -> None:
    """Look at a study's ledger, check it, void or reinstate samples."""


@command.command()
@_options.ledger
def verify(ledger_path: str) -> None:
    """Check every entry's hash, each patient's chain, events and the database's guards; exits 2 where one is wrong."""
    from esr1call.io.audit import audit
    from esr1call.io.ledger import Ledger

    with Ledger(ledger_path, create=False) as ledger:
        found = audit(ledger)
    click.echo(f"ok: {found.entries} entries of {found.patients} patients, {found.events} events")


@command.command()
@_options.ledger
@_options.study
def show(ledger_path: str, study: str) -> None:
    """Each patient's state, last event, and the event that waits for release."""
    from esr1call.history import DECIDED, fold
    from esr1call.io.ledger import Ledger
    from esr1call.patient_history import overview

    with Ledger(ledger_path, create=False) as ledger, ledger.reading(study) as reader:
        states = [(p, fold(reader.entries(patient=p, kind=DECIDED))) for p in reader.patients()]
    click.echo(overview(states), nl=False)


@command.command()
@click.argument("patient")
@_options.ledger
@_options.study
@_options.rule
@click.option("--as-of", help="A day (YYYY-MM-DD; default: of the last draw).")
@click.option("--inclusion", help="Day 0 of the schedule (YYYY-MM-DD; default: of the first draw).")
def history(
    patient: str, ledger_path: str, study: str, rule_path: str, as_of: str | None, inclusion: str | None
) -> None:
    """Decision, planned draws (missing, out of window, unusable, next due), samples and entries of PATIENT."""
    import datetime

    from esr1call.errors import InputError
    from esr1call.io.ledger import Ledger
    from esr1call.io.rule_file import load_rule
    from esr1call.patient_history import history_text

    def day(text: str | None, option: str) -> datetime.date | None:
        try:
            return None if text is None else datetime.date.fromisoformat(text)
        except ValueError:
            raise InputError("no such day", field=option, found=text, expected="YYYY-MM-DD") from None

    days = day(as_of, "--as-of"), day(inclusion, "--inclusion")
    rule = load_rule(rule_path)
    with Ledger(ledger_path, create=False) as ledger, ledger.reading(study) as reader:
        entries = reader.entries(patient=patient)
    if not entries:
        raise InputError(f"no such patient in study {study}", field="PATIENT", found=patient)
    click.echo(history_text(study, patient, entries, rule, *days), nl=False)


_Command = Callable[..., None]


def _correction(function: _Command) -> _Command:
    """The argument and options of a command that corrects one sample."""
    patient = click.option("--patient", help="Whose it is; only where a sample was recorded for several patients.")
    reason = click.option("--reason", required=True, help="Why, in one line: it goes into the event (no names).")
    options = (_options.ledger, _options.study, _options.rule, _options.batch_out, _options.key)
    for option in reversed((click.argument("sample"), reason, _options.by, patient, *options)):
        function = option(function)
    return function


@command.command()
@_correction
def void(**given: str) -> None:
    """Leave SAMPLE (swapped, say) out of its patient's decisions; a trigger that rested on it is retracted.

    The results of the patient whose sample it really is come through `esr1call trigger`.
    """
    _correct("void", **given)


@command.command()
@_correction
def reinstate(**given: str) -> None:
    """Take a voided SAMPLE in again; what it raises has a new id."""
    _correct("reinstate", **given)


def _correct(
    action: str, sample: str, reason: str, by: str, patient: str | None, ledger_path: str, study: str, rule_path: str,
    folder: str | None, key_path: str | None,
) -> None:  # fmt: skip
    from esr1call.io import corrections
    from esr1call.io.decisions import news
    from esr1call.io.ledger import Ledger
    from esr1call.io.outbox import check_folder, folder_of, publish
    from esr1call.io.rule_file import load_rule
    from esr1call.io.signing import Signer

    rule = load_rule(rule_path)
    signer = None if key_path is None else Signer.load(key_path)
    change = corrections.void if action == "void" else corrections.reinstate
    with Ledger(ledger_path, create=False) as ledger:
        with ledger.writing(study) as writer:
            outcome, batch = change(writer, sample, by, reason, rule, patient)
            out = folder_of(writer, batch, folder)
            check_folder(writer, batch, out, signer)
        publish(ledger, study, batch, out, signer)
    click.echo(news(outcome))
