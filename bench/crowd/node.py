"""One node of a crowd: the project's own TLS, registration, heartbeat and requests, without a daemon around.

Its sealing key is one of all nodes of a process: the rendezvous can't tell, and 10,000 of them would be made
for nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress

from comity import limits
from comity.clock import SystemClock
from comity.errors import ComityError
from comity.identity.card import JoinUrl
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity, PublicKey
from comity.protocol.registry import (
    Acknowledge,
    Done,
    Mail,
    Post,
    Posted,
    Registered,
    RelayOffer,
    Resolve,
    Resolved,
)
from comity.protocol.statements import Registration, SealingKey, Statement, payload, payload_type
from comity.transport.channel import SecureChannel
from comity.transport.rendezvous_calls import Calls
from comity.transport.rendezvous_connection import Claim, Connection
from comity.transport.tcp import connect_tcp
from comity.transport.tls import Credentials

CLOCK = SystemClock()
_SEALING_PUBLIC = os.urandom(1216).hex()
#: A trust request as it is posted: a signed statement of about 1.6 KB, padded and sealed.
REQUEST_BYTES = limits.SEAL_PADDING + 1200


class Node:
    """``hear`` is called with each letter's message id when it arrives."""

    def __init__(self, join: JoinUrl, hostname: str, hear: Callable[[str], None]) -> None:
        self.identity = Identity.generate()
        self.hostname = hostname
        self.ended: Exception | None = None
        self._join = join
        self._hear = hear
        self._connection: Connection | None = None
        self._served: asyncio.Task[None] | None = None
        self._acknowledging: set[asyncio.Task[None]] = set()

    async def come(self) -> None:
        """Connect and register. Raises what the rendezvous, or the system, says no with."""
        sock = await connect_tcp(self._join.host, self._join.port, limits.CONNECT_TIMEOUT)
        channel = await SecureChannel.connect(sock, Credentials(self.identity, CLOCK), self._join.fingerprint)
        sealing = self._sign(self._sealing())
        connection = Connection(
            channel,
            self,
            lambda: Claim(self.hostname, False, (), sealing),
            self._registration,
            network=self._join.network,
            instance=os.urandom(16).hex(),
            clock=CLOCK,
        )
        try:
            await connection.open()
        except BaseException:
            connection.end("not registered")
            raise
        self._connection = connection
        self._served = asyncio.create_task(self._serve(connection))

    async def resolve(self, hostname: str) -> float:
        """Seconds until the record was there."""
        began = time.perf_counter()
        answer = await self._calls().ask(lambda number: Resolve(id=number, hostname=hostname), Resolved)
        if answer.record.hostname != hostname:
            raise SystemExit("the rendezvous told of another node")
        return time.perf_counter() - began

    async def post(self, to: PublicKey, message_id: str) -> None:
        await self._calls().ask(
            lambda number: Post(
                id=number, recipient=to.hex, message_id=message_id, blob=os.urandom(REQUEST_BYTES), keep=True
            ),
            Posted,
        )

    async def leave(self) -> None:
        if self._served is not None:
            self._served.cancel()
            with suppress(asyncio.CancelledError):
                await self._served

    # ── what the rendezvous pushes ────────────────────────────────────────────────────────────────────

    async def mail(self, mail: Mail) -> None:
        self._hear(mail.message_id)
        task = asyncio.create_task(self._acknowledge(mail))
        self._acknowledging.add(task)
        task.add_done_callback(self._acknowledging.discard)

    async def registered(self, answer: Registered) -> None:
        return

    async def relay_offered(self, offer: RelayOffer) -> None:
        return

    async def retired(self, key: PublicKey, retirement: str) -> None:
        return

    def lost(self, error: Exception) -> None:
        return

    async def _acknowledge(self, mail: Mail) -> None:
        with suppress(ComityError):  # it comes again then
            await self._calls().ask(
                lambda number: Acknowledge(id=number, sender=mail.sender, message_id=mail.message_id), Done
            )

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.serve()
        except ComityError as error:
            self.ended = error
        finally:
            connection.end("over")

    def _calls(self) -> Calls:
        if self._connection is None:
            raise SystemExit("a node that is not registered was asked for something")
        return self._connection.calls

    def _registration(self, nonce: str, *, hostname: str, public: bool, tags: tuple[str, ...]) -> Envelope:
        now = int(CLOCK.now())
        return self._sign(
            Registration(
                rendezvous=str(self._join.fingerprint), network=self._join.network,
                issuer=self.identity.public.hex, nonce=nonce, issued=now, expires=now + 60,
                hostname=hostname, public=public, tags=tags,
            )
        )  # fmt: skip

    def _sealing(self) -> SealingKey:
        now = int(CLOCK.now())
        return SealingKey(
            rendezvous=str(self._join.fingerprint), network=self._join.network,
            issuer=self.identity.public.hex, nonce="00" * 32, issued=now,
            expires=now + limits.SEALING_KEY_LIFETIME, public=_SEALING_PUBLIC, sequence=1,
        )  # fmt: skip

    def _sign(self, statement: Statement) -> Envelope:
        return self.identity.sign_statement(payload_type(type(statement)), payload(statement))
