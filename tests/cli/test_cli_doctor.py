"""comity doctor as it is printed: one line a hop, the first cause, and what can be sent to IT."""

from __future__ import annotations

import io
import json

import pytest

from comity.cli.output import Output
from comity.storage.home import Home
from tests.cli.conftest import Typed
from tests.cli.fake_daemon import FakeDaemon

BLOCKED = {
    "status": "failed",
    "hops": [
        {"name": "node", "status": "ok", "detail": "lab-a-trainer runs", "advice": "", "ask": ""},
        {"name": "proxy", "status": "skipped", "detail": "none", "advice": "", "ask": ""},
        {"name": "inspection", "status": "warning", "detail": "by Evil\x1b[2J", "advice": "", "ask": ""},
        {
            "name": "tcp",
            "status": "failed",
            "detail": "rendezvous.example.org:443 takes no connection",
            "advice": "ask the operator",
            "ask": "Please allow outbound TCP.",
        },
        {
            "name": "relay",
            "status": "skipped",
            "detail": "not checked, as tcp failed",
            "advice": "",
            "ask": "",
        },
    ],
}
SHOWN = """\
✓ node        lab-a-trainer runs
- proxy       none
! inspection  by Evil\\u{1b}[2J
✗ tcp         rendezvous.example.org:443 takes no connection
              try: ask the operator
              ask IT: "Please allow outbound TCP."

It ends at: tcp.
Not checked because of that: relay.
"""


def test_hops_as_a_person_reads_them(comity: Typed, daemon: FakeDaemon) -> None:
    daemon.answer("doctor", BLOCKED)
    ran = comity(["doctor", "lab-b-trainer"])
    assert (ran.status, ran.out, ran.err) == (3, SHOWN, "")
    assert daemon.requests == [("doctor", {"peer": "lab-b-trainer"})]


def test_hops_as_a_script_reads_them(comity: Typed, daemon: FakeDaemon) -> None:
    daemon.answer("doctor", BLOCKED)
    ran = comity(["doctor", "--json"])
    assert ran.status == 3
    assert json.loads(ran.out) == BLOCKED


@pytest.mark.parametrize(
    ("status", "node", "words"),
    [
        ("ok", "ok", "Everything that was checked works."),
        ("warning", "ok", "It works, and could be better where a mark says so."),
        ("warning", "warning", "The way is open, and the node is not running."),
    ],
)
def test_what_works_exits_with_0(
    comity: Typed, daemon: FakeDaemon, status: str, node: str, words: str
) -> None:
    hop = {"name": "node", "status": node, "detail": "x", "advice": "", "ask": ""}
    daemon.answer("doctor", {"status": status, "hops": [hop]})
    ran = comity(["doctor"])
    assert (ran.status, ran.out.splitlines()[-1]) == (0, words)


def test_a_join_url_that_is_none(comity: Typed, home: Home) -> None:
    ran = comity(["doctor", "--join", "nonsense", "--json"])
    assert (ran.status, json.loads(ran.err)["error"]["code"]) == (2, "invalid_join_url")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colours_and_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    terminal = Terminal()
    output = Output(terminal, Terminal(), {})
    output.finding("failed", "tcp", "word " * 20, [("try", "word " * 20)])
    lines = terminal.getvalue().splitlines()
    assert lines[0].startswith("\x1b[1;31m✗\x1b[0m tcp  word word")
    assert all(len(line) <= 60 + len("\x1b[1;31m\x1b[0m") for line in lines)
    assert lines[2].startswith("       try: word") or lines[3].startswith("       try: word")
    plain = Terminal()
    Output(plain, Terminal(), {"NO_COLOR": "1"}).finding("ok", "tcp", "word " * 20, [])
    assert plain.getvalue() == f"✓ tcp  {'word ' * 20}\n"


def test_letters_that_a_terminal_lacks() -> None:
    class Ascii(Terminal):
        encoding = "ascii"

    terminal = Ascii()
    Output(terminal, Terminal(), {"NO_COLOR": "1"}).finding("failed", "tcp", "no", [])
    assert terminal.getvalue() == "x tcp  no\n"
