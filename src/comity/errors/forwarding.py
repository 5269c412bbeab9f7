"""What went wrong with a connection through the tunnel to a partner's port."""

from __future__ import annotations

from comity.errors.base import ComityError


class NotExposed(ComityError):
    """The peer does not expose that port to this node, or does not say so: the answer is the same."""

    code = "not_exposed"
    exit_status = 52
    default_hint = "ask your partner to run comity expose PORT --to YOUR-NODE"


class TargetUnreachable(ComityError):
    """The port is exposed, and nothing listens on it at the peer."""

    code = "target_unreachable"
    exit_status = 53
    default_hint = "ask your partner to start the program that listens there"


class ForwardsBusy(ComityError):
    """As many connections as one peer may have are open."""

    code = "forwards_busy"
    exit_status = 54
    default_hint = "close a connection: comity forward --list shows how many there are"
