"""A charter that lets lab B receive model X for external validation until a date, five times.

Each side enforces it by itself: every refusal is tried with both guards, and with one of them disabled.
"""

from __future__ import annotations

import asyncio
import mmap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comity import control
from comity.errors import ComityError, Denied, PeerRefused
from comity.identity.keys import PublicKey
from comity.policy.operation import Decision, Operation
from comity.protocol.exchange.described import Described
from comity.protocol.exchange.messages import (
    FILE,
    Close,
    Fail,
    Offer,
    Page,
    Refuse,
    SignedReceipt,
    chunk_header,
    encode_message,
    parse_message,
)
from comity.protocol.forwarding.messages import purpose_of
from comity.protocol.hello import EXCHANGE_PORT, FORWARD_PORT
from comity.protocol.statements import ArtifactSignature
from comity.services.exchange.running_digests import RunningDigests
from comity.services.guard import Guard
from comity.transport.simulation import Simulation, run_simulation
from tests.charter import files, nodes
from tests.charter.nodes import DAY
from tests.exchanges import entry_for, manifest_for
from tests.simulated_nodes import SimulatedNode, running

MODEL_X, MODEL_Y = files.safetensors(1), files.safetensors(2)
FIVE = "permissions.external-validation.limits.five-times"


class Disabled(Guard):
    """A guard that was tampered with: it lets everything pass, and still names a charter where it must."""

    def check(self, operation: Operation) -> Decision:
        return self._pass(super().check(operation), operation.peer)

    def consider(self, operation: Operation) -> Decision:
        return self._pass(super().consider(operation), operation.peer)

    def _pass(self, decision: Decision, peer: PublicKey) -> Decision:
        named = decision.charter or next(iter(self.in_force(peer)), None)
        return replace(decision, allowed=True, charter=named)


def validation(a: SimulatedNode, b: SimulatedNode, **changes: Any) -> dict[str, Any]:
    """Model X by its digest; nothing else."""
    plain = nodes.terms(a, b, **changes)
    plain["assets"][0]["digests"] = [files.digest(MODEL_X)]
    plain["assets"][1]["digests"] = [files.digest(MODEL_Y)]
    plain["artifacts"]["formats"] = ["safetensors"]
    plain["permissions"][1]["may"] = ["publish", "forward"]
    plain["permissions"][1]["ports"] = [8888]
    return plain


async def refused(sender: SimulatedNode, receiver: SimulatedNode, content: bytes, name: str) -> str:
    with pytest.raises((Denied, PeerRefused)) as caught:
        await files.send(sender, receiver, content, name)
    return caught.value.message


GUARDS = [
    pytest.param(Guard, Guard, id="both"),
    pytest.param(Disabled, Guard, id="the receiver alone"),
    pytest.param(Guard, Disabled, id="the sender alone"),
]


@pytest.mark.parametrize(("guard_a", "guard_b"), GUARDS)
def test_five_times_until_a_date_and_nothing_else(guard_a: type[Guard], guard_b: type[Guard]) -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation, guard_a=guard_a, guard_b=guard_b)
        async with running(a, b):
            await a.agree_with(b, allow=("exchange", "events", "forward"))
            digest = await nodes.agree(validation(a, b, days=0.02, accept_days=0.01), a, b)
            for number in range(5):
                sent = await files.send(a, b, MODEL_X)
                assert sent.digest == files.digest(MODEL_X), number
            assert FIVE in await refused(a, b, MODEL_X, "model.safetensors")
            assert "assets.model-y: model-y is proprietary" in await refused(a, b, MODEL_Y, "y.safetensors")
            other = files.safetensors(3)
            assert "no permission describes this" in await refused(a, b, other, "model.safetensors")
            assert await files.received(b) == [files.digest(MODEL_X)] * 5
            with pytest.raises(ComityError, match="no permission describes this"):
                await forward(b, a, 22)
            for node in (a, b):
                [use] = [one for one in nodes.status(node, digest).uses if one.clause == FIVE]
                assert (use.used, use.most, use.giver, use.taker) == (5, 5, "lab-a", "lab-b")
                shown = nodes.status(node, digest).exchanged
                assert [one.state for one in shown] == ["consumed"] * 5
            await asyncio.sleep(0.03 * DAY)
            assert "window: " in await refused(a, b, MODEL_X, "model.safetensors")

    run_simulation(scenario, 1)


