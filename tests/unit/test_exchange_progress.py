"""Progress is told from a thread, on the loop, and not too often."""

from __future__ import annotations

import asyncio

from comity import limits
from comity.clock import ManualClock
from comity.control.exchange import Progress
from comity.services.exchange.progress import Meter, rate


def test_rates_are_decimal_megabytes() -> None:
    assert rate(142_000_000, 4.0) == 35.5
    assert rate(0, 0.0) == 0.0


async def test_progress_is_throttled_and_marshalled() -> None:
    clock = ManualClock()
    seen: list[Progress] = []
    meter = Meter(transfer="5e" * 16, name="f", size=1000, clock=clock, watch=seen.append)

    def work() -> None:
        meter.show("connecting")
        meter.path = "direct"
        for done in range(0, 1000, 10):
            meter.done = meter.sent = done
            clock.advance(limits.PROGRESS_EVERY / 10)
            meter.show("sending")
        meter.done = 1000
        meter.show("verifying")

    await asyncio.to_thread(work)
    await asyncio.sleep(0)
    assert [progress.state for progress in (seen[0], seen[-1])] == ["connecting", "verifying"]
    assert 10 <= len([progress for progress in seen if progress.state == "sending"]) <= 12
    assert (seen[-1].bytes_done, seen[-1].bytes, seen[-1].path) == (1000, 1000, "direct")
    assert seen[0].path is None
    assert seen[-1].mb_per_s >= 0


async def test_nobody_has_to_watch() -> None:
    Meter(transfer="", name="", size=0, clock=ManualClock()).show("sending")
