"""Asking the rendezvous for somebody whom this node does not know: in one network, or in all where none is
named.

Every rendezvous that is asked learns which name was wanted, so a name that says its network is asked for
there alone. What comes back are claims of a rendezvous; who believes them is ``peers``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from comity.errors import AmbiguousPeer, ComityError, RendezvousUnreachable, UnknownPeer
from comity.identity.address import Address
from comity.identity.card import Card, PeerName, parse_peer
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.registry import Record
from comity.services.membership import Membership, Memberships


class Seeking:
    """See the module."""

    def __init__(self, memberships: Memberships) -> None:
        self._memberships = memberships

    def split(self, text: str) -> tuple[str, Membership | None]:
        """``NAME@NETWORK`` as name and network; InvalidInput where this node is in no such network."""
        line = text.strip()
        plain, at_sign, network = line.rpartition("@")
        if not at_sign or line.startswith("comity:"):
            return text, None
        return plain, self._memberships.named(network)

    def candidates(
        self, named: Card | Address | PeerName, network: Membership | None = None
    ) -> Sequence[Membership]:
        """In which networks this node can be meant."""
        if network is not None:
            return [network]
        everywhere = list(self._memberships)
        found = everywhere
        if isinstance(named, Address):
            found = [each for each in everywhere if each.realm.network == named.network]
        elif isinstance(named, Card):
            found = [each for each in everywhere if each.place.join.authority == named.rendezvous]
        return found or everywhere

    async def ask(self, text: str, pin: Fingerprint | None = None) -> tuple[Record, Membership]:
        """The record of the node that is meant, and where it was found; with ``pin``, rather one of that key.

        UnknownPeer, AmbiguousPeer, RendezvousUnreachable where it was not found and somebody could not be
        asked, and what else ``Rendezvous.resolve`` raises.
        """
        plain, network = self.split(text)
        named = parse_peer(plain)
        if isinstance(named, Fingerprint):
            raise UnknownPeer("no peer is known by that fingerprint", hint="name it by its card, or its name")
        where = self.candidates(named, network)
        if len(where) == 1:
            answers = [await self._ask(where[0], named)]
        else:
            answers = await asyncio.gather(*(self._ask(member, named) for member in where))
        found = [
            (each, member) for each, member in zip(answers, where, strict=True) if isinstance(each, Record)
        ]
        if pin is not None and len(found) > 1:
            right = [one for one in found if PublicKey.from_hex(one[0].key).fingerprint == pin]
            found = right or found[:1]  # of another key: a mismatch, which is for our caller to say
        if len(found) > 1:
            ways = ", ".join(f"{record.hostname}@{member.name}" for record, member in found)
            raise AmbiguousPeer(
                f"{printable(text)} is in {len(found)} of your networks: {ways}",
                hint="name the one that you mean as it stands there",
            )
        away = [
            each for each in answers if isinstance(each, ComityError) and not isinstance(each, UnknownPeer)
        ]
        if found and (pin is not None or not away):
            return found[0]
        if found:  # whoever runs the one may have waited until the other can't be asked
            record, member = found[0]
            raise RendezvousUnreachable(
                f"{printable(text)} was found in {member.name}, and another network can't be asked whether it"
                f" is there too: {away[0].message}",
                hint=f"if you mean that one, name it {record.hostname}@{member.name}",
            )
        raise self._not_found(text, [each for each in answers if isinstance(each, ComityError)])

    async def _ask(self, member: Membership, named: Card | Address | PeerName) -> Record | ComityError:
        try:
            if isinstance(named, Address):
                return await member.rendezvous.resolve(address=str(named))
            return await member.rendezvous.resolve(hostname=named.hostname)
        except ComityError as error:
            return error

    def _not_found(self, text: str, errors: Sequence[ComityError]) -> ComityError:
        others = [error for error in errors if not isinstance(error, UnknownPeer)]
        unreachable = [error for error in others if isinstance(error, RendezvousUnreachable)]
        if not others:
            where = "in this network" if len(errors) == 1 else "in any of your networks"
            return UnknownPeer(f"there is no {printable(text)} {where}", hint=errors[0].hint)
        if not unreachable:
            return others[0]
        error = unreachable[0]
        return type(error)(
            f"{printable(text)} is not among your agreements, and the rendezvous can't be asked:"
            f" {error.message}",
            hint=error.hint,
        )
