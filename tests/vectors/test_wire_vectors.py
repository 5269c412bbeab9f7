"""Head reads what earlier states of the program wrote, means the same by it, and still writes it like that.

These are the previous versions that ``make test`` runs against head until there is a release. CONTRIBUTING
says how vectors are added; none is ever changed.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

import msgspec
import pytest

from comity.errors import RemoteProtocolError
from comity.protocol.exchange.messages import Type
from comity.protocol.forwarding.messages import Tag
from comity.protocol.framing import Kind
from tests.wire.formats import FORMATS, meaning
from tests.wire.structs import concrete_statements, recorded_types, told
from tests.wire.vectors import Vector, digests, listed, recorded

VECTORS = tuple(recorded())
HOW = "record it: python -m tests.wire.record (see CONTRIBUTING.md, Formats)"


def holds(recorded: Any, now: Any) -> bool:
    """Whether all that was recorded is there still; a later version may say more."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return all(name in now and holds(value, now[name]) for name, value in recorded.items())
    if isinstance(recorded, list) and isinstance(now, list):
        return len(recorded) == len(now) and all(map(holds, recorded, now))
    return bool(recorded == now)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector.state} {vector.name}")
def test_head_understands_what_was_written_before(vector: Vector) -> None:
    now = meaning(FORMATS[vector.format].read(vector.data))
    assert holds(vector.meaning, now), (vector.meaning, now)


@pytest.mark.parametrize(
    "vector",
    [vector for vector in VECTORS if FORMATS[vector.format].write],
    ids=lambda vector: f"{vector.state} {vector.name}",
)
def test_head_writes_what_an_earlier_version_reads(vector: Vector) -> None:
    """To the byte; only where readers ignore members that they don't know may there be more of them."""
    form = FORMATS[vector.format]
    assert form.write is not None
    again = form.write(form.read(vector.data))
    if again != vector.data:
        assert form.grows, f"earlier versions refuse this {vector.name}: {again!r}"
        assert again[: form.prefix] == vector.data[: form.prefix]
        assert holds(json.loads(vector.data[form.prefix :]), json.loads(again[form.prefix :]))


@pytest.mark.parametrize("name", FORMATS)
def test_what_lacks_its_beginning_or_end_is_not_understood(name: str) -> None:
    """So that a vector which is read at all is read whole; the last byte of a text may be its line feed."""
    for vector in VECTORS:
        if vector.format == name:
            for damaged in (vector.data[:-2], vector.data[1:]):
                assert understood(name, damaged) != vector.meaning, vector.name


def understood(name: str, data: bytes) -> Any:
    try:
        return meaning(FORMATS[name].read(data))
    except (RemoteProtocolError, msgspec.DecodeError):
        return None
    except Exception as error:  # noqa: BLE001  whatever it is, it was not understood
        return type(error)


# ── nothing is without a vector ───────────────────────────────────────────────────────────────────────


def test_every_statement_has_a_vector() -> None:
    there = {
        vector.meaning["says"]["statement"] and _type_of(vector) for vector in VECTORS if _signed(vector)
    }
    assert {kind.TYPE for kind in concrete_statements()} <= there, HOW


def _signed(vector: Vector) -> bool:
    return vector.format == "statement"


def _type_of(vector: Vector) -> str:
    kind: str = json.loads(vector.data)["payloadType"]
    return kind.removeprefix("application/vnd.comity.").removesuffix(".v1+json")


def test_every_type_and_member_has_a_vector() -> None:
    said = {pair for vector in VECTORS for pair in told(FORMATS[vector.format].read(vector.data))}
    wanted = {(kind, "") for kind in recorded_types()}
    wanted |= {(kind, member.name) for kind in recorded_types() for member in msgspec.structs.fields(kind)}
    missing = sorted(f"{kind.__module__}.{kind.__name__} {name}".strip() for kind, name in wanted - said)
    assert not missing, f"{HOW}: {missing}"


@pytest.mark.parametrize(
    ("kind", "formats", "at"),
    [(Type, ("exchange", "chunk", "lanes", "listing"), 0), (Tag, ("forward",), 0), (Kind, ("frame",), 4)],
)
def test_every_kind_of_frame_has_a_vector(kind: type[IntEnum], formats: tuple[str, ...], at: int) -> None:
    there = {vector.data[at] for vector in VECTORS if vector.format in formats and len(vector.data) != 16}
    assert set(kind) <= there, HOW


def test_every_sample_has_been_recorded() -> None:
    there = {(vector.format, vector.name) for vector in VECTORS}
    now = {(name, sample) for name, form in FORMATS.items() for sample in form.samples()}
    assert now <= there, HOW


# ── nothing that was recorded changes ─────────────────────────────────────────────────────────────────


def test_recorded_files_are_as_they_were() -> None:
    now, then = digests(), listed()
    changed = sorted(path for path in then if now.get(path) != then[path])
    assert not changed, f"vectors are never rewritten; give the new bytes a new name: {changed}"
    assert sorted(now) == sorted(then), HOW


def test_names_are_given_once() -> None:
    names = [(vector.format, vector.name) for vector in VECTORS]
    assert len(names) == len(set(names))
