"""A receiver that is killed: ``python -m tests.exchange_crash FOLDER`` kills one at each step of a transfer.

For each number N it forks a process in which alice sends a file to bob, whose home is FOLDER/N/bob, and which
gets SIGKILL right before bob's Nth step on disk or in his database. It stops at the first N that survives.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from comity.identity.keys import Identity
from comity.protocol.exchange.listing import Listing
from comity.storage.blobs import FileBlobStore
from comity.storage.database import Database
from comity.storage.exchange import ExchangeStore, NewTransfer, Outcome
from comity.storage.parts import Buffer, Part
from tests.exchange_nodes import Node, acquaint
from tests.lanes import MemoryNet, World

CONTENT = b"".join(bytes([index]) * 1000 for index in range(3))

Step = Callable[[], None]


class DeadlyPart:
    def __init__(self, part: Part, step: Step) -> None:
        self._part = part
        self._step = step

    def write(self, offset: int, data: Buffer) -> None:
        self._step()
        self._part.write(offset, memoryview(data)[:10])
        self._step()  # half of it is there
        self._part.write(offset, data)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self._part.read_into(offset, buffer)

    def hole(self, offset: int, length: int) -> bool:
        return self._part.hole(offset, length)

    def sync(self) -> None:
        self._step()
        self._part.sync()
        self._step()

    def close(self) -> None:
        self._part.close()


class DeadlyBlobs(FileBlobStore):
    def __init__(self, home: Path, step: Step) -> None:
        super().__init__(home / "incoming", home / "received")
        self._step = step

    def create(self, part: str, size: int, listing: Listing | None = None) -> Part:
        self._step()
        return DeadlyPart(super().create(part, size, listing), self._step)

    def publish(self, part: str, folder: str, name: str) -> None:
        self._step()
        super().publish(part, folder, name)
        self._step()

    def discard(self, part: str) -> None:
        self._step()
        super().discard(part)
        self._step()


class DeadlyStore(ExchangeStore):
    def __init__(self, db: Database, step: Step) -> None:
        super().__init__(db)
        self._step = step

    def begin(self, new: NewTransfer) -> int:
        self._step()
        return super().begin(new)

    def committing(self, row: int, folder: str, stored: str, outcome: Outcome) -> None:
        self._step()
        super().committing(row, folder, stored, outcome)

    def arrived(self, row: int, ended: float, path: str | None) -> None:
        self._step()
        super().arrived(row, ended, path)
        self._step()  # in the transaction, before its audit entry


async def life(home: Path, kill_at: int) -> None:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    world = World()
    (home / "bob").mkdir(mode=0o700, parents=True)
    ours, theirs = Identity.generate(), Identity.generate()
    (home / "alice.pem").write_bytes(ours.to_pem())
    (home / "bob.pem").write_bytes(theirs.to_pem())
    alice = Node(home / "alice", "alice", lambda key: MemoryNet(world, key), identity=ours)
    bob = Node(
        home / "bob",
        "bob",
        lambda key: MemoryNet(world, key),
        identity=theirs,
        blobs=DeadlyBlobs(home / "bob", step),
        store=lambda db: DeadlyStore(db, step),
    )
    acquaint(alice, bob)
    alice.exchange.start()
    bob.exchange.start()
    file = home / "file"
    file.write_bytes(CONTENT)
    await alice.send("bob", file)
    await world.nodes[bob.key].idle()
    await world.close()
    alice.close()
    bob.close()


def main(folder: Path) -> None:
    for number in range(1, 100):
        child = os.fork()
        if child == 0:
            asyncio.run(life(folder / str(number), number))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        if not os.WIFSIGNALED(status):
            sys.exit(f"step {number} failed otherwise")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
