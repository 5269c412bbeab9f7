"""One node's connection: read what it says, answer in order, push what comes for it, until either side ends
it.

Requests are served one after the other, so at most one of a node's is ever under way: the rest wait in its
socket. The order is ``protocol.registration``'s, the answers are ``desk``'s. Kept mail is read from the
mailbox page by page, as fast as the node takes it, from the first unacknowledged letter at each registration
of a new connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from comity import limits
from comity.errors import (
    ComityError,
    KeyRetired,
    LinkLost,
    RateLimited,
    RemoteProtocolError,
    RendezvousRefused,
    TimedOut,
)
from comity.protocol.framing import Kind
from comity.protocol.registration import (
    GOING_AWAY_VERSION,
    Admit,
    Admitted,
    Denied,
    Ended,
    Entry,
    Refuse,
    Say,
    Serve,
)
from comity.protocol.registry import (
    GoingAway,
    Register,
    Registered,
    Retire,
    ServerMessage,
    Superseded,
    parse_node_message,
)
from comity.rendezvous import mailbox, registry
from comity.rendezvous.desk import Desk
from comity.rendezvous.outgoing import Outgoing
from comity.rendezvous.presence import NodeKey, Presence
from comity.transport.channel import SecureChannel


class Visit:
    """``nonce`` is this connection's challenge, ``observed`` where it comes from, as ``ip:port``.

    ``come_in`` is called at each registration.
    """

    def __init__(
        self,
        channel: SecureChannel,
        observed: str,
        nonce: bytes,
        desk: Desk,
        presence: Presence,
        come_in: Callable[[], None],
    ) -> None:
        self.node: NodeKey = (0, channel.peer.raw)
        self.registered = asyncio.Event()
        self._channel = channel
        self._observed = observed
        self._desk = desk
        self._presence = presence
        self._come_in = come_in
        self._entry = Entry(desk.own, channel.peer, nonce)
        self._outgoing = Outgoing(channel, desk.backlog)
        self._mail = asyncio.Event()
        self._shown = {"fingerprint": str(channel.peer.fingerprint), "remote": observed}

    async def run(self) -> None:
        """Serve until the end. What the node did wrong, or how it went away, is in the log."""
        why = "the server ended it"
        try:
            await self._until_one_ends()
        except LinkLost as error:  # it went away, or does not read, or is silent
            why = error.message
        except ComityError as error:
            why = error.code
            self._refused(error)
        else:
            await self._channel.close()
        finally:
            self._entry.handle(Ended(), self._desk.clock.now())
            if self.registered.is_set():
                self._presence.leave(self, self._desk.clock.now())
                self._desk.journal.info("left", reason=why, **self._shown)
            self._outgoing.forget()
            self._channel.dismiss()

    async def _until_one_ends(self) -> None:
        """Run the three tasks until ``_speak`` has said the last word, or one raises.

        Not in a TaskGroup: what it leaves behind goes round in circles, and waits for the garbage collector,
        out of whose sight ``garbage`` keeps long visits.
        """
        loop = asyncio.get_running_loop()
        works = [loop.create_task(work) for work in (self._speak(), self._listen(), self._deliver())]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()
            await asyncio.wait(works)
            failures = [work.exception() for work in works if not work.cancelled()]
            works.clear()
        try:
            if gravest := max(failures, key=_gravity, default=None):
                raise gravest
        finally:  # the failure knows this frame, so this frame is not to know the failure
            gravest = None
            failures.clear()

    # ── as others see it ──────────────────────────────────────────────────────────────────────────────

    def push(self, message: ServerMessage) -> bool:
        return self._outgoing.push(message)

    def mail_came(self) -> None:
        self._mail.set()

    def expel(self, error: ComityError) -> None:
        self._refused(error)
        self._outgoing.finish(self._desk.failure(0, error))

    def supersede(self, instance: str) -> None:
        self._desk.journal.info("superseded", **self._shown)
        self._outgoing.finish(Superseded(instance=instance))

    def go_away(self, within: int) -> None:
        if self._entry.version >= GOING_AWAY_VERSION:
            self._outgoing.finish(GoingAway(within=within))
        else:
            self._outgoing.finish(
                self._desk.failure(0, RendezvousRefused("the rendezvous is being restarted"))
            )

    # ── its three tasks ───────────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        try:
            await self._listen_on()
        except LinkLost:
            raise
        except ComityError as error:
            self._refused(error)
            self._outgoing.finish(self._desk.failure(0, error))
        await asyncio.get_running_loop().create_future()  # ``_speak`` ends the visit

    async def _listen_on(self) -> NoReturn:
        try:
            async with asyncio.timeout(limits.HELLO_TIMEOUT):
                while not self.registered.is_set():
                    await self._turn()
        except TimeoutError:
            raise TimedOut("the node did not register in time") from None
        while True:
            try:
                async with asyncio.timeout(limits.RENDEZVOUS_DEAD_AFTER):
                    kind, body = await self._channel.read_frame(limits.RENDEZVOUS_REQUEST_BYTES)
            except TimeoutError:
                raise LinkLost("the node fell silent") from None
            await self._hear(kind, body)

    async def _speak(self) -> None:
        await self._outgoing.run()

    async def _deliver(self) -> None:
        await self.registered.wait()
        place = 0
        while True:
            self._mail.clear()
            while page := await self._desk.waiting(self.node, place):
                for kept in page:
                    await self._outgoing.say(mailbox.mail(kept.letter), limits.RENDEZVOUS_QUEUE_MAIL_BYTES)
                    place = kept.place
            await self._mail.wait()

    # ── one message ───────────────────────────────────────────────────────────────────────────────────

    async def _turn(self) -> None:
        await self._hear(*await self._channel.read_frame(limits.RENDEZVOUS_REQUEST_BYTES))

    async def _hear(self, kind: Kind, body: bytes) -> None:
        if kind is not Kind.DATA:
            raise RemoteProtocolError(f"a node sent a frame of kind {kind.name.lower()}")
        message = parse_node_message(body)
        if isinstance(message, Register):
            try:
                self._desk.may_register(self.node[1])
            except RateLimited as error:
                self._desk.meters.refused(error.code)
                await self._outgoing.say(self._desk.failure(message.id, error))
                return
        for effect in self._entry.handle(message, self._desk.clock.now()):
            match effect:
                case Say():
                    await self._outgoing.say(effect.message)
                case Refuse(id=0):
                    try:
                        raise effect.error
                    finally:  # as above
                        del effect
                case Refuse():
                    self._refused(effect.error)
                    await self._outgoing.say(self._desk.failure(effect.id, effect.error))
                case Admit():
                    await self._admit(effect)
                case Serve():
                    await self._serve(effect)

    async def _admit(self, effect: Admit) -> None:
        claim = effect.claim
        try:
            node = await self._desk.admit(claim)
        except ComityError as error:
            self._entry.handle(Denied(), self._desk.clock.now())
            self._refused(error)
            await self._outgoing.say(self._desk.failure(effect.id, error))
            return
        if self._outgoing.finishing:  # superseded meanwhile: the newer connection stays
            return
        self._entry.handle(Admitted(), self._desk.clock.now())
        self.node = (node.network, node.key)
        older = self._presence.enter(self)
        if older is not None:
            older.supersede(claim.instance)
        self._shown |= {"address": registry.address(node), "hostname": node.hostname}
        self._desk.journal.info("registered", **self._shown)
        await self._outgoing.say(
            Registered(
                id=effect.id,
                address=registry.address(node),
                hostname=node.hostname,
                observed=self._observed,
                observers=self._desk.observers,
            )
        )
        self._come_in()
        self.registered.set()

    async def _serve(self, effect: Serve) -> None:
        try:
            answer = await self._desk.serve(self.node, effect.request)
        except ComityError as error:
            self._desk.meters.refused(error.code)
            answer = self._desk.failure(effect.request.id, error)
        await self._outgoing.say(answer)
        if isinstance(effect.request, Retire) and effect.request.key == self.node[1].hex():
            self.expel(KeyRetired("this key was retired"))

    # ── what the log says ─────────────────────────────────────────────────────────────────────────────

    def _refused(self, error: ComityError) -> None:
        self._desk.journal.refused(error.code, reason=error.message, **self._shown)


def _gravity(failure: BaseException | None) -> int:
    """A bug of ours before what a node did wrong, and that before that it went away."""
    if failure is None:
        return 0
    return 1 if isinstance(failure, LinkLost) else 2 if isinstance(failure, ComityError) else 3
