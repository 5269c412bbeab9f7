"""SecureChannel on real loopback sockets: both faces, bulk, ends, wear, and who is let in."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest
from OpenSSL import SSL

from comity import limits
from comity.clock import ManualClock, SystemClock
from comity.errors import (
    ComityError,
    IdentityMismatch,
    LinkLost,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
)
from comity.identity.certificate import ExpiredCertificate
from comity.identity.keys import Identity
from comity.protocol.framing import Kind
from comity.transport.channel import SecureChannel
from comity.transport.landing import Landings
from comity.transport.tls import Credentials, OwnKey, Pin, TlsFailure
from tests.integration.transport_rig import QUICK, Cutter, channels, credentials, socket_pair

CHUNK = os.urandom(8 * limits.MIB)


async def pour(channel: SecureChannel) -> None:
    while True:
        await channel.write_frame(Kind.DATA, b"x" * limits.FRAME_BYTES)


async def drink(channel: SecureChannel) -> None:
    while True:
        await channel.read_frame(limits.FRAME_BYTES)


async def test_both_sides_know_whom_and_how() -> None:
    async with channels() as (dialler, acceptor):
        for channel in (dialler, acceptor):
            assert (channel.tls, channel.cipher, channel.group) == (
                "TLSv1.3",
                "TLS_AES_256_GCM_SHA384",
                "X25519MLKEM768",
            )
            assert channel.remote.startswith("127.0.0.1:")
        assert dialler.peer != acceptor.peer


async def test_frames_arrive_whole_and_in_order_both_ways() -> None:
    sizes = [0, 1, 5, 16_379, 16_380, 16_384, 65_536]
    async with channels() as (dialler, acceptor):

        async def talk(channel: SecureChannel) -> list[bytes]:
            async def say() -> None:
                for size in sizes:
                    await channel.write_frame(Kind.DATA, CHUNK[:size])

            async def hear() -> list[bytes]:
                return [(await channel.read_frame(limits.FRAME_BYTES))[1] for _ in sizes]

            return (await asyncio.gather(hear(), say()))[0]

        for heard in await asyncio.gather(talk(dialler), talk(acceptor)):
            assert heard == [CHUNK[:size] for size in sizes]


async def test_frames_of_several_writers_do_not_mix() -> None:
    async with channels() as (dialler, acceptor):
        writers = [dialler.write_frame(Kind.DATA, bytes([n]) * 60_000) for n in range(20)]
        reading = asyncio.gather(*writers)
        for _ in range(20):
            _, body = await acceptor.read_frame(limits.FRAME_BYTES)
            assert body == body[:1] * 60_000
        await reading


async def test_a_flood_does_not_keep_the_loop_from_other_tasks() -> None:
    async with channels() as (dialler, acceptor):

        async def flood() -> None:
            for _ in range(500):
                await dialler.write_frame(Kind.DATA, b"x" * 1000)

        async def swallow() -> None:
            for _ in range(500):
                await acceptor.read_frame(limits.FRAME_BYTES)

        beats = 0
        flooding = asyncio.gather(flood(), swallow())
        while not flooding.done():
            beats += 1
            await asyncio.sleep(0)
        await flooding
        assert beats > 250


async def test_cancelled_read_goes_on_where_it_stopped() -> None:
    async with channels() as (dialler, acceptor):
        reading = asyncio.create_task(acceptor.read_frame(limits.FRAME_BYTES))
        await dialler._socket.write(b"\x00\x00\x00\x06\x04he", 1)  # half a frame
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await dialler._socket.write(b"llo", 1)
        assert await acceptor.read_frame(limits.FRAME_BYTES) == (Kind.DATA, b"hello")


async def test_cancelled_write_ends_the_link() -> None:
    async with channels() as (dialler, acceptor):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await pour(dialler)
        with pytest.raises(LinkLost, match="this side"):
            await dialler.write_frame(Kind.DATA, b"y")
        with pytest.raises(LinkLost):
            await drink(acceptor)


async def test_peer_that_reads_nothing_is_given_up() -> None:
    async with channels(replace(QUICK, stall=0.3)) as (dialler, _):
        with pytest.raises(LinkLost, match=r"nothing moved for 0\.3 seconds"):
            await pour(dialler)


async def test_two_readers_are_our_bug() -> None:
    async with channels() as (dialler, acceptor):
        first = asyncio.create_task(acceptor.read_frame(10))
        await asyncio.sleep(0)
        with pytest.raises(LocalProtocolError):
            await acceptor.read_frame(10)
        await dialler.write_frame(Kind.DATA, b"x")
        assert (await first)[1] == b"x"


async def test_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    async with channels() as (dialler, acceptor):
        await dialler.write_frame(Kind.DATA, b"x" * 11)
        with pytest.raises(RemoteProtocolError, match="exceeds the limit of 10"):
            await acceptor.read_frame(10)


# ── ends ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_close_is_told_from_a_cut() -> None:
    async with channels() as (dialler, acceptor):
        await dialler.write_frame(Kind.DATA, b"last words")
        closing = asyncio.create_task(dialler.close())
        assert (await acceptor.read_frame(100))[1] == b"last words"
        with pytest.raises(LinkLost, match="the other side closed the link"):
            await acceptor.read_frame(100)
        acceptor.abort()
        await closing
        assert dialler.ended


async def test_close_does_not_wait_for_ever_for_the_peer() -> None:
    async with channels(replace(QUICK, close=0.2)) as (dialler, _):
        async with asyncio.timeout(15):
            await dialler.close()


async def test_what_was_said_before_a_close_survives_unread_bytes() -> None:
    """Closing over unread bytes resets a connection, and the peer would lose our last frame."""
    async with channels() as (dialler, acceptor):
        await dialler.write_frame(Kind.DATA, b"x" * 50_000)
        await acceptor.write_frame(Kind.REFUSED, b"because")
        closing = asyncio.create_task(acceptor.close())
        await dialler.write_frame(Kind.DATA, b"x" * 50_000)
        assert await dialler.read_frame(100) == (Kind.REFUSED, b"because")
        with pytest.raises(LinkLost, match="closed"):
            await dialler.read_frame(100)
        dialler.abort()
        await closing


@pytest.mark.parametrize("blocking", [False, True])
async def test_forged_end_of_the_connection_is_an_error(blocking: bool) -> None:
    """A middlebox can send a FIN in the peer's name, but not its close_notify (SECURITY.md rule 11)."""
    cutter = Cutter()
    async with channels(via=cutter) as (dialler, acceptor):
        await dialler.write_frame(Kind.DATA, b"x")
        assert (await acceptor.read_frame(10))[1] == b"x"
        cutter.cut.set()
        reading: Awaitable[object]
        if blocking:
            acceptor.to_thread()
            reading = asyncio.to_thread(acceptor.read_frame_blocking, Landings(), 10)
        else:
            reading = acceptor.read_frame(10)
        with pytest.raises(LinkLost, match="without the other side's close"):
            await reading


