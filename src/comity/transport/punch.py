"""The second path: TCP simultaneous open, asked for by one side and started on both by its go (docs:
protocol, "Paths"; SECURITY.md rule 9).

    dialler   call {where I am} ──►  peer
              ◄── answer {where I am}
              go ──►                 both send SYNs

The words travel by ``interface.PunchPost``, which signs them, and filters the places that the peer tells.
Whoever asked is the TLS client; the peer hands what connects to its acceptor, pinned to the asker's key. A
punch that failed makes the next one wait: the relay then carries dials at once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import ComityError, PeerUnreachable
from comity.identity.keys import PublicKey
from comity.protocol.punching import PunchedPath
from comity.transport.bounds import Bounds
from comity.transport.foothold import Foothold, foothold
from comity.transport.interface import PathName, PunchPost, PunchWord
from comity.transport.paths import Attempt, Connected
from comity.transport.simultaneous import volley

log = logging.getLogger("comity.transport")

_CALL_BYTES = 16

#: Takes a connection that a peer asked for, to be its TLS server: the path, and the one key that it may be.
Serve = Callable[[socket.socket, PathName, PublicKey], None]
Places = Mapping[str, PunchedPath]
Heard = asyncio.Future[Places]


@dataclass
class _Past:
    """What a peer's punches came to: ``pause`` after the last failure, until ``rests``."""

    pause: float = 0.0
    rests: float = 0.0


