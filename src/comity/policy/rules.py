"""The rules before there are charters: trusted, unexpired, service allowed (DESIGN.md, "The agreement").

One pure function. Whatever it does not know is denied, and a denial names everything that stands against the
operation. A handshake is how trust begins, so it is asked of nobody's standing; people decide about it.
"""

from __future__ import annotations

from comity.clock import rfc3339
from comity.policy.operation import Decision, Operation, Standing

#: What every trusted peer may use: the session itself, the echo by which it is measured, and the witness that
#: countersigns audit logs.
ALWAYS = frozenset({"session", "echo", "witness"})


def decide(operation: Operation, standing: Standing | None, now: float) -> Decision:
    """Whether ``operation`` may happen at ``now`` (seconds UTC), given how its peer stands."""
    if operation.kind == "handshake":
        return Decision(True, ("a handshake needs no agreement",))
    if standing is None:
        return Decision(False, ("there is no agreement with this peer",))
    against = _against(operation, standing, now)
    if against:
        return Decision(False, against)
    return Decision(True, (f"an agreement until {rfc3339(standing.until)} allows {operation.service}",))


def _against(operation: Operation, standing: Standing, now: float) -> tuple[str, ...]:
    found: list[str] = []
    if standing.status == "revoked":
        found.append("the agreement was revoked")
    elif standing.status != "active" or now >= standing.until:
        found.append(f"the agreement expired on {rfc3339(standing.until)}")
    if operation.agreement is not None and operation.agreement != standing.agreement:
        found.append("it names another agreement than the one in force")
    if operation.charter is not None and operation.charter != standing.charter:
        found.append("it names another charter than the agreement does")
    if operation.service not in ALWAYS and operation.service not in standing.allow:
        found.append(f"the agreement does not open the service {operation.service}")
    return tuple(found)
