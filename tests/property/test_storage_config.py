"""Whatever a setting holds is read back as it was written; whatever a file holds is read or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.errors import InvalidInput
from comity.storage.config import Config, format_config, parse_config

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
configs = st.builds(
    Config,
    hostname=text,
    join=text,
    organization=text,
    contact=text,
    listen=text,
    public=st.booleans(),
    tags=st.lists(text, max_size=5).map(tuple),
    passphrase_file=text,
    log_format=text,
)


@given(configs)
def test_read_back_as_written(config: Config) -> None:
    assert parse_config(format_config(config)) == config


@given(st.binary(max_size=300) | text.map(str.encode))
def test_any_file_is_read_or_refused(data: bytes) -> None:
    try:
        config = parse_config(data)
    except InvalidInput:
        return
    assert parse_config(format_config(config)) == config


@pytest.mark.parametrize("value", ["9" * 5000, "1979-13-40", "[" * 20_000, "nan", "{}"])
def test_values_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        parse_config(f"public = {value}\n".encode())


def test_broken_unicode_is_refused() -> None:
    with pytest.raises(InvalidInput):
        format_config(Config(hostname="\ud800", join=""))
