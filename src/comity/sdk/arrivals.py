"""Which received files are new: what the daemon lists, less what was seen before. No IO."""

from __future__ import annotations

from collections.abc import Iterator

from comity.control import ReceivedFile, ReceivedRequest, ReceivedResult


class Arrivals:
    """``first``: what is there to begin with; ``past``: whether that counts as new."""

    def __init__(self, peer: str | None, first: ReceivedResult, past: bool) -> None:
        self._peer = peer
        self._seen: set[str] = set()
        self._new: list[ReceivedFile] = []
        self.take(first)
        if not past:
            self._new.clear()

    def take(self, result: ReceivedResult) -> None:
        """Another list from the daemon."""
        self._arrivals = result.arrivals
        self._new += [file for file in reversed(result.files) if file.path not in self._seen]
        self._seen = {file.path for file in result.files}

    def new(self) -> Iterator[ReceivedFile]:
        """What was not given out yet, the oldest first."""
        while self._new:
            yield self._new.pop(0)

    def next(self, timeout: float) -> ReceivedRequest:
        """What to ask, in order to hear of more within ``timeout`` seconds."""
        return ReceivedRequest(peer=self._peer, timeout=timeout, arrivals=self._arrivals)
