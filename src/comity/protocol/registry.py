"""What a node and its rendezvous say to each other inside their pinned mutual TLS (docs: protocol,
"Rendezvous").

Each DATA frame is one JSON message, tagged by ``type``. A node's requests carry an ``id`` which the answer
repeats; the server pushes Mail, Signal and RelayOffer by itself. Registration is a signed statement over the
server's challenge; nothing else that the server sends is ever signed (SECURITY.md rule 1).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity import limits
from comity.protocol.statements import Candidate, EnvelopeText, Name, Predecessor, Tag, Tags
from comity.protocol.wire import Hex16, Hex32, Network, Seconds, decode, encode

RequestId = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
#: Sealed bytes in standard base64.
Blob = Annotated[bytes, msgspec.Meta(max_length=limits.MAIL_BYTES)]
AddressText = Annotated[str, msgspec.Meta(max_length=20)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the registry tells of one node; all of it is claimed by the rendezvous until a pin confirms it.

    ``sealing_key`` is the node's signed SealingKey statement: a DSSE envelope's JSON.
    """

    hostname: Name
    address: AddressText
    key: Hex32
    tags: Tags
    public: bool
    online: bool
    last_seen: Seconds
    sealing_key: Annotated[str, msgspec.Meta(max_length=limits.STATEMENT_BYTES)]


# ── node → rendezvous ─────────────────────────────────────────────────────────────────────────────────


class Open(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="open"):
    """The first message. ``instance`` tells a restarted daemon from a second one with the same key."""

    oldest: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    newest: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    network: Network
    instance: Hex16


class Register(
    _Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="register", omit_defaults=True
):
    """``statement``: a DSSE envelope over a Registration; ``sealing_key``: one over a SealingKey.

    For a key's first registration, ignored later: ``invitation`` is the token of the join URL;
    ``predecessor`` the key whose membership and hostname this one takes over.
    """

    id: RequestId
    statement: Annotated[str, msgspec.Meta(max_length=limits.STATEMENT_BYTES)]
    sealing_key: Annotated[str, msgspec.Meta(max_length=limits.STATEMENT_BYTES)]
    invitation: Hex32 | None = None
    predecessor: Predecessor | None = None


class Resolve(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="resolve"):
    """Exactly one of the three is given."""

    id: RequestId
    hostname: Name | None = None
    address: AddressText | None = None
    key: Hex32 | None = None


class Find(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="find"):
    """Public nodes, all or those that carry ``tag``."""

    id: RequestId
    tag: Tag | None = None


class Post(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="post"):
    """Leave sealed bytes for a node. ``keep``: in its mailbox until acknowledged; else only if it is
    online.
    """

    id: RequestId
    recipient: Hex32
    message_id: Hex16
    blob: Blob
    keep: bool


class Acknowledge(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="acknowledge"):
    id: RequestId
    sender: Hex32
    message_id: Hex16


class Reserve(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="reserve"):
    """The senders whose mail has reserved slots in this node's mailbox: the whole list, each time."""

    id: RequestId
    senders: Annotated[tuple[Hex32, ...], msgspec.Meta(max_length=limits.RESERVED_SENDERS)]


