"""Transfers as a person watches them: the name first, then a bar, or plain lines where nobody can watch.

It computes lines; ``output`` prints them. In JSON, ``send-file`` stays silent until its result.
"""

from __future__ import annotations

from collections.abc import Iterator

from comity.cli import wording
from comity.cli.output import Output
from comity.control import Progress, SendResult

_MOVING = ("sending", "receiving")
_ENDED = ("done", "failed", "interrupted", "cancelled")
_PLAIN_EVERY = 10.0  # seconds between two lines where output is not a terminal


class TransferDisplay:
    """One transfer; times come from the daemon's own count, so this needs no clock."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._named = False
        self._next_line = _PLAIN_EVERY
        self._skipped = 0

    def update(self, progress: Progress) -> None:
        """What the daemon tells, several times a second."""
        self._skipped = progress.bytes_skipped
        if self._output.json or progress.state == "connecting":
            return
        if not self._named:
            self._output.line(_heading(progress.name, progress.bytes))
            self._named = True
        fraction = progress.bytes_done / progress.bytes if progress.bytes else 1.0
        text = f"{int(100 * fraction):3d}% ({_pace(progress)})"
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
        if self._skipped:
            yield f"Skipped: {wording.size(self._skipped)} that {result.to} had already"
        yield "File delivered (encrypted, verified)"


class WatchDisplay:
    """All transfers of a node, as they run: a line that is written over, and one that stays for each end."""

    def __init__(self, output: Output) -> None:
        self._output = output
        output.rewrite("Nothing is on its way yet.")
        self._running: dict[str, Progress] = {}
        self._said: dict[str, float] = {}

    def update(self, progress: Progress) -> None:
        """One transfer's news."""
        if self._output.json:
            self._output.event(progress)
            return
        key = progress.direction + progress.transfer
        if progress.state in _ENDED:
            self._running.pop(key, None)
            self._said.pop(key, None)
            self._output.line(f"{_way(progress)}: {progress.state}")
        else:
            self._running[key] = progress
        if self._output.live:
            self._output.rewrite("; ".join(map(_brief, self._running.values())))
        elif key in self._running and progress.seconds >= self._said.get(key, 0.0):
            self._said[key] = progress.seconds + _PLAIN_EVERY
            self._output.line(_brief(progress))


def _brief(progress: Progress) -> str:
    fraction = progress.bytes_done / progress.bytes if progress.bytes else 1.0
    return f"{_way(progress)}: {int(100 * fraction)}% ({_pace(progress)})"


def _way(progress: Progress) -> str:
    return f"{progress.name} {'to' if progress.direction == 'out' else 'from'} {progress.peer}"


def _pace(progress: Progress) -> str:
    """``1.2s, 33.8 MB/s, 3s left, direct``; how a state is called that is not the usual one."""
    words = [wording.pace(progress.seconds, progress.mb_per_s)]
    if progress.remaining is not None and progress.state in _MOVING:
        words.append(f"{wording.span(progress.remaining)} left")
    if progress.state not in _MOVING:
        words.append(progress.state)
    if progress.path is not None:
        words.append(progress.path)
    return ", ".join(words)


def _heading(name: str, size: int) -> str:
    return f"Sending: {name} ({wording.size(size)})"
