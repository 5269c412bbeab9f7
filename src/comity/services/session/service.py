"""The sessions of this node: one with each peer that has an agreement in force and is online.

It answers port 444, keeps a keeper a peer, settles which of two sessions stays, hands statements to trust,
and tears everything down when an agreement ends. ``run`` is its life, ``stop`` its orderly end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from comity import control, limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import (
    ComityError,
    Denied,
    IdentityMismatch,
    PeerUnreachable,
    RemoteProtocolError,
    UnknownPeer,
)
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation, Standing
from comity.protocol.hello import SESSION_PORT
from comity.protocol.session.duplicate import Contender
from comity.protocol.session.messages import ENDED, SHUTDOWN
from comity.services.audit import AuditService
from comity.services.guard import Guard
from comity.services.notary import AlreadySeen
from comity.services.refusals import Refusals
from comity.services.session.keeper import Keeper
from comity.services.session.punches import PUNCH, PunchDesk
from comity.services.session.reachability import REACHABILITY, Herald
from comity.services.session.standing import StandingTunnels
from comity.services.session.tunnel import Tunnel
from comity.services.session.views import Agreements, session_fields, session_view
from comity.transport.interface import Network, Stream

log = logging.getLogger("comity.session")

_PURPOSE, _UPGRADE = "session", "better path"  # a dialler's hello: it has no session, or one on a lesser path


class SessionService:
    """What is not a coroutine may be called from any callback on the loop."""

    def __init__(
        self,
        *,
        network: Network,
        herald: Herald,
        punches: PunchDesk,
        guard: Guard,
        audit: AuditService,
        own: PublicKey,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._network = network
        self._herald = herald
        self._punches = punches
        self._guard = guard
        self._audit = audit
        self._refusals = Refusals("statement.refused", audit, clock, lambda _: True)
        self._own = own
        self._clock = clock
        self._entropy = entropy
        self._trust: Agreements | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._keepers: dict[PublicKey, Keeper] = {}
        self._keeping: dict[PublicKey, asyncio.Task[None]] = {}
        self._tunnels = StandingTunnels()
        self._dials = asyncio.Semaphore(limits.SESSION_DIALS)
        self._stopping = asyncio.Event()
        network.serve(SESSION_PORT, self._accept)

    # ── its life ──────────────────────────────────────────────────────────────────────────────────────

    async def run(self, trust: Agreements) -> None:
        """Keep sessions with every trusted peer until ``stop``; then say goodbye to each and return."""
        self._trust = trust
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for known in trust.trusted_peers():
                self.peer_trusted(known.key)
            try:
                await self._stopping.wait()
            finally:
                self._tasks = None
            for task in self._keeping.values():
                task.cancel()
            self._keepers.clear()
            standing = self._tunnels.all()
            for tunnel in standing:
                tunnel.close(SHUTDOWN)
            await asyncio.gather(*(tunnel.gone.wait() for tunnel in standing))

    def stop(self) -> None:
        """No new sessions; those that stand say goodbye. For good."""
        self._stopping.set()

    # ── what other services tell it ───────────────────────────────────────────────────────────────────

    def peer_trusted(self, peer: PublicKey) -> None:
        """Keep a session with this peer from now on."""
        if self._tasks is None:  # not started: run() asks who is trusted
            return
        keeper = self._keepers.get(peer)
        if keeper is None or self._keeping[peer].done():  # done: it saw an end that was not acted upon yet
            keeper = self._keepers[peer] = Keeper(peer, self, self._clock, self._entropy)
            self._keeping[peer] = self._tasks.create_task(keeper.run())
        keeper.news()

    def peer_ended(self, peer: PublicKey) -> int:
        """End the session and every other link with this peer at once; how many links there were.

        One exception: the session that is bringing the news may acknowledge it first.
        """
        self._keepers.pop(peer, None)
        task = self._keeping.pop(peer, None)
        if task is not None:
            task.cancel()
        self._herald.forget(peer)
        tunnel = self._tunnels.remove(peer)
        if tunnel is not None and tunnel.close_when_handled(ENDED):
            return self._network.drop(peer, spare=SESSION_PORT) + 1
        closed = self._network.drop(peer)
        if tunnel is not None:
            tunnel.abort(ENDED)
        return closed

    def cut(self, peer: PublicKey) -> int:
        """End every link with this peer but the session's at once; how many there were."""
        return self._network.drop(peer, spare=SESSION_PORT)

    async def registered(self, there: Callable[[PublicKey], bool]) -> None:
        """A rendezvous is there: dial those who are met ``there``, and tell each of them that we are here."""
        peers = [peer for peer in self._keepers if there(peer)]
        for peer in peers:
            self._keepers[peer].news()
        await self._herald.announce([peer for peer in peers if self._tunnels.of(peer) is None])

    async def reachable(self, peer: PublicKey, envelope: Envelope) -> None:
        """A peer says where it is: dial it now. RemoteProtocolError where it may not, or the statement is
        bad.
        """
        keeper = self._keepers.get(peer)
        if keeper is None:
            raise RemoteProtocolError("reachability came from a key without an agreement")
        news = self._herald.learn(peer, envelope)
        keeper.news(better=news.changed)
        if news.answer and self._herald.dialable and not await self._tell_reachability(peer):
            await self._herald.try_send(peer, answer=False)

    # ── what other services ask ───────────────────────────────────────────────────────────────────────

    def tunnel(self, peer: PublicKey) -> Tunnel | None:
        """The standing session, if there is one."""
        return self._tunnels.of(peer)

    def view(self, peer: PublicKey) -> control.SessionView | None:
        """The standing session as people see it, if there is one."""
        tunnel = self._tunnels.of(peer)
        known = self._trust.known(peer) if self._trust else None
        if tunnel is None or known is None:
            return None
        return session_view(tunnel, known)

    def views(self) -> tuple[control.SessionView, ...]:
        """Every standing session, by hostname."""
        views = [view for peer in self._tunnels if (view := self.view(peer))]
        return tuple(sorted(views, key=lambda view: view.hostname))

    async def wait_up(self, peer: PublicKey, timeout: float) -> bool:
        """Whether a session stands within ``timeout`` seconds."""
        return await self._tunnels.wait_up(peer, timeout)

    async def tell(self, peer: PublicKey, envelope: Envelope) -> bool:
        """Hand a statement over the session; whether the peer took it within ``limits.TELL_SECONDS``."""
        return await self._tunnels.tell(peer, envelope)

    # ── what its keepers ask ──────────────────────────────────────────────────────────────────────────

    def standing(self, peer: PublicKey) -> Standing | None:
        """The current or last agreement."""
        return self._trust.standing(peer) if self._trust else None

    def path(self, peer: PublicKey) -> str | None:
        """The path of the standing session."""
        tunnel = self._tunnels.of(peer)
        return None if tunnel is None else tunnel.contender.path

    async def dial(self, peer: PublicKey) -> None:
        """Open a session; raises what ``Network.dial`` raises, and Denied."""
        path = self.path(peer)
        purpose = _PURPOSE if path is None else _UPGRADE
        async with self._dials:
            try:
                async with asyncio.timeout(limits.SESSION_DIAL_SECONDS):
                    stream = await self._network.dial(peer, SESSION_PORT, purpose=purpose, better_than=path)
            except TimeoutError:
                raise PeerUnreachable("no answer in time on any path") from None
        try:
            self._guard.require(Operation(kind="connect", peer=peer, service="session"))
        except ComityError:
            stream.abort()
            raise
        tunnel = self._settle(stream, client=self._own)
        if self._tasks is None:
            stream.abort()
        else:
            self._tasks.create_task(self._serve(tunnel))

    def expired(self, peer: PublicKey) -> None:
        """The agreement's time is over."""
        standing = self.standing(peer)
        self._keeping.pop(peer, None)  # the keeper that tells: it ends by itself
        self.peer_ended(peer)
        log.info("agreement expired", extra={"fields": {"peer": peer.fingerprint.short}})
        self._audit.append("agreement.expired", peer=peer, digest=standing.agreement if standing else None)

    # ── the sessions themselves ───────────────────────────────────────────────────────────────────────

    async def _accept(self, stream: Stream) -> None:
        """Port 444: the gate has let the peer in."""
        await self._serve(self._settle(stream, client=stream.peer))

    def _settle(self, stream: Stream, *, client: PublicKey) -> Tunnel:
        """The new session, which stands from now on unless a better one does, or none may."""
        upgrade = stream.hello.purpose == _UPGRADE
        contender = Contender(client, stream.info.path, stream.instance, upgrade)
        tunnel = Tunnel(stream, contender, self._clock)
        if stream.peer in self._keepers:
            self._tunnels.settle(tunnel)
        else:
            tunnel.close(SHUTDOWN)
        return tunnel

    async def _serve(self, tunnel: Tunnel) -> None:
        peer = tunnel.stream.peer
        stands = self._tunnels.of(peer) is tunnel
        log.log(
            logging.INFO if stands else logging.DEBUG, "session up", extra={"fields": session_fields(tunnel)}
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                introducing = tasks.create_task(self._introduce(peer, tunnel))
                await tunnel.run(lambda text: self._deliver(peer, text))
                introducing.cancel()
        except Exception:
            log.exception("session failed", extra={"fields": session_fields(tunnel)})
        finally:
            self._tunnels.remove(peer, tunnel)
            why = session_fields(tunnel) | {"why": tunnel.ending}
            log.log(logging.INFO if stands else logging.DEBUG, "session down", extra={"fields": why})
            keeper = self._keepers.get(peer)
            if keeper is not None:
                keeper.news()
            elif self._tunnels.of(peer) is None:
                self._network.drop(peer)

    async def _introduce(self, peer: PublicKey, tunnel: Tunnel) -> None:
        """Where this node is, told for as long as the session stands: the lanes of an exchange dial there."""
        while self._tunnels.of(peer) is tunnel:
            await self._tell_reachability(peer)
            await asyncio.sleep(limits.REACHABILITY_LIFETIME / 2)

    async def _tell_reachability(self, peer: PublicKey) -> bool:
        if not self._herald.dialable:
            return False
        try:
            statement = self._herald.statement(peer, answer=False)
        except ComityError as error:  # its number can't be stored
            log.warning("peer not told", extra={"fields": {"code": error.code, "why": error}})
            return False
        return await self.tell(peer, statement)

    async def _deliver(self, peer: PublicKey, text: str) -> bool:
        """Handle a statement; whether the peer may forget it."""
        try:
            envelope = Envelope.from_json(text.encode())
            if envelope.payload_type == REACHABILITY:
                await self.reachable(peer, envelope)
            elif envelope.payload_type == PUNCH:
                self._punches.heard(peer, envelope)
            elif self._trust is not None:
                await self._trust.receive(peer, envelope)
        except AlreadySeen:
            return True
        except (RemoteProtocolError, IdentityMismatch, UnknownPeer, Denied) as error:
            self._refusals.record(peer, error)
        except ComityError as error:
            log.warning(
                "statement not handled", extra={"fields": {"peer": peer.fingerprint.short, "why": error}}
            )
            return False
        return True
