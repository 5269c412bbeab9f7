"""Keeps Python's garbage collector from stopping the server: what is there for long is out of its sight.

A full collection looks at every object there is; with 10,000 nodes online that took half a second and more,
again and again, and nobody was answered meanwhile. So ten times a second what is alive is frozen
(``gc.freeze``, which costs nothing), and the collector only ever looks at what is younger. Frozen objects
still end with their last reference, and everything about a connection does
(``tests/integration/test_rendezvous_garbage``). Should a change break that, ended connections stay in memory:
``ghosts`` counts them, and a full collection frees them, however long it takes. There is one every few hours
in any case, for what nobody has thought of.

For a process that is a server and nothing else: it is the whole process's collector.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import NoReturn

from comity import limits
from comity.clock import Clock

_EVERY = 0.1  # seconds: how much comes meanwhile is how long the collector takes
_LOOK_EVERY = 10.0  # for ghosts: each connection is looked at


async def keep_out_of_sight(ghosts: Callable[[], int], clock: Clock) -> NoReturn:
    """Until cancelled. ``ghosts``: how many connections have ended and are still in memory."""
    known = 0  # that no collection frees: something holds them
    searched = looked = clock.monotonic()
    while True:
        now = clock.monotonic()
        if now - looked >= _LOOK_EVERY:
            looked = now
            if ghosts() > known + limits.RENDEZVOUS_GHOSTS or now - searched > limits.RENDEZVOUS_SEARCH_EVERY:
                searched = now
                gc.unfreeze()
                gc.collect()
                known = ghosts()
        gc.freeze()
        await asyncio.sleep(_EVERY)
