"""Random operations of two parties never perform one that a deliberately simple reading forbids.

Both nodes ask their own governance, each over its own database and counters; in some runs one of them lets
everything pass. What was performed is counted by the test itself, from the charter's plain text
(``tests.charter_oracle``), which shares no code with the policy.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.clock import ManualClock, from_rfc3339
from comity.identity.keys import Identity
from comity.policy.charter.canonical import from_plain
from comity.policy.charter.consistency import contradictions
from comity.policy.operation import Operation
from comity.protocol.charter import machine
from comity.services.charter.governance import Governance
from comity.services.charter.ground import CharterGround
from comity.storage.database import MEMORY
from comity.storage.schema import open_node_database
from tests import charter_oracle
from tests.charter.standing import ground, put_in_force, try_it
from tests.property.test_charter_policy import DIGESTS, KEYS, MOMENTS, whole_charters
from tests.worlds import identity_of

PEOPLE = {key: identity_of(f"party {key[0]}") for key in KEYS}
FINGERPRINTS = {key: str(who.public.fingerprint) for key, who in PEOPLE.items()}
WHAT = ["transfer"] * 5 + ["event"] * 3 + ["tunnel", "connect", "wait", "end"]
PAIRS = {"transfer": ("send", "receive"), "event": ("publish", "subscribe"), "tunnel": ("expose", "forward")}


def real(plain: dict[str, Any]) -> dict[str, Any]:
    """The same charter with fingerprints of keys that exist."""
    text = json.dumps(plain)
    for key, fingerprint in FINGERPRINTS.items():
        text = text.replace(key, fingerprint)
    made: dict[str, Any] = json.loads(text)
    return made


@st.composite
def acts(draw: st.DrawFn) -> dict[str, Any]:
    """One thing that a party tries with the other, or that happens."""
    return {
        "what": draw(
            st.sampled_from(["transfer"] * 5 + ["event"] * 3 + ["tunnel", "connect", "wait", "end"])
        ),
        "first_gives": draw(st.booleans()),
        "digest": draw(st.sampled_from(DIGESTS)),
        "signer": draw(st.sampled_from([*FINGERPRINTS.values(), ""])),
        "format": draw(st.sampled_from(["safetensors", "onnx", "json", ""])),
        "bytes": draw(st.integers(0, 4)),
        "topic": draw(st.sampled_from(["training", "training/round-1", "status/x", "other"])),
        "port": draw(st.sampled_from([22, 8888, 80])),
        "wait": draw(st.sampled_from([1, 86400, 86400 * 31])),
    }


class Side:
    """One party's node."""

    def __init__(self, who: Identity, clock: ManualClock, plain: dict[str, Any], *, disabled: bool) -> None:
        self.key = who.public
        self.db = open_node_database(MEMORY)
        self.under: CharterGround = ground(self.db, self.key, clock)
        self.charter = put_in_force(self.under, self.key, plain)
        self.disabled = disabled

    @property
    def governance(self) -> Governance:
        return self.under.governance

    def lets(self, operation: Operation) -> bool:
        return try_it(self.governance, operation) or self.disabled

    def end(self) -> None:
        [line] = self.under.store.lines()
        line, _ = machine.handle(line, machine.Ended(line.own, "over"), 1)
        self.under.store.put_line(line, 1)


def described(act: dict[str, Any], number: int) -> dict[str, Any]:
    """The fields of an operation that say what it is about."""
    match act["what"]:
        case "transfer":
            names = ("digest", "signer", "format", "bytes")
            return {name: act[name] for name in names} | {"transfer": f"{number:032x}"}
        case "event":
            return {"topic": act["topic"], "bytes": act["bytes"]}
        case "tunnel":
            return {"port": act["port"]}
    return {}


