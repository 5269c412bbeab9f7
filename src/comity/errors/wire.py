"""Time, links, protocols: theirs (RemoteProtocolError) and our own bugs (LocalProtocolError), as in h11."""

from __future__ import annotations

from comity.errors.base import ComityError
from comity.errors.peers import PeerUnreachable


class TimedOut(ComityError):
    code = "timed_out"
    exit_status = 60
    default_hint = "try again with a longer --timeout"


class RemoteProtocolError(ComityError):
    """The other side broke the protocol: malformed, oversized, out of order or forged."""

    code = "remote_protocol_error"
    exit_status = 61
    default_hint = "check that both sides run a supported version (comity status)"


class VersionMismatch(RemoteProtocolError):
    code = "version_mismatch"
    exit_status = 62
    default_hint = "upgrade the side that is named"


class LinkLost(PeerUnreachable):
    """A connection ended without its authenticated END."""

    code = "link_lost"
    exit_status = 63
    default_hint = "run the same command again"


class LocalProtocolError(ComityError):
    """Our own code asked a protocol for something that its state forbids: a bug."""

    code = "internal_error"
    exit_status = 70
    default_hint = "this is a bug in comity: please report what you did, with comity logs"
