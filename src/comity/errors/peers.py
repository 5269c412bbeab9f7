"""What a rendezvous or a peer would not do, and what trust forbids."""

from __future__ import annotations

from comity.errors.base import ComityError


class RendezvousUnreachable(ComityError):
    code = "rendezvous_unreachable"
    exit_status = 20
    default_hint = "run comity doctor: it finds out where the way ends"


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


class QuotaExceeded(RendezvousRefused):
    """This node, or its network, has used up a share that the rendezvous's operator set."""

    code = "quota_exceeded"
    exit_status = 59
    default_hint = "wait, or ask the rendezvous's operator for a larger quota"


class MailboxFull(RendezvousRefused):
    code = "mailbox_full"
    exit_status = 24
    default_hint = "ask your partner to come online, then try again"


class RendezvousIdentityMismatch(RendezvousUnreachable):
    """The server that answered holds another key than the join URL names."""

    code = "rendezvous_identity_mismatch"
    exit_status = 25
    default_hint = "do not go on: compare the join URL with the rendezvous's operator by phone"


class NotAdmitted(RendezvousRefused):
    """The network is by invitation, or not there, or this key was removed from it: the answer is the same."""

    code = "not_admitted"
    exit_status = 26
    default_hint = "ask the rendezvous's operator for an invitation, then run comity config set join URL"


class KeyRetired(RendezvousRefused):
    """A key that was given up: retired by its own certificate, or rotated to another."""

    code = "key_retired"
    exit_status = 29
    default_hint = (
        "if the key is yours: comity identity --help; if it is your partner's: ask for their new card"
    )


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
