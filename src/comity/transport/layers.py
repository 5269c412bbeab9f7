"""What bytes are wrapped in between two machines, outside of our own TLS: another TLS, WebSocket messages.

A layer turns bytes to and fro and holds what is incomplete; it opens and waits for nothing. ``Stack`` is
several of them. Both ends of a stream stay apart: one side can have said all while the other goes on. In a
WebSocket an empty message says so (docs: protocol, "Ways out"). Nothing here authenticates anybody.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Protocol as Interface

from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, State

from comity import limits
from comity.errors import LinkLost

_TLS_READ = 256 * limits.KIB


class Layer(Interface):
    """Bytes outside, bytes inside. Every method raises LinkLost where what came can't be unwrapped."""

    #: The other side has said that nothing more comes.
    ended: bool

    def inward(self, data: bytes) -> bytes:
        """What is inside of what came; perhaps nothing yet."""

    def outward(self, data: bytes) -> bytes:
        """What is to be sent for ``data``."""

    def end(self) -> bytes:
        """What is to be sent to say that nothing more comes from this side."""

    def answer(self) -> bytes:
        """What this layer itself has to send after ``inward``: a pong, say."""

    def drop(self) -> None:
        """Nothing more comes or goes."""


class TlsLayer:
    """Inside a TLS connection whose handshake is done."""

    def __init__(self, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self.ended = False
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing

    def inward(self, data: bytes) -> bytes:
        self._incoming.write(data)
        found: list[bytes] = []
        try:
            while piece := self._tls.read(_TLS_READ):
                found.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            raise LinkLost(f"the outer tls: {_reason(error)}") from error
        return b"".join(found)

    def outward(self, data: bytes) -> bytes:
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise LinkLost(f"the outer tls: {_reason(error)}") from error
        return self._outgoing.read()

    def end(self) -> bytes:
        try:
            self._tls.unwrap()
        except ssl.SSLError:  # it waits for the other side's, and we don't
            return self._outgoing.read()
        return self._outgoing.read()

    def answer(self) -> bytes:
        return self._outgoing.read()

    def drop(self) -> None:
        return


class WebSocketLayer:
    """Inside the binary messages of a WebSocket that is open (RFC 6455)."""

    def __init__(self, protocol: Protocol) -> None:
        self.ended = False
        self._protocol = protocol
        self._empty = True  # of the message that is coming in

    def inward(self, data: bytes) -> bytes:
        self._protocol.receive_data(data)
        found: list[bytes] = []
        for frame in self._protocol.events_received():
            if not isinstance(frame, Frame):
                raise LinkLost("the websocket begins again")
            if frame.opcode in (Opcode.BINARY, Opcode.CONT):
                found.append(bytes(frame.data))
                self._empty = self._empty and not frame.data
                if frame.fin:
                    self.ended = self.ended or self._empty
                    self._empty = True
            elif frame.opcode is Opcode.TEXT:
                raise LinkLost("the websocket carries text")
            elif frame.opcode is Opcode.CLOSE:
                self.ended = True
        if self._protocol.parser_exc is not None:
            raise LinkLost(f"the websocket: {self._protocol.parser_exc}") from self._protocol.parser_exc
        return b"".join(found)

    def outward(self, data: bytes) -> bytes:
        if self._protocol.state is not State.OPEN:
            raise LinkLost("the websocket is closed")
        for start in range(0, len(data), limits.WEBSOCKET_MESSAGE_BYTES):
            self._protocol.send_binary(data[start : start + limits.WEBSOCKET_MESSAGE_BYTES])
        return b"".join(self._protocol.data_to_send())

    def end(self) -> bytes:
        if self._protocol.state is State.OPEN:
            self._protocol.send_binary(b"")
            if self.ended:
                self._protocol.send_close()
        return b"".join(self._protocol.data_to_send())

    def answer(self) -> bytes:
        return b"".join(self._protocol.data_to_send())

    def drop(self) -> None:
        forget(self._protocol)


def forget(protocol: Protocol) -> None:
    """Let go of a WebSocket that is over: its parser, which is its own, knows it, and would keep it."""
    protocol.parser.close()


class Stack:
    """Layers, the outermost first; itself one. An empty stack changes nothing."""

    def __init__(self, layers: Sequence[Layer] = ()) -> None:
        self._layers = list(layers)
        self._answer = b""

    def __len__(self) -> int:
        return len(self._layers)

    def add(self, layer: Layer) -> None:
        """One more, inside of all others."""
        self._layers.append(layer)

    @property
    def ended(self) -> bool:
        return any(layer.ended for layer in self._layers)

    def inward(self, data: bytes) -> bytes:
        for depth, layer in enumerate(self._layers):
            data = layer.inward(data)
            self._answer += self._out(layer.answer(), depth)
        return data

    def outward(self, data: bytes) -> bytes:
        return self._out(data, len(self._layers))

    def end(self) -> bytes:
        said = b""
        for depth in range(len(self._layers) - 1, -1, -1):
            said += self._out(self._layers[depth].end(), depth)
        return said

    def answer(self) -> bytes:
        said, self._answer = self._answer, b""
        return said

    def drop(self) -> None:
        for layer in self._layers:
            layer.drop()

    def _out(self, data: bytes, depth: int) -> bytes:
        for layer in reversed(self._layers[:depth]):
            data = layer.outward(data) if data else b""
        return data


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
