"""The one error tree: every failure has a code, a message, a hint and an exit status.

It does not print, log or exit: the edges (CLI, control API, wire) do that with what is here.
Messages are lower case, without a full stop; a hint names one thing to try next. The table of codes and
exit statuses in ``docs/reference/errors.md`` is checked against this module by a test.
"""

from __future__ import annotations

from typing import ClassVar


class ComityError(Exception):
    """Root of everything that Comity raises on purpose."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint

    def __str__(self) -> str:
        return self.message


# ── what the person at this node asked for ────────────────────────────────────────────────────────────


class InvalidInput(ComityError):
    """An argument, a name, a file or a setting that cannot be understood."""

    code = "invalid_input"
    exit_status = 2
    default_hint = "see comity COMMAND --help"


class InvalidCard(InvalidInput):
    code = "invalid_card"
    default_hint = "ask your partner for the line that comity card prints"


class InvalidJoinUrl(InvalidInput):
    code = "invalid_join_url"
    default_hint = "ask the rendezvous's operator for the line in its join.url file"


class NotInitialised(ComityError):
    code = "not_initialised"
    exit_status = 10
    default_hint = "run comity init --hostname NAME --join URL"


class AlreadyInitialised(ComityError):
    code = "already_initialised"
    exit_status = 11
    default_hint = "set COMITY_HOME to another folder for a second node"


class NotRunning(ComityError):
    code = "not_running"
    exit_status = 12
    default_hint = "run comity up"


class AlreadyRunning(ComityError):
    code = "already_running"
    exit_status = 13
    default_hint = "run comity status"


class HomeUnsafe(ComityError):
    """A home, key or runtime folder whose owner or mode lets others in."""

    code = "home_unsafe"
    exit_status = 14
    default_hint = "make the folder yours alone: chmod 700 it, and chmod 600 the files that are named"


class NewerDatabase(ComityError):
    code = "newer_database"
    exit_status = 15
    default_hint = "install the version of comity that wrote it, or a later one"


class WrongPassphrase(ComityError):
    code = "wrong_passphrase"
    exit_status = 16
    default_hint = "run again with --passphrase-file FILE"


# ── the rendezvous ────────────────────────────────────────────────────────────────────────────────────


class RendezvousUnreachable(ComityError):
    code = "rendezvous_unreachable"
    exit_status = 20
    default_hint = "check the address in the join URL, and that its port is open to you"


class RendezvousRefused(ComityError):
    code = "rendezvous_refused"
    exit_status = 21
    default_hint = "ask the rendezvous's operator"


class NameTaken(RendezvousRefused):
    code = "name_taken"
    exit_status = 22
    default_hint = "choose another name: comity init --hostname NAME --rename"


class RateLimited(RendezvousRefused):
    code = "rate_limited"
    exit_status = 23
    default_hint = "wait a minute and try again"


class MailboxFull(RendezvousRefused):
    code = "mailbox_full"
    exit_status = 24
    default_hint = "ask your partner to come online, then try again"


class RendezvousIdentityMismatch(RendezvousUnreachable):
    """The server that answered holds another key than the join URL names."""

    code = "rendezvous_identity_mismatch"
    exit_status = 25
    default_hint = "do not go on: compare the join URL with the rendezvous's operator by phone"


# ── peers and trust ───────────────────────────────────────────────────────────────────────────────────


class UnknownPeer(ComityError):
    code = "unknown_peer"
    exit_status = 30
    default_hint = "check the spelling, or ask your partner for their card (comity card)"


class UntrustedPeer(ComityError):
    code = "untrusted_peer"
    exit_status = 31
    default_hint = 'run comity handshake PEER "WHY" first'


class PeerUnreachable(ComityError):
    code = "peer_unreachable"
    exit_status = 32
    default_hint = "check that your partner's node is up (comity peers)"


class PeerRefused(ComityError):
    """The peer answered, and said no; the message holds its reason."""

    code = "peer_refused"
    exit_status = 33
    default_hint = "ask your partner, or look at comity trust"


class IdentityMismatch(ComityError):
    """A key is not the one that a card, a fingerprint or the trust store pins."""

    code = "identity_mismatch"
    exit_status = 34
    default_hint = "do not go on: compare fingerprints with your partner by phone (comity card)"


class AmbiguousPeer(ComityError):
    code = "ambiguous_peer"
    exit_status = 35
    default_hint = "name the peer by its card or its address"


class NothingPending(ComityError):
    code = "nothing_pending"
    exit_status = 36
    default_hint = "run comity pending"


class RequestChanged(ComityError):
    """The request that would be approved is not the one that was shown."""

    code = "request_changed"
    exit_status = 37
    default_hint = "run comity pending, read it again, then approve"


class HandshakeRejected(ComityError):
    code = "handshake_rejected"
    exit_status = 38
    default_hint = "talk to your partner, then run comity handshake again"


class Denied(ComityError):
    """The guard said no; the message names the reasons."""

    code = "denied"
    exit_status = 39
    default_hint = "run comity trust to see what is agreed"


# ── exchange ──────────────────────────────────────────────────────────────────────────────────────────


class FileUnusable(ComityError):
    """Not found, not readable, a directory, or not a regular file."""

    code = "file_unusable"
    exit_status = 40
    default_hint = "check the path and its permissions"


class FileChanged(ComityError):
    code = "file_changed"
    exit_status = 41
    default_hint = "wait until whatever writes the file is done, then send it again"


class NameRefused(ComityError):
    code = "name_refused"
    exit_status = 42
    default_hint = "rename the file: a plain name, without slashes or control characters"


class DiskFull(ComityError):
    code = "disk_full"
    exit_status = 43
    default_hint = "free some space where it is named, then send again"


class TransferFailed(ComityError):
    code = "transfer_failed"
    exit_status = 44
    default_hint = "run the same command again"


class VerificationFailed(ComityError):
    """Bytes, a digest or a receipt are not what was signed."""

    code = "verification_failed"
    exit_status = 45
    default_hint = "run the same command again; if it repeats, tell your partner"


class TooLarge(ComityError):
    code = "too_large"
    exit_status = 46
    default_hint = "see docs/reference/limits.md"


# ── evidence ──────────────────────────────────────────────────────────────────────────────────────────


class AuditInvalid(ComityError):
    code = "audit_invalid"
    exit_status = 50
    default_hint = "keep a copy of the home folder as it is, and compare with an export of your partner's"


class AgreementInvalid(ComityError):
    code = "agreement_invalid"
    exit_status = 51
    default_hint = "ask for the file again: comity agreement export PEER --out FILE"


# ── time, the wire, ourselves ─────────────────────────────────────────────────────────────────────────


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


def _tree(root: type[ComityError]) -> list[type[ComityError]]:
    found = [root]
    for child in root.__subclasses__():
        found.extend(_tree(child))
    return found


def all_errors() -> list[type[ComityError]]:
    """Every class of the tree, the root first."""
    return _tree(ComityError)


def from_code(code: str, message: str, hint: str) -> ComityError:
    """The error that another process of ours reported, as the class that it was there."""
    for cls in all_errors():
        if cls.code == code:
            return cls(message, hint=hint)
    return ComityError(message, hint=hint)
