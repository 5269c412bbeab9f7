"""The networks of a node in its configuration: read as one list, added to, taken from.

The first is ``join``, under the node's usual hostname; the others are entries of ``networks``. Pure: it
makes one ``Config`` of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from comity.errors import InvalidInput
from comity.identity.card import JoinUrl
from comity.identity.hostname import normalise_hostname
from comity.identity.place import Place, check_places, free_name, network_name
from comity.storage.config import Config


def places_of(config: Config) -> Sequence[Place]:
    """All of them, the first first. InvalidInput."""
    first = Place(config.network, JoinUrl.parse(config.join))
    return check_places([first, *map(Place.parse, config.networks)])


def new_place(before: Sequence[Place], join: str, name: str, hostname: str) -> Place:
    """One more beside those; ``name`` and ``hostname`` may be empty. InvalidInput, InvalidJoinUrl."""
    url = JoinUrl.parse(join)
    called = network_name(name) if name else free_name(url, [place.name for place in before])
    place = Place(called, url, normalise_hostname(hostname) if hostname else "")
    check_places([*before, place])
    return place


def with_place(config: Config, place: Place) -> Config:
    """The configuration with one more."""
    return replace(config, networks=(*config.networks, str(place)))


def without_place(config: Config, name: str) -> Config:
    """The configuration without one; the next becomes the first where it was that. InvalidInput."""
    places = places_of(config)
    if name not in [place.name for place in places]:
        known = ", ".join(place.name for place in places)
        raise InvalidInput(
            f"this node is in no network called {name}; its networks: {known}",
            hint="run comity network list",
        )
    left = [place for place in places if place.name != name]
    if not left:
        raise InvalidInput(
            "this is the only network of this node", hint="join another one first, or run comity down"
        )
    first, *others = left
    if config.network == name:  # what was called by the usual hostname still is
        others = [replace(each, hostname=each.hostname or config.hostname) for each in others]
    usual = first.hostname or config.hostname
    kept = (replace(each, hostname="" if each.hostname == usual else each.hostname) for each in others)
    return replace(
        config,
        hostname=usual,
        join=str(first.join),
        network=first.name,
        networks=tuple(map(str, kept)),
    )
