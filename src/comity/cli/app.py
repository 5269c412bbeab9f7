"""Where the command line starts and ends: the table of commands, and every error's way to the person who
typed.

Only what all commands need is imported here; ``comity --help`` loads neither cryptography nor the control
types.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from comity import __version__
from comity.cli.commands import Entry, LazyGroup, example_text
from comity.cli.output import Output
from comity.errors import ComityError, InvalidInput

#: What a shell reports of a program that a signal ended: 128 and its number.
INTERRUPTED = 130
NOBODY_READS = 141
#: By which a shell asks how a line can go on.
_COMPLETE = "_COMITY_COMPLETE"

_SECTIONS = {
    "This node": {
        "init": Entry("comity.cli.node:init", "Create this node's identity and join a rendezvous."),
        "up": Entry("comity.cli.node:up", "Start this node."),
        "down": Entry("comity.cli.node:down", "Stop this node."),
        "status": Entry("comity.cli.node:status", "Tell whether this node runs and is registered."),
        "once": Entry("comity.cli.unattended:once", "Come up, drain mailbox and queue, go down."),
        "service": Entry("comity.cli.unattended:service", "Run this node as a systemd service."),
        "metrics": Entry("comity.cli.unattended:metrics", "Print this node's numbers for Prometheus."),
        "force-clock-back": Entry(
            "comity.cli.unattended:force_clock_back", "Turn this node's time back, after a clock was wrong."
        ),
        "info": Entry("comity.cli.about:info", "Show this node's details and what is negotiated with peers."),
        "network": Entry("comity.cli.networks:network", "Take part in several networks."),
        "config": Entry("comity.cli.config:config", "Read and change this node's settings."),
        "identity": Entry(
            "comity.cli.identity:identity", "Back up, restore, rotate or retire this node's key."
        ),
        "card": Entry("comity.cli.about:card", "Print the line that names this node and pins its key."),
        "logs": Entry("comity.cli.about:logs", "Show this node's log."),
        "doctor": Entry("comity.cli.doctor:doctor", "Find out where the way to a partner ends, and why."),
    },
    "Peers": {
        "find": Entry("comity.cli.peers:find", "Look a node up by its name."),
        "peers": Entry("comity.cli.peers:peers", "List trusted peers and public nodes."),
        "ping": Entry("comity.cli.peers:ping", "Measure the way to a trusted peer."),
        "set-tags": Entry("comity.cli.peers:set_tags", "Choose the tags that this node is found by."),
        "set-visibility": Entry("comity.cli.peers:set_visibility", "List this node for others, or not."),
    },
    "Trust": {
        "handshake": Entry("comity.cli.asking:handshake", "Ask a peer for an agreement, and say why."),
        "pending": Entry("comity.cli.answering:pending", "Show the handshakes that wait for your answer."),
        "approve": Entry("comity.cli.answering:approve", "Approve a peer's handshake."),
        "reject": Entry("comity.cli.answering:reject", "Reject a peer's handshake, and say why."),
        "confirm": Entry("comity.cli.answering:confirm", "Record that you compared a peer's fingerprint."),
        "trust": Entry("comity.cli.asking:trust", "List agreements, past and present."),
        "revoke": Entry("comity.cli.asking:revoke", "End an agreement at once (also: untrust)."),
        "agreement": Entry("comity.cli.agreement:agreement", "Export an agreement, or verify one offline."),
    },
    "Charter": {
        "charter": Entry(
            "comity.cli.charter:charter",
            "Write, sign and end agreements that the software enforces.",
        ),
    },
    "Exchange": {
        "send-file": Entry("comity.cli.exchange:send_file", "Send a file to a trusted peer."),
        "sign-artifact": Entry("comity.cli.exchange:sign_artifact", "Stand for a file that others send."),
        "received": Entry("comity.cli.exchange:received", "List the files that arrived, or wait for one."),
        "transfers": Entry("comity.cli.exchange:transfers", "List what is on its way, and what was."),
        "cancel": Entry("comity.cli.exchange:cancel", "End a transfer for good, on both sides."),
    },
    "Events": {
        "publish": Entry("comity.cli.events:publish", "Publish an event to trusted peers."),
        "subscribe": Entry("comity.cli.events:subscribe", "Print the events of trusted peers."),
    },
    "Ports": {
        "expose": Entry("comity.cli.forwarding:expose", "Let a partner reach one port of this machine."),
        "forward": Entry("comity.cli.forwarding:forward", "Reach a port that a partner exposed."),
    },
    "Evidence": {
        "report": Entry("comity.cli.report:report", "Report what happened with a partner, to print."),
        "audit": Entry("comity.cli.audit:audit", "Read the audit log, prove and verify it, export it."),
    },
    "Other programs": {
        "rendezvous": Entry("comity.cli.rendezvous:rendezvous", "Run and administer a rendezvous server."),
        "demo": Entry("comity.cli.programs:demo", "Two hospitals, end to end, on this machine."),
        "completion": Entry("comity.cli.unattended:completion", "Print a shell's completion script."),
        "version": Entry("comity.cli.about:version", "Print the version."),
    },
}

app = LazyGroup(
    "comity",
    help="Institutions share models, not data, under an agreement that the software enforces.",
    epilog=example_text(
        "comity init --hostname lab-a-trainer --join @join.url\n"
        "comity up\n"
        'comity handshake lab-b-trainer "IRB #2026-0142, lung cancer study"'
    ),
    sections=_SECTIONS,
    aliases={"untrust": "revoke"},
)
click.version_option(__version__, prog_name="comity", message="%(prog)s %(version)s")(app)


def main(args: Sequence[str] | None = None, program: click.Group = app) -> int:
    """Run one command; the exit status, as docs/reference/errors.md lists them."""
    arguments = list(sys.argv[1:] if args is None else args)
    output = Output(sys.stdout, sys.stderr, os.environ)
    try:
        status = _run(program, arguments, output)
        output.close()
    except BrokenPipeError:
        _discard_output()
        return NOBODY_READS
    except KeyboardInterrupt:
        output.interrupted()
        return INTERRUPTED
    return status


def _run(program: click.Group, arguments: list[str], output: Output) -> int:
    # Not program.main(), which answers closed pipes and Ctrl-C in its own way.
    if program is app and _COMPLETE in os.environ:
        return _complete(os.environ[_COMPLETE])
    try:
        with program.make_context(program.name, arguments, obj=output) as context:
            program.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except ComityError as error:
        output.error(error)
        return error.exit_status
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        output.json = output.json or "--json" in arguments  # it may stand behind the mistake
        misuse = _misuse(error)
        output.error(misuse)
        return misuse.exit_status
    return 0


def _complete(instruction: str) -> int:
    """Answer a shell that asks how a line can go on."""
    from click.shell_completion import shell_complete

    return shell_complete(app, {}, "comity", _COMPLETE, instruction)


def _misuse(error: click.ClickException) -> InvalidInput:
    """A usage error in our own words' form: lower case, no full stop, one command to try next."""
    text = " ".join(error.format_message().split()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = context.command_path if context else "comity"
    return InvalidInput(text[:1].lower() + text[1:], hint=f"see {where} --help")


def _discard_output() -> None:
    """Let the interpreter flush what nobody reads, as its own documentation advises for SIGPIPE."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