def perform(giver: Side, taker: Side, act: dict[str, Any], number: int) -> bool:
    """Whether it happens: the one who begins asks its guard, then the other side asks its own."""
    fields = described(act, number)
    charter = giver.charter
    match act["what"]:
        case "transfer":
            begins = Operation(kind="send", peer=taker.key, service="exchange", **fields)
            lets = Operation(kind="receive", peer=giver.key, service="exchange", charter=charter, **fields)
            first, second = giver, taker
        case "event":
            begins = Operation(kind="publish", peer=taker.key, service="events", **fields)
            lets = Operation(
                kind="publish", peer=giver.key, service="events", charter=charter, by_peer=True, **fields
            )
            first, second = giver, taker
        case "tunnel":
            begins = Operation(kind="forward", peer=giver.key, service="forward", **fields)
            lets = Operation(
                kind="expose", peer=taker.key, service="forward", charter=charter, by_peer=True, **fields
            )
            first, second = taker, giver
        case _:
            begins = Operation(kind="connect", peer=taker.key, service="echo")
            lets = Operation(kind="accept", peer=giver.key, service="echo", charter=charter)
            first, second = giver, taker
    if not first.lets(begins):
        return False
    if second.lets(lets):
        return True
    if act["what"] == "transfer":  # nothing of it passed
        first.governance.released(second.key, "out", fields["transfer"])
    return False


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_nothing_forbidden_is_ever_performed(data: st.DataObject) -> None:
    plain = real(data.draw(whole_charters()))
    plain["anomalies"] = []
    plain["accept_by"] = MOMENTS[0]
    if contradictions(from_plain(plain)):
        return
    parties = {party["fingerprint"]: party for party in plain["parties"]}
    keys = [key for key in KEYS if FINGERPRINTS[key] in parties][:2]
    disabled = data.draw(st.sampled_from(["nobody", "nobody", "first", "second"]))
    clock = ManualClock(from_rfc3339(data.draw(st.sampled_from(MOMENTS[:4]))))
    one = Side(PEOPLE[keys[0]], clock, plain, disabled=disabled == "first")
    two = Side(PEOPLE[keys[1]], clock, plain, disabled=disabled == "second")
    counted: dict[tuple[str, str, str], int] = {}
    ended = False
    for number, act in enumerate(data.draw(st.lists(acts(), min_size=1, max_size=25))):
        if act["what"] == "wait":
            clock.advance(act["wait"])
            continue
        if act["what"] == "end":
            if number > 15:
                one.end()
                two.end()
                ended = True
            continue
        giver, taker = (one, two) if act["first_gives"] else (two, one)
        if not perform(giver, taker, act, number):
            continue
        assert not ended, "something happened after the end"
        check(plain, giver, taker, act, counted, clock.now())
    one.db.close()
    two.db.close()


def check(
    plain: dict[str, Any],
    giver: Side,
    taker: Side,
    act: dict[str, Any],
    counted: dict[tuple[str, str, str], int],
    now: float,
) -> None:
    """The simple reading allows what was just performed; then it counts."""
    names = (str(giver.key.fingerprint), str(taker.key.fingerprint))
    operation = PAIRS[act["what"]][0] if act["what"] in PAIRS else "connect"
    clauses = [f"limits.{limit['id']}" for limit in plain["limits"]]
    for one in plain["permissions"]:
        clauses += [f"permissions.{one['id']}.limits.{limit['id']}" for limit in one["limits"]]
    size: int = act["bytes"] if act["what"] in ("transfer", "event") else 0
    question = {
        "operation": operation,
        "actor": names[0],
        "peer": names[1],
        "now": now,
        "digest": act["digest"] if act["what"] == "transfer" else "",
        "signer": act["signer"] if act["what"] == "transfer" else "",
        "format": act["format"] if act["what"] == "transfer" else "",
        "bytes": size,
        "topic": act["topic"] if act["what"] == "event" else "",
        "port": act["port"] if act["what"] == "tunnel" else 0,
        "used": {clause: counted.get((clause, *names), 0) for clause in clauses},
    }
    assert charter_oracle.allows(plain, question), question
    roles = {party["fingerprint"]: set(party["roles"]) for party in plain["parties"]}
    limits = [("limits." + limit["id"], limit) for limit in plain["limits"]]
    for one in plain["permissions"]:
        if act["what"] == "connect" or not charter_oracle.describes(
            plain, roles, one, act["what"], *names, question
        ):
            continue
        limits += [(f"permissions.{one['id']}.limits.{limit['id']}", limit) for limit in one["limits"]]
    for clause, limit in limits:
        own = limit["counts"] == act["what"] + "s"
        amount = size if limit["counts"] == "bytes" else int(own)
        counted[clause, *names] = counted.get((clause, *names), 0) + amount
