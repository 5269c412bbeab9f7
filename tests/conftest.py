"""What holds for every test: hypothesis's settings, and which folders this machine can run."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: a busy machine's pause is not a failure; pytest-timeout bounds what hangs.
settings.register_profile("comity", deadline=None)
settings.load_profile("comity")

# Races for a path behind real NATs want the machine alone; what else they want, they say where it is missing.
collect_ignore = [] if os.environ.get("NATLAB") else ["natlab"]


def pytest_report_header() -> list[str]:
    return [f"left out: tests/{folder} (make natlab)" for folder in collect_ignore]
