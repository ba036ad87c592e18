"""The one exception family: bad input becomes one clear line and exit code 2."""

from __future__ import annotations

from pathlib import Path


def one_line(text: str) -> str:
    """`text` with line breaks, control characters and other unprintable ones shown escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _short(text: str, most: int = 120) -> str:
    """A hostile value or key may be of any length."""
    return text if len(text) <= most else text[: most - 3] + "..."


class Esr1callError(Exception):
    """Base of every error that a user can mend."""


class InputError(Esr1callError):
    """Something in the user's input is wrong.

    The message is one line that names the file, the line or field, what was found, what was expected and
    what to do. Line breaks in any part (a hostile sample name, say) are shown escaped.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        field: str | None = None,
        found: object = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        place = [] if file is None else [str(file) if len(str(file)) <= 1000 else f"...{str(file)[-997:]}"]
        if line is not None:
            place.append(f"line {line}")
        if field is not None:
            place.append(f"field '{_short(field)}'")
        text = (", ".join(place) + ": " if place else "") + _short(problem, 400)
        details = []
        if found is not None:
            details.append(f"found '{_short(str(found))}'")
        if expected is not None:
            details.append(f"expected {_short(expected, 600)}")
        if details:
            text += ": " + ", ".join(details)
        if hint is not None:
            text += f"; {_short(hint, 400)}"
        super().__init__(one_line(text))
        self.file = None if file is None else str(file)
        self.field = field
        self.problem = problem
