"""Networks, invitations and the admin log in memory, for tests: the twin of ``tenancy_sqlite``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace

from comity import limits
from comity.errors import LocalProtocolError
from comity.rendezvous.actlog import built
from comity.rendezvous.tenancy import (
    DEFAULT_NAME,
    DEFAULT_NETWORK,
    Act,
    EndedKey,
    Invitation,
    LogHead,
    Network,
    Relayed,
    Removal,
)


class MemoryTenancy:
    """``numbers()`` is where the nodes' store counts addresses: a network that is put gets its first one."""

    def __init__(self, numbers: Callable[[], dict[int, int]]) -> None:
        self._numbers = numbers
        self._networks = {
            DEFAULT_NETWORK: Network(
                DEFAULT_NETWORK, DEFAULT_NAME, True, limits.NODES_PER_NETWORK, limits.MAIL_PER_NETWORK, 0
            )
        }
        self._invitations: dict[int, Invitation] = {}
        self._removals: dict[tuple[int, bytes], Removal] = {}
        self._released: set[tuple[int, str, bytes]] = set()
        self._ended: dict[bytes, EndedKey] = {}
        self._ended_in: dict[bytes, set[int]] = {}
        self._acts: list[Act] = []
        self._relayed: dict[tuple[int, int, bytes], Relayed] = {}
        self._marks: dict[str, int] = {}

    def snapshot(self) -> dict[str, object]:
        """What ``restore`` takes back."""
        return {name: copy.copy(value) for name, value in vars(self).items() if name != "_numbers"}

    def restore(self, state: dict[str, object]) -> None:
        vars(self).update(state)

    def networks(self) -> list[Network]:
        return [network for _, network in sorted(self._networks.items())]

    def network(self, number: int) -> Network | None:
        return self._networks.get(number)

    def put_network(self, network: Network) -> None:
        if any(one.name == network.name and one.number != network.number for one in self.networks()):
            raise LocalProtocolError("two networks of one name")
        self._networks[network.number] = network
        self._numbers().setdefault(network.number, limits.NODE_FIRST)

    def add_invitation(self, invitation: Invitation) -> Invitation:
        made = replace(invitation, id=len(self._invitations) + 1)
        self._invitations[made.id] = made
        return made

    def invitation(self, number: int) -> Invitation | None:
        return self._invitations.get(number)

    def invitation_of(self, digest: bytes) -> Invitation | None:
        return next((one for one in self._invitations.values() if one.digest == digest), None)

    def invitations(self, network: int) -> list[Invitation]:
        return [one for one in self._invitations.values() if one.network == network]

    def put_invitation(self, invitation: Invitation) -> None:
        kept = self._invitations[invitation.id]
        self._invitations[kept.id] = replace(kept, used=invitation.used, revoked=invitation.revoked)

    def last_invitation(self) -> int:
        return len(self._invitations)

    def remove(self, network: int, key: bytes, removal: Removal) -> None:
        self._removals[network, key] = removal

    def removal(self, network: int, key: bytes) -> Removal | None:
        return self._removals.get((network, key))

    def readmit(self, network: int, key: bytes) -> None:
        self._removals.pop((network, key), None)

    def release(self, network: int, hostname: str, key: bytes) -> None:
        self._released.add((network, hostname, key))

    def released(self, network: int, hostname: str, key: bytes) -> bool:
        return (network, hostname, key) in self._released

    def end_key(self, ended: EndedKey) -> None:
        self._ended[ended.key] = ended

    def ended_key(self, key: bytes) -> EndedKey | None:
        return self._ended.get(key)

    def end_member(self, key: bytes, network: int) -> None:
        self._ended_in.setdefault(key, set()).add(network)

    def ended_in(self, key: bytes) -> set[int]:
        return set(self._ended_in.get(key, ()))

    def note(self, act: Act) -> LogHead:
        self._acts.append(act)
        return self.head()

    def head(self) -> LogHead:
        return self.rebuilt()

    def rebuilt(self, size: int | None = None) -> LogHead:
        return built(self._acts[:size])

    def relayed(self, day: int) -> list[Relayed]:
        return [row for row in self._relayed.values() if row.day == day]

    def note_relayed(self, rows: Iterable[Relayed]) -> None:
        for row in rows:
            self._relayed = {key: one for key, one in self._relayed.items() if one.day >= row.day}
            self._relayed[row.day, row.network, row.key] = row

    def mark(self, name: str) -> int:
        return self._marks.get(name, 0)

    def set_mark(self, name: str, at: int) -> None:
        self._marks[name] = at

    def acts(self, limit: int) -> list[Act]:
        return self._acts[-limit:] if limit else []
