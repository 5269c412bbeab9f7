"""What the daemon's answers say: a JSON object, or the error in it, as an error of ours.

The blocking and the asynchronous client read answers alike, and here.
"""

from __future__ import annotations

import http.client
from typing import Any

import msgspec

from comity.errors import ComityError, NotRunning, RemoteProtocolError, TimedOut, from_code


def answer_in(status: int, body: bytes) -> dict[str, Any]:
    """The JSON object in an answer; the error in it, where it holds one."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _nonsense(status) from error
    if not isinstance(answer, dict):
        raise _nonsense(status)
    if "error" in answer:
        raise reported(answer["error"])
    if status != http.client.OK:
        raise _nonsense(status)
    return answer


def reported(failure: object) -> ComityError:
    """The error that the daemon reports, as its class. A code that no class here bears keeps its name."""
    if not isinstance(failure, dict) or not isinstance(failure.get("code"), str):
        return RemoteProtocolError("the daemon reports an error without a code")
    status = failure.get("exit_status")
    return from_code(
        failure["code"],
        str(failure.get("message", "")),
        str(failure.get("hint", "")),
        status if isinstance(status, int) else 1,
    )


def _nonsense(status: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"the daemon's answer (HTTP status {status}) is not understood",
        hint="run comity down, then comity up, so that both are the same version",
    )


def gone() -> NotRunning:
    """The daemon hung up."""
    return NotRunning("the daemon ended before it answered", hint="run comity logs, then comity up")


def too_slow(seconds: float) -> TimedOut:
    """The daemon said nothing for so long."""
    return TimedOut(
        f"the daemon did not answer within {seconds:.0f} s", hint="run comity status, or comity logs"
    )
