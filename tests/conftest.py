"""What holds for every test: hypothesis's settings, and which folders this machine can run."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: a busy machine's pause is not a failure; pytest-timeout bounds what hangs.
settings.register_profile("comity", deadline=None)
settings.load_profile("comity")

# Real NATs are network namespaces, which only root can make; and races for a path want the machine alone.
collect_ignore = [] if os.geteuid() == 0 and os.environ.get("NATLAB") else ["natlab"]


def pytest_report_header() -> list[str]:
    return [f"left out: tests/{folder} (as root: make natlab)" for folder in collect_ignore]
