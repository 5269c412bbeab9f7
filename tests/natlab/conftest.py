"""Skips the lab where this machine can't build one (as root, with iproute2 and nftables), saying why."""

from __future__ import annotations

import pytest

from tests.natlab.lab import unavailable


@pytest.fixture(scope="session", autouse=True)
def _lab_or_skip() -> None:
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