async def test_abort_wakes_whoever_waits() -> None:
    async with channels() as (dialler, acceptor):
        reading = asyncio.create_task(dialler.read_frame(10))
        await asyncio.sleep(0)
        dialler.abort()
        with pytest.raises(LinkLost, match="this side"):
            await reading
        with pytest.raises(LinkLost, match="without the other side's close"):
            await acceptor.read_frame(10)
        dialler.abort()
        await dialler.close()


# ── the blocking face ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("beneath", [True, False])
async def test_bulk_through_threads_and_back_to_the_loop(beneath: bool) -> None:
    chunks = 8
    async with channels() as (dialler, acceptor):
        await dialler.write_frame(Kind.DATA, b"before")
        assert (await acceptor.read_frame(10))[1] == b"before"
        dialler.to_thread()
        acceptor.to_thread()

        def send() -> str:
            digest = hashlib.sha256()
            for number in range(chunks):
                label, data = b"chunk %d" % number, memoryview(CHUNK)[number:]
                dialler.write_frame_blocking(Kind.DATA, label, data)
                digest.update(label + data)
            return digest.hexdigest()

        def receive() -> str:
            digest, landing = hashlib.sha256(), Landings(beneath=beneath)
            for _ in range(chunks):
                kind, body = acceptor.read_frame_blocking(landing, limits.LANE_FRAME_BYTES)
                assert kind is Kind.DATA
                digest.update(body)
            return digest.hexdigest()

        sent, received = await asyncio.gather(asyncio.to_thread(send), asyncio.to_thread(receive))
        assert sent == received
        dialler.to_loop()
        acceptor.to_loop()
        await dialler.write_frame(Kind.DATA, b"after")
        assert (await acceptor.read_frame(10))[1] == b"after"


