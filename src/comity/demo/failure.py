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

    ``check`` names it, ``why`` is what was seen, ``printed`` is what the last command said, ``folder`` what
    was kept.
    """

    code = "demo_failed"
    exit_status = 80
    default_hint = "read what was printed; the folder that was kept holds both homes and their logs"

    check: str = ""
    why: str = ""
    printed: str = ""
    folder: Path | None = None

    @classmethod
    def of(cls, check: str, why: str, printed: str = "") -> DemoFailed:
        """``check`` names what did not hold, ``why`` is what was seen."""
        failed = cls(f"{check}: {why}")
        failed.check, failed.why, failed.printed = check, why, printed
        return failed


class Stopped(BaseException):
    """The demo was told to end, by Ctrl-C or a signal; nothing but the clean-up may catch it."""
