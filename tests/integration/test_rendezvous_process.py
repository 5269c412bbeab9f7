"""The program itself: flags, files, signals, kill -9 under load, a second server on the same folder."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
from pathlib import Path

import pytest

from comity.errors import LinkLost
from comity.identity.card import JoinUrl
from comity.identity.keys import Identity
from comity.protocol.registry import Done, GoingAway, Post, Posted
from tests.rendezvous.client import Client, Refusal, registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.program import LOOPBACK, READY, running, start


def node(join: JoinUrl, hostname: str, identity: Identity | None = None) -> Registrant:
    return Registrant(join.fingerprint, hostname=hostname, identity=identity or Identity.generate())


async def test_files_and_modes_and_a_clean_end(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with running(state) as (program, join):
        assert state.stat().st_mode & 0o777 == 0o700
        for name in ("rendezvous.key", "rendezvous.db", "join.url"):
            assert (state / name).stat().st_mode & 0o777 == 0o600, name
        assert JoinUrl.parse((state / "join.url").read_text()) == join
        assert (
            Identity.from_pem((state / "rendezvous.key").read_bytes()).public.fingerprint == join.fingerprint
        )
        older = dataclasses.replace(node(join, "lab-b"), newest=1)  # it doesn't know going-away
        async with registered(join, node(join, "lab-a")) as client, registered(join, older) as second:
            assert await program.end() == 0
            assert (await client.push(GoingAway)).within == 1
            with pytest.raises(LinkLost, match="closed"):
                await client.hear()
            with pytest.raises(Refusal, match="rendezvous_refused: the rendezvous is being restarted"):
                await second.answer(Done)
    assert program.log[-1].endswith(" info stopped")
    assert not list(state.glob(".*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_it(tmp_path: Path, number: signal.Signals) -> None:
    async with running(tmp_path / "state") as (program, _):
        assert await program.end(number) == 0
    assert "Traceback" not in "\n".join(program.log)


async def test_a_second_server_on_one_folder_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as (first, join):
        second = await start("--state", str(tmp_path / "state"), *LOOPBACK)
        assert await second.rest() == 13
        assert second.log[0] == f"comity: another rendezvous serves from {tmp_path / 'state'}"
        assert "--state" in second.log[1]
        assert len(second.log) == 2
        async with registered(join, node(join, "lab-a")):
            pass
        assert await first.end() == 0
    async with running(tmp_path / "state") as (_, again):
        assert again.fingerprint == join.fingerprint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--listen", "127.0.0.1"), "no port"),
        (("--listen", "127.0.0.1:99999"), "no port"),
        (("--listen", "a b:1"), "not a host name"),
        (("--listen", "192.0.2.1:0"), "cannot listen on 192.0.2.1:0"),
        ((*LOOPBACK, "--advertise", "https://example.org"), "cannot advertise"),
        ((*LOOPBACK, "--advertise", "comity://example.org"), "cannot advertise"),
        ((*LOOPBACK, "--advertise", "comity://example.org:1#abc"), "cannot advertise"),
    ],
)
async def test_bad_flags(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    program = await start("--state", str(tmp_path / "state"), *arguments)
    assert await program.rest() == 2
    assert said in program.log[-2]
    assert program.log[-2].startswith("comity: ")
    assert program.log[-1].startswith("  ")


async def test_an_open_state_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    program = await start("--state", str(tmp_path / "state"), *LOOPBACK)
    assert await program.rest() == 14
    assert "chmod 700" in program.log[1]


async def test_advertise_and_environment(tmp_path: Path) -> None:
    program = await start(
        *LOOPBACK,
        "--listen",
        "127.0.0.1:0",
        "--advertise",
        "comity://Rendezvous.Example.ORG:443",
        "--log-format",
        "json",
        COMITY_RENDEZVOUS_HOME=str(tmp_path / "elsewhere"),
    )
    line = json.loads(await program.line_with(READY))
    assert (line["level"], line["event"].partition("#")[0]) == (
        "info",
        "join URL: comity://rendezvous.example.org:443",
    )
    assert (
        (tmp_path / "elsewhere" / "join.url").read_text().startswith("comity://rendezvous.example.org:443#")
    )
    assert await program.end() == 0
    events = [json.loads(text) for text in program.log]
    assert len({event["port"] for event in events if event["event"] == "listening"}) == 2


async def test_every_interface(tmp_path: Path) -> None:
    async with running(tmp_path / "state", "--listen", ":0", "--advertise", "127.0.0.1:1") as (program, join):
        line = next(line for line in program.log if " listening " in line)
        port = int(line.rpartition("port=")[2])
        real = JoinUrl("127.0.0.1", port, fingerprint=join.fingerprint)
        async with registered(real, node(real, "lab-a")) as client:
            assert (await client.register()).observed.startswith("127.0.0.1:")


async def flood(
    join: JoinUrl, sender: Registrant, to: Registrant, first: int, acknowledged: set[int]
) -> None:
    """Post until the connection dies;

    ``acknowledged`` are the letters of which the server said that it has them.
    """

    async def one(client: Client, number: int) -> None:
        request = Post(
            id=number,
            recipient=to.identity.public.hex,
            message_id=number.to_bytes(16).hex(),
            blob=number.to_bytes(4) * 1000,
            keep=True,
        )
        await client.ask(request, Posted)

    try:
        async with registered(join, sender) as client:
            for number in range(first, first + 20):
                await one(client, number)
                acknowledged.add(number)
    except (LinkLost, Refusal):
        return


async def test_kill_9_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    state = tmp_path / "state"
    acknowledged: set[int] = set()
    async with running(state) as (program, join):
        port, bob = join.port, node(join, "bob")
        async with registered(join, bob):
            pass
        senders = [node(join, f"sender-{number}") for number in range(16)]
        floods = [
            asyncio.create_task(flood(join, sender, bob, 1 + 1000 * number, acknowledged))
            for number, sender in enumerate(senders)
        ]
        while len(acknowledged) < 30:  # noqa: ASYNC110  eight tasks fill it
            await asyncio.sleep(0.005)
        program.process.send_signal(signal.SIGKILL)
        await asyncio.gather(*floods)
        assert await program.rest() == -signal.SIGKILL
    assert 30 <= len(acknowledged) < 320
    async with running(state, "--listen", f"127.0.0.1:{port}") as (_, again):
        assert again == join  # nobody needs to be told anything: same key, same port, same nodes
        async with registered(again, bob) as reader:
            got: set[int] = set()
            while len(got) < len(acknowledged) or not acknowledged <= got:
                mail = await reader.mail()
                assert mail.blob == int(mail.message_id, 16).to_bytes(4) * 1000
                got.add(int(mail.message_id, 16))
            assert acknowledged <= got
            assert (await reader.register()).address == "1:0001.0000.0010"
        for number, sender in enumerate(senders):
            async with registered(again, sender) as client:
                found = await client.register()
                assert found.hostname == f"sender-{number}"


async def test_it_starts_and_ends_at_once_again_and_again(tmp_path: Path) -> None:
    """A kill at any moment of the start leaves a folder that the next start can use."""
    for delay in (0.05, 0.15, 0.25, 0.35):
        program = await start("--state", str(tmp_path / "state"), *LOOPBACK)
        await asyncio.sleep(delay)
        await program.end(signal.SIGKILL)
    async with running(tmp_path / "state") as (_, join), registered(join, node(join, "lab-a")):
        pass
