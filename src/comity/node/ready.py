"""Telling whoever started the daemon how that went: one line of JSON on a descriptor, once.

    {"ready": STATUS}                         registered
    {"ready": STATUS, "warning": FAILURE}     up, but the rendezvous can't be reached; it keeps trying
    {"error": FAILURE}                        not started, and it won't

FAILURE is as in the control API: code, message, hint, exit_status.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import msgspec

from comity.control import StatusResult
from comity.control.codec import to_plain
from comity.errors import ComityError
from comity.node.api.failures import failure


class ReadyLine:
    """``descriptor`` None: nobody waits to hear it."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        if descriptor is not None:
            os.set_inheritable(descriptor, False)

    def ready(self, status: StatusResult, warning: ComityError | None = None) -> None:
        """The node runs."""
        said: dict[str, Any] = {"ready": to_plain(status)}
        if warning is not None:
            said["warning"] = failure(warning)
        self._say(said)

    def failed(self, error: ComityError) -> None:
        """The node does not run. Nothing if it was ready before."""
        self._say({"error": failure(error)})

    def _say(self, said: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with contextlib.suppress(OSError):  # it went away
            os.write(descriptor, msgspec.json.encode(said) + b"\n")
        with contextlib.suppress(OSError):
            os.close(descriptor)
