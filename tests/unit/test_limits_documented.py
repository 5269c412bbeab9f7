"""The limits' reference page is what ``make docs`` would write."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_page_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "docs/generate_limits.py"))
    expected = generator["render"]((ROOT / "src/comity/limits.py").read_text())
    assert (ROOT / "docs/reference/limits.md").read_text() == expected, "run make docs"
