"""What a user sees while the workflow runs: one line that says how many jobs and samples are done.

Snakemake tells of each job in five lines. Its log records are read here as its logger sends them (an `event` by name,
with `stats`, `done` and `total`); whatever else it says, errors above all, is shown as it is.
"""

from __future__ import annotations

import logging
import re
from typing import TextIO

STREAM_HANDLER = "DefaultStreamHandler"
"""Name of the handler by which Snakemake writes to the terminal."""
_REPLACED = {"job_started", "job_finished", "progress", "resources_info"}
_CHATTER = {"Select jobs to execute...", "Building DAG of jobs...", "Conda environments: ignored"}
_FINISHED = re.compile(r"\(Rule: (\w+)\)")


class Progress(logging.Filter):
    """Writes the line: over itself on a terminal, elsewhere a new one whenever another percent is done."""

    def __init__(self, samples: int, rule: str) -> None:
        """`samples` in the batch, and the name of the rule of which each has one job."""
        super().__init__()
        self._samples, self._rule = samples, rule
        self._ready = samples  # until Snakemake tells how many have to run
        self._began: float | None = None
        self._percent, self._open = -1, False
        self._stream: TextIO

    def attach(self, logger: logging.Logger) -> bool:
        """Take the place of Snakemake's own lines on `logger`; False where it does not write to a stream."""
        for handler in logger.handlers:
            if handler.name == STREAM_HANDLER and isinstance(handler, logging.StreamHandler):
                self._stream = handler.stream
                handler.addFilter(self)  # after Snakemake's own, which drops what it was told not to show
                return True
        return False

    def filter(self, record: logging.LogRecord) -> bool:
        """Take note of what is done, write the line, and return whether Snakemake is to show the record itself."""
        event = _event(record)
        if event == "run_info":
            self._began = record.created
            self._ready = self._samples - record.__dict__["stats"].get(self._rule, 0)
        elif event == "job_finished":
            found = _FINISHED.search(record.getMessage())
            self._ready += found is not None and found[1] == self._rule
        elif event == "progress":
            self._write(record)
        if event in _REPLACED or record.msg in _CHATTER:
            return False
        if self._open:  # the line on the terminal makes room
            self._stream.write("\r\x1b[K")
            self._open = False
        return True

    def _write(self, record: logging.LogRecord) -> None:
        done, total = record.__dict__["done"], record.__dict__["total"]
        percent = 100 * done // total
        line = f"{done} of {total} jobs ({percent}%), {self._ready} of {self._samples} samples"
        if self._began is not None:
            minutes, seconds = divmod(int(record.created - self._began), 60)
            line += f", {minutes}:{seconds:02d}"
        if self._stream.isatty():
            self._open = done < total
            self._stream.write(f"\r{line}\x1b[K" + ("" if self._open else "\n"))
        elif percent > self._percent:
            self._stream.write(f"{line}\n")
        self._percent = percent
        self._stream.flush()


def _event(record: logging.LogRecord) -> str | None:
    event = record.__dict__.get("event")
    return None if event is None else str(getattr(event, "value", event))
