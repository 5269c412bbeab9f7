"""Whatever a lease file holds, reading it gives a holder or nothing; whatever /proc/mounts holds is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.errors import ComityError
from comity.storage.filesystem import filesystem_type
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from comity.storage.lease import Holder, read_holder

per_example = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


@per_example
@given(content=st.binary(max_size=200))
def test_any_lease_is_read_or_passed_over(home: Home, content: bytes) -> None:
    home.lease.write_bytes(content)
    home.lease.chmod(0o600)
    holder = read_holder(home)
    assert holder is None or isinstance(holder, Holder)


@per_example
@given(content=st.binary(max_size=200))
def test_any_key_file_is_refused_cleanly(home: Home, content: bytes) -> None:
    home.identity_key.write_bytes(content)
    home.identity_key.chmod(0o600)
    with pytest.raises(ComityError):
        FileKeyStore(home.identity_key).load("passphrase")


@given(st.text(max_size=300), st.text("/abc \\04", max_size=20))
def test_any_table_of_mounts_is_read(table: str, path: str) -> None:
    kind = filesystem_type("/" + path, table)
    assert kind is None or kind in table
