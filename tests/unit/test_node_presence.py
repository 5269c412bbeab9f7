"""What is done at each registration, what goes on when that fails, and what status shows meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from comity import limits
from comity.errors import (
    LocalProtocolError,
    MailboxFull,
    NameTaken,
    RendezvousUnreachable,
    StorageUnusable,
)
from comity.protocol.registry import Mail, Registered
from comity.services.presence import Presence
from comity.transport.simulation import Simulation, run_simulation

ANSWER = Registered(id=1, address="1:0001.0000.0010", hostname="lab-a", observed="192.0.2.1:4711")
MAIL = Mail(sender="0" * 64, message_id="0" * 32, blob=b"", posted=0, keep=True)


def test_tasks_run_after_each_registration_and_now_and_then_whatever_fails() -> None:
    async def scenario(simulation: Simulation) -> None:
        done: list[str] = []
        presence = Presence((NameTaken,))

        async def once() -> None:
            done.append("once")
            raise MailboxFull("no room")

        async def bug() -> None:
            done.append("bug")
            raise ValueError("broken")

        async def again() -> None:
            done.append("again")

        async def nothing(_: object) -> None:
            pass

        async def never(_: object, __: str) -> None:
            pass

        presence.connect(mail=nothing, offer=nothing, retired=never, registered=[once, bug], again=[again])
        running = asyncio.create_task(presence.run())
        await asyncio.sleep(10 * limits.MAINTENANCE_EVERY)
        assert done == []  # not before it is registered
        await presence.registered(ANSWER)
        await asyncio.sleep(1)
        assert done == ["once", "bug", "again"]
        await asyncio.sleep(2 * limits.MAINTENANCE_EVERY)
        assert done == ["once", "bug", "again", "again", "again"]
        presence.lost(RendezvousUnreachable("gone"))
        await asyncio.sleep(10 * limits.MAINTENANCE_EVERY)
        assert len(done) == 5
        await presence.registered(ANSWER)
        await asyncio.sleep(1)
        assert done[5:] == ["once", "bug", "again"]
        running.cancel()

    run_simulation(scenario, 1)


async def test_state_and_address() -> None:
    presence = Presence((NameTaken,))
    assert (presence.state, presence.address) == ("connecting", None)
    with pytest.raises(RendezvousUnreachable, match="not known until it is registered"):
        presence.own_address()
    presence.lost(RendezvousUnreachable("nobody answers"))
    assert presence.state == "connecting"
    with pytest.raises(RendezvousUnreachable, match="nobody answers"):
        presence.own_address()
    changed = presence.changed
    await presence.registered(ANSWER)
    assert changed.is_set()
    assert (presence.state, presence.problem, presence.observed) == ("registered", None, "192.0.2.1:4711")
    presence.lost(RendezvousUnreachable("gone"))
    assert presence.own_address() == "1:0001.0000.0010"
    presence.lost(NameTaken("lab-a is taken"))
    assert presence.state == "refused"
    assert str(presence.problem) == "lab-a is taken"


async def test_mail_that_cannot_be_handled_now_is_left_for_later() -> None:
    presence = Presence(())
    with pytest.raises(LocalProtocolError):
        await presence.mail(MAIL)
    opened: list[Mail] = []

    async def failing(mail: Mail) -> None:
        opened.append(mail)
        raise StorageUnusable("the disk")

    async def nothing(_: object) -> None:
        pass

    async def never(_: object, __: str) -> None:
        pass

    presence.connect(mail=failing, offer=nothing, retired=never, registered=[], again=[])
    await presence.mail(MAIL)
    assert opened == [MAIL]
