"""The Python API's page is what ``make docs`` would write, its two faces are one, and it starts light."""

from __future__ import annotations

import inspect
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import comity
from comity.sdk.connection import Node
from comity.sdk.connection_async import AsyncNode
from comity.sdk.publishing import Publisher
from comity.sdk.publishing_async import AsyncPublisher

ROOT = Path(__file__).resolve().parent.parent.parent
TWINS = [(Node, AsyncNode), (Publisher, AsyncPublisher)]


def public(kind: type) -> dict[str, Any]:
    members = {name: member for each in reversed(kind.__mro__) for name, member in vars(each).items()}
    return {name: member for name, member in members.items() if not name.startswith("_")}


def test_the_page_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs/generate_sdk.py"))["render"]()
    assert (ROOT / "docs/reference/sdk.md").read_text(encoding="utf-8") == page, "run make docs"


@pytest.mark.parametrize(("blocking", "awaited"), TWINS, ids=["node", "publisher"])
def test_both_faces_have_the_same_methods(blocking: type, awaited: type) -> None:
    assert list(public(blocking)) == list(public(awaited))
    for name, method in public(blocking).items():
        ours = inspect.signature(method).parameters
        assert list(ours.values()) == list(inspect.signature(public(awaited)[name]).parameters.values()), name


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for twins in TWINS for kind in twins for name in public(kind)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_method_says_what_it_does(kind: type, name: str) -> None:
    assert inspect.getdoc(public(kind)[name])


def test_the_front_door_names_what_it_opens_and_nothing_else() -> None:
    for name in comity.__all__:
        assert getattr(comity, name) is not None
    assert comity.errors.ComityError.code
    assert comity.control.StatusResult.__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = comity.nonsense  # type: ignore[attr-defined]  # that it is not there is the point


def loaded_after(program: str) -> set[str]:
    tail = "; import sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program + tail], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_importing_comity_loads_nothing_else() -> None:
    ours = {name for name in loaded_after("import comity") if name.startswith("comity")}
    assert ours == {"comity"}


def test_a_client_carries_no_daemon_and_no_arrays() -> None:
    loaded = loaded_after("import comity; comity.connect")
    assert not loaded & {"fastapi", "uvicorn", "pydantic", "OpenSSL", "numpy", "click", "h11", "asyncio"}
