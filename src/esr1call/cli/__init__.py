"""The `esr1call` command: parses, calls one step, reports. One module per subcommand, imported when it is used."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module

import click

from esr1call import __version__
from esr1call.errors import Esr1callError, InputError, one_line

# Subcommand -> (module, attribute, one-line help); the module is imported only when the subcommand runs.
COMMANDS = {
    "align": ("esr1call.cli.align", "Align one sample's FASTQ (or take its BAM) to a sorted, indexed BAM."),
    "background": ("esr1call.cli.background", "Fit, show or compare background models from blanks."),
    "bases": ("esr1call.cli.bases", "Count bases per column and strand in a BAM, before molecules."),
    "batch": ("esr1call.cli.batch", "Check config, sample sheet, panel and files before a run."),
    "call": ("esr1call.cli.call", "Call the samples of a batch from their counts."),
    "count": ("esr1call.cli.count", "Count molecules per haplotype in a BAM."),
    "earlier": ("esr1call.cli.earlier", "Write the earlier results of a batch's patients, from the ledger."),
    "export": ("esr1call.cli.export", "Write a batch's results as VCF, tables, FHIR, SDTM and MultiQC files."),
    "index": ("esr1call.cli.index", "Make the aligner's index of a reference."),
    "keys": ("esr1call.cli.keys", "Make a key pair to sign events with."),
    "ledger": ("esr1call.cli.ledger", "Check or show the ledger; a patient's history; void or reinstate a sample."),
    "panel": ("esr1call.cli.panel", "Check a panel against a reference and list its alleles."),
    "provenance": ("esr1call.cli.provenance", "Write versions, config and input checksums of a run."),
    "qc": ("esr1call.cli.qc", "Judge a batch's quality again, and say why in words."),
    "release": ("esr1call.cli.release", "Publish an event that waits for sign-off."),
    "report": ("esr1call.cli.report", "Write a batch's HTML report, and one page for each sample."),
    "sample": ("esr1call.cli.sample", "Align one sample's reads and count its molecules."),
    "screen": ("esr1call.cli.screen", "Write the pairs that could come from the panel, for another aligner."),
    "simulate": ("esr1call.cli.simulate", "Simulate cfDNA sequencing with known truth."),
    "summary": ("esr1call.cli.summary", "Print what a batch found."),
    "trigger": ("esr1call.cli.trigger", "Decide each patient and publish trigger events."),
    "verify": ("esr1call.cli.verify", "Check published events the way a consumer would."),
}


class _LazyGroup(click.Group):
    """A group whose subcommands are imported on use, so that each process pays only for its own imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = import_module(COMMANDS[name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


_OF_THE_PLACE = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP}
"""What the system says of a path that was given, wherever it is met first: no bug."""


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="esr1call")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Plasma sequencing to ESR1 calls and trial trigger events, molecule by molecule."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits 0, or 2 for bad input (one line on stderr), or 1 for a bug."""
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    given = sys.argv[1:] if arguments is None else arguments
    code = run(given)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # it may have been closed from outside
                stream.flush()
        except OSError:
            # What could not be written would be tried again when Python ends, which then exits with 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            code = code or 2
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line in this process and return its exit code (see `main`); --debug adds the traceback."""
    debug = "--debug" in arguments
    try:
        result = cli.main(args=list(arguments), prog_name="esr1call", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        _tell(error.format_message())
        return 2
    except click.ClickException as error:
        message = error.format_message()
    except Esr1callError as error:
        if debug:
            traceback.print_exc()
        message = str(error)
    except (click.Abort, KeyboardInterrupt):
        _tell("esr1call: interrupted")
        return 130
    except OSError as error:
        if debug:
            traceback.print_exc()
        if error.errno == errno.ENOSPC:
            message = f"cannot write: {error.strerror}"  # what is not written to a file: that would be named
        elif error.errno in _OF_THE_PLACE and error.filename is not None:
            message = str(InputError(f"cannot be used: {error.strerror}", file=os.fspath(error.filename)))
        else:
            return _bug(error)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _bug(error)
    _tell(f"esr1call: error: {one_line(message)}")
    return 2


def _bug(error: Exception) -> int:
    told = one_line(f"{type(error).__name__}: {error}")
    _tell(f"esr1call: internal error: {told}; please report it with --debug")
    return 1


def _tell(message: str) -> None:
    """Write to stderr, where it can be: a log may lie on the very disk that is full, and the exit code still tells."""
    with suppress(OSError):
        click.echo(message, err=True)
