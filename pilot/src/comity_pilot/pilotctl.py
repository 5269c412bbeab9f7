"""``pilotctl``: Pilot's commands. What is not in the table below is Comity's command of that name."""

from __future__ import annotations

import os
import sys

import click

from comity.cli import app
from comity.cli.commands import Entry, LazyGroup, example_text
from comity.errors import NotInitialised, NotRunning
from comity_pilot import __version__

_SECTIONS = {
    "This node": {
        "init": Entry("comity_pilot.node:init", "Choose this node's name."),
        "daemon": Entry("comity_pilot.node:daemon", "Start and stop this node."),
        "set-tags": Entry("comity_pilot.node:set_tags", "Choose the tags that this node is found by."),
        "set-visibility": Entry("comity_pilot.node:set_visibility", "List this node for others, or not."),
    },
    "Trust": {
        "handshake": Entry("comity_pilot.trust:handshake", "Ask a peer for an agreement, and say why."),
        "pending": Entry("comity_pilot.trust:pending", "Show who waits for your answer."),
        "approve": Entry("comity_pilot.trust:approve", "Trust a peer that asked."),
        "untrust": Entry("comity_pilot.trust:untrust", "End trust at once."),
    },
    "Exchange": {
        "send-file": Entry("comity_pilot.exchange:send_file", "Send a file to a trusted peer."),
        "publish": Entry("comity_pilot.events:publish", "Publish an event to trusted peers."),
        "subscribe": Entry("comity_pilot.events:subscribe", "Wait for an event of trusted peers."),
    },
}


class _Pilot(LazyGroup):
    """Pilot's commands, and behind them Comity's."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or app.app.get_command(ctx, cmd_name)


pilotctl = _Pilot(
    "pilotctl",
    help="Pilot's commands on Comity. Commands that are not listed are those of comity.",
    epilog=example_text(
        "pilotctl init --hostname lab-a-trainer\npilotctl daemon start --registry rendezvous.example.org:9000"
    ),
    sections=_SECTIONS,
    aliases={},
)
click.version_option(__version__, prog_name="pilotctl", message="%(prog)s %(version)s")(pilotctl)


def main() -> int:
    """Run one command; the exit status is Comity's."""
    os.environ.setdefault("PYTHONUTF8", "1")  # for what is started from here: names of peers name folders
    # What to try next, in the words of this program:
    NotInitialised.default_hint = "run pilotctl init --hostname NAME"
    NotRunning.default_hint = "run pilotctl daemon start --registry HOST:PORT"
    return app.main(program=pilotctl)


if __name__ == "__main__":
    sys.exit(main())
