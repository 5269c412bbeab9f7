"""The drop-in's flat folder: links that never change what they mean, and warnings that somebody sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity.control import ReceivedFile
from comity.errors import AlreadyInitialised, InvalidInput, NotInitialised
from comity_pilot import intent, view


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    user = tmp_path / "user"
    for folder in (user, user / ".comity", user / ".comity/received"):
        folder.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.delenv("COMITY_HOME", raising=False)
    return user / ".comity"


def arrived(home: Path, peer: str, name: str, stored: str | None = None) -> ReceivedFile:
    path = home / "received" / peer / (stored or name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{name} of {peer}")
    return ReceivedFile(
        path=str(path),
        name=name,
        bytes=path.stat().st_size,
        digest="sha256:00",
        from_=peer,
        fingerprint="00",
        received_at="2026-11-21T05:18:00Z",
        agreement="sha256:00",
    )


def shown(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (home.parent / "pilot-received").iterdir()}


def test_the_same_name_of_another_partner_is_a_second_name_and_a_warning(home: Path) -> None:
    one = arrived(home, "lab-a", "round-1.pt")
    assert view.sync(home, [one]) == []
    two = arrived(home, "lab-b", "round-1.pt")
    again = arrived(home, "lab-a", "round-1.pt", "round-1.2.pt")
    warnings = view.sync(home, [again, two, one])  # the newest first
    assert shown(home) == {
        "round-1.pt": "round-1.pt of lab-a",
        "round-1.pt.2": "round-1.pt of lab-b",
        "round-1.pt.3": "round-1.pt of lab-a",
    }
    assert warnings == [
        "~/pilot-received/round-1.pt was there already: what lab-b sent is ~/pilot-received/round-1.pt.2",
        "~/pilot-received/round-1.pt was there already: what lab-a sent is ~/pilot-received/round-1.pt.3",
    ]


def test_nothing_that_a_person_put_there_is_touched_and_nothing_taken_away_comes_back(home: Path) -> None:
    folder = home.parent / "pilot-received"
    folder.mkdir()
    (folder / "round-1.pt").write_text("mine")
    file = arrived(home, "lab-a", "round-1.pt")
    assert len(view.sync(home, [file])) == 1
    assert shown(home)["round-1.pt"] == "mine"
    (folder / "round-1.pt.2").unlink()
    assert view.sync(home, [file]) == []
    assert shown(home) == {"round-1.pt": "mine"}


def test_a_link_from_before_a_crash_is_found_again(home: Path) -> None:
    file = arrived(home, "lab-a", "round-1.pt")
    view.sync(home, [file])
    (home / "pilot-received.jsonl").unlink()
    assert view.sync(home, [file]) == []
    assert list(shown(home)) == ["round-1.pt"]


def test_warnings_are_kept_until_they_are_seen_once(home: Path) -> None:
    assert view.left(home) == []
    view.leave(home, ["one"])
    view.leave(home, [])
    view.leave(home, ["two"])
    assert view.left(home) == ["one", "two"]
    assert view.left(home) == []


def test_a_partners_name_is_escaped_in_warnings(home: Path) -> None:
    name = "a\u202etp.pt"
    view.sync(home, [arrived(home, "lab-a", name)])
    (warning,) = view.sync(home, [arrived(home, "lab-b", name)])
    assert "\u202e" not in warning


def test_what_was_said_before_the_first_start_is_kept(home: Path) -> None:
    with pytest.raises(NotInitialised):
        intent.change(tags=("aggregator",))
    with pytest.raises(InvalidInput):
        intent.begin("no name")
    intent.begin("charité-trainer")
    with pytest.raises(AlreadyInitialised):
        intent.begin("another")
    intent.change(tags=("aggregator", "lung-cancer-study"))
    intent.change(public=True)
    assert not intent.initialised()
    intent.carry_out(f"comity://127.0.0.1:9000#{'ab' * 32}")
    assert intent.initialised()
    said = (home / "config.toml").read_text(encoding="utf-8")
    assert 'hostname = "charité-trainer"' in said
    assert 'tags = ["aggregator", "lung-cancer-study"]' in said
    assert "public = true" in said
    assert not (home / "pilot-init.json").exists()
