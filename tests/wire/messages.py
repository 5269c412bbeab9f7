"""One of each message inside an authenticated channel, and more where a field may be left out."""

from __future__ import annotations

from comity.errors import NotExposed
from comity.protocol import hello, observing, registry, witness
from comity.protocol.events import messages as events
from comity.protocol.exchange import messages as exchange
from comity.protocol.exchange.described import Described
from comity.protocol.exchange.lanes import lanes_frame
from comity.protocol.exchange.listing import EMPTY_FOLDER, LISTING_HEADER, Listing
from comity.protocol.exchange.manifest import RUNNING, Entry
from comity.protocol.forwarding import messages as forwarding
from comity.protocol.framing import Kind, end_body, header
from comity.protocol.session import messages as session
from comity.protocol.succession import LINEAGE_REQUEST
from tests.wire import statements
from tests.wire.keys import (
    AGREEMENT,
    CALL,
    CHARTER,
    CONTENT_DIGEST,
    INSTANCE,
    LAB_A,
    LAB_B,
    MANIFEST,
    NONCE,
    NOW,
    RENDEZVOUS,
    TICKET,
    sign,
)

Bodies = dict[str, bytes]
A, B = LAB_A.public.hex, LAB_B.public.hex


def frames() -> Bodies:
    """Headers, and the end's body."""
    return {f"header of {kind.name}": header(kind, 256 + kind) for kind in Kind} | {
        "end": end_body(7, 1_048_576)
    }


def prefaces() -> Bodies:
    """What a connection that is not TLS begins with, and what it is answered."""
    return {
        "relay preface": registry.RELAY_PREFACE + TICKET.encode() + b"\n",
        "relay ready": registry.RELAY_READY,
        "observe": observing.OBSERVE_REQUEST,
        "observed": observing.answer("203.0.113.9:5001"),
        "lineage request": LINEAGE_REQUEST + str(RENDEZVOUS).encode() + b"\n",
    }


def hellos() -> Bodies:
    said: dict[str, hello.Hello | hello.Welcome | hello.Refused] = {
        "hello": hello.Hello(oldest=1, newest=1, port=hello.SESSION_PORT, instance=INSTANCE),
        "hello under a charter": hello.Hello(
            oldest=1, newest=1, port=1001, instance=INSTANCE, agreement=AGREEMENT, charter=CHARTER,
            purpose="validate model-x",
        ),
        "welcome": hello.Welcome(version=1, instance=INSTANCE),
        "refused": hello.UNIFORM_REFUSAL,
    }  # fmt: skip
    return {name: hello.encode_message(message) for name, message in said.items()}


def record() -> registry.Record:
    return registry.Record(
        hostname="charité-trainer",
        address="1:0001.0000.0020",
        key=B,
        tags=("mri",),
        public=True,
        online=True,
        last_seen=NOW,
        sealing_key=sign(statements.sealing_key(LAB_B)).decode(),
    )


def from_node() -> Bodies:
    envelope = sign(statements.statements()["registration"]).decode()
    sealing = sign(statements.sealing_key()).decode()
    said: dict[str, registry.NodeMessage] = {
        "open": registry.Open(oldest=1, newest=1, network=1, instance=INSTANCE),
        "register": registry.Register(id=1, statement=envelope, sealing_key=sealing),
        "register by invitation after another key": registry.Register(
            id=1, statement=envelope, sealing_key=sealing, invitation=NONCE,
            predecessor=statements.rotation(),
        ),
        "resolve a name": registry.Resolve(id=2, hostname="charité-trainer"),
        "resolve an address": registry.Resolve(id=3, address="1:0001.0000.0020"),
        "resolve a key": registry.Resolve(id=4, key=B),
        "find": registry.Find(id=5),
        "find by tag": registry.Find(id=6, tag="mri"),
        "post": registry.Post(id=7, recipient=B, message_id=CALL, blob=bytes(range(256)), keep=True),
        "acknowledge": registry.Acknowledge(id=8, sender=B, message_id=CALL),
        "reserve": registry.Reserve(id=9, senders=(A, B)),
        "ask relay": registry.AskRelay(id=10, peer=B, call=CALL),
        "retire": registry.Retire(id=11, key=A, retirement=sign(statements.retirement()).decode()),
        "ping": registry.Ping(id=12),
    }  # fmt: skip
    return {name: registry.encode_message(message) for name, message in said.items()}


def from_server() -> Bodies:
    said: dict[str, registry.ServerMessage] = {
        "challenge": registry.Challenge(version=1, nonce=NONCE, time=NOW),
        "registered": registry.Registered(
            id=1, address="1:0001.0000.0010", hostname="lab-a-trainer", observed="203.0.113.9:5001"
        ),
        "registered with observers": registry.Registered(
            id=1, address="1:0001.0000.0010", hostname="lab-a-trainer", observed="203.0.113.9:5001",
            observers=("198.51.100.1:7001", "198.51.100.1:7002"),
        ),
        "resolved": registry.Resolved(id=2, record=record()),
        "found": registry.Found(id=5, records=(record(),)),
        "posted": registry.Posted(id=7, delivered=False),
        "done": registry.Done(id=8),
        "mail": registry.Mail(sender=A, message_id=CALL, blob=bytes(range(256)), posted=NOW, keep=True),
        "ticket": registry.Ticket(id=10, ticket=TICKET),
        "relay offer": registry.RelayOffer(peer=A, call=CALL, ticket=TICKET),
        "retired": registry.Retired(key=A, retirement=sign(statements.retirement()).decode()),
        "superseded": registry.Superseded(instance=INSTANCE),
        "going-away": registry.GoingAway(within=7),
        "failure": registry.Failure(id=2, code="unknown_peer", message="no node of that name"),
    }  # fmt: skip
    return {name: registry.encode_message(message) for name, message in said.items()}


