"""The form that is signed: RFC 8785 JSON, one encoding for each charter, and its digest (SECURITY.md, 16).

What is shown to people is rendered from this form and from nothing else, so no text in it may hide, steer a
terminal or break a line: whoever reads a charter reads what is signed. It knows no envelope and no signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import rfc8785

from comity import limits
from comity.clock import from_rfc3339
from comity.errors import InvalidCharter, InvalidInput, RemoteProtocolError
from comity.identity.envelope import statement_digest
from comity.identity.hostname import normalise_hostname
from comity.identity.text import printable
from comity.policy.charter.model import Charter, Window

PAYLOAD_TYPE = "application/vnd.comity.charter.v1+json"
_SHOWN = 80


def from_plain(plain: Any) -> Charter:
    """A charter out of dictionaries and lists; InvalidCharter ends in the place, ``at `$.parties[0]```."""
    try:
        charter = msgspec.convert(plain, Charter)
    except msgspec.ValidationError as error:
        raise InvalidCharter(printable(str(error), 400)) from error
    for path, reason in _objections(charter, plain):
        raise InvalidCharter(f"{reason} - at `{path}`")
    return charter


def to_canonical(charter: Charter) -> bytes:
    """The bytes that are signed; InvalidCharter where they are too many."""
    data = rfc8785.dumps(msgspec.to_builtins(charter))
    if len(data) > limits.CHARTER_BYTES:
        raise InvalidCharter(
            f"the charter has {len(data)} bytes and {limits.CHARTER_BYTES} is the most",
            hint="name approved signers of an asset instead of its many digests",
        )
    return data


def from_canonical(data: bytes) -> Charter:
    """The charter in what a partner signed; RemoteProtocolError unless it is one, in its one encoding."""
    if len(data) > limits.CHARTER_BYTES:
        raise RemoteProtocolError(f"charter of {len(data)} bytes exceeds the limit of {limits.CHARTER_BYTES}")
    try:
        charter = from_plain(msgspec.json.decode(data))
        canonical = to_canonical(charter)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidCharter) as error:
        raise RemoteProtocolError(f"malformed charter: {error}") from error
    if canonical != data:
        raise RemoteProtocolError("charter is not in RFC 8785 canonical form")
    return charter


def charter_digest(canonical: bytes) -> str:
    """``sha256:…`` over the DSSE pre-authentication encoding of a canonical charter (SECURITY.md rule 2)."""
    return statement_digest(PAYLOAD_TYPE, canonical)


def _objections(charter: Charter, plain: Any) -> Iterator[tuple[str, str]]:
    """What types can't say: all text in plain sight, times in the calendar, names as nodes bear them."""
    for path, text in _texts(plain, "$"):
        if printable(text) != text:
            yield path, f"text holds a line break or an invisible character: {printable(text, _SHOWN)}"
    for path, time in _times(charter):
        try:
            from_rfc3339(time)
        except ValueError:
            yield path, f"{time} is not in the calendar"
    for at, party in enumerate(charter.parties):
        try:
            name = normalise_hostname(party.name)
        except InvalidInput as error:
            yield f"$.parties[{at}].name", error.message
        else:
            if name != party.name:
                yield f"$.parties[{at}].name", f"the name is written {name}"


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from _texts(item, f"{path}[{at}]")


def _times(charter: Charter) -> Iterator[tuple[str, str]]:
    yield "$.accept_by", charter.accept_by
    yield from _ends(charter.window, "$.window")
    for at, permission in enumerate(charter.permissions):
        if permission.window is not None:
            yield from _ends(permission.window, f"$.permissions[{at}].window")


def _ends(window: Window, path: str) -> Iterator[tuple[str, str]]:
    yield f"{path}.from", window.from_
    yield f"{path}.until", window.until
