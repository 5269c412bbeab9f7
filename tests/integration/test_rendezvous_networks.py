"""Networks of one server, over real TLS: invitations, isolation, and an administrator while it serves."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from comity.control import rendezvous as control
from comity.errors import AlreadyRunning, InvalidInput, LinkLost, NotInitialised, UnknownPeer
from comity.identity.card import JoinUrl
from comity.protocol.registry import (
    Acknowledge,
    AskRelay,
    Done,
    Find,
    Found,
    Post,
    Posted,
    Registered,
    Reserve,
    Resolve,
    Resolved,
    Ticket,
)
from comity.rendezvous.state import State
from comity.sdk import rendezvous as admin
from tests.rendezvous.client import Client, Refusal, dial, registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.server import serving

T = TypeVar("T")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def join(state: Path) -> AsyncIterator[JoinUrl]:
    async with serving(state) as url:
        yield url


async def asked(function: Callable[..., T], *arguments: object) -> T:
    """An administrator's command, while the server serves on this loop."""
    return await asyncio.to_thread(function, *arguments)


async def study(state: Path) -> control.NetworkView:
    return await asked(admin.create_network, control.NetworkCreateRequest("lung-study"), state)


async def invited(state: Path, uses: int = 1) -> JoinUrl:
    request = control.InviteCreateRequest("lung-study", uses, 3600)
    return JoinUrl.parse((await asked(admin.invite, request, state)).url)


def node(join: JoinUrl, hostname: str, **changes: object) -> Registrant:
    one = Registrant(join.fingerprint, hostname, network=join.network, invitation=join.invitation)
    return replace(one, **changes)  # type: ignore[arg-type]  # by name


async def refused(join: JoinUrl, who: Registrant) -> str:
    client = await dial(join, who)
    try:
        await client.open()
        with pytest.raises(Refusal) as caught:
            await client.register()
        return str(caught.value)
    finally:
        client.channel.abort()


async def test_an_invitation_is_redeemed_once_and_for_good(join: JoinUrl, state: Path) -> None:
    assert (await study(state)).network == 2
    url = await invited(state)
    assert (url.network, url.authority) == (2, join.authority)
    who = node(url, "lab-a")
    async with registered(url, who) as client:
        assert (await client.register()).address == "2:0002.0000.0010"
    async with registered(url, replace(who, invitation=None)):
        strangers = [
            node(url, "lab-b"),
            node(url, "lab-a"),
            node(url, "lab-b", invitation=None),
            node(url, "lab-b", invitation="00" * 32),
            node(join, "lab-b", network=777, invitation=url.invitation),
        ]
        assert len({await refused(url, stranger) for stranger in strangers}) == 1
    (kept,) = (await asked(admin.invitations, "2", state)).invitations
    assert (kept.state, kept.used) == ("used", 1)


async def test_nothing_of_one_network_is_told_in_another(join: JoinUrl, state: Path) -> None:
    """Crafted on the wire: every request that names a node, by everything that it is called."""
    await study(state)
    url = await invited(state)
    hidden = node(url, "hidden", public=True, tags=("lung",))
    async with registered(url, hidden) as inside, registered(join, node(join, "spy")) as spy:
        await refused_the_same(spy, hidden)
        assert await inside.quiet()
    async with registered(join, node(join, "spy-2")) as spy:  # and now that it is offline
        await refused_the_same(spy, hidden)
    assert [each.mail for each in (await asked(admin.nodes, "2", state)).nodes] == [0]


async def refused_the_same(spy: Client, hidden: Registrant) -> None:
    """What is there and elsewhere gets the answer of what is nowhere, byte for byte but the request's id."""
    key, nobody = hidden.key.hex(), "11" * 32
    assert (await spy.ask(Find(id=1), Found)).records == ()
    assert (await spy.ask(Find(id=2, tag="lung"), Found)).records == ()
    for there, nowhere in (
        (Resolve(id=3, hostname="hidden"), Resolve(id=3, hostname="nothing")),
        (Resolve(id=3, key=key), Resolve(id=3, key=nobody)),
        (Resolve(id=3, address="2:0002.0000.0010"), Resolve(id=3, address="9:0009.0000.0010")),
    ):
        assert await answer(spy, there, Resolved) == await answer(spy, nowhere, Resolved)
    for keep in (True, False):
        posts = [
            Post(id=4, recipient=recipient, message_id="22" * 16, blob=b"x", keep=keep)
            for recipient in (key, nobody)
        ]
        assert await answer(spy, posts[0], Posted) == await answer(spy, posts[1], Posted)
    relays = [AskRelay(id=5, peer=peer, call="33" * 16) for peer in (key, nobody)]
    assert await answer(spy, relays[0], Ticket) == await answer(spy, relays[1], Ticket)
    assert await answer(spy, Acknowledge(id=6, sender=key, message_id="22" * 16), Done) == "Done(id=6)"
    assert await answer(spy, Reserve(id=7, senders=(key,)), Done) == "Done(id=7)"


