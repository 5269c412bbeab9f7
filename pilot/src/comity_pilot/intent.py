"""What a node was told before it knew its rendezvous: ``pilotctl init`` comes before ``daemon start``.

Pilot's ``init`` takes no registry, and Comity's does not do without. So name, tags and visibility wait in one
file of the home until the first start makes the node. Nothing secret is in it.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from comity.control import InitRequest
from comity.errors import AlreadyInitialised, InvalidInput, NotInitialised
from comity.identity.hostname import normalise_hostname
from comity.sdk import config, home

_FILE = "pilot-init.json"


@dataclass(frozen=True)
class Intent:
    """What ``init``, ``set-tags`` and ``set-visibility`` said."""

    hostname: str
    tags: tuple[str, ...] = ()
    public: bool = False


def folder() -> Path:
    """The home that the environment names."""
    return home.locate(None).path


def initialised() -> bool:
    """Whether the node is made already."""
    return home.locate(None).initialised


def begin(hostname: str) -> None:
    """``init``. AlreadyInitialised, InvalidInput for a name that is none."""
    place = folder()
    if initialised() or _path(place).exists():
        raise AlreadyInitialised(
            f"a node is set up in {place} already", hint="set COMITY_HOME to another folder for a second node"
        )
    _write(place, Intent(normalise_hostname(hostname)))


def check() -> None:
    """NotInitialised where ``init`` never ran."""
    _read(folder())


def change(*, tags: tuple[str, ...] | None = None, public: bool | None = None) -> None:
    """``set-tags`` and ``set-visibility`` before the first start. NotInitialised."""
    place = folder()
    found = _read(place)
    _write(
        place,
        dataclasses.replace(
            found,
            tags=found.tags if tags is None else tags,
            public=found.public if public is None else public,
        ),
    )


def carry_out(join: str) -> None:
    """Make the node, now that its rendezvous is known. NotInitialised where ``init`` never ran."""
    place = folder()
    found = _read(place)
    home.init(InitRequest(hostname=found.hostname, join=join))
    if found.tags:
        config.change("tags", ",".join(found.tags))
    if found.public:
        config.change("public", "yes")
    _path(place).unlink()


def _path(place: Path) -> Path:
    return place / _FILE


def _read(place: Path) -> Intent:
    try:
        return msgspec.json.decode(_path(place).read_bytes(), type=Intent)
    except FileNotFoundError:
        raise NotInitialised(f"no node is set up in {place}") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{_path(place)} is not what pilotctl wrote: {error}") from error


def _write(place: Path, intent: Intent) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = place / f"{_FILE}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(intent))
    new.replace(_path(place))
