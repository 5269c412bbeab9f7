"""A node's governance over a database, under a charter that all parties have signed: no network."""

from __future__ import annotations

from typing import Any

from comity.clock import Clock
from comity.identity.keys import PublicKey
from comity.policy.charter.canonical import from_plain, to_canonical
from comity.policy.operation import Operation
from comity.protocol.charter.terms import Line, Version
from comity.services.charter.governance import Governance
from comity.services.charter.ground import CharterGround, charter_ground
from comity.services.charter.library import read
from comity.storage.database import Database


def _nobody(*_: object) -> None:
    raise AssertionError("nobody is to be suspended")


def _unknown(_: PublicKey) -> tuple[str, ...]:
    return ()


def ground(db: Database, own: PublicKey, clock: Clock) -> CharterGround:
    return charter_ground(db, own, clock, _nobody, _unknown)


def put_in_force(under: CharterGround, own: PublicKey, plain: dict[str, Any]) -> str:
    """As if every party had signed it."""
    volume = read(to_canonical(from_plain(plain)))
    terms = volume.terms
    version = Version(terms=terms, signed=terms.parties, complete=True, at=1)
    line = Line(lineage=terms.lineage, own=str(own.fingerprint), versions=(version,))
    under.store.put_version(terms.digest, terms.lineage, volume.canonical, at=1, by=terms.parties[0])
    under.store.put_line(line, 1)
    return terms.digest


def try_it(governance: Governance, operation: Operation) -> bool:
    """What the guard does, but for the log: judge and count in one transaction."""
    with governance.alone():
        verdict = governance.judge(operation)
        if verdict is None or not verdict.allowed:
            return False
        governance.spend(operation, verdict)
        return True
