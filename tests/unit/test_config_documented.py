"""docs/reference/configuration.md knows every setting, its flag and default, and none that is gone."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from comity.storage.config import Config
from comity.storage.settings import PASSPHRASE_CREDENTIAL, SETTINGS, text_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| (?:`(--[\w-]+)`)? ?\| (\S*) ?\| (.+) \|$", PAGE, re.MULTILINE)


def default_of(field: dataclasses.Field[object]) -> str:
    if field.default is dataclasses.MISSING:
        return ""
    assert isinstance(field.default, str | bool | tuple)
    text = text_of(field.default)
    return f"`{text}`" if text else "none"


def test_every_setting_of_the_file_is_in_the_table() -> None:
    assert list(SETTINGS) == [field.name for field in dataclasses.fields(Config)]


def test_every_setting_is_documented_with_its_flag_and_its_default() -> None:
    fields = {field.name: field for field in dataclasses.fields(Config)}
    expected = [(name, each.flag, default_of(fields[name])) for name, each in SETTINGS.items()]
    assert [row[:3] for row in ROWS] == expected


def test_the_credential_is_documented() -> None:
    assert f"LoadCredentialEncrypted={PASSPHRASE_CREDENTIAL}\n" in PAGE
