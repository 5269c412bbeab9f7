"""How a failure crosses the wire, and what it becomes on the other side (docs: protocol, "Exchange", errors).

Only what is said to the peer is here: codes are those of ``comity.errors``, texts are bounded, and whatever
arrives is escaped before it reaches a person. An unknown code is no reason to fail differently.
"""

from __future__ import annotations

from comity import limits
from comity.errors import (
    ComityError,
    DiskFull,
    FileChanged,
    InboxFull,
    NameRefused,
    PeerRefused,
    RateLimited,
    TooLarge,
    TransferCancelled,
    TransferFailed,
    VerificationFailed,
)
from comity.identity.text import printable
from comity.protocol.exchange.messages import Fail, Refuse

#: Codes that mean the same on both sides.
SHARED: dict[str, type[ComityError]] = {
    error.code: error
    for error in (
        *(DiskFull, FileChanged, InboxFull, NameRefused, RateLimited),
        *(TooLarge, TransferCancelled, VerificationFailed),
    )
}
#: What the other side's person can do, where the class's own hint is written for this side's.
_HINTS = {DiskFull.code: "ask your partner to free some space, then send again"}


def fail_for(error: ComityError) -> Fail:
    """The FAIL that tells the peer of ``error``."""
    return Fail(code=error.code, message=_cut(error.message), hint=_cut(_HINTS.get(error.code, error.hint)))


def refuse_for(error: ComityError) -> Refuse:
    """The REFUSE that tells the peer of ``error``."""
    return Refuse(code=error.code, message=_cut(error.message), hint=_cut(_HINTS.get(error.code, error.hint)))


def error_from(message: Fail | Refuse) -> ComityError:
    """What the side that receives a FAIL or a REFUSE raises."""
    other = PeerRefused if isinstance(message, Refuse) else TransferFailed
    verb = "refused" if isinstance(message, Refuse) else "gave up"
    error = SHARED.get(message.code, other)
    return error(
        f"the peer {verb}: {printable(message.message, limits.CLAIM_BYTES)}",
        hint=printable(message.hint, limits.CLAIM_BYTES) or None,
    )


def _cut(text: str) -> str:
    return text[: limits.CLAIM_BYTES]
