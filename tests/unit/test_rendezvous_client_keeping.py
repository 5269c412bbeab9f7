"""How a node stays registered: back-off, heartbeats, what ends it for good, and the listener's faults."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import (
    DiskFull,
    NameTaken,
    RemoteProtocolError,
    RendezvousIdentityMismatch,
    RendezvousRefused,
    RendezvousUnreachable,
    VersionMismatch,
)
from comity.identity.card import JoinUrl
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.protocol.registration import Claim, Request
from comity.protocol.registry import Acknowledge, Mail, Ping, Registered, ServerMessage
from comity.transport.memory_links import Weather
from comity.transport.memory_registry import Member, MemoryRegistry, Seat
from comity.transport.memory_rendezvous import MemoryRendezvous
from comity.transport.rendezvous_connection import SupersededHere
from comity.transport.simulation import LoopClock, Simulation, run_simulation
from tests.worlds import Diary, Signer, Town, identity_of

A, B = identity_of("anna").public, identity_of("bert").public


def play(
    scene: Callable[[Town], Awaitable[None]],
    seed: int = 1,
    registry: Callable[[int, Clock, Entropy], MemoryRegistry] = MemoryRegistry,
) -> None:
    async def scenario(simulation: Simulation) -> None:
        await scene(Town(simulation, registry=registry))

    run_simulation(scenario, seed)


@dataclass
class Running:
    """``async with``: a client that runs, registered at the start."""

    client: MemoryRendezvous
    diary: Diary
    task: asyncio.Task[None] = field(init=False)

    async def __aenter__(self) -> Running:
        self.task = asyncio.create_task(self.client.run())
        await self.diary.until(lambda diary: bool(diary.registrations))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


def pauses(town: Town, name: str) -> list[float]:
    """Seconds between a client's attempts to open a link, from the trace."""
    opened = [
        float(line.split()[0]) for line in town.world.trace if line.endswith(" open") and f" {name}>" in line
    ]
    return [after - before for before, after in pairwise(opened)]


# ── connecting again ──────────────────────────────────────────────────────────────────────────────────


def test_after_a_restart_of_the_server_everybody_is_registered_again() -> None:
    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary) as anna:
            await asyncio.sleep(60)
            await town.server.stop()
            await diary.until(lambda diary: bool(diary.losses))
            assert isinstance(anna.client.problem, RendezvousUnreachable)
            town.server.start()
            restarted = town.clock.monotonic()
            await diary.until(lambda diary: len(diary.registrations) == 2)
            assert town.clock.monotonic() - restarted < 2 * limits.RECONNECT_FIRST
            first, second = diary.registrations
            assert first.address == second.address
            assert anna.client.problem is None

    play(scene)


def test_pauses_double_with_jitter_up_to_the_longest() -> None:
    async def scene(town: Town) -> None:
        await town.server.stop()
        task = asyncio.create_task(town.client("anna", diary := Diary()).run())
        times: list[float] = []
        while len(times) < 12:
            await diary.until(lambda diary: len(diary.losses) > len(times))
            times.append(town.clock.monotonic() - limits.RELAY_HEAD_START)
        task.cancel()
        waited = [after - before - limits.RELAY_HEAD_START for before, after in pairwise(times)]
        for number, seconds in enumerate(waited, start=1):
            longest = min(limits.RECONNECT_FIRST * 2**number, limits.RECONNECT_MOST)
            assert longest / 2 <= seconds <= longest
        assert waited[-1] >= limits.RECONNECT_MOST / 2
        assert len(set(waited)) == len(waited)

    play(scene)


def test_success_resets_the_pauses() -> None:
    async def scene(town: Town) -> None:
        await town.server.stop()
        task = asyncio.create_task(town.client("anna", diary := Diary()).run())
        await diary.until(lambda diary: len(diary.losses) == 8, 300)
        town.server.start()
        await diary.until(lambda diary: bool(diary.registrations))
        await asyncio.sleep(60)
        town.world.cut("anna")
        lost = town.clock.monotonic()
        await diary.until(lambda diary: len(diary.registrations) == 2)
        assert town.clock.monotonic() - lost < 2 * limits.RECONNECT_FIRST
        task.cancel()

    play(scene)


def test_a_server_that_lets_go_at_once_is_not_hammered() -> None:
    class Fickle(MemoryRegistry):
        def admit(self, number: int, seat: Seat, claim: Claim) -> Registered:
            answer = super().admit(number, seat, claim)
            seat.leave()
            return answer

    async def scene(town: Town) -> None:
        task = asyncio.create_task(town.client("anna", diary := Diary()).run())
        await asyncio.sleep(600)
        assert len(diary.losses) < 40
        task.cancel()

    play(scene, registry=Fickle)


