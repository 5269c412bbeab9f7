"""When to dial one peer: at once on news, else after a pause that grows and is never the same twice.

It lives as long as the agreement, which ends here when its time is over. How to dial, and which of two
sessions stays, is the service's business.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Protocol

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import ComityError
from comity.identity.keys import PublicKey
from comity.policy.operation import Standing
from comity.protocol.paths import path_rank

log = logging.getLogger("comity.session")

_DOUBLINGS = 16  # the longest pause is reached long before


class Dialling(Protocol):
    """What a keeper needs of the service."""

    def standing(self, peer: PublicKey) -> Standing | None:
        """The current or last agreement."""

    def path(self, peer: PublicKey) -> str | None:
        """The path of the standing session."""

    async def dial(self, peer: PublicKey) -> None:
        """Open a session; raises what ``Network.dial`` raises, and Denied."""

    def expired(self, peer: PublicKey) -> None:
        """The agreement's time is over."""


class Keeper:
    """One peer's. ``news`` may be called at any time."""

    def __init__(self, peer: PublicKey, service: Dialling, clock: Clock, entropy: Entropy) -> None:
        self._peer = peer
        self._service = service
        self._clock = clock
        self._entropy = entropy
        self._news = asyncio.Event()
        self._better = False
        self._failures = 0
        self._problem = ""
        self._upgrades = 0
        self._dialled = False
        self._not_before = 0.0

    def news(self, *, better: bool = False) -> None:
        """Something changed: dial now if there is no session. ``better``: or if it runs on a lesser path."""
        self._better = self._better or better
        self._failures = 0
        self._news.set()

    async def run(self) -> None:
        """Keep the session until the agreement is over."""
        while True:
            try:
                left = self._left()
            except ComityError as error:  # the disk: what can't be looked up is not acted upon
                log.warning("agreement not read", extra={"fields": {"code": error.code, "why": error}})
                await asyncio.sleep(limits.RECONNECT_MOST)
                continue
            if left is None:
                return
            self._news.clear()
            better, self._better = self._better, False
            if self._wanted(better):
                await self._try(better)
            await self._rest(left)

    def _left(self) -> float | None:
        """For how many seconds the agreement holds; None when it is over."""
        standing = self._service.standing(self._peer)
        if standing is None or standing.status == "revoked":
            return None  # whoever ended it tears the session down
        left = standing.until - self._clock.now()
        if standing.status == "expired" or left <= 0:
            self._service.expired(self._peer)
            return None
        return left

    def _wanted(self, better: bool) -> bool:
        path = self._service.path(self._peer)
        return path is None or (better and path_rank(path) > 0)

    async def _try(self, better: bool) -> None:
        # However fast the news comes, dials are at least this far apart; the jitter keeps two sides that lost
        # one session together from dialling together.
        await asyncio.sleep(max(0.0, self._not_before - self._clock.monotonic()))
        if not self._wanted(better):
            return
        try:
            upgrade = self._service.path(self._peer) is not None
            await self._service.dial(self._peer)
            self._failures, self._problem = 0, ""
            if not upgrade:
                self._upgrades, self._dialled = 0, True
        except ComityError as error:
            self._failures += 1
            if error.message != self._problem and self._service.path(self._peer) is None:
                self._problem = error.message
                log.info(
                    "no session",
                    extra={
                        "fields": {"peer": self._peer.fingerprint.short, "code": error.code, "why": error}
                    },
                )
        except Exception:
            self._failures += 1
            log.exception("dial failed by a bug", extra={"fields": {"peer": self._peer.fingerprint.short}})
        pause = limits.RECONNECT_FIRST * (1 + self._entropy.jitter())
        self._not_before = self._clock.monotonic() + pause

    async def _rest(self, left: float) -> None:
        """Until there is news, the next attempt is due, or the agreement may be over."""
        pause = min(left, float(limits.HOUR))  # the wall clock may be set meanwhile
        if self._service.path(self._peer) is None:
            longest = min(
                limits.RECONNECT_FIRST * 2.0 ** min(self._failures, _DOUBLINGS), limits.RECONNECT_MOST
            )
            pause = min(pause, longest * (1 + self._entropy.jitter()) / 2)
            self._upgrades, self._dialled = 0, False
        upgrade = self._upgrade_pause()
        try:
            async with asyncio.timeout(min(pause, upgrade)):
                await self._news.wait()
        except TimeoutError:
            if upgrade <= pause:
                self._upgrades += 1
                self._better = True

    def _upgrade_pause(self) -> float:
        """Until a better path is tried for a session that a relay carries; soon by the side that dialled it,
        later by the other."""
        path = self._service.path(self._peer)
        if path is None or path_rank(path) <= path_rank("punched"):
            return math.inf
        if self._upgrades == 0 and self._dialled:
            return limits.UPGRADE_FIRST
        longest = min(limits.UPGRADE_SECOND * 2.0 ** min(self._upgrades, _DOUBLINGS), limits.UPGRADE_MOST)
        return longest * (1 + self._entropy.jitter()) / 2
