"""How the demo fails: something did not hold, a command did not do what it should, or a package is
missing.
"""

from __future__ import annotations

from pathlib import Path

from comity.errors import ComityError


class MissingExtra(ComityError):
    """A package that only the demo needs is not installed."""

    code = "missing_extra"
    exit_status = 81
    default_hint = "run pip install 'comity[demo]'"


class DemoFailed(ComityError):
    """Something that the demo shows did not hold.

    ``check`` names it, ``why`` is what was seen, ``printed`` what the last command said, ``folder`` what was
    kept.
    """

    code = "demo_failed"
    exit_status = 80
    default_hint = "read what was printed; the folder that was kept holds both homes and their logs"

    def __init__(self, check: str, why: str, printed: str = "") -> None:
        super().__init__(f"{check}: {why}")
        self.check = check
        self.why = why
        self.printed = printed
        self.folder: Path | None = None


class Stopped(BaseException):
    """The demo was told to end, by Ctrl-C or a signal; nothing but the clean-up may catch it."""
