"""Whatever is asked: allowed only where every condition holds, and never without a reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.identity.keys import Identity
from comity.policy.operation import Operation, Standing
from comity.policy.rules import ALWAYS, decide

PEER = Identity.generate().public
services = st.sampled_from(["session", "echo", "exchange", "events", "handshake", ""]) | st.text(max_size=8)
digests = st.sampled_from(["sha256:" + "ab" * 32, "sha256:" + "cd" * 32])
times = st.integers(0, 16_725_225_600)
operations = st.builds(
    Operation,
    kind=st.sampled_from(["connect", "accept", "send", "receive"]),
    peer=st.just(PEER),
    service=services,
    agreement=st.none() | digests,
    charter=st.none() | digests,
)
standings = st.builds(
    Standing,
    agreement=digests,
    status=st.sampled_from(["active", "expired", "revoked"]),
    until=times,
    allow=st.lists(services, max_size=3).map(tuple),
    charter=st.none() | digests,
)


@given(operations, st.none() | standings, times)
def test_allowed_only_where_everything_holds(
    operation: Operation, standing: Standing | None, now: int
) -> None:
    decision = decide(operation, standing, now)
    assert decision.reasons
    assert decision.allowed is (
        standing is not None
        and standing.status == "active"
        and now < standing.until
        and (operation.service in ALWAYS or operation.service in standing.allow)
        and operation.agreement in (None, standing.agreement)
        and operation.charter in (None, standing.charter)
    )
