"""Whatever a rendezvous says, in whatever order: its client reports a lost connection and tries again."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from comity.errors import ComityError
from comity.identity.card import JoinUrl
from comity.protocol.framing import Kind
from comity.protocol.registry import (
    Challenge,
    Done,
    Failure,
    Found,
    Mail,
    Posted,
    Record,
    Registered,
    RelayOffer,
    Resolved,
    ServerMessage,
    Superseded,
    Ticket,
    encode_message,
)
from comity.transport.memory_channel import MemoryChannel
from comity.transport.memory_links import Weather
from comity.transport.memory_world import World
from comity.transport.rendezvous import RendezvousClient
from comity.transport.rendezvous_connection import FrameChannel
from comity.transport.rendezvous_keeper import FINAL
from comity.transport.simulation import Simulation, run_simulation
from comity.transport.tls import Credentials
from tests.worlds import Diary, Signer, identity_of

SERVER = identity_of("rendezvous").public
JOIN = JoinUrl("rendezvous", 7171, fingerprint=SERVER.fingerprint)
Frame = tuple[Kind, bytes]

hex16 = st.binary(min_size=16, max_size=16).map(bytes.hex)
hex32 = st.binary(min_size=32, max_size=32).map(bytes.hex)
numbers = st.integers(1, 5)
texts = st.text(max_size=20)
addresses = st.sampled_from(["1:0001.0000.0010", "2:0002.0000.0010", "", "1:0001"])
names = st.sampled_from(["anna", "bert", "\u202e", "x y"])
records = st.builds(
    Record,
    hostname=names,
    address=addresses,
    key=hex32,
    tags=st.just(()),
    public=st.booleans(),
    online=st.booleans(),
    last_seen=st.integers(0, 2**33),
    sealing_key=texts,
)
messages: st.SearchStrategy[ServerMessage] = st.one_of(
    st.builds(Challenge, version=st.integers(1, 3), nonce=hex32, time=st.integers(0, 2**33)),
    st.builds(Registered, id=numbers, address=addresses, hostname=names, observed=texts),
    st.builds(Resolved, id=numbers, record=records),
    st.builds(Found, id=numbers, records=st.lists(records, max_size=3).map(tuple)),
    st.builds(Posted, id=numbers, delivered=st.booleans()),
    st.builds(Done, id=numbers),
    st.builds(
        Mail,
        sender=hex32,
        message_id=hex16,
        blob=st.binary(max_size=20),
        posted=st.just(0),
        keep=st.booleans(),
    ),
    st.builds(Ticket, id=numbers, ticket=hex32),
    st.builds(RelayOffer, peer=hex32, call=hex16, ticket=hex32),
    st.builds(Superseded, instance=hex16),
    st.builds(
        Failure,
        id=st.integers(0, 5),
        code=st.sampled_from(["name_taken", "rate_limited", "denied", "nonsense"]),
        message=texts,
    ),
)
frames: st.SearchStrategy[Frame] = st.one_of(
    messages.map(lambda message: (Kind.DATA, encode_message(message))),
    st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=40)),
    st.tuples(st.just(Kind.DATA), texts.map(str.encode)),
)
welcome: list[Frame] = [
    (Kind.DATA, encode_message(message))
    for message in (
        Challenge(version=1, nonce="00" * 32, time=1_800_000_000),
        Registered(id=1, address="1:0001.0000.0010", hostname="anna", observed="[2001:db8::1]:1"),
    )
]


def play(said: list[Frame]) -> None:
    async def scenario(simulation: Simulation) -> None:
        world = World(simulation.seed, Weather(0.01, 0.01))
        servers: set[asyncio.Task[None]] = set()

        async def serve(channel: MemoryChannel) -> None:
            for kind, body in said:
                await channel.write_frame(kind, body)
                await asyncio.sleep(0.02)
            channel.dismiss()

        async def connect() -> FrameChannel:
            near, far = await world.open(("anna", "rendezvous"))
            servers.add(asyncio.create_task(serve(MemoryChannel(far, identity_of("anna").public, ""))))
            return MemoryChannel(near, SERVER, "")

        identity, diary = identity_of("anna"), Diary()
        signer = Signer(identity, JOIN, simulation.clock, simulation.entropy)
        client = RendezvousClient(
            JOIN,
            Credentials(identity, simulation.clock),
            diary,
            sealing_key=signer.sealing_key,
            register=signer.register,
            hostname="anna",
            public=False,
            tags=(),
            clock=simulation.clock,
            entropy=simulation.entropy,
            instance="00" * 16,
            connect=connect,
        )
        running = asyncio.create_task(client.run())

        async def ask() -> None:
            while True:
                await asyncio.sleep(0.03)
                try:
                    await client.find()
                except ComityError:
                    continue

        asking = asyncio.create_task(ask())
        await asyncio.sleep(40)
        assert diary.losses
        assert all(isinstance(loss, ComityError) for loss in diary.losses)
        assert not asking.done()
        if isinstance(diary.losses[-1], FINAL):
            await running
        else:
            assert not running.done()
        for task in (running, asking, *servers):
            task.cancel()
        await asyncio.gather(running, asking, *servers, return_exceptions=True)

    run_simulation(scenario, 1)


@settings(max_examples=40)
@given(said=st.lists(frames, max_size=6))
def test_no_first_words_get_out_of_hand(said: list[Frame]) -> None:
    play(said)


@settings(max_examples=60)
@given(said=st.lists(frames, max_size=10))
def test_nothing_said_to_a_registered_node_gets_out_of_hand(said: list[Frame]) -> None:
    play([*welcome, *said])
