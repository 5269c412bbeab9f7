"""Sealed mail: statements out to a peer's current HPKE key, and in from whoever has signed them.

The rendezvous carries the bytes and learns who talks to whom, not why. A blob is bound to its sender,
recipient, network, message id and way of carriage, so that it opens nowhere else (SECURITY.md rule 4).
Handlers are registered by statement type; kept mail is acknowledged once its handler has committed, or when
it can never be read. What can't be handled for a passing reason is held and tried again, and whatever its
sender wrote after it waits behind it: a later statement would make the earlier one look replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import (
    ComityError,
    Denied,
    IdentityMismatch,
    InvalidInput,
    RemoteProtocolError,
    UnknownPeer,
)
from comity.identity.address import Address
from comity.identity.envelope import Envelope
from comity.identity.hostname import normalise_hostname
from comity.identity.keys import PublicKey
from comity.identity.sealing import SealContext, SealingPrivateKey, UnsealError, open_sealed, seal
from comity.protocol.registry import Mail, Record
from comity.protocol.statements import (
    HandshakeRequest,
    SealingKey,
    Statement,
    check_lifetime,
    open_statement,
    payload_type,
)
from comity.protocol.succession import Retirement
from comity.services.audit import AuditService
from comity.services.notary import AlreadySeen, Notary
from comity.services.refusals import Refusals
from comity.storage.trust import PeerSealingKey, TrustStore
from comity.transport.interface import Rendezvous

Handler = Callable[[PublicKey, Envelope], Awaitable[None]]
_MESSAGE_ID_BYTES = 16


class SealingKeys(Protocol):
    """Where this node keeps its own HPKE keys."""

    def live(self, now: float) -> list[SealingPrivateKey]:
        """Every private key that mail may still be sealed to, newest first."""


class Courier:
    """Seals and opens in one realm, the notary's; see the module.

    ``elsewhere`` tells whether a key has an agreement with this node that is in force in another realm.
    """

    def __init__(
        self,
        rendezvous: Rendezvous,
        notary: Notary,
        store: TrustStore,
        keys: SealingKeys,
        audit: AuditService,
        clock: Clock,
        entropy: Entropy,
        elsewhere: Callable[[PublicKey], bool] = lambda _: False,
    ) -> None:
        self.realm = notary.realm
        self._elsewhere = elsewhere
        self._rendezvous = rendezvous
        self._notary = notary
        self._store = store
        self._keys = keys
        self._refusals = Refusals("mail.refused", audit, clock, self._dealt_with)
        self._clock = clock
        self._entropy = entropy
        self._handlers: dict[str, Handler] = {}
        self._reading = asyncio.Lock()  # one letter at a time, whoever brings it
        self._held: dict[PublicKey, dict[str, Mail]] = {}  # by sender and message id, in the order of posting

    def on(self, kind: type[Statement], handler: Handler) -> None:
        """Give statements of this type to ``handler(sender, envelope)``, which verifies what it is given."""
        self._handlers[payload_type(kind)] = handler

    async def send(
        self, peer: PublicKey, envelope: Envelope, *, keep: bool, message_id: bytes | None = None
    ) -> bool:
        """Post a statement; whether the peer is online. Raises what ``Rendezvous.post`` and ``resolve``
        raise.

        The same ``message_id`` at a second try makes the mailbox keep one copy.
        """
        identifier = message_id or self._entropy.token(_MESSAGE_ID_BYTES)
        public = await self._sealing_key(peer)
        context = self._context(self._notary.public, peer, identifier, keep=keep)
        blob = seal(envelope.to_json(), public, context)
        return await self._rendezvous.post(peer, identifier, blob, keep=keep)

    async def opened(self, mail: Mail) -> None:
        """Open what the rendezvous pushed, hand it to its handler, and acknowledge it where it was kept.

        Raises why a handler failed for a passing reason (a full disk): then the mail is held for
        ``read_again``, and stays in the mailbox too.
        """
        sender = PublicKey.from_hex(mail.sender)
        if not mail.keep:
            if self._dealt_with(sender):  # nobody else has a signal to give
                await self._read(sender, mail)
            return
        async with self._reading:
            letters = self._held.setdefault(sender, {})
            if mail.message_id in letters or sum(map(len, self._held.values())) < limits.MAIL_HELD:
                letters[mail.message_id] = mail
            await self._read_in_order(sender)

    async def read_again(self) -> None:
        """Try the mail that is held, each sender's in order."""
        for sender in list(self._held):
            async with self._reading:
                with suppress(ComityError):  # it waits on
                    await self._read_in_order(sender)

    async def _read_in_order(self, sender: PublicKey) -> None:
        letters = self._held.get(sender, {})
        while letters:
            mail = next(iter(letters.values()))
            try:
                await self._read(sender, mail)
                await self._rendezvous.acknowledge(sender, bytes.fromhex(mail.message_id))
            except ComityError:
                raise
            except Exception:  # a bug of ours must not hold up what comes after
                del letters[mail.message_id]
                raise
            del letters[mail.message_id]
        self._held.pop(sender, None)

    async def _read(self, sender: PublicKey, mail: Mail) -> None:
        identifier = bytes.fromhex(mail.message_id)
        try:
            envelope = self._unseal(sender, identifier, mail)
            handler = self._handlers.get(envelope.payload_type)
            self._check_met_here(sender, envelope)
            if handler is None:
                raise RemoteProtocolError("a sealed message holds no statement that belongs in one")
            await handler(sender, envelope)
        except AlreadySeen:
            pass
        except (RemoteProtocolError, IdentityMismatch, UnknownPeer, Denied) as error:
            self._refusals.record(sender, error, message=mail.message_id)

    def _check_met_here(self, sender: PublicKey, envelope: Envelope) -> None:
        """A key that is met in another realm can ask for an agreement here once none is in force there, and
        can retire; else RemoteProtocolError.
        """
        if envelope.payload_type == payload_type(Retirement):
            return
        met = self._store.realm_of(sender)
        first = envelope.payload_type == payload_type(HandshakeRequest)
        if self._elsewhere(sender) or (met not in (None, str(self.realm)) and not first):
            raise RemoteProtocolError("it came through another network than the one where its sender is met")

    def _dealt_with(self, key: PublicKey) -> bool:
        rel = self._store.get(key)
        return rel is not None and rel.dealt_with and rel.realm == str(self.realm)

    def name_record(self, record: Record) -> PublicKey:
        """The key in a registry record whose name and address can be a node's here; else RemoteProtocolError.

        Its sealing key is remembered if it holds, and does not matter otherwise.
        """
        key = self._named(record)
        with suppress(IdentityMismatch):
            self._remember(record, key)
        return key

    def accept_record(self, record: Record) -> PublicKey:
        """``name_record``, for a node that is to be written to.

        Raises IdentityMismatch where the record's sealing key is not signed by the record's key, is stale, or
        is older than one that this node has seen (rule 4: no rollback).
        """
        key = self._named(record)
        self._remember(record, key)
        return key

    def _named(self, record: Record) -> PublicKey:
        key = PublicKey.from_hex(record.key)
        try:
            proper = normalise_hostname(record.hostname) == record.hostname
            proper = proper and Address.parse(record.address).network == self.realm.network
        except InvalidInput:
            proper = False
        if not proper:
            raise RemoteProtocolError(
                "the rendezvous offers a name or an address that no node of this network has"
            )
        return key

    def _remember(self, record: Record, key: PublicKey) -> None:
        statement = self._open_sealing_key(key, record.sealing_key.encode())
        known = self._store.sealing_key(key, str(self.realm))
        if known is not None and statement.sequence < known.sequence:
            raise IdentityMismatch(
                f"the rendezvous offers an older sealing key of {record.hostname} than it did before",
                hint="ask your partner whether their node was restored from a backup, then the operator",
            )
        self._store.put_sealing_key(
            key,
            PeerSealingKey(statement.sequence, statement.expires, bytes.fromhex(statement.public)),
            str(self.realm),
        )

    async def _sealing_key(self, peer: PublicKey) -> bytes:
        known = self._store.sealing_key(peer, str(self.realm))
        if known is None or known.expires < self._clock.now() + limits.DAY:
            record = await self._rendezvous.resolve(key=peer)
            if self.accept_record(record) != peer:
                raise IdentityMismatch("the rendezvous answered with another node's record")
            known = self._store.sealing_key(peer, str(self.realm))
        if known is None:
            raise IdentityMismatch("the peer has no sealing key")
        return known.public

    def _open_sealing_key(self, key: PublicKey, text: bytes) -> SealingKey:
        try:
            statement = open_statement(
                Envelope.from_json(text),
                SealingKey,
                issuer=key,
                rendezvous=self.realm.rendezvous,
                network=self.realm.network,
                now=self._clock.now(),
            )
            check_lifetime(statement, limits.SEALING_KEY_LIFETIME)
            return statement
        except ComityError as error:
            raise IdentityMismatch(
                f"the rendezvous's record of a peer does not verify: {error.message}",
                hint="ask your partner to restart their node, then the rendezvous's operator",
            ) from error

    def _unseal(self, sender: PublicKey, identifier: bytes, mail: Mail) -> Envelope:
        context = self._context(sender, self._notary.public, identifier, keep=mail.keep)
        for key in self._keys.live(self._clock.now()):
            try:
                return Envelope.from_json(open_sealed(mail.blob, key, context))
            except UnsealError:
                continue
        raise UnsealError("a message opens with none of this node's sealing keys")

    def _context(
        self, sender: PublicKey, recipient: PublicKey, identifier: bytes, *, keep: bool
    ) -> SealContext:
        return SealContext(
            type="mail" if keep else "signal",
            rendezvous=self.realm.rendezvous,
            network=self.realm.network,
            sender=sender,
            recipient=recipient,
            message_id=identifier,
        )
