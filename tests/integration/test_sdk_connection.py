"""``comity.connect`` and ``connect_async`` against two real daemons: what a study's program does, by both."""

from __future__ import annotations

import asyncio
import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import comity
from comity import control, errors
from comity.sdk.connection import connect
from comity.sdk.connection_async import connect_async
from tests.labs import PATIENCE, Lab
from tests.region import Region, region

TOPIC = "training/weights-ready"


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    with region() as made:
        yield made


@pytest.fixture(scope="module")
def labs(here: Region) -> tuple[Lab, Lab]:
    """Two labs whose agreement was made through the API."""
    one, two = here.lab("lab-a"), here.lab("lab-b", up=("--listen", "127.0.0.1:0"))
    with node(one) as a, node(two) as b:
        asked = a.handshake(b.status().card, "IRB #2026-0142", requested_by="PI", lifetime=86400)
        assert (asked.status, asked.hostname) == ("sent", "lab-b")
        until = asyncio.run(_pending(two))
        assert [request.justification for request in until] == ["IRB #2026-0142"]
        services = ("exchange", "events", "forward")
        approved = b.approve(
            "lab-a", allow=services, fingerprint=one.fingerprint, digest=until[0].digest, wait=20
        )
        assert (approved.hostname, approved.session) == ("lab-a", True)
    return one, two


async def _pending(lab: Lab) -> tuple[control.PendingRequest, ...]:
    async with connect_async(lab.home, environ=lab.environment) as there:
        deadline = time.monotonic() + PATIENCE
        while not (found := await there.pending()):
            assert time.monotonic() < deadline, "no handshake arrived"
            await asyncio.sleep(0.05)
        return found