def sessions() -> Bodies:
    said: dict[str, session.Message] = {
        "session ping": session.Ping(n=1),
        "session pong": session.Pong(n=1),
        "session statement": session.Statement(
            id=1, envelope=sign(statements.statements()["reachability"]).decode()
        ),
        "session statement taken": session.StatementTaken(id=1),
        "session goodbye": session.Goodbye(reason=session.SHUTDOWN),
    }
    return {name: session.encode_message(message) for name, message in said.items()}


def event_messages() -> Bodies:
    kept = events.StoredEvent(position=4, topic="rounds/3", data="loss 0.25 µ", at=NOW * 1000)
    left = events.StoredEvent(position=5, topic="rounds/3", data="", at=NOW * 1000, sender=A)
    said: dict[str, events.Message] = {
        "subscribe": events.Subscribe(pattern="rounds/*", consumer="trainer"),
        "subscribe from a position to one sender": events.Subscribe(
            pattern="rounds/**", consumer="trainer", after=3, sender=A
        ),
        "subscribed": events.Subscribed(position=3),
        "deliver": events.Deliver(events=(kept, left)),
        "events acknowledge": events.Acknowledge(position=5),
        "events acknowledged": events.Acknowledged(position=5),
        "publish": events.Publish(batch=CALL, events=(events.NewEvent("rounds/3", "{}"),)),
        "published": events.Published(batch=CALL, position=6, at=NOW * 1000),
        "events fail": events.Fail(code="denied", message="the charter says no", hint="comity charter show"),
        "events beat": events.Beat(),
    }
    return {name: events.encode_message(message) for name, message in said.items()}


def exchange_messages() -> Bodies:
    entries = tuple(Entry(1_048_576, bytes([number]) * 32) for number in (1, 2))
    plain = exchange.Offer(
        transfer=CALL, nonce=NONCE, kind=exchange.FILE, name="modèle.safetensors", bytes=2_097_152, chunks=2,
        agreement=AGREEMENT, charter=None,
    )  # fmt: skip
    folder = exchange.Offer(
        transfer=CALL, nonce=NONCE, kind=exchange.FOLDER, name="run-7", bytes=2_097_152, chunks=2,
        agreement=AGREEMENT, charter=CHARTER, digests=RUNNING, basis=MANIFEST, listing=CONTENT_DIGEST,
        items=3,
        content=Described(
            digest=CONTENT_DIGEST, format="safetensors",
            signature=sign(statements.statements()["artifact signature"]).decode(),
        ),
    )  # fmt: skip
    receipt = sign(statements.statements()["receipt"])
    said: dict[str, exchange.Message] = {
        "offer": plain,
        "offer of a folder under a charter": folder,
        "accept": exchange.Accept(transfer=CALL),
        "accept all": exchange.Accept(transfer=CALL, all=True, listing=True),
        "accept several lanes": exchange.Accept(transfer=CALL, all=True, lanes=4),
        "exchange refuse": exchange.Refuse(code="denied", message="not now", hint="ask again tomorrow"),
        "page": exchange.Page(0, entries),
        "want": exchange.Want(8, (exchange.Range(0, 2), exchange.Range(5, 1))),
        "close": exchange.Close(digest=CONTENT_DIGEST, manifest=MANIFEST),
        "exchange receipt": exchange.SignedReceipt(receipt),
        "working": exchange.Working(1_048_576),
        "exchange fail": exchange.Fail(code="disk_full", message="the disk is full", hint="make room"),
        "join": exchange.Join(transfer=CALL),
        "join beside": exchange.Join(transfer=CALL, number=2),
        "cancel": exchange.Cancel(transfer=CALL, by="receiver"),
    }
    return {name: exchange.encode_message(message) for name, message in said.items()}


def chunks() -> Bodies:
    return {"chunk": exchange.chunk_header(7) + b"the weights"}


def lanes() -> Bodies:
    return {"lanes": lanes_frame((1, 3))}


def listings() -> Bodies:
    listing = Listing([("a/b.bin", 7), ("a/é.bin", 9), ("logs", EMPTY_FOLDER)])
    return {"listing": LISTING_HEADER + listing.encoded}


def forwards() -> Bodies:
    tags = forwarding.Tag
    said = {tags.PAYLOAD: b"\0GET /", tags.CREDIT: forwarding.credit(262_144)}
    said[tags.FAIL] = forwarding.fail(NotExposed("port 8080 is not exposed to you"))
    return {
        f"forward {tag.name.lower()}": said[tag] if tag in said else forwarding.bare(tag) for tag in tags
    } | {"forward purpose": forwarding.purpose_of(8080).encode()}


def witness_messages() -> Bodies:
    certificate = sign(statements.statements()["log key"]).decode()
    said: dict[str, witness.AddCheckpoint | witness.Answer] = {
        "add checkpoint": witness.AddCheckpoint(
            certificate=certificate, submission="old 0\n\nlog\n1\nAA==\n"
        ),
        "cosigned": witness.Cosigned(certificate=certificate, line="\N{EM DASH} witness AAAA\n"),
        "outdated": witness.Outdated(size=9, note="log\n9\nAA==\n"),
        "contradicted": witness.Contradicted(kind="rollback", reason="it was longer", note="log\n9\nAA==\n"),
        "witness refused": witness.Refused(reason="too often"),
    }
    return {name: witness.encode_message(message) for name, message in said.items()}
