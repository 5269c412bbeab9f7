"""What a terminal gets that a pipe doesn't: a bar that is written over, colour, and nothing a peer chose."""

from __future__ import annotations

import dataclasses
import io

import pytest

from comity.cli.output import Output
from comity.cli.progress import TransferDisplay
from comity.control import Progress, SendResult
from comity.errors import TransferFailed


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


RUNNING = Progress(
    transfer="t1",
    state="sending",
    name="w\x1b[2J.pt",
    bytes=1000,
    bytes_done=250,
    bytes_sent=250,
    seconds=1.0,
    mb_per_s=33.8,
    path="direct",
)
DONE = SendResult(
    transfer="t1",
    name="w.pt",
    bytes=1000,
    digest="sha256:aa",
    bytes_sent=1000,
    seconds=4.2,
    mb_per_s=33.8,
    first_path="direct",
    path="direct",
    paths={"direct": 1000},
    receipt="sha256:bb",
    manifest="sha256:cc",
    agreement="sha256:dd",
    to="lab-b",
)


def screen(text: str) -> list[str]:
    """What is left on a terminal after these bytes: a carriage return and \\x1b[K wipe the line."""
    return [line.split("\r\x1b[K")[-1] for line in text.split("\n")]


def test_bar_is_written_over_and_ends_as_in_the_seed() -> None:
    terminal = Terminal()
    output = Output(terminal, Terminal(), {})
    display = TransferDisplay(output)
    display.update(dataclasses.replace(RUNNING, state="connecting", bytes_done=0))
    assert terminal.getvalue() == ""
    display.update(RUNNING)
    assert screen(terminal.getvalue())[-1] == f"Transfer: {'█' * 5}{'░' * 15}  25% (1.0s, 33.8 MB/s, direct)"
    display.update(dataclasses.replace(RUNNING, state="verifying", bytes_done=1000))
    assert screen(terminal.getvalue())[-1].endswith("100% (1.0s, 33.8 MB/s, verifying, direct)")
    output.show(DONE, display.finish(DONE))
    assert screen(terminal.getvalue()) == [
        "Sending: w\\u{1b}[2J.pt (1.0kB)",
        f"Transfer: {'█' * 20} 100% (4.2s, 33.8 MB/s)",
        "File delivered (encrypted, verified)",
        "",
    ]


def test_error_in_the_middle_of_a_bar_leaves_no_half_line() -> None:
    terminal, errors = Terminal(), Terminal()
    output = Output(terminal, errors, {})
    TransferDisplay(output).update(RUNNING)
    output.error(TransferFailed("the link broke\x07", hint="again"))
    assert screen(terminal.getvalue())[-1] == ""
    assert errors.getvalue() == "\x1b[1;31merror:\x1b[0m the link broke\\u{7}\nhint: again\n"


def test_prompt_stands_below_an_interrupted_bar() -> None:
    terminal = Terminal()
    output = Output(terminal, Terminal(), {})
    output.interrupted()
    assert terminal.getvalue() == ""
    TransferDisplay(output).update(RUNNING)
    output.interrupted()
    assert screen(terminal.getvalue())[-2].startswith("Transfer: ")
    assert screen(terminal.getvalue())[-1] == ""


def test_empty_file_is_whole_at_once() -> None:
    terminal = Terminal()
    display = TransferDisplay(Output(terminal, Terminal(), {}))
    display.update(dataclasses.replace(RUNNING, bytes=0, bytes_done=0))
    assert "100%" in terminal.getvalue()


@pytest.mark.parametrize("environ", [{"NO_COLOR": ""}, {"TERM": "dumb"}])
def test_plain_terminals(environ: dict[str, str]) -> None:
    terminal = Terminal()
    output = Output(terminal, terminal, environ)
    output.rewrite("never")
    output.error(TransferFailed("x", hint=""))
    assert terminal.getvalue() == "error: x\n"


def test_json_keeps_people_out() -> None:
    out, err = io.StringIO(), io.StringIO()
    output = Output(out, err, {})
    output.json = True
    output.line("for people")
    output.note("for people")
    TransferDisplay(output).update(RUNNING)
    output.show({"name": "charit\u00e9\u202e"}, ["for people"])
    output.error(TransferFailed("x\u202e", hint="y"))
    assert out.getvalue() == '{"name": "charit\\u00e9\\u202e"}\n'
    assert err.getvalue() == '{"error": {"code": "transfer_failed", "message": "x\\u202e", "hint": "y"}}\n'
