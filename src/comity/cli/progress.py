"""A transfer as a person watches it: the name first, then a bar, or plain lines where nobody can watch.

It computes lines; ``output`` prints them. In JSON it stays silent.
"""

from __future__ import annotations

from collections.abc import Iterator

from comity.cli import wording
from comity.cli.output import Output
from comity.control import Progress, SendResult

_PLAIN_EVERY = 10.0  # seconds between two lines where output is not a terminal


class TransferDisplay:
    """One transfer; times come from the daemon's own count, so this needs no clock."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._named = False
        self._next_line = _PLAIN_EVERY

    def update(self, progress: Progress) -> None:
        """What the daemon tells, several times a second."""
        if self._output.json or progress.state == "connecting":
            return
        if not self._named:
            self._output.line(_heading(progress.name, progress.bytes))
            self._named = True
        fraction = progress.bytes_done / progress.bytes if progress.bytes else 1.0
        pace = wording.pace(progress.seconds, progress.mb_per_s)
        state = ", verifying" if progress.state == "verifying" else ""
        text = f"{int(100 * fraction):3d}% ({pace}{state})"
        if self._output.live:
            self._output.rewrite(f"Transfer: {self._output.bar(fraction)} {text}")
        elif progress.seconds >= self._next_line:
            self._next_line = progress.seconds + _PLAIN_EVERY
            self._output.line(f"Transfer: {text.strip()}")

    def finish(self, result: SendResult) -> Iterator[str]:
        """The lines that stay."""
        if not self._named:
            yield _heading(result.name, result.bytes)
        pace = wording.pace(result.seconds, result.mb_per_s)
        yield f"Transfer: {self._output.bar(1.0)} 100% ({pace})"
        yield "File delivered (encrypted, verified)"


def _heading(name: str, size: int) -> str:
    return f"Sending: {name} ({wording.size(size)})"