class AskRelay(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ask-relay"):
    """Two tickets for one lane: one in the answer, one pushed to ``peer`` in a RelayOffer.

    ``call`` is the dialler's label for the lane, repeated in the offer.
    """

    id: RequestId
    peer: Hex32
    call: Hex16


class Retire(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="retire"):
    """Publish a revocation certificate, of any key: the key, and its Retirement's envelope."""

    id: RequestId
    key: Hex32
    retirement: EnvelopeText


class Ping(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ping"):
    id: RequestId


# ── rendezvous → node ─────────────────────────────────────────────────────────────────────────────────


class Challenge(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="challenge"):
    """The answer to Open: a fresh nonce, and the server's clock (seconds UTC) for a skew warning."""

    version: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    nonce: Hex32
    time: Seconds


class Registered(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="registered"):
    """``observed`` is the address that the server saw this connection come from.

    ``observers``: where it answers ``protocol.observing``'s question, at addresses of its own.
    """

    id: RequestId
    address: AddressText
    hostname: Name
    observed: Annotated[str, msgspec.Meta(max_length=64)]
    observers: Annotated[tuple[Candidate, ...], msgspec.Meta(max_length=limits.OBSERVERS)] = ()


class Resolved(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="resolved"):
    id: RequestId
    record: Record


class Found(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="found"):
    id: RequestId
    records: Annotated[tuple[Record, ...], msgspec.Meta(max_length=limits.FIND_RESULTS)]


class Posted(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="posted"):
    """``delivered``: the recipient is online and was handed it; else it waits (``keep``) or was dropped."""

    id: RequestId
    delivered: bool


class Done(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="done"):
    """The answer to Acknowledge, Reserve, Retire and Ping."""

    id: RequestId


class Mail(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="mail"):
    """``keep`` false: a signal that needs no acknowledgement. Mail is pushed again at each connection."""

    sender: Hex32
    message_id: Hex16
    blob: Blob
    posted: Seconds
    keep: bool


class Ticket(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ticket"):
    id: RequestId
    ticket: Hex32


class RelayOffer(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="relay-offer"):
    """``peer`` wants a lane to this node; redeem ``ticket`` at the relay within its life."""

    peer: Hex32
    call: Hex16
    ticket: Hex32


class Retired(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="retired"):
    """A key for which this node reserves slots has been retired; pushed again at each Reserve that names
    it.
    """

    key: Hex32
    retirement: EnvelopeText


class Superseded(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="superseded"):
    """Another connection registered with this key; this one is closed."""

    instance: Hex16


class GoingAway(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="going-away"):
    """The server stops in order, and another will be there (since version 2): come back after a moment drawn
    from the next ``within`` seconds, so that not all come at once.
    """

    within: Annotated[int, msgspec.Meta(ge=1, le=limits.COME_BACK_MOST)]


class Failure(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="failure"):
    """The answer no. ``code`` is one of comity.errors' codes; ``id`` 0: the connection is refused."""

    id: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{0,63}\Z")]
    message: Annotated[str, msgspec.Meta(max_length=limits.CLAIM_BYTES)]


NodeMessage = Open | Register | Resolve | Find | Post | Acknowledge | Reserve | AskRelay | Retire | Ping
ServerMessage = (
    Challenge
    | Registered
    | Resolved
    | Found
    | Posted
    | Done
    | Mail
    | Ticket
    | RelayOffer
    | Retired
    | Superseded
    | GoingAway
    | Failure
)

#: A DATA frame between node and rendezvous: base64 of the largest mail, or of 100 records.
MESSAGE_BYTES = limits.FIND_RESULTS * 12 * limits.KIB

#: A relay lane's first bytes: this, then the ticket in hexadecimal and a line feed. Everything after is
#: blind.
RELAY_PREFACE = b"COMITY-RELAY/1 "
RELAY_PREFACE_BYTES = len(RELAY_PREFACE) + 64 + 1
#: What the relay answers once both sides are there.
RELAY_READY = b"OK\n"


def encode_message(message: NodeMessage | ServerMessage) -> bytes:
    """The body of the DATA frame that carries ``message``."""
    return encode(message)


def parse_node_message(body: bytes | bytearray | memoryview) -> NodeMessage:
    """What a node said; RemoteProtocolError where it is no such message."""
    return decode(body, NodeMessage, MESSAGE_BYTES)  # type: ignore[arg-type]  # a union is a decodable type


def parse_server_message(body: bytes | bytearray | memoryview) -> ServerMessage:
    """What a rendezvous said; RemoteProtocolError where it is no such message."""
    return decode(body, ServerMessage, MESSAGE_BYTES)  # type: ignore[arg-type]  # a union is a decodable type
