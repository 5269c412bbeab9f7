"""Virtual time: it jumps, it never sleeps, it notices when nothing can happen any more."""

from __future__ import annotations

import asyncio
import time

import pytest

from comity.transport.simulation import EPOCH, Simulation, SimulationStuck, VirtualTimeLoop, run_simulation


def test_a_day_passes_at_once() -> None:
    async def scenario(simulation: Simulation) -> tuple[float, float]:
        await asyncio.sleep(86_400)
        return simulation.clock.monotonic(), simulation.clock.now()

    began = time.monotonic()
    assert run_simulation(scenario, 1) == (86_400.0, EPOCH + 86_400.0)
    assert time.monotonic() - began < 3600


def test_timers_run_in_the_order_of_their_times() -> None:
    async def scenario(simulation: Simulation) -> list[tuple[float, int]]:
        seen: list[tuple[float, int]] = []

        async def wait(number: int, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((simulation.clock.monotonic(), number))

        async with asyncio.TaskGroup() as tasks:
            for number, seconds in enumerate((3.0, 1.0, 2.0, 1.0)):
                tasks.create_task(wait(number, seconds))
        return seen

    assert run_simulation(scenario, 1) == [(1.0, 1), (1.0, 3), (2.0, 2), (3.0, 0)]


def test_deadlines_are_virtual_too() -> None:
    async def scenario(simulation: Simulation) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return simulation.clock.monotonic()

    assert run_simulation(scenario, 1) == 30.0


def test_the_same_seed_draws_the_same_numbers() -> None:
    async def scenario(simulation: Simulation) -> tuple[bytes, float]:
        await asyncio.sleep(1)
        return simulation.entropy.token(16), simulation.entropy.jitter()

    assert run_simulation(scenario, 7) == run_simulation(scenario, 7)
    assert run_simulation(scenario, 7) != run_simulation(scenario, 8)


def test_a_scenario_that_cannot_go_on_is_an_error() -> None:
    with (
        pytest.raises(SimulationStuck, match="no timer"),
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
    ):
        runner.run(asyncio.Event().wait())


def test_a_scenario_that_never_ends_is_an_error() -> None:
    async def scenario(simulation: Simulation) -> None:
        for _ in range(1000):
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError):
        run_simulation(scenario, 1, longest=100)


def test_a_thread_takes_no_virtual_time() -> None:
    async def scenario(simulation: Simulation) -> float:
        ticking = asyncio.create_task(asyncio.sleep(0.001))
        await asyncio.to_thread(time.sleep, 0.05)
        ticking.cancel()
        return simulation.clock.monotonic()

    assert run_simulation(scenario, 1) == 0.0


def test_a_thread_that_is_given_up_is_still_waited_for() -> None:
    finished: list[str] = []

    def work() -> None:
        time.sleep(0.05)
        finished.append("work")

    async def scenario(_: Simulation) -> None:
        task = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(1)
        finished.append("a second later")

    run_simulation(scenario, 1)
    assert finished == ["work", "a second later"]
