"""What a partner may leave here: counted before the first byte, promised once, given back when it is gone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from comity import limits
from comity.clock import ManualClock
from comity.errors import ComityError, InboxFull, TooLarge
from comity.identity.keys import Identity, PublicKey
from comity.protocol.exchange.messages import (
    Accept,
    Fail,
    Message,
    Page,
    Refuse,
    encode_message,
    parse_message,
)
from comity.protocol.hello import EXCHANGE_PORT
from comity.services.exchange import ExchangeService, Rules
from comity.services.exchange.quota import Quota
from comity.storage.occupancy import Occupancy
from tests.exchange_nodes import Node, acquaint
from tests.exchanges import AGREEMENT, entry_for, offer_for
from tests.lanes import MemoryNet, MemoryStream, World

QUOTA = 1000


class Scene:
    """Alice and carol are honest, mallory writes her frames herself; bob's quota is ``QUOTA`` bytes each."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        self.folder = folder
        self.world = World()
        self.bob = Node(folder / "bob", "bob", self._net, patience=20.0, rules=rules)
        self.alice = Node(folder / "alice", "alice", self._net, patience=60.0)
        self.carol = Node(folder / "carol", "carol", self._net, patience=60.0)
        self.mallory = Identity.generate().public
        self.net = MemoryNet(self.world, self.mallory)
        acquaint(self.alice, self.bob)
        acquaint(self.carol, self.bob)
        self.bob.trust.add(self.mallory, "mallory")
        for node in (self.alice, self.bob, self.carol):
            node.exchange.start()

    def _net(self, key: PublicKey) -> MemoryNet:
        return MemoryNet(self.world, key)

    def file(self, name: str, size: int) -> Path:
        path = self.folder / name
        path.write_bytes(os.urandom(size))
        return path

    async def offer(self, size: int, number: int = 0) -> tuple[MemoryStream, Message]:
        """Mallory's offer of so many bytes, and bob's answer."""
        stream = await self.net.dial(self.bob.key, EXCHANGE_PORT, agreement=AGREEMENT)
        offer = msgspec.structs.replace(offer_for([b"x" * size]), transfer=f"{number:032x}")
        await stream.send(encode_message(offer))
        body = await stream.receive()
        assert body is not None
        return stream, parse_message(body)

    async def idle(self) -> None:
        await self.world.nodes[self.bob.key].idle()

    async def close(self) -> None:
        await self.world.close()
        for node in (self.alice, self.bob, self.carol):
            node.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path, Rules(inbox_quota=QUOTA, artifact_limit=900))
    yield made
    await made.close()


async def test_a_quota_is_each_peers_own_and_is_refused_before_a_byte(scene: Scene) -> None:
    await scene.alice.send("bob", scene.file("first", 600))
    with pytest.raises(InboxFull, match="600 of 1000 are used") as refused:
        await scene.alice.send("bob", scene.file("second", 500))
    assert "inbox_quota" in refused.value.hint
    await scene.carol.send("bob", scene.file("third", 500))
    await scene.idle()
    assert len(scene.bob.on_disk()) == 2
    (entry,) = scene.bob.entries("exchange.refused")
    assert entry.detail["code"] == "inbox_full"


async def test_exactly_the_quota_fits(scene: Scene) -> None:
    await scene.alice.send("bob", scene.file("first", 600))
    await scene.alice.send("bob", scene.file("second", QUOTA - 600))
    with pytest.raises(InboxFull):
        await scene.alice.send("bob", scene.file("third", 1))
    await scene.alice.send("bob", scene.file("nothing", 0))


async def test_what_is_moved_away_counts_no_more(scene: Scene) -> None:
    await scene.alice.send("bob", scene.file("first", 800))
    (file,) = await scene.bob.files()
    Path(file.path).rename(scene.folder / "taken")
    await scene.alice.send("bob", scene.file("second", 800))
    (left,) = await scene.bob.files()
    assert left.name == "second"


async def test_a_single_file_can_be_too_large_for_anybody(scene: Scene) -> None:
    with pytest.raises(TooLarge, match="900 are allowed"):
        await scene.alice.send("bob", scene.file("large", 901))
    assert scene.bob.rows() == []


async def test_two_sends_do_not_share_the_last_bytes(scene: Scene) -> None:
    names = [scene.file(f"half-{number}", 600) for number in range(6)]
    outcomes = await asyncio.gather(
        *(scene.alice.send("bob", name) for name in names), return_exceptions=True
    )
    await scene.idle()
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert all(isinstance(outcome, InboxFull) for outcome in outcomes if isinstance(outcome, BaseException))
    assert Occupancy(scene.bob.db).of(scene.alice.key) == 600


