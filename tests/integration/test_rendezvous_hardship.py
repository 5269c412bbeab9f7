"""Nodes that are silent, slow or late, and a disk that is full: bounded, reported, survived."""

from __future__ import annotations

import asyncio
import logging
import resource
import secrets
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from comity import limits
from comity.errors import LinkLost
from comity.identity.card import JoinUrl
from comity.protocol.registry import Challenge, Done, Ping, Post, Posted, Resolve, Resolved, Superseded
from comity.rendezvous.buckets import Rate
from comity.rendezvous.desk import RATES, Rates
from tests.rendezvous.client import Client, Refusal, dial, registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.program import running
from tests.rendezvous.server import serving

UNHURRIED = Rates(resolve=Rate(1000, 1000.0), post=Rate(10_000, 1000.0), register=RATES.register)


def node(join: JoinUrl, hostname: str) -> Registrant:
    return Registrant(join.fingerprint, hostname=hostname)


async def online(client: Client, hostname: str) -> bool:
    return (await client.ask(Resolve(id=next(client.numbers), hostname=hostname), Resolved)).record.online


async def post(client: Client, to: Registrant, blob: bytes, *, keep: bool) -> bool:
    request = Post(
        id=next(client.numbers),
        recipient=to.identity.public.hex,
        message_id=secrets.token_hex(16),
        blob=blob,
        keep=keep,
    )
    return (await client.ask(request, Posted)).delivered


async def until_offline(watcher: Client, hostname: str) -> None:
    async with asyncio.timeout(45):
        while await online(watcher, hostname):  # noqa: ASYNC110  the server tells nobody
            await asyncio.sleep(0.05)


async def test_a_silent_node_is_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RENDEZVOUS_DEAD_AFTER", 2.0)
    async with (
        serving(tmp_path / "state", rates=UNHURRIED) as join,
        registered(join, node(join, "watcher")) as watcher,
        registered(join, node(join, "silent")) as silent,
    ):
        assert await online(watcher, "silent")
        await until_offline(watcher, "silent")
        with pytest.raises(LinkLost):
            await silent.hear()


async def test_a_node_that_does_not_register_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELLO_TIMEOUT", 2.0)
    async with serving(tmp_path / "state") as join:
        client = await dial(join, node(join, "late"))
        await client.open()
        with pytest.raises(Refusal, match="timed_out"):
            await client.answer(Challenge)
        client.channel.abort()


async def test_a_node_that_does_not_read_is_told_no_more_and_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "comity.rendezvous")
    monkeypatch.setattr(limits, "RENDEZVOUS_FRAME_TIMEOUT", 1.0)
    async with (
        serving(tmp_path / "state", rates=UNHURRIED) as join,
        registered(join, node(join, "watcher")) as watcher,
        registered(join, node(join, "deaf")) as deaf,
    ):
        sent = 0
        while await post(watcher, deaf.who, bytes(limits.MAIL_BYTES), keep=False):
            sent += limits.MAIL_BYTES
            assert sent < 64 * limits.MIB
        await until_offline(watcher, "deaf")
    said = [record.fields for record in caplog.records if record.getMessage() == "refused"]  # type: ignore[attr-defined]  # the journal's
    assert [(one["code"], one["reason"]) for one in said] == [
        ("timed_out", "the node does not read what it is told")
    ]


async def test_nodes_that_do_not_read_fill_no_more_than_they_may_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once so much waits for all, each node has one message waiting; who reads is served as before."""
    async with AsyncExitStack() as stack:
        join = await stack.enter_async_context(serving(tmp_path / "state", rates=UNHURRIED))
        watcher = await stack.enter_async_context(registered(join, node(join, "watcher")))
        deaf, also = [
            await stack.enter_async_context(registered(join, node(join, name))) for name in ("deaf", "also")
        ]
        while await post(watcher, deaf.who, bytes(limits.MAIL_BYTES), keep=False):
            pass
        monkeypatch.setattr(limits, "RENDEZVOUS_QUEUES_BYTES", limits.RENDEZVOUS_QUEUE_BYTES)
        while await post(watcher, also.who, bytes(limits.MAIL_BYTES), keep=False):
            pass
        monkeypatch.undo()
        more = 0
        while await post(watcher, also.who, bytes(limits.MAIL_BYTES), keep=False):
            more += 1
        assert (
            more * limits.MAIL_BYTES * 4 // 3 > limits.RENDEZVOUS_QUEUE_BYTES // 2
        )  # its own queue had room
        deaf.channel.abort()
        await until_offline(watcher, "deaf")
        assert await online(watcher, "also")


async def test_a_deaf_node_s_requests_wait_for_its_reading(tmp_path: Path) -> None:
    """It asks and asks for what is long and reads nothing: the server stops reading it, and serves others."""
    async with (
        serving(tmp_path / "state", rates=UNHURRIED) as join,
        registered(join, node(join, "watcher")) as watcher,
        registered(join, node(join, "deaf")) as deaf,
    ):

        async def babble() -> None:
            while True:
                await deaf.send(Resolve(id=1, hostname="watcher"))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(babble(), 2)
        assert isinstance(await watcher.ask(Ping(id=1), Done), Done)


async def test_a_superseded_node_that_does_not_read_is_gone_all_the_same(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        who = node(join, "lab-a")
        async with registered(join, who) as older, registered(join, who) as newer:
            assert await online(newer, "lab-a")
            await older.push(Superseded)
            with pytest.raises(LinkLost):
                await older.ask(Ping(id=1), Done)
            assert await online(newer, "lab-a")


async def post_until_refused(client: Client, to: Registrant) -> int:
    """How many messages were kept before the disk was full."""
    for kept in range(limits.MAIL_PER_STRANGER):
        try:
            await post(client, to, secrets.token_bytes(30_000), keep=True)
        except Refusal as refusal:
            if "cannot write to its disk" not in str(refusal):
                raise
            return kept
    raise AssertionError("the disk was never full")


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit(2)")
async def test_a_full_disk_is_refused_and_survived(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as (program, join):
        bob = node(join, "bob")
        async with registered(join, bob):
            pass
        async with registered(join, node(join, "alice")) as alice:
            _, hard = resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (100_000, hard))
            kept = await post_until_refused(alice, bob)
            assert isinstance(await alice.ask(Ping(id=1), Done), Done)
            resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
            await post(alice, bob, b"last", keep=True)
        async with registered(join, bob) as reader:
            letters = [await reader.mail() for _ in range(kept + 1)]
            assert letters[-1].blob == b"last"
        assert await program.end() == 0
    assert any("storage failed" in line for line in program.log)
