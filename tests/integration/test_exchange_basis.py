"""A second version sends what changed; and nobody learns what came from others, or under other terms."""

from __future__ import annotations

import json
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from comity.errors import ComityError
from comity.protocol.exchange.messages import Accept, Offer, Page, Want, encode_message, parse_message
from comity.protocol.hello import EXCHANGE_PORT
from tests.exchange_nodes import Node, acquaint
from tests.exchanges import AGREEMENT, entry_for
from tests.integration.test_exchange_resume import Line
from tests.lanes import MemoryNet, World

TENSORS = 200
#: All of 500 MB with COMITY_HEAVY=1, a tenth of it without.
TENSOR_BYTES = 2_500_000 if os.environ.get("COMITY_HEAVY") else 250_000
ANY = "00" * 16
OTHER = "sha256:" + "b7" * 32


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    made = Line(tmp_path)
    yield made
    await made.world.close()
    made.alice.close()
    made.bob.close()


def write_model(path: Path, seeds: list[int], note: str = "") -> None:
    """A safetensors file of equally long tensors, each made from its seed."""
    header: dict[str, object] = {"__metadata__": {"note": note}}
    for index in range(len(seeds)):
        begin = index * TENSOR_BYTES
        header[f"layer.{index}.weight"] = {
            "dtype": "U8",
            "shape": [TENSOR_BYTES],
            "data_offsets": [begin, begin + TENSOR_BYTES],
        }
    encoded = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for seed in seeds:
            file.write(random.Random(seed).randbytes(TENSOR_BYTES))


@pytest.mark.timeout(300)
async def test_a_fine_tuned_model_sends_the_layers_that_changed(line: Line) -> None:
    """Also where a longer header moved all of them."""
    path = line.folder / "model.safetensors"
    seeds = list(range(TENSORS))
    write_model(path, seeds)
    first = await line.alice.send("bob", path)
    assert first.bytes_sent == first.bytes
    for layer in random.Random(5).sample(range(TENSORS), 10):
        seeds[layer] += 10_000
    write_model(path, seeds, note="after round 3, at the second site")
    second = await line.alice.send("bob", path)
    assert 10 * TENSOR_BYTES <= second.bytes_sent <= 0.06 * second.bytes
    third = await line.alice.send("bob", path)
    assert third.bytes_sent == 0
    files = await line.bob.files()
    assert [Path(file.path).read_bytes() == path.read_bytes() for file in files] == [True, True, False]
    assert len({file.digest for file in files}) == 2


@pytest.mark.parametrize("fate", ["removed", "shortened", "rotten", "replaced"])
async def test_what_became_of_the_first_version_does_no_harm(line: Line, fate: str) -> None:
    path = line.folder / "model.safetensors"
    write_model(path, list(range(8)))
    await line.alice.send("bob", path)
    (file,) = await line.bob.files()
    there = Path(file.path)
    if fate == "removed":
        there.unlink()
    elif fate == "shortened":
        os.truncate(there, 3 * TENSOR_BYTES)
    elif fate == "rotten":
        with there.open("r+b") as damaged:
            damaged.seek(2 * TENSOR_BYTES)
            damaged.write(b"rot")
    else:
        there.unlink()
        there.symlink_to(path)  # the very content, and still not to be followed
    write_model(path, [0, 1, 2, 3, 4, 5, 6, 99])
    second = await line.alice.send("bob", path)
    expected = 2 * TENSOR_BYTES if fate == "rotten" else second.bytes
    assert second.bytes_sent >= expected
    assert Path((await line.bob.files())[0].path).read_bytes() == path.read_bytes()


async def test_a_file_without_inner_structure(line: Line) -> None:
    path = line.folder / "table.bin"
    content = bytearray(os.urandom(5_000_000))
    path.write_bytes(content)
    await line.alice.send("bob", path)
    content[1_500_000] ^= 1
    path.write_bytes(content)
    second = await line.alice.send("bob", path)
    assert 0 < second.bytes_sent <= 2**20
    assert Path((await line.bob.files())[0].path).read_bytes() == content


# ── what a peer can find out ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[World, Node, Node, Node]]:
    """Alice and mallory, who both may send to bob."""
    world = World()
    made = [
        Node(tmp_path / name, name, lambda key: MemoryNet(world, key), patience=60.0)
        for name in ("alice", "mallory", "bob")
    ]
    for sender in made[:2]:
        acquaint(sender, made[2])
    for node in made:
        node.exchange.start()
    yield world, made[0], made[1], made[2]
    await world.close()
    for node in made:
        node.close()


SECRET = [b"a model of alice's, part one", b"part two", b"part three"]


async def probed(mallory: Node, bob: Node, basis: str | None, agreement: str = AGREEMENT) -> list[object]:
    """All that bob says to an offer of chunks which mallory only guesses."""
    offer = Offer(
        transfer=os.urandom(16).hex(),
        nonce=os.urandom(32).hex(),
        kind="file",
        name="guess",
        bytes=sum(map(len, SECRET)),
        chunks=len(SECRET),
        agreement=agreement,
        charter=None,
        digests="content",
        basis=basis,
    )
    said: list[object] = []
    stream = await mallory.network.dial(bob.key, EXCHANGE_PORT, agreement=agreement)
    for message in (offer, Page(0, tuple(map(entry_for, SECRET)))):
        await stream.send(encode_message(message))
        body = await stream.receive()
        assert body is not None
        answer = parse_message(body)
        if isinstance(answer, Accept):
            answer = msgspec.structs.replace(answer, transfer=ANY)
        said.append(answer)
    stream.abort()
    return said


async def test_probing_tells_what_an_empty_node_tells(
    nodes: tuple[World, Node, Node, Node], tmp_path: Path
) -> None:
    world, alice, mallory, bob = nodes
    empty = await probed(mallory, bob, None)
    assert isinstance(empty[1], Want)
    assert sum(part.count for part in empty[1].ranges) == len(SECRET)
    path = tmp_path / "guess"
    path.write_bytes(b"".join(SECRET))
    sent = await alice.send("bob", path)
    await world.nodes[bob.key].idle()
    row = bob.store.received(1)[0]
    for guess in (None, row.manifest, row.digest, row.receipt, OTHER):
        assert await probed(mallory, bob, guess) == empty
    assert sent.manifest == row.manifest


async def test_what_came_under_an_ended_agreement_is_not_used(
    nodes: tuple[World, Node, Node, Node], tmp_path: Path
) -> None:
    world, alice, _, bob = nodes
    path = tmp_path / "model"
    path.write_bytes(os.urandom(3_000_000))
    await alice.send("bob", path)
    for node, other in ((alice, bob), (bob, alice)):
        node.trust.add(other.key, other.hostname, OTHER)
    second = await alice.send("bob", path)
    assert second.bytes_sent == second.bytes
    old = alice.rows()[-1].manifest
    try:
        said = await probed(alice, bob, old, OTHER)
    except ComityError as error:
        pytest.fail(f"refused: {error}")
    assert isinstance(said[1], Want)
    assert sum(part.count for part in said[1].ranges) == len(SECRET)
    await world.nodes[bob.key].idle()
