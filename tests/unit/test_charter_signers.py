"""An artifact that a third party stands for: only its signature lets a partner send it."""

from __future__ import annotations

from typing import Any

import pytest

from comity import control
from comity.control.audit import AuditLogRequest
from comity.errors import Denied, InvalidInput, PeerRefused
from comity.services.guard import Guard
from comity.transport.simulation import Simulation, run_simulation
from tests.charter import files, nodes
from tests.simulated_nodes import SimulatedNode, running
from tests.unit.test_charter_enforced import Disabled
from tests.worlds import Town

MODEL = files.safetensors(1)


def vouched(a: SimulatedNode, b: SimulatedNode, signer: SimulatedNode) -> dict[str, Any]:
    """Lab A may send what the signer stands for, and the signer is no party."""
    plain = nodes.terms(a, b)
    plain["assets"] = [plain["assets"][0] | {"digests": [], "signers": [str(signer.key.fingerprint)]}]
    plain["artifacts"]["formats"] = ["safetensors"]
    return plain


def signature(signer: SimulatedNode, content: bytes, size: int | None = None) -> str:
    asked = control.SignArtifactRequest(files.digest(content), len(content) if size is None else size)
    return signer.node.exchange.sign(asked).signature


async def send(a: SimulatedNode, b: SimulatedNode, signed: str | None) -> control.SendResult:
    with files.opened(MODEL) as descriptor:
        request = control.SendFileRequest(b.card.hostname, "model.safetensors", "", signature=signed)
        return await a.node.exchange.send(request, descriptor, lambda _: None)


@pytest.mark.parametrize("guard", [Guard, Disabled], ids=["both", "the receiver alone"])
def test_what_a_third_party_stands_for_passes_and_nothing_else(guard: type[Guard]) -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a = SimulatedNode(town, "lab-a", guard=guard)
        b, vendor = SimulatedNode(town, "lab-b", listen=True), SimulatedNode(town, "vendor")
        stranger = SimulatedNode(town, "stranger")
        async with running(a, b, vendor, stranger):
            await a.agree_with(b)
            await nodes.agree(vouched(a, b, vendor), a, b)
            for wrong in (None, signature(stranger, MODEL)):
                with pytest.raises(
                    (Denied, PeerRefused), match=r"no permission describes|artifacts\.signature"
                ):
                    await send(a, b, wrong)
            assert await files.received(b) == []
            sent = await send(a, b, signature(vendor, MODEL))
            assert await files.received(b) == [sent.digest]
            [decision] = [
                entry
                for entry in b.node.audit.log(AuditLogRequest(kind="decision")).entries
                if (entry.operation, entry.decision) == ("receive", "allow")
            ]
            assert decision.detail["signer"] == str(vendor.key.fingerprint)
            [signed] = nodes.entries(vendor, "artifact.signed")
            assert (signed.digest, signed.detail["bytes"]) == (files.digest(MODEL), len(MODEL))

    run_simulation(scenario, 1)


def test_a_signature_that_does_not_fit_is_found_before_anything_is_dialled() -> None:
    async def scenario(simulation: Simulation) -> None:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        vendor = SimulatedNode(town, "vendor")
        async with running(a, b, vendor):
            await a.agree_with(b)
            await nodes.agree(vouched(a, b, vendor), a, b)
            whole = signature(vendor, MODEL)
            for wrong in (
                signature(vendor, files.safetensors(2)),
                signature(vendor, MODEL, len(MODEL) + 1),
                whole.replace('"sig":"', '"sig":"AAAA'),
                whole[:-1],
                "{}",
                "",
            ):
                with pytest.raises(InvalidInput) as caught:
                    await send(a, b, wrong)
                assert "sign-artifact" in caught.value.hint
            assert nodes.entries(a, "exchange.failed") == []
            for digest, size in (("sha256:", 1), ("sha256:" + "AB" * 32, 1), (files.digest(MODEL), -1)):
                with pytest.raises(InvalidInput):
                    vendor.node.exchange.sign(control.SignArtifactRequest(digest, size))

    run_simulation(scenario, 2)