async def test_empty_and_tiny_parts_make_one_frame() -> None:
    async with channels() as (dialler, acceptor):
        dialler.to_thread()
        dialler.write_frame_blocking(Kind.DATA)
        dialler.write_frame_blocking(Kind.DATA, b"", b"ab", bytearray(b"c"), memoryview(b"d" * 20_000), b"e")
        assert await acceptor.read_frame(10) == (Kind.DATA, b"")
        assert await acceptor.read_frame(30_000) == (Kind.DATA, b"abc" + b"d" * 20_000 + b"e")


async def test_a_small_frame_leaves_with_the_one_that_follows() -> None:
    async with channels() as (dialler, acceptor):
        dialler.to_thread()
        acceptor.to_thread()
        landings = Landings()

        def received() -> bytes:
            return bytes(acceptor.read_frame_blocking(landings, limits.LANE_FRAME_BYTES)[1])

        dialler.write_frame_blocking(Kind.DATA, b"page", more=True)
        dialler.write_frame_blocking(Kind.DATA, b"page", b"2", more=True)
        assert not acceptor.readable(0.05)
        with pytest.raises(LocalProtocolError):
            dialler.to_loop()
        sending = asyncio.create_task(
            asyncio.to_thread(lambda: dialler.write_frame_blocking(Kind.DATA, b"head", CHUNK))
        )
        assert await asyncio.to_thread(lambda: [received() for _ in range(3)]) == [
            b"page",
            b"page2",
            b"head" + CHUNK,
        ]
        await sending
        dialler.write_frame_blocking(Kind.DATA, bytes(10_000), more=True)  # no small one: it has gone
        assert len(await asyncio.to_thread(received)) == 10_000
        dialler.to_loop()


async def test_whoever_writes_into_a_full_line_hears_at_once_that_the_other_side_ended_it() -> None:
    """Not when nothing has moved for long: its kernel has nothing to send that would be answered."""
    bulk = memoryview(bytes(2 * limits.MIB))
    for number in range(8):
        async with channels() as (dialler, acceptor):
            dialler.to_thread()
            acceptor.to_thread()
            landings = Landings()

            def send(channel: SecureChannel = dialler) -> None:
                while True:
                    channel.write_frame_blocking(Kind.DATA, bulk)

            def receive(channel: SecureChannel = acceptor, landings: Landings = landings) -> None:
                while True:
                    channel.read_frame_blocking(landings, limits.LANE_FRAME_BYTES)

            moving = [asyncio.create_task(asyncio.to_thread(work)) for work in (send, receive)]
            await asyncio.sleep(0.002 * number)  # somewhere
            acceptor.abort()
            async with asyncio.timeout(QUICK.stall / 2):
                ended = await asyncio.gather(*moving, return_exceptions=True)
            assert [type(each) for each in ended] == [LinkLost, LinkLost]


async def test_a_thread_can_wait_a_moment_for_what_is_on_its_way() -> None:
    async with channels() as (dialler, acceptor):
        acceptor.to_thread()
        assert not acceptor.readable(0.01)
        looking = asyncio.create_task(asyncio.to_thread(lambda: acceptor.readable(30)))
        await dialler.write_frame(Kind.DATA, b"here it is")
        assert await looking
        assert acceptor.readable()


async def test_a_frame_leaves_as_fast_as_its_pace_lets_it() -> None:
    asked: list[int] = []

    def pace(left: int) -> int:
        asked.append(left)
        return 0 if len(asked) % 2 else min(left, 50_000)

    async with channels() as (dialler, acceptor):
        dialler.to_thread()
        sending = asyncio.create_task(
            asyncio.to_thread(lambda: dialler.write_frame_blocking(Kind.DATA, b"head", CHUNK, pace=pace))
        )
        kind, body = await acceptor.read_frame(limits.LANE_FRAME_BYTES)
        await sending
        assert (kind, body) == (Kind.DATA, b"head" + CHUNK)
        assert len(asked) >= 2 * len(CHUNK) // 50_000


async def test_a_lane_that_waits_for_its_turn_hears_of_its_end() -> None:
    waiting = threading.Event()

    def never(_: int) -> int:
        waiting.set()
        time.sleep(0.01)
        return 0

    async with channels() as (dialler, _):
        dialler.to_thread()
        sending = asyncio.create_task(
            asyncio.to_thread(lambda: dialler.write_frame_blocking(Kind.DATA, CHUNK, pace=never))
        )
        await asyncio.to_thread(waiting.wait)
        dialler.abort()
        with pytest.raises(LinkLost, match="this side"):
            async with asyncio.timeout(15):
                await sending