class PunchPaths:
    """A path finder, and the other half: answering a peer's calls. Between ``start`` and ``close``."""

    path: PathName = "punched"

    def __init__(self, post: PunchPost, serve: Serve, clock: Clock, entropy: Entropy, bounds: Bounds) -> None:
        self._post = post
        self._serve = serve
        self._clock = clock
        self._entropy = entropy
        self._bounds = bounds
        #: Punches under way: the peer's answer to our call, or its go after our answer.
        self._calls: dict[tuple[PublicKey, str], Heard] = {}
        self._tasks: dict[asyncio.Task[None], PublicKey] = {}
        self._past: dict[PublicKey, _Past] = {}
        self._allowance: dict[PublicKey, tuple[float, float]] = {}  # calls left, when that was counted
        self._up = False

    def start(self) -> None:
        """Answer calls from now on."""
        self._up = True
        self._post.listen(self._hear)

    async def close(self) -> None:
        """End every punch."""
        self._up = False
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def forget(self, peer: PublicKey) -> None:
        """This peer's links have been ended: no punch of its shall follow."""
        for task, other in self._tasks.items():
            if other == peer:
                task.cancel()
        self._past.pop(peer, None)

    # ── asking ────────────────────────────────────────────────────────────────────────────────────────

    def attempts(self, peer: PublicKey) -> Sequence[Attempt]:
        past = self._past.get(peer)
        resting = past is not None and self._clock.monotonic() < past.rests
        if (
            not self._up
            or resting
            or len(self._calls) >= limits.PUNCHES_AT_ONCE
            or not self._post.ready(peer)
        ):
            return ()
        return [Attempt("punched", partial(self._open, peer))]

    async def _open(self, peer: PublicKey) -> Connected:
        loop = asyncio.get_running_loop()
        call = self._entropy.token(_CALL_BYTES).hex()
        heard: Heard = loop.create_future()
        self._calls[peer, call] = heard
        began = loop.time()
        try:
            async with foothold(self._post.observers()) as ours:
                places = await self._agree(peer, call, ours, heard)
                connected = await self._meet(ours.port, places)
        except OSError as error:
            raise PeerUnreachable(f"this machine gives no port: {error.strerror or error}") from error
        except asyncio.CancelledError:
            if loop.time() - began >= self._bounds.punch_head_start:
                self._beaten(peer)
            raise
        except PeerUnreachable:
            self._failed(peer)
            raise
        finally:
            del self._calls[peer, call]
        self._past.pop(peer, None)
        return connected

    async def _agree(self, peer: PublicKey, call: str, ours: Foothold, heard: Heard) -> Places:
        """Where the peer will be, at the moment at which it hears our go."""
        loop = asyncio.get_running_loop()
        if not ours.observed and not ours.local:
            raise PeerUnreachable("this node has no address that a peer could aim at")
        asked = loop.time()
        await self._post.send(peer, PunchWord(call, "call", ours.local, ours.observed))
        lead = min((loop.time() - asked) / 2, limits.PUNCH_LEAD_MOST)
        try:
            async with asyncio.timeout(limits.PUNCH_ANSWER_SECONDS):
                places = await heard
        except TimeoutError:
            raise PeerUnreachable("the peer did not answer the call to a simultaneous open") from None
        if not places:
            why = "" if ours.observed else ": this side's NAT gives every connection another port"
            raise PeerUnreachable(f"neither side can tell where the other one's SYNs would come from{why}")
        going = self._begin(peer, self._say(peer, PunchWord(call, "go")))
        await asyncio.wait([going], timeout=lead)  # whether it was taken is not waited for
        return places

    async def _meet(self, port: int, places: Places) -> Connected:
        async with volley(port, places, self._bounds.punch, self._entropy) as sockets:
            found = await sockets.next()
        if found is None:
            raise PeerUnreachable(f"no SYN met the peer's within {self._bounds.punch:g} seconds")
        place, sock = found
        return Connected(sock, places[place])

    def _beaten(self, peer: PublicKey) -> None:
        """Another path was faster. The first time that says little: it may just take longer."""
        past = self._past.setdefault(peer, _Past())
        if past.pause:
            self._failed(peer)
        else:
            past.pause = limits.PUNCH_REST_BEATEN
            past.rests = self._clock.monotonic() + past.pause

    def _failed(self, peer: PublicKey) -> None:
        past = self._past.setdefault(peer, _Past())
        past.pause = min(max(2 * past.pause, limits.PUNCH_REST_FIRST), limits.PUNCH_REST_MOST)
        past.rests = self._clock.monotonic() + past.pause

    # ── being asked ───────────────────────────────────────────────────────────────────────────────────

    def _hear(self, peer: PublicKey, word: PunchWord, places: Places) -> None:
        """A word of an approved peer; ``places`` is where it can be met."""
        if word.step != "call":
            heard = self._calls.get((peer, word.call))
            if heard is not None and not heard.done():
                heard.set_result(places)
            return
        full = len(self._calls) >= limits.PUNCHES_AT_ONCE or (peer, word.call) in self._calls
        if not self._up or full or not self._allowed(peer):
            log.info("punch not answered", extra={"fields": {"peer": peer.fingerprint.short}})
            return
        _ = self._begin(peer, self._answer(peer, word.call, places))

    async def _answer(self, peer: PublicKey, call: str, places: Places) -> None:
        """Be there too. A bug in one must not end the others."""
        heard: Heard = asyncio.get_running_loop().create_future()
        self._calls[peer, call] = heard
        about = {"peer": peer.fingerprint.short}
        try:
            await self._join(peer, call, places, heard)
        except (ComityError, OSError) as error:
            log.debug("punch not answered", extra={"fields": {**about, "why": error}})
        except Exception:
            log.exception("answering a punch failed by a bug", extra={"fields": about})
        finally:
            del self._calls[peer, call]

    async def _join(self, peer: PublicKey, call: str, places: Places, heard: Heard) -> None:
        if not places:
            await self._post.send(peer, PunchWord(call, "answer"))
            return
        async with foothold(self._post.observers()) as ours:
            _ = self._begin(peer, self._say(peer, PunchWord(call, "answer", ours.local, ours.observed)))
            try:
                async with asyncio.timeout(limits.PUNCH_ANSWER_SECONDS):
                    await heard
            except TimeoutError:
                return
            await self._let_in(peer, ours.port, places)

    async def _let_in(self, peer: PublicKey, port: int, places: Places) -> None:
        """Serve what connects: the dialler takes the first that it sees, which may be another than ours."""
        loop = asyncio.get_running_loop()
        async with volley(port, places, self._bounds.punch, self._entropy) as sockets:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as deadline:
                    while (found := await sockets.next()) is not None:
                        place, sock = found
                        self._serve(sock, places[place], peer)
                        deadline.reschedule(loop.time() + limits.PUNCH_LINGER)

    # ── both ──────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, peer: PublicKey, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = peer
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    async def _say(self, peer: PublicKey, word: PunchWord) -> None:
        """Send a word whose taking shows by what follows."""
        with suppress(ComityError):
            await self._post.send(peer, word)

    def _allowed(self, peer: PublicKey) -> bool:
        """One more call of this peer may be answered (a token bucket)."""
        now = self._clock.monotonic()
        left, counted = self._allowance.get(peer, (float(limits.PUNCHES_BURST), now))
        left = min(limits.PUNCHES_BURST, left + (now - counted) * limits.PUNCHES_PER_SECOND)
        self._allowance[peer] = (left - 1 if left >= 1 else left), now
        return left >= 1
