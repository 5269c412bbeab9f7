"""The server's folder: its key, its database, its join URL, and the lock that keeps a second server out.

    DIR/                  0700
        rendezvous.key    0600  Ed25519, PKCS #8 in PEM: whoever has it is this rendezvous
        lineage.json      0600  the keys before it, each with its word for the next
        rendezvous.db     0600  nodes, letters (``sqlite``)
        join.url          0600  one line, written when the sockets are bound
        lock              0600  flock(2), released by the kernel when the server ends
        admin.sock        0600  where administrators are served, while the server runs

It does not know what the database holds.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import AlreadyRunning, InvalidInput, RemoteProtocolError, StorageUnusable
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity, PublicKey
from comity.protocol.statements import Predecessor, payload, payload_type
from comity.protocol.succession import EVERY_NETWORK, Handover, Lineage
from comity.storage.private import make_private_folder, open_private, read_private, write_private


class State:
    """An open state folder. Raises HomeUnsafe, StorageUnusable, DiskFull, AlreadyRunning."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private_folder(folder)
        self._lock = open_private(folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise AlreadyRunning(
                f"another rendezvous serves from {folder}",
                hint="stop it first, or choose another folder with --state DIR",
            ) from None
        self._kept = ExitStack()
        self.hatch = self._kept.enter_context(hatch_of(folder))

    @property
    def database(self) -> Path:
        return self.folder / "rendezvous.db"

    def identity(self) -> Identity:
        """The server's key, made at the first start."""
        path = self.folder / "rendezvous.key"
        if path.exists():
            return Identity.from_pem(read_private(path, limits.KEY_FILE_BYTES))
        identity = Identity.generate()
        write_private(path, identity.to_pem(), replace=False)
        return identity

    def lineage(self) -> Lineage:
        """The keys before this one; StorageUnusable where that can't be read."""
        path = self.folder / "lineage.json"
        if not path.exists():
            return Lineage()
        try:
            return Lineage.parse(read_private(path, limits.RENDEZVOUS_LINEAGE_BYTES))
        except RemoteProtocolError as error:
            raise StorageUnusable(f"{path} is damaged", hint="restore the folder from a backup") from error

    def rotate(self, clock: Clock, entropy: Entropy) -> tuple[Identity, Identity]:
        """Give this server a new key: the old one and the new one. InvalidInput after too many of them.

        The word of the old key is on disk before the new key takes its place; killed in between, the old one
        goes on, and a word for a key that nobody has binds nobody.
        """
        old, lineage = self.identity(), self.lineage()
        kept = [said for said in lineage.keys if said.key != old.public.hex]
        if len(kept) >= limits.RENDEZVOUS_KEYS:
            raise InvalidInput("this rendezvous has had as many keys as it can", hint="set up a new one")
        new = Identity.generate()
        now = int(clock.now())
        said = Handover(
            rendezvous=str(named(lineage, old.public)),
            network=EVERY_NETWORK,
            issuer=old.public.hex,
            nonce=entropy.token(32).hex(),
            issued=now,
            expires=now + limits.REVOCATION_LIFETIME,
            successor=new.public.hex,
        )
        envelope = old.sign_statement(payload_type(Handover), payload(said))
        kept.append(Predecessor(key=old.public.hex, rotation=envelope.to_json().decode()))
        write_private(self.folder / "lineage.json", Lineage(keys=tuple(kept)).to_json(), replace=True)
        write_private(self.folder / "rendezvous.key", new.to_pem(), replace=True)
        return old, new

    def read_join_url(self) -> JoinUrl:
        """What ``write_join_url`` wrote last."""
        return JoinUrl.parse(read_private(self.folder / "join.url", limits.KEY_FILE_BYTES).decode())

    def write_join_url(self, url: JoinUrl) -> Path:
        """Put the join URL where ``comity init --join`` can read it."""
        path = self.folder / "join.url"
        write_private(path, f"{url}\n".encode(), replace=True)
        return path

    def close(self) -> None:
        """Let another server in."""
        self._kept.close()
        os.close(self._lock)


def named(lineage: Lineage, own: PublicKey) -> Fingerprint:
    """By which key statements name this rendezvous: its first one."""
    first = PublicKey.from_hex(lineage.keys[0].key) if lineage.keys else own
    return first.fingerprint


@contextmanager
def hatch_of(folder: Path) -> Iterator[Path]:
    """Where the administrators' socket is, by a path that is short enough for one."""
    path = folder / "admin.sock"
    if len(os.fsencode(path)) <= limits.SOCKET_PATH_BYTES:
        yield path
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{opened}/{path.name}")
    finally:
        os.close(opened)