@pytest.mark.parametrize("receiving", [True, False])
async def test_abort_unblocks_a_thread_and_the_descriptor_outlives_it(receiving: bool) -> None:
    async with channels() as (dialler, _):
        dialler.to_thread()
        descriptor = dialler._socket.sock.fileno()
        blocked = threading.Event()

        def work() -> None:
            blocked.set()
            if receiving:
                dialler.read_frame_blocking(Landings(), 10)
            while True:
                dialler.write_frame_blocking(Kind.DATA, CHUNK)

        working = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.to_thread(blocked.wait)
        await asyncio.sleep(0.1)
        assert not working.done()
        dialler.abort()
        with pytest.raises(LinkLost, match="this side"):
            async with asyncio.timeout(15):
                await working
        assert dialler._socket.sock.fileno() == -1
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(descriptor)
        with pytest.raises(LinkLost):
            dialler.write_frame_blocking(Kind.DATA, b"x")


@pytest.mark.parametrize("receiving", [True, False])
async def test_lane_without_movement_is_given_up(receiving: bool) -> None:
    async with channels(replace(QUICK, stall=0.4)) as (dialler, _):
        dialler.to_thread()

        def work() -> None:
            if receiving:
                dialler.read_frame_blocking(Landings(), 10)
            while True:
                dialler.write_frame_blocking(Kind.DATA, CHUNK)

        with pytest.raises(LinkLost, match=r"nothing moved for 0\.4 seconds"):
            await asyncio.to_thread(work)


async def test_channel_is_not_handed_over_in_the_middle_of_a_frame() -> None:
    async with channels() as (_, acceptor):
        reading = asyncio.create_task(acceptor.read_frame(10))
        await asyncio.sleep(0)
        with pytest.raises(LocalProtocolError):
            acceptor.to_thread()
        reading.cancel()
        await asyncio.wait([reading])


# ── wear ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_records_are_counted_and_end_in_time() -> None:
    async with channels(replace(QUICK, tls_records=8)) as (dialler, acceptor):
        for number in range(8):
            assert not dialler.worn
            assert not acceptor.worn
            await dialler.write_frame(Kind.DATA, bytes([number]))
            await acceptor.read_frame(10)
        assert dialler.worn
        assert acceptor.worn
        dialler.to_thread()
        acceptor.to_thread()
        with pytest.raises(LinkLost, match="as many records"):
            dialler.write_frame_blocking(Kind.DATA, bytes(16_384 * 8))
        with pytest.raises(LinkLost):  # it was ended at once
            acceptor.read_frame_blocking(Landings(), limits.LANE_FRAME_BYTES)


async def test_records_that_come_are_counted_too() -> None:
    async with channels(replace(QUICK, tls_records=8)) as (dialler, acceptor):
        acceptor.to_thread()

        async def carry() -> None:
            for _ in range(16):
                await dialler.write_frame(Kind.DATA, b"in a record of its own")
                acceptor.read_frame_blocking(Landings(), 100)

        with pytest.raises(LinkLost, match="as many records"):
            await carry()
        assert acceptor.worn
        assert acceptor.ended


# ── who is there ──────────────────────────────────────────────────────────────────────────────────────


async def outcomes(
    client: Credentials, server: Credentials, expected: Identity, pinned: Identity | None = None
) -> tuple[SecureChannel | BaseException, SecureChannel | BaseException]:
    dialled, accepted = await socket_pair()
    pin = pinned.public.fingerprint if pinned else None

    async def call() -> SecureChannel:
        channel = await SecureChannel.connect(dialled, client, expected.public.fingerprint, QUICK)
        try:
            kind, _ = await channel.read_frame(1000)
            assert kind is Kind.REFUSED
            with pytest.raises(LinkLost, match="closed"):
                await channel.read_frame(1000)
        finally:
            channel.abort()
        return channel

    called, answered = await asyncio.gather(
        call(), SecureChannel.accept(accepted, server, pin, QUICK), return_exceptions=True
    )
    return called, answered


async def test_dialler_refuses_another_key() -> None:
    server = credentials()
    called, answered = await outcomes(credentials(), server, Identity.generate())
    assert isinstance(called, IdentityMismatch)
    assert server.identity.public.fingerprint.short in str(called)
    assert isinstance(answered, (TlsFailure, LinkLost))


async def test_dialler_refuses_an_expired_server() -> None:
    server = credentials(ManualClock(1_000_000_000))
    called, answered = await outcomes(credentials(), server, server.identity)
    assert isinstance(called, ExpiredCertificate)
    assert isinstance(answered, (TlsFailure, LinkLost))


