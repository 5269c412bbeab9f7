"""The operations of a node: one frozen request and one frozen result each.

Services take and return them, the control API serialises them, the SDK returns them, the CLI prints them:
there is no second model. Times are strings in RFC 3339 UTC, sizes are bytes, digests ``sha256:…``,
fingerprints 64 hexadecimal digits. Fields are only ever added.

Every class of the modules below can be had from here. A module is read when one of its classes is asked for:
making two hundred of them takes longer than sending a small file.
"""

# ruff: noqa: F403  every name of the modules below is one of this package's

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a new module of operations is named here and below
    from comity.control.audit import *
    from comity.control.charter import *
    from comity.control.charter_life import *
    from comity.control.config import *
    from comity.control.doctor import *
    from comity.control.events import *
    from comity.control.exchange import *
    from comity.control.forwarding import *
    from comity.control.networks import *
    from comity.control.node import *
    from comity.control.peers import *
    from comity.control.report import *
    from comity.control.trust import *

#: In the order in which they are looked into: what is asked for most often, and what is small, first.
_MODULES = (
    *("exchange", "config", "doctor", "node", "networks", "peers", "events", "trust"),
    *("forwarding", "report", "charter", "charter_life", "audit"),
)

if not TYPE_CHECKING:  # for a type checker there are no other names than those above

    def __getattr__(name: str) -> Any:
        if name[:1].isupper():
            for part in _MODULES:
                module = importlib.import_module(f"{__name__}.{part}")
                if hasattr(module, name):
                    globals()[name] = found = getattr(module, name)
                    return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
