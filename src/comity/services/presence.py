"""Whether this node is registered at its rendezvous, and what has to happen whenever it is.

The listener of the rendezvous client: it keeps the state that ``status`` shows, hands mail and relay offers
on, and runs what was asked for ``on_registered`` in a task of its own, so that neither mail nor heartbeats
wait for it. It opens nothing and connects to nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from comity import limits
from comity.errors import ComityError, LocalProtocolError, RendezvousUnreachable
from comity.identity.keys import PublicKey
from comity.protocol.registry import Mail, Registered, RelayOffer

log = logging.getLogger("comity.rendezvous")

OnMail = Callable[[Mail], Awaitable[None]]
OnOffer = Callable[[RelayOffer], Awaitable[None]]
OnRetired = Callable[[PublicKey, str], Awaitable[None]]
OnRegistered = Callable[[], Awaitable[None]]


class Presence:
    """``interface.RendezvousListener``. ``final`` are the errors after which the client gives up."""

    def __init__(self, final: tuple[type[ComityError], ...]) -> None:
        self._final = final
        self._address: str | None = None
        self._registered = False
        self._gave_up = False
        self._came = asyncio.Event()
        self._mail: OnMail | None = None
        self._offer: OnOffer | None = None
        self._retired: OnRetired | None = None
        self._at_once: list[OnRegistered] = []
        self._again: list[OnRegistered] = []
        #: Why this node is not registered, or None.
        self.problem: Exception | None = None
        #: ``ip:port`` that the rendezvous saw this node come from, as it says.
        self.observed = ""
        #: Where it says that this node can ask how its connections look from outside.
        self.observers: tuple[str, ...] = ()
        #: Set at each change.
        self.changed = asyncio.Event()

    def connect(
        self,
        *,
        mail: OnMail,
        offer: OnOffer,
        retired: OnRetired,
        registered: list[OnRegistered],
        again: list[OnRegistered],
    ) -> None:
        """Who is told, one after the other. Before the client runs.

        ``registered`` after each registration, ``again`` also every ``limits.MAINTENANCE_EVERY`` seconds from
        then on, while it lasts.
        """
        self._mail, self._offer, self._retired = mail, offer, retired
        self._at_once, self._again = registered, again

    @property
    def state(self) -> str:
        """``registered``, ``connecting`` or ``refused``: then nothing is tried any more."""
        if self._gave_up:
            return "refused"
        return "registered" if self._registered else "connecting"

    @property
    def address(self) -> str | None:
        """This node's address, from its first registration since the start."""
        return self._address

    def own_address(self) -> str:
        """The address; RendezvousUnreachable where this node has not been registered since its start."""
        if self._address is None:
            message = "this node's address is not known until it is registered"
            problem = self.problem
            if isinstance(problem, RendezvousUnreachable):  # and its code and hint say more than ours
                raise type(problem)(f"{message}: {problem}", hint=problem.hint)
            raise RendezvousUnreachable(f"{message}: {problem}" if problem else message)
        return self._address

    async def run(self) -> None:
        """Tell them."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.MAINTENANCE_EVERY):
                    await self._came.wait()
            if self._came.is_set():  # it may come at the very moment when the time is over
                due = [*self._at_once, *self._again]
            else:
                due = self._again if self._registered else []
            self._came.clear()
            for task in due:
                try:
                    await task()
                except ComityError as error:
                    log.info("to be done again", extra={"fields": {"code": error.code, "why": error}})
                except Exception:
                    log.exception("failed by a bug after the registration")

    # ── interface.RendezvousListener ──────────────────────────────────────────────────────────────────

    async def registered(self, answer: Registered) -> None:
        """This node is registered, at start or again after a reconnection."""
        self._address, self.observed = answer.address, answer.observed
        self.observers = answer.observers
        self._registered, self._gave_up, self.problem = True, False, None
        log.info("registered", extra={"fields": {"address": answer.address, "observed": answer.observed}})
        self._came.set()
        self._notify()

    async def mail(self, mail: Mail) -> None:
        """A sealed message."""
        if self._mail is None:
            raise LocalProtocolError("mail came before anybody was there to open it")
        try:
            await self._mail(mail)
        except ComityError as error:  # kept mail comes again
            log.warning("mail not handled", extra={"fields": {"code": error.code, "why": error}})

    async def relay_offered(self, offer: RelayOffer) -> None:
        """A peer waits at the relay."""
        if self._offer is None:
            raise LocalProtocolError("a relay offer came before anybody was there to take it")
        await self._offer(offer)

    async def retired(self, key: PublicKey, retirement: str) -> None:
        """A peer's key is said to be retired."""
        if self._retired is None:
            raise LocalProtocolError("word of a retired key came before anybody was there to check it")
        try:
            await self._retired(key, retirement)
        except ComityError as error:
            log.warning("retirement not taken", extra={"fields": {"code": error.code, "why": error}})

    def lost(self, error: Exception) -> None:
        """The connection ended, or could not be made."""
        if self._registered or str(error) != str(self.problem):
            code = error.code if isinstance(error, ComityError) else "error"
            log.warning("not registered", extra={"fields": {"code": code, "why": error}})
        self._registered, self.problem = False, error
        self._gave_up = isinstance(error, self._final)
        self._notify()

    def _notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()
