"""The networks of a node: asked of its daemon where it runs, else read and changed in its home.

A daemon that runs joins and leaves at once, and says how that went. One that does not connects to what is
written at its next start.
"""

from __future__ import annotations

from pathlib import Path

from comity.control import (
    NetworkJoinRequest,
    NetworkLeaveRequest,
    NetworkLeaveResult,
    NetworkMembership,
    NetworkMembershipsResult,
)
from comity.errors import NotRunning
from comity.identity.card import Card
from comity.identity.fingerprint import Fingerprint
from comity.identity.place import Place
from comity.sdk import asks
from comity.sdk.client import Client
from comity.sdk.home import card, locate
from comity.storage.home import Home
from comity.storage.places import new_place, places_of, with_place, without_place


def networks(home: Path | None = None) -> NetworkMembershipsResult:
    """Every network, the first first. NotInitialised, HomeUnsafe, InvalidInput; errors of ``Client``."""
    try:
        return Client(home).ask(asks.network_list())
    except NotRunning:
        place = locate(home)
        return NetworkMembershipsResult(tuple(_view(place, each) for each in places_of(place.read_config())))


def join(request: NetworkJoinRequest, home: Path | None = None) -> NetworkMembership:
    """Become a member of one more.

    InvalidInput, InvalidJoinUrl, NotInitialised, StorageUnusable; of a daemon that runs also NameTaken,
    NotAdmitted, KeyRetired, RendezvousIdentityMismatch, and then nothing was changed.
    """
    try:
        return Client(home).ask(asks.network_join(request))
    except NotRunning:
        place = locate(home)
        before = place.read_config()
        made = new_place(places_of(before), request.join, request.name, request.hostname)
        place.write_config(with_place(before, made))
        return _view(place, made)


def leave(request: NetworkLeaveRequest, home: Path | None = None) -> NetworkLeaveResult:
    """Be a member of one less. InvalidInput where it is the only one; NotInitialised, StorageUnusable."""
    try:
        return Client(home).ask(asks.network_leave(request))
    except NotRunning:
        place = locate(home)
        before = place.read_config()
        place.write_config(without_place(before, request.name))
        url = next(each.join for each in places_of(before) if each.name == request.name)
        return NetworkLeaveResult(request.name, url.authority, url.network)


def _view(home: Home, place: Place) -> NetworkMembership:
    known = card(home.path)
    hostname = place.hostname or known.hostname
    fingerprint = Fingerprint.parse(known.fingerprint)
    return NetworkMembership(
        name=place.name,
        rendezvous=place.join.authority,
        network=place.join.network,
        rendezvous_fingerprint=str(place.join.fingerprint),
        hostname=hostname,
        card=str(Card(hostname, place.join.authority, fingerprint)),
    )