async def answer(spy: Client, request: object, kind: type) -> str:
    try:
        return str(await spy.ask(request, kind))  # type: ignore[arg-type]  # any request
    except Refusal as refusal:
        return str(refusal)


async def test_the_same_name_and_key_in_two_networks_are_two_nodes(join: JoinUrl, state: Path) -> None:
    await study(state)
    url = await invited(state)
    here = node(join, "lab-a")
    there = replace(here, network=url.network, invitation=url.invitation)
    async with registered(join, here) as first, registered(url, there) as second:
        assert (await first.register()).address == "1:0001.0000.0010"
        assert (await second.register()).address == "2:0002.0000.0010"
        assert await first.quiet()  # not superseded
    assert [each.network for each in (await asked(admin.nodes, "", state)).nodes] == [1, 2]


async def test_a_removed_node_is_disconnected_and_stays_out(join: JoinUrl, state: Path) -> None:
    await study(state)
    url = await invited(state, uses=5)
    who = node(url, "lab-a")
    async with registered(url, who) as client:
        ended = await asked(admin.remove, control.RemoveRequest("lung-study", "lab-a"), state)
        assert (ended.was_online, ended.address) == (True, "2:0002.0000.0010")
        with pytest.raises(Refusal, match="not admitted"):
            await client.answer(Registered)
        with pytest.raises(LinkLost):
            await client.hear()
    assert "not_admitted" in await refused(url, who)
    back = await invited(state)
    async with registered(url, replace(who, invitation=back.invitation)) as client:
        assert (await client.register()).address == "2:0002.0000.0010"


async def test_a_released_name_goes_to_another_key(join: JoinUrl, state: Path) -> None:
    old = node(join, "lab-a")
    async with registered(join, old) as client:
        await asked(admin.release, control.ReleaseRequest("default", "lab-a"), state)
        with pytest.raises(Refusal, match="taken from this key"):
            await client.answer(Registered)
    assert "name_taken" in await refused(join, old)
    async with registered(join, node(join, "lab-a")):
        (_, new) = (await asked(admin.nodes, "1", state)).nodes
        assert (new.hostname, new.online) == ("lab-a", True)


async def test_the_hatch_is_private_and_survives_nonsense(join: JoinUrl, state: Path) -> None:
    hatch = state / "admin.sock"
    assert stat.S_IMODE(hatch.stat().st_mode) == 0o600
    for line in (b"nonsense\n", b"[]\n", b'{"operation": "nodes", "request": {"network": 1}}\n', b"\n"):
        reader, writer = await asyncio.open_unix_connection(os.fspath(hatch))
        writer.write(line)
        assert b'"error"' in await reader.readline()
        writer.close()
        await writer.wait_closed()
    _, writer = await asyncio.open_unix_connection(os.fspath(hatch))  # it comes and goes
    writer.close()
    await writer.wait_closed()
    assert (await asked(admin.networks, state)).networks[0].name == "default"
    with pytest.raises(InvalidInput, match="no network"):
        await asked(admin.nodes, "nowhere", state)


async def test_a_stopped_server_is_administered_all_the_same(state: Path) -> None:
    with pytest.raises(NotInitialised):
        await asked(admin.networks, state)
    async with serving(state) as url:
        async with registered(url, node(url, "lab-a")):
            (network,) = (await asked(admin.networks, state)).networks
            assert (network.nodes, network.online) == (1, 1)
        await study(state)
    invitation = await invited(state)
    assert invitation.fingerprint == url.fingerprint
    (network, _) = (await asked(admin.networks, state)).networks
    assert (network.nodes, network.online, network.url) == (1, 0, str(url))
    with pytest.raises(UnknownPeer):
        await asked(admin.remove, control.RemoveRequest("2", "lab-a"), state)
    acts = (await asked(admin.admin_log, control.AdminLogRequest(10), state)).acts
    assert [act.act for act in acts] == ["node joined", "network created", "invited"]
    assert acts[1].who == acts[2].who == f"uid {os.geteuid()}"
    async with serving(state) as again, registered(again, node(invitation, "lab-b")) as client:
        assert (await client.register()).address == "2:0002.0000.0010"


async def test_a_server_that_starts_or_stops_is_waited_for_by_a_person(join: JoinUrl, state: Path) -> None:
    (state / "admin.sock").unlink()  # as before it is bound
    with pytest.raises(AlreadyRunning):
        await asked(admin.networks, state)


async def test_a_long_path_has_a_hatch_too(tmp_path: Path) -> None:
    state = tmp_path / ("x" * 100) / "state"
    async with serving(state):
        assert (await asked(admin.networks, state)).networks[0].network == 1
    held = State(state)
    held.close()
