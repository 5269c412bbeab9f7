"""What went wrong with an event or a subscription."""

from __future__ import annotations

from comity.errors.base import ComityError


class ConsumerReplaced(ComityError):
    """Another subscription with the same consumer began; it goes on where this one ended."""

    code = "consumer_replaced"
    exit_status = 47
    default_hint = "give each reader a name of its own: comity subscribe TOPIC --consumer NAME"


class BrokerFull(ComityError):
    """A broker holds as much as it keeps for one peer, or serves it as often as it may be served."""

    code = "broker_full"
    exit_status = 48
    default_hint = "ask your partner how much of it they still need"
