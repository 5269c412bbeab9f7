"""What the documentation points at exists: the threat model's tests, and every relative link."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_every_attack_in_the_threat_model_names_tests_that_exist() -> None:
    page = (ROOT / "docs/explanation/threat-model.md").read_text()
    named = re.findall(r"`(tests/[^`]+)`", page)
    assert named
    assert [pattern for pattern in named if not list(ROOT.glob(pattern))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
