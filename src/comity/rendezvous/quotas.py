"""What a network may use of the server, and each of its nodes: one table of bounds, and its values.

A quota that nobody set is the largest that there is, so the bounds of ``limits`` hold in any case. The names
are those of ``comity rendezvous network create``'s options. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from comity import limits
from comity.errors import InvalidInput, QuotaExceeded

_PER_MINUTE = limits.MINUTE


@dataclass(frozen=True)
class Quotas:
    """Of the network: ``online`` nodes at once, ``mail_bytes`` that wait, ``relay_day`` bytes a day (UTC).

    Of each node: ``node_mail`` letters and ``node_mail_bytes`` that wait for it, ``node_sent`` and
    ``node_sent_bytes`` that wait of its own, ``node_lanes`` at once, ``node_relay_day`` bytes a day and
    ``node_relay_rate`` bytes a second that it sends through the relay, ``node_lookups`` a minute.
    """

    online: int = limits.RENDEZVOUS_CONNECTIONS
    mail_bytes: int = limits.MAIL_BYTES_PER_NETWORK
    relay_day: int = limits.RELAY_BYTES_MOST
    node_mail: int = limits.MAIL_PER_RECIPIENT
    node_mail_bytes: int = limits.MAIL_BYTES_PER_RECIPIENT
    node_sent: int = limits.MAIL_SENT_PER_NODE
    node_sent_bytes: int = limits.MAIL_BYTES_SENT_PER_NODE
    node_lanes: int = limits.RELAY_LANES_PER_NODE
    node_relay_day: int = limits.RELAY_BYTES_MOST
    node_relay_rate: int = limits.RELAY_BYTES_MOST
    node_lookups: int = int(limits.RESOLVE_PER_SECOND * _PER_MINUTE)

    def changed(self, values: Mapping[str, int]) -> Quotas:
        """With these instead. InvalidInput for a quota that isn't there, or is out of its bounds."""
        for name, value in values.items():
            most = asdict(LARGEST).get(name)
            if most is None:
                raise InvalidInput(f"there is no quota {name!r}", hint=f"the quotas are {', '.join(NAMES)}")
            if not LEAST.get(name, 1) <= value <= most:
                option = name.replace("_", "-")
                raise InvalidInput(
                    f"the quota {option} is {LEAST.get(name, 1)} to {most}",
                    hint=f"give --{option} another number",
                )
        return Quotas(**{**asdict(self), **values})

    def set(self) -> dict[str, int]:
        """What somebody set: the others are the largest that there is."""
        return {name: value for name, value in asdict(self).items() if value != asdict(LARGEST)[name]}


LARGEST = Quotas()
NAMES = tuple(field.name for field in fields(Quotas))
#: One message has to fit, and a rate must leave a lane alive.
LEAST = {
    "mail_bytes": limits.MAIL_BYTES,
    "node_mail_bytes": limits.MAIL_BYTES,
    "node_sent_bytes": limits.MAIL_BYTES,
    "node_relay_rate": limits.RATE_LEAST,
}


def exceeded(what: str, option: str) -> QuotaExceeded:
    """The refusal of what is over a quota; the operator is told which one."""
    return QuotaExceeded(f"{what}: the rendezvous's quota {option.replace('_', '-')} is used up")
