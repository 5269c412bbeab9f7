"""How much is asked for: ``NATLAB_MIB``, the size of a file in mebibytes.

256 is what the project promises: then paths race as they come, seconds are those that were promised, and the
machine has to do nothing else. Less is for every day and any machine: what happens is checked, not how soon.
"""

from __future__ import annotations

import os

MEBIBYTES = int(os.environ.get("NATLAB_MIB", "16"))
FULL = MEBIBYTES >= 256


def within(seconds: float) -> float:
    """``seconds`` where they are what is tested, else as many as a busy machine may want."""
    return seconds if FULL else max(60.0, 5 * seconds)