def test_a_partition_is_noticed_and_healed() -> None:
    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary) as anna:
            await asyncio.sleep(60)
            town.world.partition("anna", "rendezvous")
            parted = town.clock.monotonic()
            await diary.until(lambda diary: bool(diary.losses))
            noticed = town.clock.monotonic() - parted
            assert noticed <= limits.RENDEZVOUS_DEAD_AFTER + limits.RENDEZVOUS_HEARTBEAT
            await asyncio.sleep(600)
            assert not anna.client.online
            town.world.heal("anna", "rendezvous")
            await diary.until(lambda diary: len(diary.registrations) == 2)

    play(scene)


def test_a_server_that_falls_silent_is_dead() -> None:
    class Dozing(MemoryRegistry):
        def answer(self, seat: Seat, request: Request) -> ServerMessage | None:
            return None if isinstance(request, Ping) else super().answer(seat, request)

    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary):
            began = town.clock.monotonic()
            await diary.until(lambda diary: bool(diary.losses))
            assert town.clock.monotonic() - began > limits.RENDEZVOUS_HEARTBEAT
            assert town.clock.monotonic() - began <= limits.RENDEZVOUS_DEAD_AFTER + 0.1

    play(scene, registry=Dozing)


def test_an_idle_connection_stays() -> None:
    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary):
            await asyncio.sleep(6 * 3600)
            assert (len(diary.registrations), diary.losses) == (1, [])

    play(scene)


@pytest.mark.parametrize("seed", range(5))
def test_bad_weather_is_survived(seed: int) -> None:
    async def scene(town: Town) -> None:
        town.world.set_weather("anna", "rendezvous", Weather(least=0.05, most=0.4, loss=0.2, cuts=0.05))
        task = asyncio.create_task(town.client("anna", diary := Diary()).run())
        await diary.until(lambda diary: len(diary.registrations) >= 5, 3600)
        assert all(isinstance(loss, RendezvousUnreachable) for loss in diary.losses)
        task.cancel()

    play(scene, seed)


# ── what ends it, and what does not ───────────────────────────────────────────────────────────────────


def test_a_name_that_is_taken_ends_it() -> None:
    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary):
            thief = town.client("bert", stolen := Diary(), hostname="anna")
            await asyncio.wait_for(thief.run(), 60)
            assert isinstance(thief.problem, NameTaken)
            assert [type(loss) for loss in stolen.losses] == [NameTaken]
            with pytest.raises(NameTaken):
                await thief.resolve(hostname="anna")

    play(scene)


def test_a_second_daemon_supersedes_the_first() -> None:
    async def scene(town: Town) -> None:
        first = town.client("anna", old := Diary())
        running = asyncio.create_task(first.run())
        await old.until(lambda diary: bool(diary.registrations))
        async with Running(town.client("anna", new := Diary(), daemon="second"), new):
            await asyncio.wait_for(running, 60)
            assert [type(loss) for loss in old.losses] == [SupersededHere]
            await asyncio.sleep(60)
            assert new.losses == []
            assert new.registrations[0].address == old.registrations[0].address

    play(scene)


def test_another_key_at_the_other_end_is_tried_again_slowly() -> None:
    async def scene(town: Town) -> None:
        pinned = town.server.join
        other = JoinUrl(pinned.host, pinned.port, pinned.network, fingerprint=A.fingerprint)
        client = town.client("bert", diary := Diary(), join=other)
        task = asyncio.create_task(client.run())
        await diary.until(lambda diary: len(diary.losses) == 5, 600)
        assert {type(loss) for loss in diary.losses} == {RendezvousIdentityMismatch}
        assert isinstance(client.problem, RendezvousIdentityMismatch)
        assert all(pause >= limits.RECONNECT_MOST / 2 for pause in pauses(town, "bert"))
        assert diary.registrations == []
        assert town.registry.members == {}
        with pytest.raises(RendezvousIdentityMismatch):
            await client.find()
        task.cancel()

    play(scene)


def test_a_server_of_another_version_is_tried_again_slowly() -> None:
    class Newer(MemoryRegistry):
        def admit(self, number: int, seat: Seat, claim: Claim) -> Registered:
            raise VersionMismatch("this rendezvous speaks version 7 to 9, the node 1 to 1")

    async def scene(town: Town) -> None:
        task = asyncio.create_task(town.client("anna", diary := Diary()).run())
        await diary.until(lambda diary: len(diary.losses) == 3, 600)
        assert {type(loss) for loss in diary.losses} == {VersionMismatch}
        assert all(pause >= limits.RECONNECT_MOST / 2 for pause in pauses(town, "anna"))
        task.cancel()

    play(scene, registry=Newer)


