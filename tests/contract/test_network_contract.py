"""What services can rely on at the network of peers: TLS on real sockets, and the in-memory world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from comity import limits
from comity.errors import (
    ComityError,
    IdentityMismatch,
    LinkLost,
    LocalProtocolError,
    PeerRefused,
    PeerUnreachable,
)
from comity.protocol.hello import Refused
from comity.transport.interface import Lane, Stream
from tests.contract.rigs import STAGES, Claim, Rig, Site, Stage, site
from tests.integration.transport_rig import until
from tests.worlds import identity_of

FAR = 4e9
ECHO = 7
AGREEMENT = "sha256:" + "ab" * 32


@pytest.fixture(params=list(STAGES))
def stage(request: pytest.FixtureRequest) -> Stage:
    return STAGES[request.param]


@asynccontextmanager
async def couple(rig: Rig, *, listen: bool = True) -> AsyncIterator[tuple[Site, Site]]:
    """Two nodes that approve each other; the second echoes, and the first knows where it listens."""
    async with site(rig, "anna") as anna, site(rig, "bert", Claim("bert", listen=listen)) as bert:
        anna.approve(bert)
        bert.approve(anna)
        bert.network.serve(ECHO, bert.echo)
        anna.network.learn(bert.key, bert.network.candidates(), FAR)
        yield anna, bert


async def ping(stream: Stream, body: bytes = b"ping") -> None:
    await stream.send(body)
    assert await stream.receive() == body


# ── paths ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("listen", "path"), [(True, "direct"), (False, "relay")])
def test_a_stream_goes_there_and_back(stage: Stage, listen: bool, path: str) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig, listen=listen) as (anna, bert):
            async with await anna.network.dial(bert.key, ECHO) as stream:
                await ping(stream)
                assert (stream.peer, stream.info.path) == (bert.key, path)
                assert (stream.info.tls, stream.info.cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
                assert stream.info.group == "X25519MLKEM768"
            (answered,) = bert.diary.answered
            assert (answered.peer, answered.info.path) == (anna.key, path)

    stage(scene)


def test_a_direct_path_is_preferred_to_the_relay(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            async with await anna.network.dial(bert.key, ECHO) as stream:
                await ping(stream)
            assert bert.diary.offers == []

    stage(scene)


def test_an_address_at_which_nobody_answers_leaves_the_relay(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig, listen=False) as (anna, bert):
            anna.network.learn(bert.key, ["127.0.0.1:1"], FAR)
            async with await anna.network.dial(bert.key, ECHO) as stream:
                await ping(stream)
                assert stream.info.path == "relay"

    stage(scene)


def test_addresses_expire(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            anna.network.learn(bert.key, bert.network.candidates(), rig.clock.now() - 1)
            async with await anna.network.dial(bert.key, ECHO) as stream:
                assert stream.info.path == "relay"

    stage(scene)


def test_only_a_node_that_listens_has_candidates(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            assert anna.network.candidates() == ()
            assert len(bert.network.candidates()) == 1

    stage(scene)


def test_a_peer_that_is_away_is_unreachable(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna:
            with pytest.raises(PeerUnreachable, match="relay"):
                await anna.network.dial(identity_of("nobody").public, ECHO)

    stage(scene)


def test_another_key_at_the_address_is_not_the_peer(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert), site(rig, "carl", Claim("carl", listen=True)) as carl:
            anna.approve(carl)
            carl.approve(anna)
            carl.network.serve(ECHO, carl.echo)
            anna.network.learn(bert.key, carl.network.candidates(), FAR)
            await rig.stop()
            with pytest.raises(IdentityMismatch):
                await anna.network.dial(bert.key, ECHO)
            assert carl.diary.answered == []
            await rig.start()

    stage(scene)


# ── hello ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_hello_reaches_the_handler(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with (
            couple(rig) as (anna, bert),
            await anna.network.dial(bert.key, ECHO, agreement=AGREEMENT, purpose="a test") as stream,
        ):
            await ping(stream)
            (answered,) = bert.diary.answered
            assert (answered.hello.port, answered.hello.agreement) == (ECHO, AGREEMENT)
            assert answered.hello.purpose == "a test"
            assert stream.hello == answered.hello
            assert answered.instance == answered.hello.instance
            assert len(stream.instance) == 32
            assert stream.instance != answered.instance

    stage(scene)


def test_strangers_get_the_uniform_refusal(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            bert.gate.keys.clear()
            for port in (ECHO, 999):
                with pytest.raises(PeerRefused, match="not approved"):
                    await anna.network.dial(bert.key, port)
            assert await bert.gate.wait_for(2) == ["not_approved", "not_approved"]
            assert bert.diary.answered == []

    stage(scene)


def test_approved_peers_get_the_reason(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            bert.gate.reasons[anna.key] = Refused(code="service_not_allowed", reason="no echo under this")
            with pytest.raises(PeerRefused, match="no echo under this"):
                await anna.network.dial(bert.key, ECHO)
            del bert.gate.reasons[anna.key]
            with pytest.raises(PeerRefused, match="999"):
                await anna.network.dial(bert.key, 999)
            assert await bert.gate.wait_for(2) == ["service_not_allowed", "unknown_port"]

    stage(scene)


def test_a_strangers_relay_offer_is_not_followed(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig, listen=False) as (anna, bert):
            bert.gate.keys.clear()
            dialling = asyncio.create_task(anna.network.dial(bert.key, ECHO))
            assert await bert.gate.wait_for(1) == ["relay_not_approved"]
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling

    stage(scene)


def test_a_port_is_served_once(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (_, bert):
            with pytest.raises(LocalProtocolError):
                bert.network.serve(ECHO, bert.echo)

    stage(scene)


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────


def test_many_streams_at_once_and_one_after_the_other(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):

            async def talk(number: int) -> None:
                for turn in range(3):
                    async with await anna.network.dial(bert.key, ECHO) as stream:
                        await ping(stream, b"%d %d" % (number, turn))

            await asyncio.gather(*map(talk, range(5)))
            assert len(bert.diary.answered) == 15

    stage(scene)


def test_both_sides_end_in_order(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        heard: list[bytes | None] = []

        async def handler(stream: Stream) -> None:
            while (body := await stream.receive()) is not None:
                heard.append(body)
            heard.append(None)
            assert await stream.receive() is None
            await stream.send(b"after your end")
            await stream.finish()

        async with couple(rig) as (anna, bert):
            bert.network.serve(8, handler)
            stream = await anna.network.dial(bert.key, 8)
            for body in (b"", b"one", bytes(limits.FRAME_BYTES)):
                await stream.send(body)
            await stream.finish()
            assert heard == [b"", b"one", bytes(limits.FRAME_BYTES), None]
            with pytest.raises(LocalProtocolError):
                await stream.send(b"more")
            with pytest.raises(LocalProtocolError):
                await stream.receive()
            await stream.finish()

    stage(scene)


def test_a_frame_for_a_stream_has_a_bound(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert), await anna.network.dial(bert.key, ECHO) as stream:
            with pytest.raises(LocalProtocolError):
                await stream.send(bytes(limits.FRAME_BYTES + 1))
            await ping(stream)

    stage(scene)


def test_an_aborted_stream_never_looks_finished(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        ended: list[ComityError | None] = []

        async def handler(stream: Stream) -> None:
            try:
                while await stream.receive() is not None:
                    pass
                ended.append(None)
            except LinkLost as lost:
                ended.append(lost)
                raise

        async with couple(rig) as (anna, bert):
            bert.network.serve(8, handler)
            stream = await anna.network.dial(bert.key, 8)
            await stream.send(b"half")
            stream.abort()
            stream.abort()
            await until(lambda: ended)
            assert isinstance(ended[0], LinkLost)
            for use in (stream.send(b"more"), stream.receive(), stream.finish()):
                with pytest.raises(LinkLost):
                    await use

    stage(scene)


def test_leaving_by_an_exception_aborts(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            stream = await anna.network.dial(bert.key, ECHO)
            with pytest.raises(RuntimeError, match="on purpose"):
                async with stream:
                    raise RuntimeError("on purpose")
            with pytest.raises(LinkLost):
                await stream.send(b"more")

    stage(scene)


@pytest.mark.parametrize("error", [LinkLost("on purpose"), RuntimeError("a bug, on purpose")], ids=repr)
def test_a_handler_that_raises_ends_its_stream_only(stage: Stage, error: Exception) -> None:
    async def scene(rig: Rig) -> None:
        async def handler(stream: Stream) -> None:
            await stream.receive()
            raise error

        async with couple(rig) as (anna, bert), await anna.network.dial(bert.key, ECHO) as other:
            bert.network.serve(8, handler)
            stream = await anna.network.dial(bert.key, 8)
            await stream.send(b"go")
            with pytest.raises(LinkLost):
                await stream.receive()
            await ping(other)

    stage(scene)


# ── the end of an agreement, of a node ────────────────────────────────────────────────────────────────


def test_drop_ends_every_link_with_the_peer_at_once(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            streams = [await anna.network.dial(bert.key, ECHO) for _ in range(2)]
            for stream in streams:
                await ping(stream)
            assert anna.network.drop(bert.key) == 2
            assert anna.network.drop(bert.key) == 0
            for stream in streams:
                with pytest.raises(LinkLost):
                    await stream.send(b"more")
            await until(lambda: bert.diary.broken == 2)
            async with await anna.network.dial(bert.key, ECHO) as again:
                await ping(again)

    stage(scene)


def test_the_acceptor_drops_too(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            stream = await anna.network.dial(bert.key, ECHO)
            await ping(stream)
            assert bert.network.drop(anna.key) == 1
            with pytest.raises(LinkLost):
                await stream.receive()

    stage(scene)


def test_drop_spares_a_port(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            bert.network.serve(444, bert.echo)
            spared = await anna.network.dial(bert.key, 444)
            ended = await anna.network.dial(bert.key, ECHO)
            await ping(spared)
            await ping(ended)
            assert anna.network.drop(bert.key, spare=444) == 1
            await ping(spared)
            with pytest.raises(LinkLost):
                await ended.send(b"more")
            await spared.finish()

    stage(scene)


def test_a_dial_that_is_under_way_is_dropped_too(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            dialling = asyncio.create_task(anna.network.dial(bert.key, ECHO))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            anna.network.drop(bert.key)
            with pytest.raises(PeerUnreachable):
                await dialling

    stage(scene)


def test_a_node_that_stops_ends_its_streams(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with site(rig, "anna") as anna:
            async with site(rig, "bert", Claim("bert", listen=True)) as bert:
                anna.approve(bert)
                bert.approve(anna)
                bert.network.serve(ECHO, bert.echo)
                anna.network.learn(bert.key, bert.network.candidates(), FAR)
                stream = await anna.network.dial(bert.key, ECHO)
                await ping(stream)
            with pytest.raises(LinkLost):
                await stream.receive()
            with pytest.raises(PeerUnreachable):
                await bert.network.dial(anna.key, ECHO)
            with pytest.raises(PeerUnreachable):
                await anna.network.dial(bert.key, ECHO)

    stage(scene)


# ── lanes ─────────────────────────────────────────────────────────────────────────────────────────────

CHUNKS = [bytes([number]) * size for number, size in enumerate((1, 16384, 300_000, limits.LANE_FRAME_BYTES))]


def drain(lane: Lane) -> list[bytes]:
    bodies = []
    while (body := lane.receive()) is not None:
        bodies.append(bytes(body))
    lane.finish()
    return bodies


def fill(lane: Lane) -> None:
    for chunk in CHUNKS:
        half = len(chunk) // 2
        lane.send(chunk[:half], memoryview(chunk)[half:])
    lane.finish()


@pytest.mark.parametrize("listen", [True, False], ids=["direct", "relay"])
def test_threads_move_bytes_in_bulk(stage: Stage, listen: bool) -> None:
    async def scene(rig: Rig) -> None:
        arrived: list[bytes] = []

        async def handler(stream: Stream) -> None:
            arrived.extend(await asyncio.to_thread(drain, stream.lane()))

        async with couple(rig, listen=listen) as (anna, bert):
            bert.network.serve(8, handler)
            async with await anna.network.dial(bert.key, 8) as stream:
                lane = stream.lane()
                assert (lane.peer, lane.info) == (bert.key, stream.info)
                await asyncio.to_thread(fill, lane)
            await until(lambda: arrived == CHUNKS)
            async with await anna.network.dial(bert.key, ECHO) as after:
                await ping(after)

    stage(scene)


def test_what_belongs_to_a_thread_is_not_for_the_loop(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            stream = await anna.network.dial(bert.key, ECHO)
            lane = stream.lane()
            for use in (stream.send(b"x"), stream.receive(), stream.finish()):
                with pytest.raises(LocalProtocolError):
                    await use
            with pytest.raises(LocalProtocolError):
                stream.lane()
            with pytest.raises(LocalProtocolError):
                await asyncio.to_thread(lane.send, bytes(limits.LANE_FRAME_BYTES + 1))
            stream.abort()
            with pytest.raises(LinkLost):
                await asyncio.to_thread(lane.send, b"x")

    stage(scene)


def test_an_abort_frees_a_thread_that_waits(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            stream = await anna.network.dial(bert.key, ECHO)
            lane = stream.lane()
            waiting = asyncio.create_task(asyncio.to_thread(lane.receive))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            lane.abort()
            with pytest.raises(LinkLost):
                await waiting

    stage(scene)


def test_drop_frees_a_thread_that_waits(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        async with couple(rig) as (anna, bert):
            lane = (await anna.network.dial(bert.key, ECHO)).lane()
            waiting = asyncio.create_task(asyncio.to_thread(lane.receive))
            await asyncio.sleep(0.1)
            assert anna.network.drop(bert.key) == 1
            with pytest.raises(LinkLost):
                await waiting

    stage(scene)


def test_a_cut_lane_never_looks_finished(stage: Stage) -> None:
    async def scene(rig: Rig) -> None:
        ended: list[BaseException | None] = []

        async def handler(stream: Stream) -> None:
            try:
                await asyncio.to_thread(drain, stream.lane())
                ended.append(None)
            except LinkLost as lost:
                ended.append(lost)
                raise

        async with couple(rig) as (anna, bert):
            bert.network.serve(8, handler)
            stream = await anna.network.dial(bert.key, 8)
            lane = stream.lane()
            await asyncio.to_thread(lane.send, b"half")
            lane.abort()
            await until(lambda: ended)
            assert isinstance(ended[0], LinkLost)

    stage(scene)
