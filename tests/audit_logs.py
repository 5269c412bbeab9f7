"""Audit logs of made-up institutions, in memory or in a file, with countersignatures and exports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comity.audit import merkle
from comity.audit.anchor import write_anchor
from comity.audit.cosignature import cosign
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.clock import ManualClock
from comity.entropy import PredictableEntropy
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity
from comity.protocol.statements import LogKey, payload, payload_type
from comity.services.audit import AuditService
from comity.services.audit.exporting import Parts, write_export
from comity.storage.audit import AuditReader
from comity.storage.database import MEMORY, Database
from comity.storage.logkey import AuditKey
from comity.storage.schema import open_node_database
from comity.storage.witness import Cosigned

NOW = 1_800_000_000


def certificate(identity: Identity, key: AuditKey) -> Envelope:
    """What an identity says of its log key."""
    statement = LogKey(
        rendezvous="ab" * 32,
        network=1,
        issuer=identity.public.hex,
        nonce="cd" * 32,
        issued=NOW,
        expires=NOW + 1000,
        origin=key.origin,
        key=key.public.hex(),
    )
    return identity.sign_statement(payload_type(LogKey), payload(statement))


@dataclass
class Institution:
    """An identity with a log key."""

    identity: Identity
    key: AuditKey

    @classmethod
    def new(cls) -> Institution:
        identity = Identity.generate()
        return cls(identity, AuditKey.generate(identity.public))

    @property
    def certificate(self) -> bytes:
        return certificate(self.identity, self.key).to_json()

    @property
    def fingerprint(self) -> str:
        return str(self.identity.public.fingerprint)

    def countersign(self, head: Checkpoint, at: int = NOW) -> bytes:
        return cosign(head, self.key.origin, self.key.private, at)


class Log:
    """The log of ``owner``, with ``count`` entries about ``partner`` and as many about nobody."""

    def __init__(
        self,
        owner: Institution,
        partner: Institution,
        count: int = 10,
        path: Path | str = MEMORY,
        what: str = "",
    ) -> None:
        self.owner = owner
        self.partner = partner
        self.db: Database = open_node_database(path)
        self.audit = AuditService(self.db, owner.key, ManualClock(NOW), PredictableEntropy(len(what)))
        for number in range(count):
            self.audit.append("event", n=number, what=what)
            self.audit.append("decision", peer=partner.identity.public, decision="allow", n=number)

    def head(self, size: int | None = None) -> Checkpoint:
        reader = AuditReader(self.db)
        size = reader.size() if size is None else size
        return Checkpoint(self.owner.key.origin, size, merkle.root(size, reader.node))

    def note(self, size: int | None = None) -> bytes:
        return sign_checkpoint(self.head(size), self.owner.key.private)

    def anchor(self, size: int | None = None, witness: Institution | None = None) -> bytes:
        """The checkpoint file that a witness keeps."""
        witness = witness or self.partner
        note = self.note(size) + witness.countersign(self.head(size))
        return write_anchor(note, self.owner.certificate, witness.certificate).encode()

    def cosigned(self, size: int) -> Cosigned:
        head = self.head(size)
        line = self.partner.countersign(head)
        return Cosigned(size, self.partner.identity.public, head.root, NOW, line, self.partner.certificate)

    def export(
        self, peer: Institution | None = None, heads: tuple[int, ...] = (), agreements: tuple[str, ...] = ()
    ) -> list[bytes]:
        """The lines of an export."""
        lines: list[bytes] = []
        parts = Parts(
            certificate=self.owner.certificate,
            heads=[self.cosigned(size) for size in heads],
            agreements=agreements,
            peer=peer.fingerprint if peer else None,
            exported_at="2027-01-15T08:00:00Z",
        )
        write_export(AuditReader(self.db), self.owner.key, parts, lines.append)
        return lines
