"""Results about a node's settings: what holds, and where it was said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConfigSetting:
    """``source``: ``environment``, ``file``, ``credential`` or ``default``.

    ``variable`` goes before the file, ``flag`` (empty where there is none) before both.
    """

    name: str
    value: str | bool | tuple[str, ...]
    source: str
    variable: str
    flag: str


@dataclass(frozen=True)
class ConfigListResult:
    settings: tuple[ConfigSetting, ...]
    file: str


@dataclass(frozen=True)
class ConfigSetResult:
    """``restart_needed``: the node runs with ``before``.

    ``overridden``: the environment variable that goes before what was set, or empty.
    """

    name: str
    value: str | bool | tuple[str, ...]
    before: str | bool | tuple[str, ...]
    restart_needed: bool
    overridden: str
