"""Comity: institutions share models, not data, under an agreement that the software enforces.

    import comity

    with comity.connect() as node:
        print(node.status().address)

``connect`` and ``connect_async`` give a node that runs on this machine; ``comity.errors`` and
``comity.control`` hold what they raise and return. Nothing is imported until it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comity import control, errors
    from comity.sdk.connection import Node, connect
    from comity.sdk.connection_async import AsyncNode, connect_async

__version__ = "0.1.0"
__all__ = ["AsyncNode", "Node", "__version__", "connect", "connect_async", "control", "errors"]

_FRONT = {
    "AsyncNode": "comity.sdk.connection_async",
    "Node": "comity.sdk.connection",
    "connect": "comity.sdk.connection",
    "connect_async": "comity.sdk.connection_async",
}

if not TYPE_CHECKING:  # a type checker should see the names above, and no others

    def __getattr__(name: str) -> Any:
        if name in _FRONT:
            return getattr(importlib.import_module(_FRONT[name]), name)
        if name in ("control", "errors"):
            return importlib.import_module(f"comity.{name}")
        raise AttributeError(f"module 'comity' has no attribute {name!r}")
