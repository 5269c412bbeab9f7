"""An exported log that was changed anywhere is refused, or says exactly what it said before."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.audit.exportlines import EntryLine, parse_line
from comity.errors import AuditInvalid
from comity.sdk.offline_audit import verify_log
from tests.audit_logs import Institution, Log

OWNER, PARTNER = Institution.new(), Institution.new()
LOG = Log(OWNER, PARTNER, count=4)
LOG.audit.redact([2], "erased")
ANCHOR = LOG.anchor(6)
FILES = [b"".join(LOG.export(heads=(3, 6))), b"".join(LOG.export(PARTNER, heads=(3, 6)))]


def entries(data: bytes) -> list[object]:
    """What the file says happened."""
    lines = [parse_line(number, line) for number, line in enumerate(data.splitlines(keepends=True), 1)]
    return [msgspec.to_builtins(line.entry) for line in lines if isinstance(line, EntryLine)]


@given(st.sampled_from(FILES), st.data())
def test_any_flipped_bit_is_found_or_changes_nothing(file: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, len(file) * 8 - 1))
    changed = bytearray(file)
    changed[bit // 8] ^= 1 << bit % 8
    found = verify_log(bytes(changed).splitlines(keepends=True), {}, ANCHOR)
    if found.valid:
        assert entries(bytes(changed)) == entries(file)
        assert found.witnessed_size == 6
    else:
        assert found.problem
        assert found.witnessed_size == 0


@given(st.sampled_from(FILES), st.data())
def test_any_cut_or_repeated_line_is_found(file: bytes, data: st.DataObject) -> None:
    lines = file.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    heads = {number for number, line in enumerate(lines) if line.startswith(b'{"type":"head"')}
    if at in heads:
        return  # countersigned heads may be stripped: that is what the partner's checkpoint is for
    assert not verify_log(lines[:at] + lines[at + 1 :], {}, None).valid
    assert not verify_log([*lines[: at + 1], *lines[at:]], {}, None).valid


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_lines_are_a_finding_not_an_error(lines: list[bytes]) -> None:
    found = verify_log(lines, {}, None)
    assert not found.valid
    assert found.problem


@given(st.binary(max_size=200))
def test_nothing_that_short_is_a_checkpoint_file(data: bytes) -> None:
    with pytest.raises(AuditInvalid):
        verify_log(FILES[0].splitlines(keepends=True), {}, data)
