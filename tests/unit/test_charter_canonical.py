"""The form that is signed: what is in it, what is refused, and that the published schema is its own."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from comity import limits
from comity.errors import InvalidCharter, RemoteProtocolError
from comity.policy.charter.canonical import charter_digest, from_canonical, from_plain, to_canonical
from tests import charters

ROOT = Path(__file__).resolve().parents[2]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The sample with one thing changed, by a path such as ``parties.0.name``."""
    plain = charters.plain()
    at: Any = plain
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        at = at[step]
    at[last] = value
    return plain


def test_there_and_back() -> None:
    charter = from_plain(charters.plain())
    data = to_canonical(charter)
    assert data == rfc8785.dumps(charters.plain())
    assert from_canonical(data) == charter


def test_what_is_left_out_is_written_as_its_default() -> None:
    plain = charters.plain()
    for name in ("lineage", "predecessor"):
        del plain[name]
    for name in ("topics", "ports", "window"):
        del plain["permissions"][0][name]
    assert to_canonical(from_plain(plain)) == rfc8785.dumps(charters.plain())


def test_digest_can_be_recomputed_by_hand() -> None:
    data = to_canonical(from_plain(charters.plain()))
    kind = b"application/vnd.comity.charter.v1+json"
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(data), data)
    assert charter_digest(data) == "sha256:" + hashlib.sha256(pae).hexdigest()


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("schema", "comity.charter/2", "Invalid enum value"),
        ("version", 0, "version"),
        ("version", 1.0, "version"),
        ("version", "1", "version"),
        ("version", True, "version"),
        ("unknown", 1, "unknown field `unknown`"),
        ("window.beginning", 1, "unknown field `beginning`"),
        ("window.from", "2026-12-01", r"\$.window.from"),
        ("window.from", "2026-12-01T00:00:00+01:00", r"\$.window.from"),
        ("window.until", "2027-02-30T00:00:00Z", "not in the calendar"),
        ("window.until", "2027-02-03T24:00:00Z", "not in the calendar"),
        ("accept_by", "2027-13-03T23:00:00Z", "not in the calendar"),
        (
            "permissions.0.window",
            {"from": "2026-19-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
            "calendar",
        ),
        ("parties.0.name", "Lab-A", "the name is written lab-a"),
        ("parties.0.name", "lаb-a", "mixes writing systems"),
        ("parties.0.name", "lab a", "not a valid internationalised name"),
        ("parties.0.fingerprint", "a1", "fingerprint"),
        ("parties.0.fingerprint", "A1" * 32, "fingerprint"),
        ("parties.0.fingerprint", "a1" * 32 + "\n", "fingerprint"),
        ("parties.0.roles", [], "roles"),
        ("parties.0.roles", ['x" || true || "'], "roles"),
        ("parties", [charters.plain()["parties"][0]], "parties"),
        ("assets.0.digests", ["sha1:" + "11" * 20], "digests"),
        ("permissions.0.may", ["administer"], "may"),
        ("permissions.1.topics", ["training/*"], "topics"),
        ("permissions.1.topics", ["**"], "topics"),
        ("permissions.1.topics", ['a"b'], "topics"),
        ("permissions.0.ports", [0], "ports"),
        ("permissions.0.ports", [65536], "ports"),
        ("limits.0.most", 0, "most"),
        ("limits.0.most", 2**53, "most"),
        ("limits.0.per", "decade", "per"),
        ("artifacts.formats", ["pickle"], "formats"),
        ("artifacts.formats", ["pt"], "formats"),
        ("artifacts.formats", [], "formats"),
        ("privacy.epsilon", 1.5, "epsilon"),
        ("privacy.epsilon", "1e3", "epsilon"),
        ("privacy.epsilon", "-1", "epsilon"),
        ("title", "", "title"),
        ("title", "x" * (limits.CHARTER_NAME_CHARS + 1), "title"),
        ("title", "two\nlines", "line break"),
        ("purpose.text", "allowed \u202eton", r"invisible character: allowed \\u\{202e\}ton"),
        ("purpose.text", "zero\u200bwidth", "invisible character"),
        ("exit.terms", "\x1b[2K", "invisible character"),
    ],
)
def test_what_is_no_charter(path: str, value: Any, why: str) -> None:
    with pytest.raises(InvalidCharter, match=why):
        from_plain(changed(path, value))


def test_one_encoding() -> None:
    plain = charters.plain()
    data = to_canonical(from_plain(plain))
    without_default = {key: value for key, value in plain.items() if key != "template"}
    for other in (
        json.dumps(plain, sort_keys=True).encode(),
        b" " + data,
        data + b"\n",
        data.replace(b'"version":1', b'"version":1.0'),
        data.replace(b'"version":1', b'"version":1,"version":1'),
        data.replace("Charité".encode(), b"Charit\\u00e9"),
        rfc8785.dumps(without_default),
        data[:-1],
        b"",
        b"[" * 100_000,
        b"\xff",
        b"null",
    ):
        with pytest.raises(RemoteProtocolError):
            from_canonical(other)


def test_size_is_bounded() -> None:
    digests = ["sha256:" + f"{number:064x}" for number in range(limits.CHARTER_DIGESTS)]
    plain = charters.plain()
    plain["assets"] = [{**plain["assets"][0], "digests": digests} for _ in range(20)]
    with pytest.raises(InvalidCharter, match="262144 is the most"):
        to_canonical(from_plain(plain))
    with pytest.raises(RemoteProtocolError, match="exceeds the limit"):
        from_canonical(rfc8785.dumps(plain))


# ── the published schema ──────────────────────────────────────────────────────────────────────────────


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)


def test_the_published_schema_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "docs/generate_charter_schema.py"))
    published = (ROOT / "docs/reference/charter.schema.json").read_text(encoding="utf-8")
    assert published == generator["render"](), "run make docs"


def test_the_published_schema_speaks_no_python() -> None:
    schema = json.loads((ROOT / "docs/reference/charter.schema.json").read_text(encoding="utf-8"))
    patterns = [part["pattern"] for part in objects(schema) if isinstance(part.get("pattern"), str)]
    assert patterns
    for pattern in patterns:
        assert "\\Z" not in pattern
        re.compile(pattern)
    for part in objects(schema["$defs"]):
        if part.get("type") == "object" and "properties" in part:
            assert part["additionalProperties"] is False
