"""What earlier programs said, replayed against head: a rendezvous, a link's streams, a transfer, statements.

The bytes above TLS are the recorded ones; the server, the node and the sockets under them are real.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from comity.clock import ManualClock
from comity.identity.envelope import Envelope
from comity.protocol.trust.relationship import Relationship
from tests.trust.office import Office
from tests.trust.site import Site
from tests.vectors.test_wire_vectors import holds
from tests.wire import talks
from tests.wire.keys import LAB_A, LAB_B, NOW, SERVER
from tests.wire.vectors import FOLDER, Vector, recorded

TALKS = sorted(FOLDER.glob("*/talks/*.json"))


@pytest.mark.parametrize("file", TALKS, ids=lambda file: f"{file.parent.parent.name} {file.stem}")
async def test_a_recorded_talk_goes_as_it_went(file: Path) -> None:
    _, scene, mask = talks.TALKS[file.stem]
    then = talks.read(file)
    async with scene() as say:
        now = await talks.play(then, say)
    for before, after in zip(then, now, strict=True):
        assert holds([mask(each) for each in before.answers], [mask(each) for each in after.answers]), after


def test_every_talk_is_recorded() -> None:
    assert {file.stem for file in TALKS} == set(talks.TALKS)


# ── statements that were signed before ────────────────────────────────────────────────────────────────


def vector(name: str) -> Vector:
    return next(each for each in recorded() if (each.format, each.name) == ("statement", name))


def envelope(name: str) -> Envelope:
    return Envelope.from_json(vector(name).data)


@pytest.fixture
def office() -> Office:
    return Office(ManualClock(float(NOW)), SERVER)


async def test_a_recorded_request_is_approved_today(office: Office) -> None:
    site = Site(office, "charité-trainer", 0x20, identity=LAB_B)
    Site(office, "lab-a-trainer", 0x10, identity=LAB_A)
    await site.trust.receive(LAB_A.public, envelope("handshake request"))
    (waiting,) = await site.pending()
    assert waiting.justification == "External validation, IRB #2026-0142"
    await site.approve("lab-a-trainer")
    assert site.trust.known(LAB_A.public) is not None
    await site.trust.receive(LAB_A.public, envelope("retirement"))
    assert site.trust.known(LAB_A.public) is None


async def test_a_recorded_approval_answers_what_was_asked_before_an_upgrade(office: Office) -> None:
    """The request lies in the database, as the earlier program wrote it there."""
    site = Site(office, "lab-a-trainer", 0x10, identity=LAB_A)
    asked = json.loads(vector("handshake request").data)
    cells = next(each for each in recorded() if each.name == "relationship with all that can be")
    kept = msgspec.json.decode(cells.data, type=Relationship)
    (outgoing,) = kept.outgoing
    assert json.loads(outgoing.envelope) == asked
    site.store.put(
        Relationship(
            peer=LAB_B.public.hex,
            hostname=kept.hostname,
            address=kept.address,
            local_id=kept.local_id,
            outgoing=(msgspec.structs.replace(outgoing, charter=None),),
        )
    )
    await site.trust.receive(LAB_B.public, envelope("approval"))
    known = site.trust.known(LAB_B.public)
    assert known is not None
    assert known.agreement.request_digest == vector("handshake request").meaning["says"]["digest"]
