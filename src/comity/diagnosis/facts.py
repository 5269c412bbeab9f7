"""What was found out, before anybody judges it. Texts from the network are printable already."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """An error of ours: its code, message and hint."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Certificate:
    """What a TLS server on the way showed. ``trusted``: this machine's certificates vouch for it and the
    name; ``issuer`` and ``subject`` are the server's own words.
    """

    subject: str
    issuer: str
    trusted: bool


@dataclass(frozen=True, kw_only=True)
class WayFacts:
    """The way to the rendezvous at ``host:port``, as far as it was got.

    ``proxy`` is its URL or empty, ``origin`` the setting that says so, or why there is none. ``addresses``
    are those of the first machine on the way, or ``unresolved`` says why there are none; ``unreachable`` why
    it took no connection. ``proxy_failure``: the proxy opened no tunnel. ``direct``: why the pinned TLS
    failed as it is, ``wrapped``: why it failed inside a WebSocket too; ``certificate``: what was shown then.
    ``websocket``: it holds inside one.
    ``mismatch``: another rendezvous answers. ``skew``: seconds by which the rendezvous's clock is
    ahead, by its own word, or, where TLS fails, by an HTTP answer's.
    ``refused``: it doesn't talk to us. ``relay``: its port is not to be had for lanes.
    """

    host: str
    port: int
    proxy: str = ""
    origin: str = ""
    addresses: tuple[str, ...] = ()
    unresolved: str = ""
    connected: str = ""
    unreachable: str = ""
    proxy_failure: Failure | None = None
    direct: Failure | None = None
    wrapped: Failure | None = None
    certificate: Certificate | None = None
    websocket: bool = False
    pinned: bool = False
    mismatch: Failure | None = None
    skew: float | None = None
    refused: Failure | None = None
    relay: Failure | None = None
    relay_checked: bool = False

    @property
    def place(self) -> str:
        """``host:port`` for a person."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class MappingFacts:
    """What observers saw of connections from local ``port``: one ``ip:port`` each, none where none answered.

    ``asked``: how many there were.
    """

    port: int
    asked: int
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """The node here. ``state``: ``absent`` (nothing is set up), ``stopped`` or ``running``.

    ``registration`` is ``registered``, ``connecting`` or ``refused`` while it runs, ``problem`` why it is not
    registered. ``unheard``: why a connection to its own listener failed, on this machine.
    """

    state: str
    hostname: str = ""
    address: str = ""
    registration: str = ""
    problem: Failure | None = None
    listen: str = ""
    candidates: tuple[str, ...] = ()
    unheard: str = ""


@dataclass(frozen=True)
class PathTrial:
    """One path to a peer, tried to the end of TLS. ``text``: where it led, or why it led nowhere.

    ``ok`` None: there was nothing to try.
    """

    path: str
    ok: bool | None
    text: str


@dataclass(frozen=True, kw_only=True)
class PeerFacts:
    """A peer. ``problem``: why nothing may be tried; ``online``: what the rendezvous says, None where it
    can't be asked; ``session``: the path of the one that stands, or empty.
    """

    name: str
    hostname: str = ""
    problem: Failure | None = None
    online: bool | None = None
    last_seen: str = ""
    session: str = ""
    trials: tuple[PathTrial, ...] = ()
