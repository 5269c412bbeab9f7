"""Hostile file names: at the command line, at the control API, and on the wire, without a sender of ours."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence

import pytest

from comity.control import SendFileRequest, SendResult
from comity.errors import NameRefused
from comity.identity.keys import PublicKey
from comity.node.build import build
from comity.node.config import Flags, settle
from comity.protocol.exchange.messages import FILE, Offer, Refuse, encode_message, parse_message
from comity.protocol.hello import EXCHANGE_PORT
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from comity.transport.interface import Stream
from tests.labs import Lab, eventually
from tests.region import Region, region

PATHS = ("../../x", "/etc/x", "..", ".", "received/../../x", "C:\\x", "")
NAMES = (
    "\x1b[31mred", "two\nlines", "\u202egpj.exe", "zero\u200bwidth", ".bashrc", "-rf", "back\\slash", " x",
)  # fmt: skip


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    with region() as made:
        made.pair()
        yield made


@pytest.fixture
def a(here: Region) -> Lab:
    return here.labs[0]


@pytest.fixture
def b(here: Region) -> Iterator[Lab]:
    lab = here.labs[1]
    yield lab
    for path in lab.received():
        path.unlink()


@pytest.mark.parametrize("name", [*NAMES, "\udcff.bin"])
def test_names_that_are_refused(a: Lab, b: Lab, name: str) -> None:
    (a.folder / name).write_bytes(b"x")
    refusal = a.refused("send-file", "lab-b-trainer", "--", name)
    assert refusal.told == ("name_refused", 42)
    assert refusal.message.isprintable()
    assert b.received() == []


def test_paths_are_no_names(a: Lab, b: Lab) -> None:
    """Only the last part of a path travels, and where it lands is the receiver's business."""
    (a.folder / "x").write_bytes(b"from a")
    deep = a.folder / "deep" / "er"
    deep.mkdir(parents=True)
    for path in ("deep/er/../../x", str(a.folder / "x")):
        assert a.ask("send-file", "lab-b-trainer", path)["name"] == "x"
    first, second = b.received()
    assert {first.name, second.name} == {"x", "x.2"}
    assert first.parent == second.parent
    assert first.parent.parent == b.home / "received"
    assert a.refused("send-file", "lab-b-trainer", "/etc/absent-model.bin").told == ("file_unusable", 40)


def test_the_longest_names(a: Lab, b: Lab) -> None:
    name = "€" * 84 + ".pt"
    assert len(name.encode()) == 255
    (a.folder / name).write_bytes(b"x")
    for _ in range(2):
        assert a.ask("send-file", "lab-b-trainer", name)["name"] == name
    assert sorted(path.name for path in b.received()) == sorted([name, "€" * 84 + "..2"])
    assert [file["name"] for file in b.ask("received", "--wait", name)["files"]] == [name, name]


@pytest.mark.parametrize("name", PATHS + NAMES)
def test_a_daemon_offers_no_such_name(a: Lab, b: Lab, name: str) -> None:
    """A program that speaks the control API chooses the name itself."""
    (a.folder / "plain").write_bytes(b"x")
    descriptor = os.open(a.folder / "plain", os.O_RDONLY)
    try:
        token = a.client.hand_over(descriptor)
    finally:
        os.close(descriptor)
    request = SendFileRequest(peer="lab-b-trainer", name=name, file=token)
    with pytest.raises(NameRefused):
        a.client.follow("send-file", request, SendResult, lambda progress: None)
    assert b.received() == []


def test_a_daemon_takes_no_such_name(a: Lab, b: Lab) -> None:
    """A partner whose program is not ours: lab a's identity, in this process, writes the offers by hand."""
    (agreement,) = (trusted["agreement"] for trusted in a.ask("trust")["trusted"])
    a.down()
    answers = asyncio.run(offered(a, PublicKey.from_hex(key_of(b)), agreement, PATHS + NAMES))
    assert {answer.code for answer in answers} == {"name_refused"}
    assert all(answer.message.isprintable() for answer in answers)
    assert b.received() == []
    refusals = b.ask("audit", "log", "--kind", "exchange.refused")["entries"]
    assert [entry["detail"]["code"] for entry in refusals] == ["name_refused"] * len(PATHS + NAMES)
    a.up()
    eventually(lambda: a.sees(b), "they meet again")


def key_of(lab: Lab) -> str:
    return FileKeyStore(Home(lab.home).identity_key).load().public.hex


async def offered(lab: Lab, peer: PublicKey, agreement: str, names: Sequence[str]) -> list[Refuse]:
    """What the peer's daemon answers to offers under these names."""
    home = Home(lab.home)
    built = build(home, settle(Flags(), {}, home.read_config()))
    node = built.node
    answers = []
    try:
        await node.network.start()
        registering = asyncio.create_task(node.rendezvous.run())
        async with asyncio.timeout(60):
            while node.presence.state != "registered":
                await node.presence.changed.wait()
            for number, name in enumerate(names):
                async with await node.network.dial(peer, EXCHANGE_PORT, agreement=agreement) as stream:
                    answers.append(await offer(stream, number, agreement, name))
        registering.cancel()
        await asyncio.wait([registering])
    finally:
        await node.network.close()
        node.audit.close()
        built.db.close()
    return answers


async def offer(stream: Stream, number: int, agreement: str, name: str) -> Refuse:
    offer = Offer(
        transfer=f"{number:032x}", nonce="00" * 32, kind=FILE, name=name, bytes=1, chunks=1,
        agreement=agreement, charter=None,
    )  # fmt: skip
    await stream.send(encode_message(offer))
    answer = await stream.receive()
    assert answer is not None
    parsed = parse_message(answer)
    assert isinstance(parsed, Refuse), parsed
    return parsed
