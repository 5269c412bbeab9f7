"""kill -9 of the rendezvous at random points under load: nothing that it acknowledged is lost.

COMITY_RENDEZVOUS_KILLS says how often (``make kills`` takes 500); every moment comes from one seed,
COMITY_RENDEZVOUS_KILLS_SEED, which is printed. Some hit the server while it starts. After each, the next
server on the same folder has every registration, name, address, letter, use of an invitation, revocation,
removal, retired and rotated key, quota and line of the admin log that was acknowledged, and nothing that was
acknowledged as gone; and what was asked without an answer is there whole or not at all.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from pathlib import Path

import pytest

from comity.identity.card import JoinUrl
from comity.rendezvous.state import hatch_of
from tests.rendezvous.nursery import Nursery, nursery
from tests.rendezvous.siege import Siege

RUNS = int(os.environ.get("COMITY_RENDEZVOUS_KILLS", "5"))
SEED = int(os.environ.get("COMITY_RENDEZVOUS_KILLS_SEED", "0")) or random.SystemRandom().randrange(2**32)
#: On Linux no client's own end is ever at this address, so none takes the port while no server has it.
HOST = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
_PATIENCE = 10.0


async def kill_soon(server: Nursery, siege: Siege) -> None:
    """After so many acknowledgements, and a moment: in the middle of what is asked next."""
    enough = siege.ledger.acknowledged + siege.dice.choice((0, 1, 5, 20, 60))
    patience = time.monotonic() + _PATIENCE
    while siege.ledger.acknowledged < enough and time.monotonic() < patience:  # noqa: ASYNC110  nobody tells
        await asyncio.sleep(0.001)
    await asyncio.sleep(siege.dice.uniform(0.0, 0.05))
    await server.kill()


@pytest.mark.timeout(240 + 5 * RUNS)
async def test_what_was_acknowledged_outlives_every_kill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    sys.stdout.write(f"seed {SEED}\n")  # shown where it fails
    starting, began = 0, time.monotonic()
    async with nursery(tmp_path / "log") as server:
        await server.start("--state", str(state), "--listen", f"{HOST}:0")
        await server.ready()
        join = JoinUrl.parse((state / "join.url").read_text())
        flags = ("--state", str(state), "--listen", f"{HOST}:{join.port}")
        with hatch_of(state) as hatch:
            siege = Siege(hatch, SEED)
            await siege.begin(join)
            for _ in range(RUNS):
                await siege.assail(lambda: kill_soon(server, siege))
                while siege.dice.random() < 0.1:
                    starting += 1
                    await server.start(*flags)
                    await asyncio.sleep(siege.dice.uniform(0.0, 0.06))
                    await server.kill()
                await server.start(*flags)
                await server.ready()
                await siege.inspect(JoinUrl.parse((state / "join.url").read_text()))
    assert siege.ledger.acknowledged > RUNS
    with capsys.disabled():
        sys.stderr.write(
            f"\n{RUNS} kills under load and {starting} while starting, seed {SEED}: "
            f"{siege.ledger.acknowledged} acknowledgements in {time.monotonic() - began:.0f} s, none lost\n"
        )
