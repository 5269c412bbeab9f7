"""What a partner may say about charters, and what is refused whatever it says."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from comity import control, limits
from comity.errors import RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.policy.charter.canonical import charter_digest, from_plain, to_canonical
from comity.protocol.charter.machine import CharterRefused
from comity.protocol.charter.statements import (
    CharterAttestation,
    CharterEnd,
    CharterNote,
    CharterPart,
    CharterSignature,
    CharterSuspension,
    Disposed,
)
from comity.protocol.statements import PairStatement, payload, payload_type
from comity.transport.simulation import Simulation, run_simulation
from tests.charter import files, nodes
from tests.simulated_nodes import SimulatedNode, running
from tests.unit.test_charter_streams import signed_models


async def say(sender: SimulatedNode, to: SimulatedNode, kind: type[PairStatement], **fields: Any) -> None:
    """A statement that the sender's program would not make, delivered as if it had."""
    notary = sender.node.notary
    with sender.db.transaction():
        statement = notary.make(kind, to.key, limits.DAY, **fields)
    await to.node.trust.read_mail(sender.key, notary.sign(statement), notary.realm)


async def say_all(sender: SimulatedNode, to: SimulatedNode, every: list[dict[str, Any]]) -> None:
    for part in every:
        await say(sender, to, CharterPart, **part)


def parts(canonical: bytes, size: int = 5000) -> list[dict[str, Any]]:
    pieces = [canonical[at : at + size] for at in range(0, len(canonical), size)]
    return [
        {
            "charter": charter_digest(canonical),
            "part": number,
            "parts": len(pieces),
            "data": base64.b64encode(piece).decode(),
        }
        for number, piece in enumerate(pieces, start=1)
    ]


def declared(node: SimulatedNode, kind: Any, **fields: Any) -> str:
    _, envelope = node.node.notary.declare(kind, node.key, **fields)
    text: str = envelope.to_json().decode()
    return text


def test_parts_make_the_charter_that_they_name_or_none() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            canonical = to_canonical(from_plain(nodes.terms(a, b)))
            good = parts(canonical, 800)
            for part in good[:-1]:
                await say(a, b, CharterPart, **part)
            with pytest.raises(CharterRefused, match="do not make what they were said"):
                await say(a, b, CharterPart, **(good[-1] | {"data": base64.b64encode(b"other").decode()}))
            for wrong, said in (
                ({"part": 3, "parts": 2}, "beyond the last"),
                ({"data": "not base64!"}, "not base64"),
            ):
                with pytest.raises(CharterRefused, match=said):
                    await say(a, b, CharterPart, **(good[0] | wrong))
            for text in (b"{}", b'{"schema": "comity.charter/1"}', canonical + b" "):
                with pytest.raises(CharterRefused, match="is none"):
                    await say_all(a, b, parts(text))
            piece = base64.b64encode(bytes(limits.CHARTER_PART_BYTES)).decode()
            fields = {"charter": "sha256:" + "1" * 64, "parts": limits.CHARTER_PARTS, "data": piece}
            every = [fields | {"part": number} for number in range(1, limits.CHARTER_PARTS + 1)]
            with pytest.raises(CharterRefused, match="more than"):
                await say_all(a, b, every)
            for part in reversed(parts(canonical, 700)):  # in any order
                await say(a, b, CharterPart, **part)
            assert nodes.state(b, charter_digest(canonical)) == "proposed"

    run_simulation(scenario, 1)


def test_a_charter_that_this_node_is_no_party_of_is_refused() -> None:
    async def scenario(simulation: Simulation) -> None:
        hub, one, two = nodes.trio(simulation)
        async with running(hub, one, two):
            await one.agree_with(hub)
            canonical = to_canonical(from_plain(nodes.terms(one, two)))
            with pytest.raises(CharterRefused, match="no party of the charter"):
                await say_all(one, hub, parts(canonical))

    run_simulation(scenario, 2)


