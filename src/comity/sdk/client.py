"""The control API's client: one operation, one HTTP request over the daemon's Unix socket.

Standard library only. It finds the daemon of a home, checks that the folder with its sockets is ours alone,
and turns what comes back into control types and errors. It knows no operation: those are in the modules
beside it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from comity import limits
from comity.control import Progress
from comity.control.codec import from_plain, to_json
from comity.errors import InvalidInput, LocalProtocolError, NotInitialised, NotRunning, TransferFailed
from comity.sdk.answers import answer_in, gone, too_slow
from comity.sdk.asks import Ask
from comity.storage.home import Home
from comity.storage.lease import find_runtime
from comity.storage.runtime import Runtime

T = TypeVar("T")
_HELD = b"OK\n"


class Client:
    """The daemon of one home. Every call is a connection of its own, so threads may share a Client.

    Every method raises NotInitialised, NotRunning, HomeUnsafe, TimedOut, RemoteProtocolError where the daemon
    can't be asked, and whatever error the daemon answers with.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        patience: float = limits.CONTROL_ANSWER_SECONDS,
    ) -> None:
        """``home``: a node's folder; without it the one that ``environ`` (by default the process's) names.

        ``patience``: how many seconds the daemon may take for an operation that waits for nobody.
        """
        self._environ = os.environ if environ is None else environ
        chosen = Home.from_environment(self._environ) if home is None else Home(Path(os.path.realpath(home)))
        self.home = chosen
        self.patience = patience

    def call(self, operation: str, request: object | None, result: type[T], *, wait: float = 0.0) -> T:
        """Ask for one operation; ``wait``: seconds that the operation itself may wait for somebody."""
        with _Exchange(self.runtime(), self.patience + wait) as exchange:
            exchange.post(operation, request)
            return from_plain(exchange.answer(), result)

    def ask(self, ask: Ask[T]) -> T:
        """The same for an operation that ``asks`` describes."""
        return self.call(ask.operation, ask.request, ask.result, wait=ask.wait)

    def follow(
        self, operation: str, request: object, result: type[T], progress: Callable[[Progress], None]
    ) -> T:
        """Ask for a long operation: ``progress`` gets each line of it, the result ends it."""
        with _Exchange(self.runtime(), limits.CONTROL_SILENCE_SECONDS) as exchange:
            exchange.post(operation, request)
            while True:
                line = exchange.line()
                if "result" in line:
                    return from_plain(line["result"], result)
                progress(from_plain(line.get("progress"), Progress))

    @contextlib.contextmanager
    def listen(self, operation: str, request: object) -> Iterator[Lines]:
        """Ask for an operation that goes on for as long as the block lasts, a line at a time."""
        with _Exchange(self.runtime(), self.patience) as exchange:
            exchange.post(operation, request)
            yield Lines(exchange)

    def hand_over(self, descriptor: int) -> str:
        """Give the daemon an open file; the name by which a request can mean it, for a short while, once."""
        token = secrets.token_hex(16)
        with _connected(self.runtime().handoff_socket, self.patience) as channel:
            try:
                socket.send_fds(channel, [token.encode("ascii")], [descriptor])
                channel.shutdown(socket.SHUT_WR)
                held = channel.recv(len(_HELD))
            except TimeoutError as error:
                raise too_slow(self.patience) from error
            except (BrokenPipeError, ConnectionResetError):
                held = b""  # one that has no room hangs up, maybe before it was told anything
            except OSError as error:
                raise gone() from error
        if held != _HELD:
            raise TransferFailed(
                "the daemon did not take the open file: it holds too many, or has just ended"
            )
        return token

    def runtime(self) -> Runtime:
        """Where the daemon's sockets are; checked. NotInitialised, NotRunning, HomeUnsafe."""
        if not self.home.initialised:
            raise NotInitialised(f"no node is set up in {self.home.path}")
        runtime = find_runtime(self.home, self._environ)
        if not os.path.lexists(runtime.control_socket):
            raise NotRunning(f"the node in {self.home.path} is not running")
        runtime.check()
        return runtime


class Lines:
    """The lines of an operation that goes on."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def next(self, timeout: float | None) -> dict[str, Any]:
        """The next one, within ``timeout`` seconds if there are so many; the error in it is raised."""
        return self._exchange.line(timeout)


class _Exchange:
    """One request and its answer; the connection ends with the block. Failures underneath become ours."""

    def __init__(self, runtime: Runtime, timeout: float) -> None:
        self._timeout = timeout
        self._connection = http.client.HTTPConnection("localhost", timeout=timeout)
        # http.client lets go of the socket once it has seen that the answer ends the connection.
        self._connection.sock = self._socket = _connected(runtime.control_socket, timeout)
        self._response: http.client.HTTPResponse | None = None

    def post(self, operation: str, request: object | None) -> None:
        """Send the request, and wait for the answer's head."""
        try:
            body = b"{}" if request is None else to_json(request)
        except UnicodeEncodeError as error:
            raise InvalidInput("an argument is not valid text (a byte that is not UTF-8)") from error
        headers = {"Content-Type": "application/json", "Connection": "close"}
        with self._translated():
            self._connection.request("POST", f"/v1/{operation}", body, headers)
            self._response = self._connection.getresponse()

    def answer(self) -> dict[str, Any]:
        """The whole answer; the error in it is raised."""
        return self._read(lambda response: response.read(limits.CONTROL_ANSWER_BYTES))

    def line(self, timeout: float | None = limits.CONTROL_SILENCE_SECONDS) -> dict[str, Any]:
        """The next line of a long answer; the error in it is raised."""
        self._socket.settimeout(timeout)
        return self._read(lambda response: response.readline(limits.CONTROL_LINE_BYTES))

    def _read(self, read: Callable[[http.client.HTTPResponse], bytes]) -> dict[str, Any]:
        if self._response is None:
            raise LocalProtocolError("an answer is read before anything was asked")
        with self._translated():
            data = read(self._response)
        if not data:
            raise gone()
        return answer_in(self._response.status, data)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise too_slow(self._timeout) from error
        except (OSError, http.client.HTTPException) as error:
            raise gone() from error

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        if self._response is not None:
            self._response.close()


def _connected(path: Path, timeout: float) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.settimeout(timeout)
        channel.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        channel.close()
        raise NotRunning("the node is not running: nobody listens on its socket") from error
    except BaseException:
        channel.close()
        raise
    return channel
