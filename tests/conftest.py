"""What holds for every test: hypothesis's settings."""

from __future__ import annotations

from hypothesis import settings

# No deadline: a busy machine's pause is not a failure; pytest-timeout bounds what hangs.
settings.register_profile("comity", deadline=None)
settings.load_profile("comity")