async def test_acceptor_with_a_pin_refuses_another_key_uniformly() -> None:
    server = credentials()
    called, answered = await outcomes(credentials(), server, server.identity, pinned=Identity.generate())
    assert isinstance(called, SecureChannel)
    assert isinstance(answered, IdentityMismatch)


async def test_own_key_is_refused_on_both_sides() -> None:
    own = credentials()
    called, answered = await outcomes(own, own, own.identity)
    assert isinstance(called, OwnKey)
    assert isinstance(answered, (OwnKey, LinkLost))


async def test_something_else_that_answers_is_a_tls_failure() -> None:
    dialled, accepted = await socket_pair()
    with accepted:
        await asyncio.get_running_loop().sock_sendall(accepted, b"SSH-2.0-OpenSSH_9.2\r\n")
        with pytest.raises(TlsFailure, match="handshake failed"):
            await SecureChannel.connect(dialled, credentials(), Identity.generate().public.fingerprint, QUICK)
    assert dialled.fileno() == -1


async def test_silence_is_timed_out_and_the_socket_closed() -> None:
    dialled, accepted = await socket_pair()
    with accepted, pytest.raises(TimedOut):
        await SecureChannel.accept(dialled, credentials(), None, replace(QUICK, handshake=0.2))
    assert dialled.fileno() == -1


async def test_server_with_a_wrong_key_never_sees_the_diallers_certificate() -> None:
    """SECURITY.md rule 10: the pin is checked in the verify callback, before our certificate is sent."""
    impostor = credentials()
    dialled, accepted = await socket_pair()
    accepted.setblocking(True)
    accepted.settimeout(None)
    connection = impostor.server_connection(accepted)

    def answer() -> str:
        try:
            connection.do_handshake()
        except SSL.Error as error:
            return repr(error)
        return "finished"

    answering = asyncio.create_task(asyncio.to_thread(answer))
    with accepted:
        with pytest.raises(IdentityMismatch):
            await SecureChannel.connect(dialled, credentials(), Identity.generate().public.fingerprint, QUICK)
        async with asyncio.timeout(30):
            assert "alert" in await answering
    assert connection.get_peer_certificate() is None
    assert not connection.get_peer_cert_chain()


async def test_certificates_are_issued_anew_before_they_end() -> None:
    clock = ManualClock(SystemClock().now())
    server, client = credentials(clock), credentials(clock)
    serials = []
    for days in (0, 30, 30, 30):  # beyond the first one's life
        clock.advance(days * limits.DAY)
        dialled, accepted = await socket_pair()
        pair = await asyncio.gather(
            SecureChannel.connect(dialled, client, server.identity.public.fingerprint, QUICK),
            SecureChannel.accept(accepted, server, None, QUICK),
        )
        certificate = pair[0]._socket.connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        serials.append(certificate.serial_number)
        for channel in pair:
            channel.abort()
    assert len(set(serials)) == 2


async def test_tickets_that_openssl_sends_resume_nothing() -> None:
    """SECURITY.md rule 10. pyOpenSSL cannot stop them; a resumed handshake would verify no certificate."""
    server, client = credentials(), credentials()
    verified: list[int] = []
    session: SSL.Session | None = None
    for _ in range(2):
        dialled, accepted = await socket_pair()
        pin = Pin(server.identity.public.fingerprint, SystemClock().now())
        dialled.setblocking(True)
        connection = client.client_connection(dialled, pin)

        def verify(*arguments: Any, pin: Pin = pin) -> bool:
            verified.append(1)
            return pin(*arguments)

        connection.set_verify(SSL.VERIFY_PEER, verify)
        if session is not None:
            connection.set_session(session)
        answering = asyncio.create_task(SecureChannel.accept(accepted, server, None, QUICK))
        with dialled:
            await asyncio.to_thread(connection.do_handshake)
            channel = await answering
            await channel.write_frame(Kind.DATA, b"the tickets came before this")
            await asyncio.to_thread(connection.recv, 100)
            session = connection.get_session()
            assert session is not None
            assert verified
            verified.clear()
        channel.abort()


async def test_refused_sockets_are_not_left_open() -> None:
    dialled, accepted = await socket_pair()
    accepted.close()
    with pytest.raises(ComityError):
        await SecureChannel.connect(dialled, credentials(), Identity.generate().public.fingerprint, QUICK)
    assert dialled.fileno() == -1
    assert isinstance(dialled, socket.socket)