class Shouting:
    """A program on a port of the loopback: what it is told, it says louder."""

    def __enter__(self) -> int:
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Shout)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self._server.server_address[1]

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Shout(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while said := self.request.recv(4096):
            self.request.sendall(said.upper())


def node(lab: Lab) -> comity.Node:
    return connect(lab.home, environ=lab.environment)


def test_identity_and_trust(labs: tuple[Lab, Lab]) -> None:
    one, two = labs
    with node(one) as a:
        assert a.status().fingerprint == a.info().fingerprint == one.fingerprint
        assert [peer.hostname for peer in a.trusted()] == ["lab-b"]
        assert a.find("lab-b").fingerprint == two.fingerprint
        assert [peer.hostname for peer in a.peers()] == ["lab-b"]
        assert a.ping("lab-b", count=2).received == 2
        assert a.confirm("lab-b", two.fingerprint).identity == "confirmed"
        assert a.export_agreement("lab-b").hostname == "lab-b"
        assert a.pending() == ()
        with pytest.raises(errors.UnknownPeer):
            a.ping("lab-z")
        assert a.set_tags("aggregator").tags == ("aggregator",)
        assert a.set_visibility(public=False).public is False


def test_artifacts(labs: tuple[Lab, Lab], tmp_path: Path) -> None:
    one, two = labs
    first, second = tmp_path / "round-1.safetensors", tmp_path / "round-2.safetensors"
    first.write_bytes(os.urandom(3_000_000))
    second.write_bytes(b"2")
    seen: list[control.Progress] = []
    with node(one) as a, node(two) as b:
        arrivals = b.arrivals(peer="lab-a", timeout=60)
        sent = a.send("lab-b", first, progress=seen.append)
        assert (sent.bytes, sent.to) == (3_000_000, "lab-b")
        assert seen
        assert seen[-1].name == "round-1.safetensors"
        assert Path(next(arrivals).path).read_bytes() == first.read_bytes()
        waiting = threading.Thread(target=a.send, args=("lab-b", second))
        waiting.start()
        assert [file.name for file in b.received("round-2.safetensors", timeout=60)] == [second.name]
        assert next(arrivals).name == second.name
        waiting.join()
        past = b.arrivals(past=True, timeout=1)
        assert [next(past).name, next(past).name] == [first.name, second.name]
        with pytest.raises(errors.TimedOut, match="no file arrived"):
            next(past)
        assert {transfer.state for transfer in a.transfers()} == {"done"}
        with pytest.raises(errors.FileUnusable):
            a.send("lab-b", tmp_path / "absent")


def test_events(labs: tuple[Lab, Lab]) -> None:
    one, two = labs
    with node(one) as a, node(two) as b:
        assert b.publish(TOPIC, "0").stored == "here"
        with b.publisher() as publisher:
            for number in range(1, 1000):
                publisher.publish(TOPIC, str(number))
        assert publisher.published == 999
        with a.subscribe(TOPIC, timeout=60) as events:
            assert [next(events).data for _ in range(600)] == [str(number) for number in range(600)]
        with a.subscribe(TOPIC, timeout=60) as events:
            assert [next(events).data for _ in range(400)] == [str(number) for number in range(600, 1000)]
        assert a.publish("for/b", "x", to="lab-b").stored == "peer"
        with b.subscribe("for/*", peer="lab-a", consumer="c", timeout=60) as events:
            assert next(events).from_ == "lab-a"


def test_what_was_not_handled_comes_again(labs: tuple[Lab, Lab]) -> None:
    one, two = labs
    with node(one) as a, node(two) as b:
        for number in range(3):
            b.publish("handled", str(number))

        def fail_at_the_second() -> None:
            with a.subscribe("handled", timeout=60) as events:
                assert next(events).data == "0"
                1 // (int(next(events).data) - 1)

        with pytest.raises(ZeroDivisionError):
            fail_at_the_second()
        with a.subscribe("handled", timeout=60) as events:
            assert next(events).data == "1"


async def test_all_of_it_for_asyncio(labs: tuple[Lab, Lab], tmp_path: Path) -> None:
    one, two = labs
    file = tmp_path / "async-1.safetensors"
    file.write_bytes(os.urandom(2_000_000))
    seen: list[control.Progress] = []
    async with (
        connect_async(one.home, environ=one.environment) as a,
        connect_async(two.home, environ=two.environment) as b,
    ):
        assert (await a.status()).hostname == (await a.info()).hostname == "lab-a"
        assert [peer.hostname for peer in await a.trusted()] == ["lab-b"]
        assert (await a.ping("lab-b")).received == 3
        arrivals = b.arrivals(peer="lab-a", timeout=60)
        arriving = asyncio.ensure_future(anext(arrivals))
        waiting = asyncio.ensure_future(b.received(file.name, timeout=60))
        for _ in range(10):  # the question for what is new may be on its way still when it is there
            await asyncio.sleep(0.5)
            assert (await a.send("lab-b", file, progress=seen.append)).bytes == 2_000_000
            if (await asyncio.wait([arriving], timeout=10))[0]:
                break
        assert Path((await arriving).path).read_bytes() == file.read_bytes()
        assert (await waiting)[0].name == file.name
        await arrivals.aclose()
        assert seen
        async with b.publisher() as publisher:
            for number in range(300):
                await publisher.publish("async", str(number))
        assert publisher.published == 300
        async with a.subscribe("async", timeout=60) as events:
            assert [(await anext(events)).data for _ in range(300)] == [str(number) for number in range(300)]
        with pytest.raises(errors.TimedOut, match="no event"):
            async with a.subscribe("async", timeout=0.5) as events:
                await anext(events)
        with pytest.raises(errors.UnknownPeer):
            await a.find("lab-z")


def test_streams_to_a_port_and_forwards(labs: tuple[Lab, Lab]) -> None:
    one, two = labs
    with node(one) as a, node(two) as b, Shouting() as port:
        with pytest.raises(errors.NotExposed), a.dial("lab-b", port):
            pass
        assert (b.expose(port, to="lab-a").active, b.exposures()[0].port) == (True, port)
        with a.dial("lab-b", port) as stream:
            stream.socket.sendall(b"hello")
            assert stream.socket.recv(16) == b"HELLO"
            assert stream.finish(timeout=30).bytes_sent == 5
        with a.forward("lab-b", port, local=0) as forward:
            host, _, number = forward.view.local.rpartition(":")
            with socket.create_connection((host, int(number)), timeout=30) as connection:
                connection.sendall(b"again")
                assert connection.recv(16) == b"AGAIN"
        assert asyncio.run(_dialled(one, port)) == (b"AWAITED", b"FORWARDED", 7)
        assert b.unexpose(port).ended == 1


async def _dialled(lab: Lab, port: int) -> tuple[bytes, bytes, int]:
    async with connect_async(lab.home, environ=lab.environment) as a:
        async with a.dial("lab-b", port) as stream:
            stream.writer.write(b"awaited")
            first = await stream.reader.readexactly(7)
            sent = (await stream.finish(timeout=30)).bytes_sent
        async with a.forward("lab-b", port, local=0) as view:
            host, _, number = view.local.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(number))
            writer.write(b"forwarded")
            second = await reader.readexactly(9)
            writer.close()
            await writer.wait_closed()
        return first, second, sent


def test_a_home_without_a_running_node_is_started_on_demand(here: Region) -> None:
    lab = here.site("lab-c")
    lab.init(here.rendezvous.join)
    with pytest.raises(errors.NotRunning):
        node(lab)
    before = dict(os.environ)
    os.environ.update(lab.environment)
    try:
        with comity.connect(start=True) as started:
            status = started.status()
            lab.pid = status.pid or 0
            assert (status.running, status.hostname) == (True, "lab-c")
        with comity.connect(start=True) as again:
            assert again.status().pid == lab.pid
    finally:
        os.environ.clear()
        os.environ.update(before)
        lab.down()


def test_revoking(here: Region, labs: tuple[Lab, Lab]) -> None:
    one, two = labs
    with node(one) as a, node(two) as b:
        assert a.revoke("lab-b", "the study is over", wait=20).status == "revoked"
        assert a.trusted() == ()
        assert [peer.status for peer in a.agreements().ended] == ["revoked"]
        with pytest.raises(errors.ComityError):
            b.send("lab-a", two.home / "config.toml")
        a.handshake(two.card, "again")
        asyncio.run(_pending(two))
        assert b.reject("lab-a", "no more").status == "rejected"
