"""The chapter on the exchange says what the code does: diagrams, message types, limits, tests that exist."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from comity import limits
from comity.protocol.exchange.failure import SHARED
from comity.protocol.exchange.messages import Type

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/protocol/exchange.md"


def test_diagrams_are_the_transition_tables() -> None:
    generator = runpy.run_path(str(ROOT / "docs/generate_exchange.py"))
    page = PAGE.read_text(encoding="utf-8")
    assert generator["render"](page) == page, "run make docs"


def test_every_message_type_is_listed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| ([A-Z]+) \|", page, flags=re.M)
    assert [(int(number), name) for number, name in listed] == [(kind.value, kind.name) for kind in Type]


def test_shared_codes_are_listed() -> None:
    errors = PAGE.read_text(encoding="utf-8").partition("\n## Errors\n")[2]
    for code in SHARED:
        assert f"`{code}`" in errors


def test_numbers_are_the_limits() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for said, limit in (
        (r"up to (\d+) of them ahead", limits.MANIFEST_AHEAD_PAGES),
        (r"1 to (\d+) entries", limits.MANIFEST_PAGE_CHUNKS),
        (r"at most 2\^(\d+) chunks", limits.MANIFEST_CHUNKS.bit_length() - 1),
        (r"every (\d+) seconds", int(limits.WORKING_EVERY)),
        (r"At most (\d+) of them", limits.WORKING_MOST),
        (r"more than (\d+) bytes of\n?\s*UTF-8", limits.FILE_NAME_BYTES),
        (r"at most (\d+)\s+transfers from one peer", limits.RECEIVING_PER_PEER),
        (r"one peer and (\d+) in all", limits.RECEIVING_AT_ONCE),
        (r"and (\d+) MiB\.\n", limits.FREE_SPACE_MARGIN // limits.MIB),
        (r"at most (\d+) entries ahead", limits.MANIFEST_AHEAD_PAGES * limits.MANIFEST_PAGE_CHUNKS),
        (r"JSON messages have at most (\d+) KiB", limits.EXCHANGE_MESSAGE_BYTES // limits.KIB),
    ):
        found = re.search(said, page)
        assert found, said
        assert int(found[1]) == limit, said
    assert limits.ARTIFACT_BYTES == limits.MANIFEST_CHUNKS * limits.CHUNK_BYTES


def test_named_tests_exist() -> None:
    for name in re.findall(r"`((?:unit|property|contract|integration)/test_\w+\.py)`", PAGE.read_text()):
        assert (ROOT / "tests" / name).exists(), name
