"""Skips the lab where this machine can't build one (as root, with iproute2 and nftables), saying why."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.natlab.lab import unavailable


@pytest.fixture(scope="session", autouse=True)
def _lab_or_skip() -> Iterator[None]:
    # SIGTERM, by which ``timeout`` ends pytest, is what Ctrl-C is: else namespaces would be left behind.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        reason = unavailable()
        if reason is not None:
            pytest.skip(reason)
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
