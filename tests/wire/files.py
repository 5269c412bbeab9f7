"""What Comity writes into files and into its database's cells, from fixed keys and times.

What a passphrase protects and what is sealed draw salts and nonces from the system: they differ each time,
so they are recorded once, and then only read.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from comity.audit import merkle
from comity.audit.anchor import write_anchor
from comity.audit.cosignature import cosign
from comity.audit.entry import Entry, encode_entry
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.clock import ManualClock
from comity.entropy import PredictableEntropy
from comity.identity.card import Card, JoinUrl
from comity.identity.keys import Identity
from comity.identity.sealing import SealContext, SealingPrivateKey, seal
from comity.policy.charter.canonical import from_plain, to_canonical
from comity.policy.charter.writing import write_yaml
from comity.protocol.charter.terms import Ending as LineEnding
from comity.protocol.charter.terms import Line, Terms, Version
from comity.protocol.statements import LogKey, digest
from comity.protocol.succession import Certificate, Lineage
from comity.protocol.trust.evidence import write_agreement
from comity.protocol.trust.relationship import (
    Agreement,
    Ending,
    Incoming,
    Outgoing,
    Relationship,
    Renewal,
)
from comity.services.audit import AuditService
from comity.services.audit.exporting import Parts, write_export
from comity.storage.audit import AuditReader
from comity.storage.backup import write_backup
from comity.storage.config import Config, format_config
from comity.storage.database import MEMORY
from comity.storage.keystore import FileKeyStore
from comity.storage.lease import Holder
from comity.storage.logkey import AuditKey
from comity.storage.schema import open_node_database
from comity.storage.witness import Cosigned
from tests import charters
from tests.wire import statements
from tests.wire.keys import (
    AGREEMENT,
    CALL,
    CHARTER,
    LAB_A,
    LAB_B,
    LATER,
    MANIFEST,
    NEXT_A,
    NONCE,
    NOW,
    RENDEZVOUS,
    SERVER,
    common,
    sign,
)
from tests.wire.messages import Bodies

PASSPHRASE = "correct horse battery staple"
#: The private half of the key to which the recorded letter is sealed.
SEALING = SealingPrivateKey.from_bytes(bytes(range(96)))


def sealed_context() -> SealContext:
    return SealContext(
        type="handshake-request",
        rendezvous=RENDEZVOUS,
        network=1,
        sender=LAB_A.public,
        recipient=LAB_B.public,
        message_id=bytes.fromhex(CALL),
    )


def recorded_once() -> Bodies:
    """The sealed letter, the protected key and both backups: no two of them are ever alike."""
    files = {"config.toml": b'hostname = "lab-a-trainer"\n', "identity.key": LAB_A.to_pem()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        FileKeyStore(folder / "key").save(LAB_A, PASSPHRASE)
        made = {"identity key under a passphrase": (folder / "key").read_bytes()}
        for kind in ("identity", "rendezvous"):
            write_backup(
                folder / kind, files, PASSPHRASE, kind=kind, name="lab-a-trainer",
                fingerprint=str(LAB_A.public.fingerprint), created_at="2027-01-15T08:00:00Z",
            )  # fmt: skip
            made[f"{kind} backup"] = (folder / kind).read_bytes()
    made["sealed letter"] = seal(sign(statements.request()), SEALING.public, sealed_context())
    return made


def key_files() -> Bodies:
    retirement = sign(statements.retirement()).decode()
    return {
        "identity key": LAB_A.to_pem(),
        "revocation certificate": Certificate(key=LAB_A.public.hex, retirement=retirement).to_json(),
        "rendezvous lineage": Lineage(keys=(statements.handover(),)).to_json(),
        "empty lineage": Lineage().to_json(),
        "rotation": msgspec.json.encode(statements.rotation()),
    }


def agreements() -> Bodies:
    """Files, offline evidence."""
    asked = statements.request()
    request, approval = sign(asked).decode(), sign(statements.approval(asked)).decode()
    retirement = sign(statements.retirement()).decode()
    return {
        "agreement": write_agreement(request, approval, None).encode(),
        "agreement ended by a retirement": write_agreement(request, approval, retirement).encode(),
    }


def links() -> Bodies:
    pin = RENDEZVOUS
    said: dict[str, object] = {
        "card": Card("charité-trainer", "rendezvous.example:4443", LAB_B.public.fingerprint),
        "join url": JoinUrl("rendezvous.example", 4443, fingerprint=pin),
        "join url with an invitation": JoinUrl("2001:db8::1", 443, 2, fingerprint=pin, invitation=NONCE),
        "join url of a rotated key": JoinUrl(
            "rendezvous.example", 4443, fingerprint=pin, first=LAB_A.public.fingerprint
        ),
    }
    return {name: str(one).encode() for name, one in said.items()}


def home_files() -> Bodies:
    config = Config(
        hostname="lab-a-trainer",
        join=links()["join url"].decode(),
        organization='Hospital "A"',
        listen="0.0.0.0:4444",
        public=True,
        tags=("mri",),
        witnesses=("charité-trainer",),
        bandwidth="50MB/s",
    )
    holder = Holder(host="login1", pid=4242, boot="b0" * 16, runtime="/run/user/1000/comity")
    return {"config": format_config(config), "lease": msgspec.json.encode(holder)}


def charter_plain() -> dict[str, Any]:
    """A charter in which every part says something."""
    plain = charters.plain()
    plain["parties"][0]["fingerprint"] = str(LAB_A.public.fingerprint)
    plain["parties"][1]["fingerprint"] = str(LAB_B.public.fingerprint)
    plain["template"] = "vendor-evaluation"
    plain["version"] = 2
    plain["lineage"] = plain["predecessor"] = CHARTER
    plain["artifacts"]["signature"] = "optional"
    plain["assets"][1]["signers"] = [str(LAB_A.public.fingerprint)]
    plain["permissions"][0]["window"] = plain["window"]
    plain["permissions"].append(
        {
            "id": "training", "who": ["evaluator"], "may": ["forward"], "with": ["developer"], "assets": [],
            "topics": [], "ports": [8080], "window": None, "limits": [],
        }
    )  # fmt: skip
    plain["privacy"] |= {"minimum_participants": 3, "epsilon": "3.5", "delta": "0.00001"}
    plain["ownership"]["terms"] = plain["exit"]["terms"] = "as in the contract"
    plain["anomalies"] = [
        {"watches": "denials", "id": "denials", "in_a_row": 50},
        {"watches": "volume", "id": "volume", "times": 10, "at_least": 10**10},
        {"watches": "hours", "id": "nights", "from": "07:00", "until": "19:00", "days": ["monday"]},
        {"watches": "fingerprint", "id": "changed"},
    ]
    return plain


def charter_files() -> tuple[Bodies, Bodies]:
    """Canonical, and as people edit it."""
    plain = charter_plain()
    return {"charter": to_canonical(from_plain(plain))}, {
        "charter for editing": write_yaml(plain, "recorded").encode()
    }


def log_key_of(owner: Identity) -> bytes:
    """The certificate of the log key, which here is the next key in the row."""
    key = audit_key(owner)
    return sign(LogKey(**common(owner), origin=key.origin, key=key.public.hex()))


def audit_key(owner: Identity) -> AuditKey:
    private = {LAB_A.public: NEXT_A, LAB_B.public: SERVER}[owner.public].private_key
    return AuditKey(AuditKey.generate(owner.public).origin, private)


def audit_entries() -> Bodies:
    plain = Entry(at=NOW * 1000, kind="started")
    full = Entry(
        at=NOW * 1000 + 42,
        kind="decision",
        peer=str(LAB_B.public.fingerprint),
        operation="receive",
        decision="deny",
        reasons=("external-validation", "not after 2027"),
        digest=CHARTER,
        detail={"bytes": 7, "name": "modèle", "late": True, "note": None},
    )
    return {"audit entry": encode_entry(plain), "audit entry of a decision": encode_entry(full)}


def audit_files() -> Bodies:
    """A log of four entries, exported whole and for a partner, with a head that the partner countersigned."""
    key, partner = audit_key(LAB_A), audit_key(LAB_B)
    asked = statements.request()
    agreement = write_agreement(sign(asked).decode(), sign(statements.approval(asked)).decode(), None)
    with open_node_database(MEMORY) as db:
        audit = AuditService(db, key, ManualClock(NOW), PredictableEntropy(1))
        for number in range(2):
            audit.append("event", n=number)
            audit.append("decision", peer=LAB_B.public, decision="allow", n=number)
        reader = AuditReader(db)
        audit.redact([1], "asked for by the partner")
        size = 3
        head = Checkpoint(key.origin, size, merkle.root(size, reader.node))
        line = cosign(head, partner.origin, partner.private, NOW)
        cosigned = Cosigned(size, LAB_B.public, head.root, NOW, line, log_key_of(LAB_B))
        made: Bodies = {
            "checkpoint": write_anchor(
                sign_checkpoint(head, key.private) + line, log_key_of(LAB_A), log_key_of(LAB_B)
            ).encode()
        }
        for name, peer in (("audit export", None), ("audit export for a partner", LAB_B)):
            lines: list[bytes] = []
            parts = Parts(
                certificate=log_key_of(LAB_A),
                heads=[cosigned],
                agreements=(agreement,),
                peer=str(peer.public.fingerprint) if peer else None,
                exported_at="2027-01-15T08:00:00Z",
            )
            write_export(reader, key, parts, lines.append)
            made[name] = b"".join(lines)
    return made


def cells() -> tuple[Bodies, Bodies]:
    """Relationships and charters' lines, as the database holds them."""
    asked = statements.request()
    request, approval = sign(asked).decode(), sign(statements.approval(asked)).decode()
    retired = Ending(by="them", at=NOW, reason="lost", envelope=sign(statements.retirement()).decode())
    agreement = Agreement(
        digest=AGREEMENT, request=request, approval=approval, request_digest=digest(asked), requester="us",
        justification="IRB", reason="", requested_by="Dr. Osei", organization="Charité", contact="",
        charter=CHARTER, allow=("exchange",), approved_at=NOW, until=LATER, rank=2, their_sequence=1,
        ending=retired,
    )  # fmt: skip
    plain = Relationship(
        peer=LAB_B.public.hex, hostname="charité-trainer", address="1:0001.0000.0020", local_id="p1"
    )
    full = msgspec.structs.replace(
        plain,
        pinned=True,
        outgoing=(
            Outgoing(digest=digest(asked), nonce=NONCE, envelope=request, justification="IRB",
                     charter=CHARTER, expires=LATER, until=LATER, at=NOW, sequence=1),
        ),
        incoming=Incoming(
            digest=digest(asked), nonce=NONCE, envelope=request, justification="IRB",
            requested_by="Dr. Osei", organization="", contact="", charter=CHARTER, expires=LATER, until=LATER,
            received_at=NOW, sequence=1, shown=True, predecessor=LAB_A.public.hex,
        ),
        agreement=agreement,
        rejection="not without an IRB",
        retired=retired,
        predecessor=LAB_A.public.hex,
        renewal=Renewal(justification="IRB", until=LATER),
    )  # fmt: skip
    terms = Terms(
        digest=CHARTER, lineage=CHARTER, predecessor=None, version=1,
        parties=(str(LAB_A.public.fingerprint), str(LAB_B.public.fingerprint)), accept_by=LATER, until=LATER,
        policy=MANIFEST,
    )  # fmt: skip
    versions = (
        Version(terms=terms, signed=terms.parties, complete=True, at=NOW),
        Version(terms=msgspec.structs.replace(terms, version=2, predecessor=CHARTER), void=True),
    )
    line = Line(
        lineage=CHARTER,
        own=terms.parties[0],
        versions=versions,
        ending=LineEnding(by=terms.parties[1], at=NOW, reason="over", charter=CHARTER),
    )
    lines = {"a line of charters": line, "an empty line of charters": Line(lineage=CHARTER, own=line.own)}
    elsewhere = msgspec.structs.replace(plain, realm=f"{RENDEZVOUS}/2")
    relationships = {
        "relationship": plain,
        "relationship with all that can be": full,
        "relationship in another network": elsewhere,
    }
    return (
        {name: msgspec.json.encode(one) for name, one in relationships.items()},
        {name: msgspec.json.encode(one) for name, one in lines.items()},
    )