@pytest.mark.parametrize("lie", ["hostname", "address"])
def test_a_registration_under_other_terms_is_refused(lie: str) -> None:
    class Renaming(MemoryRegistry):
        def admit(self, number: int, seat: Seat, claim: Claim) -> Registered:
            address = "2:0002.0000.0010" if lie == "address" else "1:0001.0000.0010"
            answer = Registered(
                id=number,
                address=address,
                hostname="mallory" if lie == "hostname" else claim.hostname,
                observed=seat.observed,
            )
            seat.push(answer)
            return answer

    async def scene(town: Town) -> None:
        task = asyncio.create_task(town.client("anna", diary := Diary()).run())
        await diary.until(lambda diary: len(diary.losses) == 2)
        assert {type(loss) for loss in diary.losses} == {RemoteProtocolError}
        assert diary.registrations == []
        task.cancel()

    play(scene, registry=Renaming)


def test_what_the_server_saw_is_believed_only_if_it_is_an_address() -> None:
    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary) as anna:
            assert anna.client.observed == town.world.address("anna")
            seen = town.registry.members[A.hex].seat
            assert seen is not None
            assert diary.registrations[0].observed == seen.observed

    play(scene)


def test_an_address_that_is_none_is_not_observed() -> None:
    class Odd(MemoryRegistry):
        def admit(self, number: int, seat: Seat, claim: Claim) -> Registered:
            odd = Seat(seat.key, seat.instance, "<script>:1", seat.push, seat.leave)
            return super().admit(number, odd, claim)

    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary) as anna:
            assert anna.client.observed is None
            assert diary.registrations[0].observed == ""

    play(scene, registry=Odd)


# ── registering again ─────────────────────────────────────────────────────────────────────────────────


def test_an_update_is_registered_at_once() -> None:
    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary) as anna:
            anna.client.update(public=True, tags=["model"])
            await asyncio.sleep(1)
            claim = town.registry.members[A.hex].claim
            assert (claim.public, claim.tags) == (True, ("model",))
            assert (len(diary.registrations), diary.losses) == (1, [])

    play(scene)


def test_an_update_while_away_is_registered_on_return() -> None:
    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary) as anna:
            await town.server.stop()
            await diary.until(lambda diary: bool(diary.losses))
            anna.client.update(public=True, tags=[])
            town.server.start()
            await diary.until(lambda diary: len(diary.registrations) == 2)
            assert town.registry.members[A.hex].claim.public

    play(scene)


def test_a_new_sealing_key_is_registered_within_a_heartbeat() -> None:
    async def scene(town: Town) -> None:
        signer = town.signer("anna")
        async with Running(town.client("anna", diary := Diary(), signer=signer), diary):
            signer.sequence = 2
            await asyncio.sleep(limits.RENDEZVOUS_HEARTBEAT + 1)
            assert town.registry.members[A.hex].claim.sealing.sequence == 2
            assert len(diary.registrations) == 1

    play(scene)


def test_a_node_that_cannot_say_what_is_new_stays_registered(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Signer):
        broken = False

        def sealing_key(self) -> Envelope:
            if self.broken:
                raise DiskFull("no space left")
            return super().sealing_key()

    async def scene(town: Town) -> None:
        signer = Failing(identity_of("anna"), town.server.join, town.clock, town.entropy("signing"))
        async with Running(town.client("anna", diary := Diary(), signer=signer), diary):
            signer.broken = True
            await asyncio.sleep(10 * limits.RENDEZVOUS_DEAD_AFTER)
            assert diary.losses == []
            town.world.cut("anna")
            await diary.until(lambda diary: len(diary.losses) == 3)
            assert [type(loss) for loss in diary.losses[1:]] == [DiskFull, DiskFull]
            signer.broken = False
            await diary.until(lambda diary: len(diary.registrations) == 2)

    play(scene)
    assert "no space left" in caplog.text


