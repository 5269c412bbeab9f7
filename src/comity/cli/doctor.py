"""Where a person could be stuck on the way to a partner: doctor."""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity.cli.commands import command
from comity.cli.files import join_text
from comity.cli.output import Output
from comity.control import DoctorHop, DoctorResult
from comity.sdk import doctor as sdk

#: The exit status where a hop failed, so that the way does not lead there.
FAILED = 3


@command("doctor", example="comity doctor\ncomity doctor lab-b-trainer\ncomity doctor --join @join.url")
@click.argument("peer", default="")
@click.option("--join", default="", metavar="URL", help="Examine the way to this rendezvous instead; no node")
@click.pass_obj
def doctor(output: Output, peer: str, join: str) -> None:
    """Find out where the way to the rendezvous, and to PEER, ends, and what to do about it.

    It goes hop by hop and stops at the first cause. What to ask the IT department for is printed in words
    that can be sent as they are. Exits with 3 where a hop failed.
    """
    if output.live:
        output.rewrite("Trying each hop...")
    result = sdk.examine(peer, join=join_text(join) if join else "")
    if output.json:
        output.event(result)
    else:
        _print(output, result)
    if result.status == "failed":
        click.get_current_context().exit(FAILED)


def _print(output: Output, result: DoctorResult) -> None:
    shown = [hop for hop in result.hops if not hop.detail.startswith("not checked, as")]
    columns = max(len(hop.name) for hop in shown)
    for hop in shown:
        output.finding(hop.status, hop.name.ljust(columns), hop.detail, list(_below(hop)))
    left = [hop.name for hop in result.hops if hop not in shown]
    output.line()
    for line in _summary(result, left):
        output.line(line)


def _below(hop: DoctorHop) -> Iterator[tuple[str, str]]:
    if hop.advice:
        yield "try", hop.advice
    if hop.ask:
        yield "ask IT", f'"{hop.ask}"'


def _summary(result: DoctorResult, left: list[str]) -> Iterator[str]:
    failed = [hop.name for hop in result.hops if hop.status == "failed"]
    if failed:
        yield f"It ends at: {', '.join(failed)}."
        if left:
            yield f"Not checked because of that: {', '.join(left)}."
    elif result.hops[0].status == "warning":
        yield "The way is open, and the node is not running."
    elif result.status == "warning":
        yield "It works, and could be better where a mark says so."
    else:
        yield "Everything that was checked works."
