"""Requests and results about artifacts: send-file, received, transfers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from comity.control.codec import json_name


@dataclass(frozen=True)
class SendFileRequest:
    """``file`` names a descriptor that the caller handed over beforehand (SECURITY.md rule 15), never a
    path. ``limit``: bytes a second. ``signature``: by whom the content is signed where that is not this node,
    as ``sign-artifact`` answers it there; it counts where a charter governs.
    """

    peer: str
    name: str
    file: str
    limit: int | None = None
    signature: str | None = None


@dataclass(frozen=True)
class SignArtifactRequest:
    """``digest``: "sha256:…" of a file of so many bytes."""

    digest: str
    bytes: int


@dataclass(frozen=True)
class SignArtifactResult:
    """``signature`` is what others send with the file: a statement in JSON that ``fingerprint`` signed."""

    digest: str
    bytes: int
    fingerprint: str
    signature: str


@dataclass(frozen=True)
class QueueFileRequest:
    """As ``SendFileRequest``, for a peer that may be away. ``path`` is where the file of the descriptor lies:
    the daemon opens there that file and no other.
    """

    peer: str
    name: str
    file: str
    path: str
    limit: int | None = None


@dataclass(frozen=True)
class QueueResult:
    """``position``: 1 is the next one that ``to`` gets."""

    transfer: str
    name: str
    bytes: int
    to: str
    state: str
    position: int


@dataclass(frozen=True)
class Progress:
    """One line of a running transfer: what is on its way (``state``: ``connecting``, ``sending``,
    ``verifying``, ``reconnecting``, ``receiving``; where it is watched from outside also how it ended).

    ``mb_per_s`` is over the last seconds, ``remaining`` the seconds that it will take at that rate.
    ``bytes_skipped`` did not travel, because the other side had them.
    """

    transfer: str
    state: str
    name: str
    bytes: int
    bytes_done: int
    bytes_sent: int
    seconds: float
    mb_per_s: float
    path: str | None
    bytes_skipped: int = 0
    remaining: float | None = None
    direction: str = "out"
    peer: str = ""


@dataclass(frozen=True)
class SendResult:
    """``path`` carried most bytes; ``receipt`` is the receiver's signed statement's digest.

    ``bytes`` is the artifact's size, ``bytes_sent`` what travelled, ``mb_per_s`` is 10^6 bytes per second.
    """

    transfer: str
    name: str
    bytes: int
    digest: str
    bytes_sent: int
    seconds: float
    mb_per_s: float
    first_path: str
    path: str
    paths: dict[str, int]
    receipt: str
    manifest: str
    agreement: str
    to: str


@dataclass(frozen=True)
class ReceivedRequest:
    """``wait``: return only once a file that was sent under this name is there, at most ``timeout``
    seconds. ``arrivals``: return once it is not this many any more, or after ``timeout`` seconds.
    """

    wait: str | None = None
    timeout: float = 0.0
    peer: str | None = None
    arrivals: int | None = None


@dataclass(frozen=True)
class ReceivedFile:
    """``name`` is what the sender called it, ``path`` where it lies; ``note`` warns of formats that can run
    code.

    ``from_`` is the sender's hostname; in JSON its name is ``from``.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"alias_generator": json_name}

    path: str
    name: str
    bytes: int
    digest: str
    from_: str
    fingerprint: str
    received_at: str
    agreement: str
    note: str = ""


@dataclass(frozen=True)
class ReceivedResult:
    """``arrivals`` counts every file that ever arrived here, also those that are gone or not asked for."""

    files: tuple[ReceivedFile, ...]
    arrivals: int = 0


@dataclass(frozen=True)
class Transfer:
    """``direction``: ``out`` or ``in``; ``state``: ``running``, ``interrupted``, ``done``, ``failed``,
    ``cancelled``, ``queued`` (it is sent when the peer is there). ``mb_per_s`` and ``remaining`` (seconds)
    are of what runs.
    """

    transfer: str
    direction: str
    peer: str
    name: str
    bytes: int
    bytes_done: int
    state: str
    path: str | None
    started_at: str
    problem: str = ""
    digest: str | None = None
    receipt: str | None = None
    mb_per_s: float | None = None
    remaining: float | None = None


@dataclass(frozen=True)
class CancelRequest:
    """``transfer`` is an id that ``transfers`` shows, or at least four digits of its beginning."""

    transfer: str


@dataclass(frozen=True)
class CancelResult:
    """``told``: the peer knows; if not, it will when it next appears."""

    transfer: str
    direction: str
    peer: str
    name: str
    state: str
    told: bool


@dataclass(frozen=True)
class TransfersResult:
    transfers: tuple[Transfer, ...]
