"""Streams and lanes between two peer networks on real loopback sockets: contents, ends, and the pool."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Coroutine
from dataclasses import replace

import pytest

from comity import limits
from comity.errors import LinkLost, LocalProtocolError, RemoteProtocolError
from comity.protocol.framing import Kind, end_body
from comity.transport.interface import Lane, Stream
from tests.integration.transport_nodes import FAR, greeted, pair, ping
from tests.integration.transport_rig import QUICK, proxy, until

AGREEMENT = "sha256:" + "5" * 64
CHUNK = os.urandom(8 * limits.MIB)
CHUNKS = 8
BULK = 1001


async def test_stream_tells_both_sides_who_and_how() -> None:
    async with pair() as (dialler, acceptor):
        async with await dialler.network.dial(acceptor.key, 7, agreement=AGREEMENT, purpose="echo") as stream:
            await ping(stream)
        answered = acceptor.streams[0]
        assert (stream.peer, answered.peer) == (acceptor.key, dialler.key)
        assert stream.hello == answered.hello
        assert answered.hello.agreement == AGREEMENT
        assert (answered.hello.purpose, answered.hello.port) == ("echo", 7)
        assert stream.instance != answered.instance == stream.hello.instance
        for each in (stream, answered):
            assert (each.info.path, each.info.group) == ("direct", "X25519MLKEM768")
            assert (each.info.tls, each.info.cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
        assert stream.info.remote == acceptor.network.candidates()[0]
        assert acceptor.gate.turned_away == []


# ── lanes ─────────────────────────────────────────────────────────────────────────────────────────────


def send_chunks(lane: Lane) -> bytes:
    """64 MiB and their digest."""
    digest = hashlib.sha256()
    for number in range(CHUNKS):
        head, data = number.to_bytes(8), memoryview(CHUNK)[number:]
        lane.send(head, data)
        digest.update(head)
        digest.update(data)
    return digest.digest()


def receive_chunks(lane: Lane) -> bytes:
    digest = hashlib.sha256()
    for _ in range(CHUNKS):
        body = lane.receive()
        assert body is not None
        digest.update(body)
    return digest.digest()


async def take_bulk(stream: Stream) -> None:
    """A handler: everything in, its digest out."""
    lane = stream.lane()

    def work() -> None:
        lane.send(receive_chunks(lane))
        lane.finish()

    await asyncio.to_thread(work)


async def give_bulk(stream: Stream) -> None:
    """A handler: as much as it is let, until the link ends."""
    lane = stream.lane()

    def work() -> None:
        while True:
            lane.send(CHUNK)

    await asyncio.to_thread(work)


async def test_bulk_arrives_whole_and_the_link_carries_the_next_stream() -> None:
    async with pair() as (dialler, acceptor):
        acceptor.network.serve(BULK, take_bulk)

        def work(lane: Lane) -> None:
            ours = send_chunks(lane)
            theirs = lane.receive()
            assert theirs is not None
            assert bytes(theirs) == ours
            assert lane.receive() is None
            assert lane.receive() is None
            lane.finish()
            lane.finish()

        links = set()
        for _ in range(2):
            async with await dialler.network.dial(acceptor.key, BULK) as stream:
                links.add(stream._link)
                await asyncio.to_thread(work, stream.lane())
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            links.add(stream._link)
            await ping(stream)
        assert len(links) == 1


async def test_lane_goes_on_where_the_stream_was() -> None:
    async with pair() as (dialler, acceptor):

        async def mixed(stream: Stream) -> None:
            await stream.send(b"one")
            lane = stream.lane()
            lane.send(b"two", b"-and-a-half")
            await asyncio.to_thread(lane.finish)
            with pytest.raises(LocalProtocolError):
                lane.send(b"three")

        acceptor.network.serve(8, mixed)
        for _ in range(2):
            async with await dialler.network.dial(acceptor.key, 8) as stream:
                assert [await stream.receive() for _ in range(4)] == [b"one", b"two-and-a-half", None, None]


async def test_stream_in_a_lane_takes_only_abort() -> None:
    async with pair() as (dialler, acceptor):
        stream = await dialler.network.dial(acceptor.key, 7)
        lane = stream.lane()
        for use in (stream.send(b"x"), stream.receive(), stream.finish()):
            with pytest.raises(LocalProtocolError, match="lane"):
                await use
        with pytest.raises(LocalProtocolError):
            stream.lane()
        stream.abort()
        with pytest.raises(LinkLost, match="this side"):
            lane.send(b"x")
        stream.abort()
        lane.abort()


async def test_leaving_a_stream_over_an_unfinished_lane_is_our_bug() -> None:
    async with pair() as (dialler, acceptor):
        stream = await dialler.network.dial(acceptor.key, 7)
        with pytest.raises(LocalProtocolError, match="lane had not finished"):
            async with stream:
                stream.lane()


@pytest.mark.parametrize("size", [limits.FRAME_BYTES + 1])
async def test_bulk_belongs_into_a_lane_and_chunks_have_a_bound(size: int) -> None:
    async with pair() as (dialler, acceptor):
        stream = await dialler.network.dial(acceptor.key, 7)
        with pytest.raises(LocalProtocolError, match="lane"):
            await stream.send(bytes(size))
        lane = stream.lane()
        with pytest.raises(LocalProtocolError):
            lane.send(CHUNK, CHUNK)
        stream.abort()


async def test_another_thread_can_abort_a_lane() -> None:
    async with pair() as (dialler, acceptor):
        stream = await dialler.network.dial(acceptor.key, 7)
        lane = stream.lane()
        receiving = asyncio.create_task(asyncio.to_thread(lane.receive))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(lane.abort)
        with pytest.raises(LinkLost, match="this side"):
            await receiving
        async with await dialler.network.dial(acceptor.key, 7) as again:
            await ping(again)


async def test_aborting_a_finished_lane_spares_the_links_next_stream() -> None:
    async with pair() as (dialler, acceptor):
        async with await dialler.network.dial(acceptor.key, 7) as first:
            lane = first.lane()
            await asyncio.to_thread(lane.finish)
        async with await dialler.network.dial(acceptor.key, 7) as second:
            assert second._link is first._link
            lane.abort()
            await ping(second)


# ── ends ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_the_peer_still_sends_is_read_up_to_its_end() -> None:
    async with pair() as (dialler, acceptor):
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            for _ in range(5):
                await stream.send(b"echoed, but never read")
        async with await dialler.network.dial(acceptor.key, 7) as again:
            assert again._link is stream._link
            await ping(again)


async def test_data_after_our_end_is_our_bug() -> None:
    async with pair() as (dialler, acceptor):
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            await ping(stream)
        with pytest.raises(LocalProtocolError, match="finished"):
            await stream.send(b"x")
        await stream.finish()


@pytest.mark.parametrize("frames", [0, 2])
async def test_end_that_counts_wrong_is_an_error(frames: int) -> None:
    """Whoever can drop or add frames inside TLS (nobody, if TLS holds) can't make a stream look whole."""
    async with pair() as (dialler, acceptor):
        ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

        async def read(stream: Stream) -> None:
            try:
                while await stream.receive() is not None:
                    pass
            except RemoteProtocolError as error:
                ended.set_result(error)
                raise

        acceptor.network.serve(8, read)
        channel = await greeted(dialler, acceptor, port=8)
        await channel.write_frame(Kind.DATA, b"four")
        await channel.write_frame(Kind.END, end_body(frames, 4))
        assert "does not match" in str(await ended)
        with pytest.raises(LinkLost, match="without the other side's close"):
            await channel.read_frame(100)
        channel.abort()


