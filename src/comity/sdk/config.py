"""A node's settings, read and changed in its home: no daemon is asked, and a running one keeps what it has.

What holds is told for this process's environment; the daemon was started with its own, and with flags.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from comity.control import ConfigListResult, ConfigSetResult, ConfigSetting
from comity.errors import InvalidInput
from comity.sdk import daemon
from comity.sdk.home import locate
from comity.storage import settings
from comity.storage.config import Config
from comity.storage.settings import SETTINGS

_TOKEN = re.compile(r"\binvite=[0-9a-f]*")


def list_settings(home: Path | None = None, environ: Mapping[str, str] = os.environ) -> ConfigListResult:
    """Every setting and where it was said.

    NotInitialised, HomeUnsafe, InvalidInput naming what is wrong where.
    """
    place = locate(home)
    config = place.read_config()
    found = tuple(_setting(name, environ, config) for name in SETTINGS)
    return ConfigListResult(found, str(place.config))


def get(name: str, home: Path | None = None, environ: Mapping[str, str] = os.environ) -> ConfigSetting:
    """One setting. Raises what ``list_settings`` does; InvalidInput also where there is none of that name."""
    if name not in SETTINGS:
        raise InvalidInput(f"there is no setting {name!r}", hint="run comity config list")
    return _setting(name, environ, locate(home).read_config())


def change(
    name: str, text: str, home: Path | None = None, environ: Mapping[str, str] = os.environ
) -> ConfigSetResult:
    """Write one setting into config.toml; an empty text takes away what can be absent.

    Raises NotInitialised, HomeUnsafe, InvalidInput, StorageUnusable, DiskFull.
    """
    place = locate(home)
    before = place.read_config()
    after = settings.change(before, name, text)
    place.write_config(after)
    variable = SETTINGS[name].variable
    return ConfigSetResult(
        name=name,
        value=_shown(name, getattr(after, name)),
        before=_shown(name, getattr(before, name)),
        restart_needed=after != before and daemon.status(place.path).running,
        overridden=variable if variable in environ else "",
    )


def _shown(name: str, value: str | bool | tuple[str, ...]) -> str | bool | tuple[str, ...]:
    """An invitation lets whoever reads it in, so it is not shown."""
    if name == "join" and isinstance(value, str):
        return _hidden(value)
    return tuple(map(_hidden, value)) if name == "networks" and isinstance(value, tuple) else value


def _hidden(text: str) -> str:
    return _TOKEN.sub("invite=...", text)


def _setting(name: str, environ: Mapping[str, str], config: Config) -> ConfigSetting:
    setting = SETTINGS[name]
    found = settings.said(name, environ, config)
    shown = settings.plain(settings.parsed(found, setting.parse))
    variable = found.origin if found.source == "environment" else setting.variable
    return ConfigSetting(name, _shown(name, shown), found.source, variable, setting.flag)
