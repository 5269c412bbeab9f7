"""Virtual time: an event loop whose clock jumps to the next timer when nothing is left to do now.

An hour of heartbeats passes in milliseconds, nothing ever sleeps, and the same scenario with the same seed
takes the same course: callbacks run in the order in which they were made, timers in the order of their times.
A scenario in which nobody can ever go on is an error, not a hang. For tests and for studying protocols; a
daemon runs on asyncio's own loop.

Threads that were started through the loop (``asyncio.to_thread``) are waited for, in real time, while the
virtual clock stands still. One that waits for the loop says so with ``parked`` and ``unparked``, as the lanes
of ``memory`` do. Sockets don't work here, as the time that they take is real.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple, Unpack

from comity.clock import Clock
from comity.entropy import Entropy, PredictableEntropy
from comity.errors import LocalProtocolError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 1_800_000_000.0  # the wall clock at the beginning of every simulation
_PATIENCE = 30.0  # real seconds for what a thread does between two calls of the loop


class SimulationStuck(LocalProtocolError):
    """Every task waits for something that no timer and no thread will bring about."""

    code = "simulation_stuck"
    default_hint = "look for an event that is never set, or a message that is never sent"


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``time()`` begins at 0 and moves by itself. SimulationStuck is raised out of ``run_until_complete``."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self._busy_threads = 0
        self._threads = ThreadPoolExecutor(thread_name_prefix="simulation")
        super().__init__(_VirtualSelector(self))

    def time(self) -> float:
        return self._virtual_now

    def advance(self, seconds: float) -> None:
        """Jump ahead; called by the selector when nothing is left to do now."""
        self._virtual_now += seconds

    @property
    def busy(self) -> bool:
        """Whether a thread of ours is at work outside of the loop."""
        return self._busy_threads > 0

    def parked(self) -> None:
        """In the loop: a thread waits from now on for what the loop will do."""
        self._busy_threads -= 1

    def unparked(self) -> None:
        """In the loop: it has what it waited for and goes on."""
        self._busy_threads += 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As in asyncio, with the thread counted as busy until it has returned."""
        if executor is None:
            executor = self._threads
            self.set_default_executor(self._threads)  # which asyncio shuts down at the end
        job = executor.submit(func, *args)
        self.unparked()
        result = asyncio.wrap_future(job, loop=self)
        job.add_done_callback(lambda _: self.call_soon_threadsafe(self.parked))  # after the result arrived
        return result

    async def shutdown_default_executor(self, *timeout: float | None) -> None:
        """As in asyncio, whose thread for this is counted as busy too."""
        self.unparked()
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self.parked()


class _VirtualSelector(selectors.DefaultSelector):
    """Waits for real only while a thread is busy: what can wake the loop then is that thread."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.busy:
            ready = super().select(_PATIENCE)
            if not ready:
                raise SimulationStuck(f"a thread did nothing for {_PATIENCE:g} real seconds")
            return ready
        if timeout is None:
            raise SimulationStuck("every task waits, and no timer is set")
        self._loop.advance(timeout)
        return []


class LoopClock:
    """The running loop's time; its wall clock begins at ``start``, in seconds since 1970 UTC.

    A thread reads the loop that ran when it was asked last.
    """

    def __init__(self, start: float = EPOCH) -> None:
        self._start = start
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        return self._start + self.monotonic()

    def monotonic(self) -> float:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            if self._loop is None:
                raise
        return self._loop.time()


@dataclass(frozen=True)
class Simulation:
    """What a scenario runs with."""

    seed: int
    clock: Clock
    entropy: Entropy


Scenario = Callable[[Simulation], Coroutine[Any, Any, T]]


def run_simulation(scenario: Scenario[T], seed: int, *, longest: float = 7 * 24 * 3600.0) -> T:
    """Run a scenario to its end in virtual time and return its result.

    ``longest`` bounds it, in virtual seconds: TimeoutError. SimulationStuck when nothing can happen any more.
    """

    async def bounded(simulation: Simulation) -> T:
        async with asyncio.timeout(longest):
            return await scenario(simulation)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(bounded(Simulation(seed, LoopClock(), PredictableEntropy(seed))))