def test_what_is_decided_on_is_what_is_there_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what the same file, with the same times, held when it was allowed; and it is hashed only once."""
    hashed = 0
    add = RunningDigests.add

    def counted(digests: RunningDigests, piece: memoryview) -> bytes:
        nonlocal hashed
        hashed += len(piece)
        return add(digests, piece)

    monkeypatch.setattr(RunningDigests, "add", counted)
    path = tmp_path / "model"
    path.write_bytes(MODEL_X)

    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            await nodes.agree(validation(a, b), a, b)
            with path.open("r+b") as file, mmap.mmap(file.fileno(), len(MODEL_X)) as mapped:
                mapped[:] = MODEL_X

                async def send(name: str) -> control.SendResult:
                    request = control.SendFileRequest(peer=b.card.hostname, name=name, file="")
                    return await a.node.exchange.send(request, file.fileno(), lambda _: None)

                await send("x.safetensors")
                assert hashed == len(MODEL_X)
                mapped[:] = MODEL_Y
                with pytest.raises(Denied, match="model-y is proprietary"):
                    await send("z.safetensors")
            assert await files.received(b) == [files.digest(MODEL_X)]

    run_simulation(scenario, 1)


@pytest.mark.parametrize(("guard_a", "guard_b"), GUARDS)
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_pickle_is_refused_for_what_it_is(guard_a: type[Guard], guard_b: type[Guard], name: str) -> None:
    """The charter lists its very digest, so nothing but the rule on formats stands against it."""

    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation, guard_a=guard_a, guard_b=guard_b)
        async with running(a, b):
            await a.agree_with(b)
            plain = validation(a, b)
            plain["assets"][0]["digests"].append(files.digest(files.pickled()))
            digest = await nodes.agree(plain, a, b)
            with pytest.raises(PeerRefused if guard_a is Disabled else Denied) as caught:
                await files.send(a, b, files.pickled(), name)
            assert "artifacts.formats: only these formats pass: safetensors" in caught.value.message
            assert await files.received(b) == []
            for node in (a, b):
                assert nodes.status(node, digest).exchanged == ()
            await files.send(a, b, MODEL_X)
            assert await files.received(b) == [files.digest(MODEL_X)]

    run_simulation(scenario, 2)


def test_a_pickle_that_its_sender_declares_a_model_is_found_by_the_receiver() -> None:
    """The sender's program lies: its offer passes the charter, and what arrives is read before it counts."""

    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            plain = validation(a, b)
            plain["assets"][0]["digests"].append(files.digest(files.pickled()))
            charter = await nodes.agree(plain, a, b)
            assert isinstance(await declared(a, b, MODEL_X, charter), SignedReceipt)
            said = await declared(a, b, files.pickled(), charter)
            assert isinstance(said, Fail)
            assert said.message == "the artifact is of no known format, and not what the offer said"
            assert await files.received(b) == [files.digest(MODEL_X)]

    run_simulation(scenario, 3)


async def declared(a: SimulatedNode, b: SimulatedNode, content: bytes, charter: str) -> object:
    """The last that ``b`` says to a whole transfer of ``content``, offered as a safetensors file."""
    known = a.node.trust.known(b.key)
    assert known is not None
    whole = files.digest(content)
    _, signature = a.node.notary.declare(ArtifactSignature, b.key, digest=whole, bytes=len(content))
    offer = Offer(
        transfer=whole[-32:],
        nonce=whole[-64:],
        kind=FILE,
        name="model.safetensors",
        bytes=len(content),
        chunks=1,
        agreement=known.agreement.digest,
        charter=charter,
        content=Described(digest=whole, format="safetensors", signature=signature.to_json().decode()),
    )
    manifest = manifest_for(offer, [content])
    said: object = None
    stream = await a.node.network.dial(b.key, EXCHANGE_PORT, agreement=offer.agreement, charter=charter)
    async with stream:
        for message in (
            encode_message(offer),
            encode_message(Page(0, (entry_for(content),))),
            chunk_header(0) + content,
            encode_message(Close(digest=whole, manifest=manifest.total_digest)),
        ):
            await stream.send(message)
        while not isinstance(said, SignedReceipt | Fail | Refuse):
            body = await stream.receive()
            assert body is not None, said
            said = parse_message(body)
    return said


async def forward(node: SimulatedNode, peer: SimulatedNode, port: int) -> None:
    """One connection to a port of the peer, which exposes it to everybody."""
    await peer.node.forwarding.exposed.expose(control.ExposeRequest(port=port, all=True))
    operation = Operation(kind="forward", peer=peer.key, service="forward", port=port)
    charter = node.node.guard.require(operation).charter
    async with await node.node.network.dial(
        peer.key, FORWARD_PORT, charter=charter, purpose=purpose_of(port)
    ) as stream:
        body = await stream.receive()
        raise PeerRefused((body or b"").decode(errors="replace"))
