"""Countersigning between whole nodes in virtual time: when, what is kept, and what hostile sides get."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable

import pytest

from comity import control, limits
from comity.audit.anchor import open_anchor, read_anchor
from comity.audit.cosignature import cosign
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.audit.witnessing import Submission
from comity.errors import AuditInvalid, ComityError, PeerRefused, RemoteProtocolError
from comity.protocol import witness
from comity.protocol.hello import WITNESS_PORT
from comity.protocol.logkeys import log_origin
from comity.services.logkey import make_certificate
from comity.services.witnessing.asking import Asking, LogContradicted
from comity.storage.audit import AuditStore
from comity.storage.witness import WitnessStore
from comity.transport.interface import Buffer
from comity.transport.simulation import Simulation, run_simulation
from tests.simulated_nodes import SimulatedNode, running
from tests.worlds import Town


def pair(simulation: Simulation) -> tuple[SimulatedNode, SimulatedNode]:
    town = Town(simulation)
    return SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)


def signed(node: SimulatedNode, by: SimulatedNode) -> int:
    """How many entries of ``node``'s log ``by`` has countersigned, as ``node`` knows."""
    return next(
        view.size for view in node.node.evidence.witness.witnesses() if view.fingerprint == fingerprint(by)
    )


def kept(of: SimulatedNode, by: SimulatedNode) -> int:
    """The same as ``by`` keeps it."""
    found = WitnessStore(by.db).last_signed(of.key)
    return found.size if found else 0


def fingerprint(node: SimulatedNode) -> str:
    return str(node.key.fingerprint)


def kinds(node: SimulatedNode, kind: str) -> list[control.AuditEntry]:
    return list(node.node.audit.log(control.AuditLogRequest(kind=kind)).entries)