def test_an_update_that_is_refused_is_tried_again() -> None:
    class Strict(MemoryRegistry):
        refusals = 2

        def admit(self, number: int, seat: Seat, claim: Claim) -> Registered:
            if claim.public and self.refusals:
                self.refusals -= 1
                raise RendezvousRefused("not now")
            return super().admit(number, seat, claim)

    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary) as anna:
            anna.client.update(public=True, tags=[])
            await asyncio.sleep(3 * limits.RENDEZVOUS_HEARTBEAT)
            assert town.registry.members[A.hex].claim.public
            assert diary.losses == []

    play(scene, registry=Strict)


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("ahead", "warned"), [(0.0, False), (200.0, False), (301.0, True), (-301.0, True)])
def test_a_clock_that_is_wrong_is_noticed(
    ahead: float, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(town: Town) -> None:
        ours = LoopClock(town.clock.now() - ahead)
        async with Running(town.client("anna", diary := Diary(), clock=ours), diary) as anna:
            assert anna.client.skew_seconds == pytest.approx(ahead, abs=1.5)
        assert ("seconds apart" in caplog.text) is warned

    with caplog.at_level(logging.WARNING, "comity.transport"):
        play(scene)


# ── the listener ──────────────────────────────────────────────────────────────────────────────────────


class Clumsy(Diary):
    """Fails at every letter, after it wrote it down."""

    async def mail(self, mail: Mail) -> None:
        await super().mail(mail)
        raise RuntimeError("the listener has a bug")

    def lost(self, error: Exception) -> None:
        super().lost(error)
        raise RuntimeError("and another one")


def test_a_listener_that_fails_does_not_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(town: Town) -> None:
        async with (
            Running(town.client("anna", clumsy := Clumsy()), clumsy),
            Running(town.client("bert", diary := Diary()), diary) as bert,
        ):
            for number in range(3):
                await bert.client.post(A, number.to_bytes(16), b"sealed", keep=True)
            await clumsy.until(lambda diary: len(diary.letters) == 3)
            assert clumsy.losses == []
            town.world.cut("anna")
            await clumsy.until(lambda diary: len(diary.registrations) == 2)

    play(scene)
    assert "the listener has a bug" in caplog.text
    assert "and another one" in caplog.text


class Slow(Diary):
    """Takes its time for each letter, and asks the rendezvous for something meanwhile."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.client: MemoryRendezvous | None = None

    async def mail(self, mail: Mail) -> None:
        await asyncio.sleep(self.seconds)
        await super().mail(mail)
        if self.client is not None:
            await self.client.acknowledge(PublicKey.from_hex(mail.sender), bytes.fromhex(mail.message_id))


def test_letters_come_one_at_a_time_and_in_order() -> None:
    async def scene(town: Town) -> None:
        async with (
            Running(town.client("anna", slow := Slow(0.5)), slow) as anna,
            Running(town.client("bert", diary := Diary()), diary) as bert,
        ):
            slow.client = anna.client
            for number in range(10):
                await bert.client.post(A, number.to_bytes(16), b"sealed", keep=True)
            await slow.until(lambda diary: len(diary.letters) == 10)
            assert [int(mail.message_id, 16) for mail in slow.letters] == list(range(10))
            assert town.registry.members[A.hex].letters.keys() <= {(B.hex, slow.letters[-1].message_id)}

    play(scene)


def test_more_letters_than_fit_all_arrive() -> None:
    count = limits.MAIL_PER_RECIPIENT * 3 // 2

    class Generous(MemoryRegistry):
        def mail_for(self, recipient: Member) -> list[Mail]:
            return [
                Mail(sender=B.hex, message_id=f"{number:032x}", blob=b"x", posted=0, keep=True)
                for number in range(count)
                if (B.hex, f"{number:032x}") not in self.acknowledged
            ]

        def __init__(self, network: int, clock: Clock, entropy: Entropy) -> None:
            super().__init__(network, clock, entropy)
            self.acknowledged: set[tuple[str, str]] = set()

        def answer(self, seat: Seat, request: Request) -> ServerMessage | None:
            if isinstance(request, Acknowledge):
                self.acknowledged.add((request.sender, request.message_id))
            return super().answer(seat, request)

    async def scene(town: Town) -> None:
        slow = Slow(0.01)
        slow.client = town.client("anna", slow)
        async with Running(slow.client, slow):
            await slow.until(lambda diary: len({mail.message_id for mail in diary.letters}) == count, 3600)
            assert len(slow.letters) == count
            assert len(slow.losses) == 1

    play(scene, registry=Generous)


def test_a_listener_that_hangs_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(town: Town) -> None:
        async with (
            Running(town.client("anna", slow := Slow(10_000)), slow),
            Running(town.client("bert", diary := Diary()), diary) as bert,
        ):
            await bert.client.post(A, bytes(16), b"sealed", keep=True)
            await asyncio.sleep(2)
            slow.seconds = 0
            await bert.client.post(A, bytes(15) + b"1", b"sealed", keep=True)
            await slow.until(lambda diary: len(diary.letters) == 1)
            assert slow.losses == []

    play(scene)
    assert "could not be handled" in caplog.text


def test_stopping_says_goodbye() -> None:
    async def scene(town: Town) -> None:
        async with Running(town.client("anna", diary := Diary()), diary):
            pass
        await asyncio.sleep(1)
        assert town.registry.members[A.hex].seat is None
        assert diary.losses == []

    play(scene)
