"""A charter's signed life, through the daemon: propose, sign, status, amend, end, attest, suspensions.

Errors: those of ``Client``, and those of the operation, which each docstring of ``comity.services.charter``
lists.
"""

from __future__ import annotations

from typing import Any

import msgspec

from comity.control import (
    CharterAskRequest,
    CharterAttestRequest,
    CharterAttestResult,
    CharterEndRequest,
    CharterEndResult,
    CharterExplainResult,
    CharterLiftRequest,
    CharterProposeRequest,
    CharterProposeResult,
    CharterReadRequest,
    CharterReadResult,
    CharterSignRequest,
    CharterSignResult,
    CharterStatusRequest,
    CharterStatusResult,
    CharterSuspendRequest,
    CharterView,
    SuspensionView,
)
from comity.errors import InvalidInput, NothingPending
from comity.policy.charter.canonical import from_plain, to_canonical
from comity.policy.charter.editing import read_charter
from comity.policy.charter.model import Charter
from comity.policy.charter.writing import write_yaml
from comity.sdk.client import Client


def propose(client: Client, data: bytes) -> CharterProposeResult:
    """Send a charter file (YAML) to every other party. Nobody has signed it yet. InvalidCharter."""
    return _propose(client, read_charter(data))


def amend(client: Client, data: bytes, of: str | None = None) -> CharterProposeResult:
    """Propose a charter file as the next version of the one in force, whose digests are filled in.

    ``of`` names that one; without it the only one in force, or the one of the same title. InvalidCharter,
    NothingPending.
    """
    charter = read_charter(data)
    before = _in_force(client, of, charter.title)
    following = msgspec.structs.replace(
        charter, version=before.version + 1, lineage=before.lineage, predecessor=before.digest
    )
    return _propose(client, following)


def read(client: Client, charter: str) -> CharterReadResult:
    """A charter that the node knows: in plain language, and what a signature would say. NothingPending."""
    return client.call("charter-read", CharterReadRequest(charter), CharterReadResult)


def export(client: Client, charter: str) -> str:
    """A charter that the node knows, as YAML to edit. NothingPending."""
    result = read(client, charter)
    plain: dict[str, Any] = msgspec.json.decode(result.canonical)
    fields = {name: plain[name] for name in Charter.__struct_fields__ if name in plain}
    return write_yaml(fields, f"{result.title}, version {result.version}: {result.digest}")


def sign(client: Client, request: CharterSignRequest) -> CharterSignResult:
    """Agree to exactly the charter and the policy with these digests. RequestChanged, charter_refused."""
    return client.call("charter-sign", request, CharterSignResult)


def status(client: Client, charter: str | None = None) -> CharterStatusResult:
    """Every version that the node knows, or one; and who is suspended."""
    return client.call("charter-status", CharterStatusRequest(charter), CharterStatusResult)


def end(client: Client, charter: str, reason: str) -> CharterEndResult:
    """End a charter and all its versions, for good; or turn a proposal down."""
    return client.call("charter-end", CharterEndRequest(charter, reason), CharterEndResult)


def attest(client: Client, request: CharterAttestRequest) -> CharterAttestResult:
    """State what became of what was received. NothingPending, InvalidInput."""
    return client.call("charter-attest", request, CharterAttestResult)


def suspend(client: Client, peer: str, reason: str) -> SuspensionView:
    """Stop everything with a peer until ``lift``. NothingPending."""
    return client.call("charter-suspend", CharterSuspendRequest(peer, reason), SuspensionView)


def lift(client: Client, peer: str, reason: str) -> SuspensionView:
    """Let it go on. NothingPending where this node suspended nothing."""
    return client.call("charter-lift", CharterLiftRequest(peer, reason), SuspensionView)


def explain(client: Client, request: CharterAskRequest) -> CharterExplainResult:
    """Whether this would be allowed now, by agreement and charter, and by which clause."""
    return client.call("charter-explain", request, CharterExplainResult)


def _propose(client: Client, charter: Charter) -> CharterProposeResult:
    canonical = to_canonical(from_plain(msgspec.to_builtins(charter)))
    return client.call("charter-propose", CharterProposeRequest(canonical.decode()), CharterProposeResult)


def _in_force(client: Client, of: str | None, title: str) -> CharterView:
    if of is not None:
        [view] = status(client, of).charters
        if view.state != "in_force":
            raise NothingPending(
                f"that charter is not in force: it is {view.state}", hint="run comity charter status"
            )
        return view
    standing = [view for view in status(client).charters if view.state == "in_force"]
    if not standing:
        raise NothingPending("no charter is in force here", hint="run comity charter propose FILE")
    if len(standing) == 1:
        return standing[0]
    titled = [view for view in standing if view.title == title]
    if len(titled) != 1:
        raise InvalidInput("several charters are in force", hint="name the one to amend with --of CHARTER")
    return titled[0]