async def test_frame_of_another_kind_ends_the_stream() -> None:
    async with pair() as (dialler, acceptor):
        channel = await greeted(dialler, acceptor)
        await channel.write_frame(Kind.WELCOME, b"{}")
        with pytest.raises(LinkLost):
            await channel.read_frame(100)
        channel.abort()


@pytest.mark.parametrize("lane", [False, True])
async def test_cut_stream_never_looks_finished(lane: bool) -> None:
    """The middle sends FIN both ways, in order, as if each side had closed (SECURITY.md rule 11)."""
    async with pair() as (dialler, acceptor), proxy(acceptor.port) as (address, cutter):
        dialler.network.learn(acceptor.key, [address], FAR)
        if lane:
            acceptor.network.serve(BULK, give_bulk)
        stream = await dialler.network.dial(acceptor.key, BULK if lane else 7)

        def receive(bulk: Lane) -> None:
            while bulk.receive() is not None:
                pass

        receiving: Coroutine[None, None, object]
        receiving = asyncio.to_thread(receive, stream.lane()) if lane else stream.receive()
        reading = asyncio.create_task(receiving)
        await asyncio.sleep(0.2)
        assert not reading.done()
        cutter.cut.set()
        with pytest.raises(LinkLost):
            await reading


async def test_peer_that_never_ends_is_given_up() -> None:
    async with pair(dialler_bounds=replace(QUICK, stall=0.3)) as (dialler, acceptor):
        let_go = asyncio.Event()

        async def hang(stream: Stream) -> None:
            await let_go.wait()

        acceptor.network.serve(8, hang)
        stream = await dialler.network.dial(acceptor.key, 8)
        with pytest.raises(LinkLost, match=r"did not end the stream within 0\.3"):
            await stream.finish()
        let_go.set()