async def test_a_flood_of_offers_takes_no_more_than_the_quota(scene: Scene) -> None:
    answers = [(await scene.offer(300, number))[1] for number in range(40)]
    taken = [answer for answer in answers if isinstance(answer, Accept)]
    assert len(taken) == 3
    assert {answer.code for answer in answers if isinstance(answer, Refuse)} == {"inbox_full"}
    assert Occupancy(scene.bob.db).of(scene.mallory) == 900
    await scene.alice.send("bob", scene.file("honest", 700))


async def test_an_interrupted_one_keeps_its_room_and_is_counted_once(scene: Scene) -> None:
    stream, answer = await scene.offer(700)
    assert isinstance(answer, Accept)
    stream.abort()
    await scene.idle()
    assert scene.bob.rows()[0].state == "interrupted"
    refused, other = await scene.offer(400, 1)
    assert isinstance(other, Refuse)
    await refused.finish()
    again, answer = await scene.offer(700)
    assert isinstance(answer, Accept)
    again.abort()
    await scene.idle()
    assert Occupancy(scene.bob.db).of(scene.mallory) == 700


async def test_one_who_claims_little_and_sends_much_leaves_nothing(scene: Scene) -> None:
    stream, answer = await scene.offer(10)
    assert isinstance(answer, Accept)
    await stream.send(encode_message(Page(0, (entry_for(b"y" * 800),))))
    body = await stream.receive()
    assert body is not None
    said = parse_message(body)
    assert isinstance(said, Fail)
    assert said.code == "remote_protocol_error"
    await stream.finish()
    await scene.idle()
    assert scene.bob.on_disk() == []
    assert Occupancy(scene.bob.db).of(scene.mallory) == 0


async def test_a_failed_one_that_is_offered_again_counts_again(scene: Scene) -> None:
    await test_one_who_claims_little_and_sends_much_leaves_nothing(scene)
    await asyncio.gather(*(scene.offer(495, number) for number in (1, 2)))
    _, answer = await scene.offer(10)
    assert isinstance(answer, Accept)
    _, answer = await scene.offer(1, 3)
    assert isinstance(answer, Refuse)


async def test_looking_for_files_that_are_gone_is_not_for_every_offer(scene: Scene) -> None:
    clock = ManualClock()
    quota = Quota(replace(scene.bob.around, clock=clock))
    await scene.alice.send("bob", scene.file("first", 800))
    (file,) = await scene.bob.files()

    def refused() -> bool:
        try:
            quota.require(scene.alice.key, 500)
        except ComityError:
            return True
        return False

    assert refused()
    Path(file.path).unlink()
    assert refused()
    clock.advance(limits.QUOTA_RECOUNT_SECONDS)
    assert not refused()


async def test_without_a_bound_nothing_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Rules())
    try:
        for number in range(3):
            await scene.alice.send("bob", scene.file(f"file-{number}", 5000))
    finally:
        await scene.close()


async def test_what_lies_here_counts_after_a_restart(scene: Scene) -> None:
    await scene.alice.send("bob", scene.file("first", 800))
    scene.bob.exchange.stop()
    again = ExchangeService(scene.bob.around)
    again.start()
    with pytest.raises(InboxFull):
        await scene.alice.send("bob", scene.file("second", 800))
    again.stop()


async def test_what_is_left_of_interrupted_transfers_is_collected_in_time(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Rules(inbox_quota=QUOTA, partials_kept=0.2))
    living: asyncio.Task[None] | None = None
    try:
        stream, answer = await scene.offer(900)
        assert isinstance(answer, Accept)
        stream.abort()
        await scene.idle()
        assert scene.bob.rows()[0].state == "interrupted"
        assert len(scene.bob.on_disk()) == 1
        await asyncio.sleep(0.25)
        living = asyncio.create_task(scene.bob.exchange.run())  # as the daemon does; it looks at once
        async with asyncio.timeout(60):
            while scene.bob.rows()[0].state != "failed":  # noqa: ASYNC110  what changes is in the database
                await asyncio.sleep(0.01)
        assert scene.bob.on_disk() == []
        assert "not taken up again" in scene.bob.rows()[0].problem
        assert Occupancy(scene.bob.db).of(scene.mallory) == 0
    finally:
        if living is not None:
            living.cancel()
            await asyncio.wait([living])
        await scene.close()
