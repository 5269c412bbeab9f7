"""Open files for the daemon: a client hands one over a Unix socket, then names it in a request.

So a client sends what it may read itself, and the daemon never opens a path that it was given (SECURITY.md
rule 15). On the wire: the client sends a token of 32 hexadecimal digits with one descriptor (SCM_RIGHTS), and
the daemon answers ``OK`` and a line feed once it holds the file. What nobody asks for within
``limits.HANDOFF_SECONDS`` is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket

from comity import limits
from comity.errors import InvalidInput
from comity.storage.sockets import same_user

log = logging.getLogger("comity.node")

_TOKEN = re.compile(rb"[0-9a-f]{32}")
_HELD = b"OK\n"
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # not on macOS


class Handoff:
    """``sock`` listens. Between ``start`` and ``close``, on one event loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._files: dict[str, tuple[int, asyncio.TimerHandle]] = {}
        self._callers: dict[socket.socket, asyncio.TimerHandle] = {}

    def start(self) -> None:
        """Accept from now on."""
        self._sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Accept no more, and close what was not asked for."""
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()
        for caller in list(self._callers):
            self._end(caller)
        for token in list(self._files):
            os.close(self.take(token))

    def take(self, token: str) -> int:
        """The descriptor that was handed over under ``token``, the caller's from now on; InvalidInput."""
        held = self._files.pop(token, None)
        if held is None:
            raise InvalidInput(
                "no open file was handed over under that name, or it was too long ago",
                hint="run the same command again",
            )
        descriptor, timer = held
        timer.cancel()
        return descriptor

    def _accept(self) -> None:
        try:
            caller, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        except OSError as error:
            log.warning("handoff not accepted", extra={"fields": {"why": error}})
            return
        if not same_user(caller) or len(self._callers) + len(self._files) >= limits.HANDOFF_FILES:
            caller.close()
            return
        caller.setblocking(False)
        loop = asyncio.get_running_loop()
        self._callers[caller] = loop.call_later(limits.HANDOFF_SECONDS, self._end, caller)
        loop.add_reader(caller, self._receive, caller)

    def _receive(self, caller: socket.socket) -> None:
        try:
            data, descriptors, flags, _ = socket.recv_fds(caller, 64, 4, _CLOSE_ON_EXEC)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, descriptors, flags = b"", [], 0
        token = data.decode("ascii", "replace")
        whole = _TOKEN.fullmatch(data) and len(descriptors) == 1 and not flags & socket.MSG_CTRUNC
        if whole and token not in self._files:
            timer = asyncio.get_running_loop().call_later(limits.HANDOFF_SECONDS, self._expire, token)
            os.set_inheritable(descriptors[0], False)
            self._files[token] = descriptors[0], timer
            with contextlib.suppress(OSError):  # it doesn't wait for the answer
                caller.send(_HELD)
        else:
            for descriptor in descriptors:
                os.close(descriptor)
        self._end(caller)

    def _end(self, caller: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(caller)
        self._callers.pop(caller).cancel()
        caller.close()

    def _expire(self, token: str) -> None:
        os.close(self.take(token))