def agreed(scenario: Callable[[SimulatedNode, SimulatedNode], object]) -> None:
    async def main(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            await asyncio.sleep(30)
            result = scenario(a, b)
            if asyncio.iscoroutine(result):
                await result

    run_simulation(main, 7)


def test_partners_countersign_each_other_once_they_meet() -> None:
    def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        for one, two in ((a, b), (b, a)):
            assert signed(one, two) > 0
            assert signed(one, two) == kept(one, two)
            (entry, *_) = kinds(one, "witness.countersigned")
            assert entry.peer == fingerprint(two)
            assert kinds(one, "witness.signed")
            assert one.node.audit.verify().valid

    agreed(scenario)


def test_again_hourly_and_never_in_between_without_a_cause() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        before = signed(a, b)
        await asyncio.sleep(limits.WITNESS_EVERY / 2)
        assert signed(a, b) == before, "what countersigning itself adds is no cause"
        await asyncio.sleep(limits.WITNESS_EVERY / 2 + 60)
        assert signed(a, b) > before

    agreed(scenario)


def test_soon_after_a_transfer() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        before = signed(a, b), signed(b, a)
        for node in (a, b):
            node.node.audit.append("exchange.sent")
        await asyncio.sleep(limits.WITNESS_LEAST + limits.WITNESS_CHECK_EVERY + 5)
        assert signed(a, b) > before[0]
        assert signed(b, a) > before[1]

    agreed(scenario)


def test_whoever_was_away_countersigns_when_it_is_back() -> None:
    async def main(simulation: Simulation) -> None:
        a, b = pair(simulation)
        async with running(a):
            await b.start()
            await a.agree_with(b)
            await asyncio.sleep(30)
            await b.stop()
            for number in range(20):
                a.node.audit.append("exchange.sent", n=number)
            await asyncio.sleep(300)
            before = signed(a, b)
            again = SimulatedNode(a.town, "lab-b", listen=True, life=1, db=b.db)
            async with running(again):
                await asyncio.sleep(limits.WITNESS_EVERY)
                assert signed(a, b) >= before + 20

    run_simulation(main, 3)


def test_the_checkpoint_that_a_partner_keeps_verifies_and_is_the_same_each_time() -> None:
    def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        request = control.AuditCheckpointRequest(fingerprint(a))
        found = b.node.evidence.witness.checkpoint(request)
        assert found == b.node.evidence.witness.checkpoint(request)
        file = read_anchor(found.content.encode())
        anchor = open_anchor(
            file.note,
            origin=log_origin(a.key),
            log_key=a.audit_key.public,
            witness_name=log_origin(b.key),
            witness_key=b.audit_key.public,
        )
        assert (anchor.size, anchor.root.hex()) == (found.size, found.root)
        assert a.node.audit.root(anchor.size) == anchor.root
        with pytest.raises(ComityError):
            b.node.evidence.witness.checkpoint(control.AuditCheckpointRequest("00" * 32))

    agreed(scenario)


# ── a hostile log ─────────────────────────────────────────────────────────────────────────────────────


async def hand_in(a: SimulatedNode, b: SimulatedNode, body: bytes) -> witness.Answer:
    """Lab A says this on lab B's port 445."""
    async with await a.node.network.dial(b.key, WITNESS_PORT, purpose="witness") as stream:
        await stream.send(body)
        answer = await stream.receive()
    assert answer is not None
    return witness.parse_answer(answer)


def certificate(node: SimulatedNode) -> str:
    made = make_certificate(node.audit_key, node.node.notary, node.town.clock, node.town.entropy("c"))
    return made.to_json().decode()


async def submit(a: SimulatedNode, b: SimulatedNode, head: Checkpoint, old: int) -> witness.Answer:
    submission = Submission(old, (), sign_checkpoint(head, a.audit_key.private)).text().decode()
    asked = witness.AddCheckpoint(certificate=certificate(a), submission=submission)
    return await hand_in(a, b, witness.encode_message(asked))


def test_contradictions_are_kept_with_both_signatures_and_nothing_is_signed() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        size = kept(a, b)
        origin = a.audit_key.origin
        for kind, head in {
            "equivocation": Checkpoint(origin, size, bytes(32)),
            "rollback": Checkpoint(origin, size - 1, a.node.audit.root(size - 1)),
            "unproven": Checkpoint(origin, size + 9, bytes(32)),
        }.items():
            for _ in range(2):  # the second time is not kept again
                answer = await submit(a, b, head, min(size, head.size))
                assert isinstance(answer, witness.Contradicted)
                assert answer.kind == kind
        assert kept(a, b) == size
        found = [one for one in b.node.evidence.witness.conflicts() if one.fingerprint == fingerprint(a)]
        assert sorted(one.kind for one in found) == ["equivocation", "rollback", "unproven"]
        assert all(one.signed.startswith(f"{origin}\n{size}\n") for one in found)
        assert len(kinds(b, "witness.conflict")) == 3
        result = await b.node.evidence.desk.verify(control.AuditVerifyRequest())
        assert (result.valid, result.conflicts) == (True, 3), "it is A's log that contradicts itself"
        assert (await b.node.evidence.desk.witnesses()).problem == ""

    agreed(scenario)


def test_what_is_no_head_of_the_partners_own_log_is_refused() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        size = kept(a, b)
        head = Checkpoint(a.audit_key.origin, size + 1, bytes(32))
        note = sign_checkpoint(head, a.audit_key.private)
        good = witness.AddCheckpoint(
            certificate=certificate(a), submission=Submission(size, (), note).text().decode()
        )
        stolen = sign_checkpoint(Checkpoint(b.audit_key.origin, 3, bytes(32)), a.audit_key.private)
        for body in (
            b"",
            b"{}",
            b"\xff",
            witness.encode_message(good)[:-1],
            witness.encode_message(
                witness.AddCheckpoint(certificate=certificate(b), submission=good.submission)
            ),
            witness.encode_message(
                witness.AddCheckpoint(certificate=good.certificate, submission="old 0\n\nnothing")
            ),
            witness.encode_message(
                witness.AddCheckpoint(
                    certificate=good.certificate,
                    submission=Submission(0, (), stolen).text().decode(),
                )
            ),
            witness.encode_message(
                witness.AddCheckpoint(
                    certificate=good.certificate,
                    submission=Submission(size, (bytes(32),) * 63, note)
                    .text()
                    .decode()
                    .replace("old", "odd"),
                )
            ),
        ):
            assert isinstance(await hand_in(a, b, body), witness.Refused)
        assert kept(a, b) == size
        assert kinds(b, "witness.refused")

    agreed(scenario)


def test_requests_beyond_a_rate_are_refused() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        answers = [await hand_in(a, b, b"{}") for _ in range(limits.WITNESS_BURST + 5)]
        last = answers[-1]
        assert isinstance(last, witness.Refused)
        assert "faster" in last.reason

    agreed(scenario)


def test_a_head_that_was_signed_is_signed_again_the_same() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        """The answer was lost: the log asks once more."""
        before = len(kinds(b, "witness.signed"))
        head = Checkpoint(a.audit_key.origin, kept(a, b), a.node.audit.root(kept(a, b)))
        answer = await submit(a, b, head, head.size)
        assert isinstance(answer, witness.Cosigned)
        assert len(kinds(b, "witness.signed")) == before

    agreed(scenario)


# ── a log that lost its end, or is another one ────────────────────────────────────────────────────────


def cut(node: SimulatedNode, size: int) -> None:
    """What restoring an old backup does, or an operator who deletes the newest entries, checkpoints too."""
    for table in ("entry", "node", "checkpoint"):
        node.db.execute(f"DROP TRIGGER audit_{table}_stays")
    node.db.execute("DELETE FROM audit_entry WHERE idx >= ?", (size,))
    node.db.execute("DELETE FROM audit_node WHERE (idx + 1) << level > ?", (size,))
    node.db.execute("DELETE FROM audit_checkpoint WHERE size > ?", (size,))
    node.db.execute("DELETE FROM audit_cosignature")


@pytest.mark.parametrize("more", [0, 30])
def test_a_log_that_was_cut_is_told_by_its_partner(more: int) -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        size = kept(a, b)
        cut(a, size - 3)
        for number in range(more):
            a.node.audit.append("instead", n=number)
        assert a.node.audit.verify().valid, "in itself it holds"
        with pytest.raises(LogContradicted):
            await a.node.evidence.witness._asking.ask(b.key)
        assert kinds(a, "log.contradicted")
        result = await a.node.evidence.desk.verify(control.AuditVerifyRequest())
        assert not result.valid
        assert f"countersigned {size} entries" in result.problem
        assert (await a.node.evidence.desk.witnesses()).problem
        assert kept(a, b) == size

    agreed(scenario)


def test_a_checkpoint_from_the_partner_finds_it_too() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        held = b.node.evidence.witness.checkpoint(control.AuditCheckpointRequest(fingerprint(a)))
        assert (await a.node.evidence.desk.verify(control.AuditVerifyRequest(checkpoint=held.content))).valid
        cut(a, held.size - 3)
        result = await a.node.evidence.desk.verify(control.AuditVerifyRequest(checkpoint=held.content))
        assert not result.valid
        theirs = a.node.evidence.witness.checkpoint(control.AuditCheckpointRequest(fingerprint(b)))
        with pytest.raises(AuditInvalid):
            await a.node.evidence.desk.verify(control.AuditVerifyRequest(checkpoint=theirs.content))
        content = json.loads(held.content)
        content["witness_key"] = json.loads(certificate(a))
        with pytest.raises(AuditInvalid):
            await a.node.evidence.desk.verify(control.AuditVerifyRequest(checkpoint=json.dumps(content)))

    agreed(scenario)


# ── a hostile witness ─────────────────────────────────────────────────────────────────────────────────


Say = Callable[[witness.AddCheckpoint], witness.Answer | bytes | None]


class HostileStream:
    """The stream to a witness that answers as ``say`` has it."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._answer: bytes | None = None

    async def send(self, body: Buffer) -> None:
        answer = self._say(witness.parse_request(body))
        self._answer = (
            answer if isinstance(answer, bytes) or answer is None else witness.encode_message(answer)
        )

    async def receive(self) -> bytes | None:
        return self._answer

    async def __aenter__(self) -> HostileStream:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        return None


def asking(a: SimulatedNode, say: Say) -> Asking:
    """Lab A's side, which reaches only this witness."""

    class Hostile:
        async def dial(self, *_: object, **__: object) -> HostileStream:
            return HostileStream(say)

    around = a.node.evidence.witness._around
    return Asking(dataclasses.replace(around, network=Hostile()))  # type: ignore[arg-type]  # all it uses


def test_what_a_hostile_witness_says_changes_nothing() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        before, origin = signed(a, b), a.audit_key.origin
        other = Checkpoint(origin, 3, bytes(32))
        now = int(a.town.clock.now())
        forged = sign_checkpoint(Checkpoint(origin, 999, bytes(32)), b.audit_key.private).decode()

        def line(head: Checkpoint, at: int) -> str:
            return cosign(head, b.audit_key.origin, b.audit_key.private, at).decode()

        def head(asked: witness.AddCheckpoint) -> Checkpoint:
            size = int(asked.submission.split(f"{origin}\n")[1].split("\n")[0])
            return Checkpoint(origin, size, a.node.audit.root(size))

        said: list[
            tuple[type[ComityError], Callable[[witness.AddCheckpoint], witness.Answer | bytes | None]]
        ] = [
            (AuditInvalid, lambda asked: witness.Cosigned(certificate=certificate(b), line=line(other, now))),
            (
                AuditInvalid,
                lambda asked: witness.Cosigned(
                    certificate=certificate(b), line=line(head(asked), now + 10**6)
                ),
            ),
            (
                RemoteProtocolError,
                lambda asked: witness.Cosigned(certificate=asked.certificate, line=line(head(asked), now)),
            ),
            (AuditInvalid, lambda asked: witness.Cosigned(certificate=certificate(b), line="nothing")),
            (AuditInvalid, lambda asked: witness.Outdated(size=999, note=forged)),
            (RemoteProtocolError, lambda asked: witness.Outdated(size=0, note="")),
            (AuditInvalid, lambda asked: witness.Contradicted(kind="rollback", reason="x", note=forged)),
            (
                RemoteProtocolError,
                lambda asked: witness.Contradicted(
                    kind="equivocation",
                    reason="x",
                    note=sign_checkpoint(head(asked), a.audit_key.private).decode(),
                ),
            ),
            (PeerRefused, lambda asked: witness.Refused(reason="no")),
            (RemoteProtocolError, lambda asked: b"[]"),
            (ComityError, lambda asked: None),
        ]
        for error, say in said:
            with pytest.raises(error) as caught:
                await asking(a, say).ask(b.key)
            assert not isinstance(caught.value, LogContradicted)
        assert signed(a, b) == before
        assert not a.node.evidence.witness.conflicts()
        assert (await a.node.evidence.desk.verify(control.AuditVerifyRequest())).valid

    agreed(scenario)


def test_a_witness_that_lost_what_it_signed_begins_anew() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        b.db.execute("DELETE FROM witnessed_log")
        a.node.audit.append("event")
        await a.node.evidence.witness._asking.ask(b.key)
        assert signed(a, b) == kept(a, b) > 0

    agreed(scenario)


# ── the desk, on the side ─────────────────────────────────────────────────────────────────────────────


def test_verify_since_a_signed_checkpoint() -> None:
    async def scenario(a: SimulatedNode, b: SimulatedNode) -> None:
        sizes = [size for size, _ in AuditStore(a.db).checkpoints()]
        for size in sizes:
            assert (await a.node.evidence.desk.verify(control.AuditVerifyRequest(since=size))).valid
        result = await a.node.evidence.desk.verify(control.AuditVerifyRequest(since=sizes[0] + 1))
        assert result.problem == f"no checkpoint of {sizes[0] + 1} entries was signed"

    agreed(scenario)
