"""A process that races for the last unit of a quota: ``python -m tests.charter.race DATABASE NAME TRIES``.

It reads a line for each try, and answers whether it got the unit. Each try is in a minute of its own, in
which one transfer is allowed.
"""

from __future__ import annotations

import sys
from typing import Any

from comity.clock import ManualClock, rfc3339
from comity.policy.operation import Operation
from comity.storage.schema import open_node_database
from tests import charters
from tests.charter.standing import ground, try_it
from tests.worlds import identity_of

START = 1_800_000_000
OWN, PEER = identity_of("lab-a").public, identity_of("lab-b").public
MODEL = "sha256:" + "11" * 32


def plain() -> dict[str, Any]:
    """One transfer a minute."""
    made = charters.plain()
    made["window"] = {"from": rfc3339(START), "until": rfc3339(START + 10**8)}
    made["accept_by"] = rfc3339(START)
    for party, key in zip(made["parties"], (OWN, PEER), strict=True):
        party["fingerprint"] = str(key.fingerprint)
    made["permissions"][0]["limits"] = [{"id": "one", "counts": "transfers", "most": 1, "per": "minute"}]
    made["anomalies"] = []
    return made


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main() -> None:
    path, name, tries = sys.argv[1], sys.argv[2], int(sys.argv[3])
    clock = ManualClock(START)
    with open_node_database(path) as db:
        governance = ground(db, OWN, clock).governance
        say("ready")
        for number in range(tries):
            sys.stdin.readline()
            operation = Operation(
                kind="send",
                peer=PEER,
                service="exchange",
                digest=MODEL,
                format="safetensors",
                bytes=10,
                signer=str(OWN.fingerprint),
                transfer=f"{name}-{number}",
            )
            say("yes" if try_it(governance, operation) else "no")
            clock.advance(60)


if __name__ == "__main__":
    main()
