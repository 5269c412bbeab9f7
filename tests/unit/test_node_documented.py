"""The chapters on the session and the daemon say what the code does."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import msgspec

from comity import limits
from comity.protocol.candidates import METADATA
from comity.protocol.session.messages import DUPLICATE, ENDED, SHUTDOWN, Message
from comity.storage.config import Config
from comity.storage.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
SESSION = (ROOT / "docs/reference/protocol/session.md").read_text(encoding="utf-8")
NODE = (ROOT / "docs/reference/node.md").read_text(encoding="utf-8")


def test_the_state_diagram_is_the_transition_table() -> None:
    generator = runpy.run_path(str(ROOT / "docs/generate_session.py"))
    assert generator["render"](SESSION) == SESSION, "run make docs"


def test_every_session_message_is_listed_with_its_members() -> None:
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| ((?:`\w+`(?:, )?)+) \|", SESSION, flags=re.M))
    known = {
        str(msgspec.inspect.type_info(kind).tag): ", ".join(f"`{name}`" for name in kind.__struct_fields__)  # type: ignore[attr-defined]  # every member is a struct
        for kind in Message.__args__
    }
    assert listed == known
    for reason in (DUPLICATE, SHUTDOWN, ENDED):
        assert f"`{reason}`" in SESSION


def test_the_session_chapters_numbers_are_the_limits() -> None:
    for said, limit in (
        (r"every ([\d.]+) seconds\.", limits.HEARTBEAT_EVERY),
        (r"hears nothing for (\d+) seconds", limits.PEER_DEAD_AFTER),
        (r"At most (\d+) statements", limits.SESSION_STATEMENTS),
        (r"and (\d+) pings", limits.SESSION_PINGS),
        (r"waits (\d+) seconds", limits.TELL_SECONDS),
        (r"up\s+to (\d+) seconds and is", limits.RECONNECT_MOST),
        (r"next (\d+) minutes", limits.REACHABILITY_LIFETIME / limits.MINUTE),
        (r"one in (\d+) seconds", 1 / limits.REACHABILITY_PER_SECOND),
    ):
        found = re.search(said, SESSION)
        assert found, said
        assert float(found[1]) == limit, said
    for address in METADATA:
        assert str(address) in SESSION


def test_every_setting_has_its_row() -> None:
    for setting in SETTINGS.values():
        for variable in (setting.variable, *setting.shared):
            assert f"`{variable}`" in NODE, variable
    for name in Config.__dataclass_fields__:
        assert f"| `{name}` |" in NODE, name
    for flag in ("--listen", "--passphrase-file", "--proxy", "--log-format", "--foreground", "--ready-fd"):
        assert f"| `{flag}" in NODE


def test_the_daemons_numbers_are_the_limits() -> None:
    for said, limit in (
        (r"registered within (\d+) seconds", limits.READY_SECONDS),
        (r"at most (\d+) KiB", limits.API_BODY_BYTES / limits.KIB),
        (r"within (\d+) seconds is closed", limits.HANDOFF_SECONDS),
        (r"files of at most (\d+) MiB", limits.LOG_BYTES / limits.MIB),
    ):
        found = re.search(said, NODE)
        assert found, said
        assert float(found[1]) == limit, said
