from __future__ import annotations

import io
import logging
from typing import Any

import pytest

from esr1call.io.progress import STREAM_HANDLER, Progress


class Screen(io.StringIO):
    """A stream that is, or is not, a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Run:
    """A logger as Snakemake sets it up, with our progress on it."""

    def __init__(self, samples: int, terminal: bool = False, hidden: str = "") -> None:
        self.screen = Screen(terminal)
        self.logger = logging.Logger("run")
        handler = logging.StreamHandler(self.screen)
        handler.name = STREAM_HANDLER
        handler.addFilter(lambda record: record.__dict__.get("event") != hidden)
        self.logger.addHandler(handler)
        assert Progress(samples, "sample").attach(self.logger)

    def say(self, text: str | None, **extra: Any) -> None:
        self.logger.info(text, extra=extra)

    def job(self, rule: str, done: int, total: int) -> None:
        self.say("Select jobs to execute...")
        self.say("Execute 1 jobs...", event="job_started")
        self.say(f"Finished jobid: 3 (Rule: {rule})", event="job_finished")
        self.say(None, event="progress", done=done, total=total)


def test_one_line_a_job_and_samples_of_an_earlier_run_are_done() -> None:
    run = Run(samples=5)
    run.say("Job stats:", event="run_info", stats={"sample": 2, "call": 1, "total": 3})
    run.job("sample", 1, 3)
    run.job("sample", 2, 3)
    run.say("Error in rule call", event="job_error")
    run.job("call", 3, 3)
    assert run.screen.getvalue().splitlines() == [
        "Job stats:",
        "1 of 3 jobs (33%), 4 of 5 samples, 0:00",
        "2 of 3 jobs (66%), 5 of 5 samples, 0:00",
        "Error in rule call",
        "3 of 3 jobs (100%), 5 of 5 samples, 0:00",
    ]


def test_a_long_run_writes_no_more_than_a_line_a_percent() -> None:
    run = Run(samples=1000)
    run.say("Job stats:", event="run_info", stats={"sample": 1000})
    for done in range(1, 1001):
        run.job("sample", done, 1000)
    lines = run.screen.getvalue().splitlines()[1:]
    assert len(lines) == 101
    assert lines[-1].startswith("1000 of 1000 jobs (100%), 1000 of 1000 samples")


def test_a_terminal_has_one_line_that_makes_room_for_what_else_is_said() -> None:
    run = Run(samples=2, terminal=True)
    run.say("Job stats:", event="run_info", stats={"sample": 2})
    run.job("sample", 1, 2)
    run.say("trouble")
    run.job("sample", 2, 2)
    assert run.screen.getvalue() == (
        "Job stats:\n\r1 of 2 jobs (50%), 1 of 2 samples, 0:00\x1b[K\r\x1b[Ktrouble\n"
        "\r2 of 2 jobs (100%), 2 of 2 samples, 0:00\x1b[K\n"
    )


def test_the_time_is_that_of_the_records() -> None:
    run = Run(samples=1)
    for seconds, extra in (
        (0, {"event": "run_info", "stats": {}}),
        (754, {"event": "progress", "done": 1, "total": 1}),
    ):
        record = run.logger.makeRecord("run", logging.INFO, "", 0, "said", (), None, extra=extra)
        record.created = 1e9 + seconds
        run.logger.handle(record)
    assert run.screen.getvalue() == "said\n1 of 1 jobs (100%), 1 of 1 samples, 12:34\n"


def test_what_snakemake_was_told_not_to_show_is_not_shown() -> None:
    run = Run(samples=1, hidden="progress")
    run.job("sample", 1, 1)
    assert run.screen.getvalue() == ""


@pytest.mark.parametrize("name", ["", "other"])
def test_another_way_of_logging_is_left_alone(name: str) -> None:
    logger = logging.Logger("run")
    handler = logging.StreamHandler(Screen(False))
    handler.name = name
    logger.addHandler(handler)
    assert not Progress(1, "sample").attach(logger)
    assert handler.filters == []