async def test_lane_of_a_peer_that_pours_on_after_our_end_is_given_up() -> None:
    async with pair(dialler_bounds=replace(QUICK, stall=0.3)) as (dialler, acceptor):
        acceptor.network.serve(BULK, give_bulk)
        stream = await dialler.network.dial(acceptor.key, BULK)
        lane = stream.lane()
        with pytest.raises(LinkLost, match=r"did not end the stream within 0\.3"):
            await asyncio.to_thread(lane.finish)


# ── the pool ──────────────────────────────────────────────────────────────────────────────────────────


async def test_as_many_links_are_kept_as_the_pool_holds() -> None:
    async with pair(bounds=replace(QUICK, pooled_links=2)) as (dialler, acceptor):
        streams = [await dialler.network.dial(acceptor.key, 7) for _ in range(3)]
        assert len({stream._link for stream in streams}) == 3
        for stream in streams:
            await stream.finish()
        assert [stream._link.channel.ended for stream in streams] == [False, False, True]
        again = [await dialler.network.dial(acceptor.key, 7) for _ in range(3)]
        assert len({stream._link for stream in (*streams, *again)}) == 4
        for stream in again:
            await stream.finish()


async def test_idle_link_is_let_go_on_both_sides() -> None:
    async with pair(bounds=replace(QUICK, link_idle=0.4)) as (dialler, acceptor):
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            await ping(stream)
        await until(lambda: not len(dialler.network._links) and not len(acceptor.network._links))
        assert acceptor.gate.turned_away == []
        async with await dialler.network.dial(acceptor.key, 7) as again:
            assert again._link is not stream._link
            await ping(again)


async def test_acceptor_lets_an_idle_link_go_by_itself() -> None:
    async with pair(bounds=replace(QUICK, link_idle=1), dialler_bounds=QUICK) as (dialler, acceptor):
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            await ping(stream)
        assert not stream._link.channel.ended
        await until(lambda: stream._link.channel.ended)  # the pool saw the close come in
        assert len(dialler.network._links) == 0


async def test_worn_link_carries_no_further_stream() -> None:
    async with pair(bounds=replace(QUICK, tls_records=20)) as (dialler, acceptor):
        links = []
        for _ in range(4):
            async with await dialler.network.dial(acceptor.key, 7) as stream:
                links.append(stream._link)
                for _ in range(6):
                    await ping(stream)
        assert len(set(links)) == 2
        await until(lambda: len(acceptor.network._links) == 1)


async def test_pooled_link_that_went_dumb_costs_one_deadline() -> None:
    """A path that swallows everything: no close arrives, so the pool cannot know."""
    async with (
        pair(dialler_bounds=replace(QUICK, hello=2)) as (dialler, acceptor),
        proxy(acceptor.port) as (address, cutter),
    ):
        straight = acceptor.network.candidates()
        dialler.network.learn(acceptor.key, [address], FAR)
        async with await dialler.network.dial(acceptor.key, 7) as stream:
            await ping(stream)
        cutter.silent.set()
        dialler.network.learn(acceptor.key, straight, FAR)
        async with await dialler.network.dial(acceptor.key, 7) as again:
            await ping(again)
        assert again._link is not stream._link