def test_a_signature_holds_for_one_charter_and_one_rendezvous() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            plain = nodes.terms(a, b)
            digest = await nodes.propose(a, plain)
            read = a.node.charters.read(control.CharterReadRequest(digest))
            fields = read.payload | {"signed_by": ""}
            for wrong, said in (
                ({"lineage": "sha256:" + "1" * 64}, "names another line"),
                ({"version": 2}, "names another line"),
                ({"policy": "sha256:" + "2" * 64}, "another policy"),
            ):
                note = declared(a, CharterSignature, **(fields | wrong))
                with pytest.raises(CharterRefused, match=said):
                    await say(a, b, CharterNote, statement=note)
            statement, envelope = a.node.notary.declare(CharterSignature, a.key, **fields)
            for changed, said in (
                ({"rendezvous": "11" * 32}, "another rendezvous"),
                ({"network": 2}, "another network"),
                ({"issuer": b.key.hex}, "does not verify"),
            ):
                forged = {name: getattr(statement, name) for name in statement.__struct_fields__} | changed
                signed = a.identity.sign_statement(
                    payload_type(CharterSignature), payload(CharterSignature(**forged))
                )
                with pytest.raises(RemoteProtocolError, match=said):
                    await say(a, b, CharterNote, statement=signed.to_json().decode())
            as_end = Envelope(payload_type(CharterEnd), envelope.payload, envelope.signature)
            with pytest.raises(RemoteProtocolError, match="does not verify"):
                await say(a, b, CharterNote, statement=as_end.to_json().decode())
            receipt = Envelope("application/vnd.comity.receipt.v1+json", envelope.payload, envelope.signature)
            with pytest.raises(CharterRefused, match="neither a signature nor an end"):
                await say(a, b, CharterNote, statement=receipt.to_json().decode())
            assert nodes.status(b, digest).parties[0].signed is False
            await say(a, b, CharterNote, statement=envelope.to_json().decode())
            assert nodes.status(b, digest).parties[0].signed is True

    run_simulation(scenario, 3)


def test_a_signature_that_comes_before_its_charter_waits_for_it() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            canonical = to_canonical(from_plain(nodes.terms(a, b)))
            digest = await nodes.propose(a, nodes.terms(a, b))
            payload_of = a.node.charters.read(control.CharterReadRequest(digest)).payload
            for number in range(limits.CHARTER_EARLY + 5):  # bounded, the oldest go
                other = payload_of | {"charter": f"sha256:{number:064x}", "signed_by": ""}
                await say(a, b, CharterNote, statement=declared(a, CharterSignature, **other))
            again = nodes.terms(a, b, title="another")
            canonical = to_canonical(from_plain(again))
            named = charter_digest(canonical)
            early = payload_of | {"charter": named, "lineage": named, "signed_by": ""}
            policy = (await nodes.propose(a, again)) and a.node.charters.read(
                control.CharterReadRequest(named)
            ).policy
            assert nodes.state(b, named) == "proposed"
            note = declared(a, CharterSignature, **(early | {"policy": policy}))
            await say(a, b, CharterNote, statement=note)
            assert nodes.status(b, named).parties[0].signed

    run_simulation(scenario, 4)


def test_a_stale_end_ends_nothing_else() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            first = await nodes.agree(nodes.terms(a, b), a, b)
            note = declared(a, CharterEnd, lineage=first, charter=first, reason="over")
            await say(a, b, CharterNote, statement=note)
            assert nodes.state(b, first) == "ended"
            second = await nodes.agree(nodes.terms(a, b, title="anew"), b, a)
            await say(a, b, CharterNote, statement=note)  # kept, and brought again
            assert nodes.state(b, second) == "in_force"
            other = declared(a, CharterEnd, lineage="sha256:" + "3" * 64, charter=first, reason="")
            with pytest.raises(CharterRefused, match="not known here"):
                await say(a, b, CharterNote, statement=other)

    run_simulation(scenario, 5)


def test_suspensions_and_statements_are_about_what_both_stand_under() -> None:
    async def scenario(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            unknown = "sha256:" + "4" * 64
            fields = {"clause": "suspension", "reason": "so", "state": "suspended"}
            with pytest.raises(CharterRefused, match="not in force with its signer"):
                await say(a, b, CharterSuspension, lineage=unknown, charter=unknown, **fields)
            digest = await nodes.agree(signed_models(a, b), a, b)
            await files.send(a, b, files.safetensors(1))
            said = {"method": "purge", "backups": "", "derivatives": "", "exceptions": "", "attested_by": ""}
            items = (Disposed(digest="sha256:" + "5" * 64, disposition="deleted"),)
            with pytest.raises(CharterRefused, match="was not given"):
                await say(b, a, CharterAttestation, lineage=digest, items=items, **said)
            with pytest.raises(CharterRefused, match="not known here"):
                await say(b, a, CharterAttestation, lineage=unknown, items=items, **said)
            real = (Disposed(digest=files.digest(files.safetensors(1)), disposition="deleted"),)
            with pytest.raises(CharterRefused, match="was not given"):  # lab A gave it
                await say(a, b, CharterAttestation, lineage=digest, items=real, **said)
            await say(b, a, CharterAttestation, lineage=digest, items=real, **said)
            assert [entry.detail["by"] for entry in nodes.entries(a, "charter.attested")] == ["them"]

    run_simulation(scenario, 6)


def test_a_stranger_proposes_nothing() -> None:
    async def scenario(simulation: Simulation) -> None:
        hub, one, two = nodes.trio(simulation)
        async with running(hub, one, two):
            canonical = to_canonical(from_plain(nodes.terms(one, hub)))
            with pytest.raises(RemoteProtocolError, match="never dealt with"):
                await say_all(one, hub, parts(canonical))

    run_simulation(scenario, 7)
