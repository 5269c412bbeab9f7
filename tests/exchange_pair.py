"""Two nodes with an agreement in a made-up world: one sends the other a file."""

from __future__ import annotations

from pathlib import Path

from comity.control.exchange import SendResult
from comity.identity.keys import PublicKey
from tests.exchange_nodes import Node, acquaint
from tests.lanes import MemoryNet, World


class ExchangePair:
    """``world`` says what their links are like; ``content`` is what alice sends."""

    def __init__(self, folder: Path, world: World, content: bytes) -> None:
        self.folder = folder
        self.world = world
        self.alice = Node(folder / "alice", "alice", self._net, patience=60.0, pauses=(0.01, 0.01, 0.01))
        self.bob = Node(folder / "bob", "bob", self._net, patience=60.0)
        acquaint(self.alice, self.bob)
        self.alice.exchange.start()
        self.bob.exchange.start()
        self.content = content

    def _net(self, key: PublicKey) -> MemoryNet:
        return MemoryNet(self.world, key)

    async def send(self) -> SendResult:
        path = self.folder / "model"
        path.write_bytes(self.content)
        return await self.alice.send("bob", path)

    async def arrived(self) -> None:
        await self.world.nodes[self.bob.key].idle()
        assert [Path(file.path).read_bytes() for file in await self.bob.files()] == [self.content]
        assert [row.state for row in (*self.alice.rows(), *self.bob.rows())] == ["done", "done"]

    async def close(self) -> None:
        await self.world.close()
        self.alice.close()
        self.bob.close()
