"""Files: send-file, sign-artifact, received, transfers, cancel."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from comity import limits
from comity.cli import files, wording
from comity.cli.commands import command, rate, seconds
from comity.cli.output import Output, table
from comity.cli.progress import TransferDisplay, WatchDisplay
from comity.control import (
    CancelResult,
    QueueResult,
    ReceivedRequest,
    ReceivedResult,
    Transfer,
    TransfersResult,
)
from comity.errors import FileUnusable, InvalidInput
from comity.sdk import exchange as sdk
from comity.sdk.client import Client


@command("send-file", example="comity send-file lab-b-trainer /models/round-3-weights.safetensors")
@click.argument("peer")
@click.argument("path", type=click.Path())
@click.option("--limit", type=rate, metavar="RATE", help="Send at most so much a second, such as 50MB/s.")
@click.option("--queue", is_flag=True, help="Return at once; it is sent when the peer is there.")
@click.option("--signature", metavar="FILE", help="Who stands for it, where a charter wants another than us.")
@click.pass_obj
def send_file(
    output: Output, peer: str, path: str, limit: int | None, queue: bool, signature: str | None
) -> None:
    """Send the file or folder at PATH to a trusted PEER, and return once its signed receipt is here."""
    if queue:
        if signature is not None:
            raise InvalidInput("--signature goes with a file that is sent now", hint="leave --queue out")
        waiting = sdk.queue_file(Client(), peer, path, limit=limit)
        output.show(waiting, _queued(waiting))
        return
    display = TransferDisplay(output)
    signed = None if signature is None else _signature(signature)
    result = sdk.send_file(Client(), peer, path, display.update, limit=limit, signature=signed)
    output.show(result, display.finish(result))


@command("sign-artifact", example="comity sign-artifact model-x.safetensors --out model-x.signature.json")
@click.argument("path", type=click.Path())
@click.option("--out", metavar="FILE", required=True, help="Where the signature goes: a new file.")
@click.pass_obj
def sign_artifact(output: Output, path: str, out: str) -> None:
    """Stand for the file at PATH with this node's key, so that others may send it where you must have signed.

    A charter names approved signers of an asset. Give the signature to the party that sends the file.
    """
    result = sdk.sign_artifact(Client(), path)
    files.write_new(out, result.signature + "\n")
    lines = (
        f"Signature of {os.path.basename(path)} written to {out}",
        f"  Digest: {result.digest}",
        f"  Signed by: {result.fingerprint}",
        f"The sender runs: comity send-file PEER PATH --signature {os.path.basename(out)}",
    )
    output.show(result, lines)


def _signature(file: str) -> str:
    try:
        return files.read(file, limits.ARTIFACT_SIGNATURE_BYTES).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise FileUnusable(f"{file} is no signature", hint="run comity sign-artifact") from error


@command("received", example="comity received --wait round-3-weights.safetensors --timeout 600")
@click.option("--wait", metavar="NAME", help="Wait until a file that was sent under this name is there.")
@click.option(
    "--timeout",
    type=seconds,
    default=limits.RECEIVED_WAIT_SECONDS,
    show_default=True,
    metavar="S",
    help="How many seconds --wait waits.",
)
@click.option("--from", "peer", metavar="PEER", help="Only files from this peer.")
@click.pass_obj
def received(output: Output, wait: str | None, timeout: float, peer: str | None) -> None:
    """List the files that arrived, whole and verified, or wait for one."""
    request = ReceivedRequest(wait=wait, timeout=0.0 if wait is None else timeout, peer=peer)
    result = sdk.received(Client(), request)
    output.show(result, _arrived(result))


@command("transfers", example="comity transfers --watch")
@click.option("--watch", is_flag=True, help="Show what runs, whoever began it, until Ctrl-C.")
@click.pass_obj
def transfers(output: Output, watch: bool) -> None:
    """List what is on its way, and what was."""
    if watch:
        display = WatchDisplay(output)
        for progress in sdk.watch(Client()):
            display.update(progress)
        return
    result = sdk.transfers(Client())
    output.show(result, _moving(result))


@command("cancel", example="comity cancel 5e0c41d2")
@click.argument("transfer", metavar="ID")
@click.pass_obj
def cancel(output: Output, transfer: str) -> None:
    """End a transfer for good, whichever side began it; ID is one that comity transfers shows.

    The other side is told now, or when it next appears. What had arrived of it is removed there or here.
    """
    result = sdk.cancel(Client(), transfer)
    output.show(result, _cancelled(result))


def _queued(result: QueueResult) -> Iterator[str]:
    before = result.position - 1
    behind = f", after {before} other{'s' * (before != 1)}" if before else ""
    yield f"Queued: {result.name} ({wording.size(result.bytes)})"
    yield f"It is sent when {result.to} is there{behind}. See: comity transfers"


def _cancelled(result: CancelResult) -> Iterator[str]:
    way = "to" if result.direction == "out" else "from"
    yield f"Cancelled: {result.name} {way} {result.peer}"
    if not result.told:
        yield f"{result.peer} cannot be reached now, and will be told when it next appears"


def _arrived(result: ReceivedResult) -> Iterator[str]:
    if not result.files:
        yield "Nothing has arrived yet."
        return
    rows = [
        (file.name, wording.size(file.bytes), file.from_, wording.moment(file.received_at), file.path)
        for file in result.files
    ]
    yield from table(("NAME", "SIZE", "FROM", "RECEIVED", "PATH"), rows)
    for note in dict.fromkeys(f"{file.name} {file.note}" for file in result.files if file.note):
        yield f"Note: {note}"


def _moving(result: TransfersResult) -> list[str]:
    if not result.transfers:
        return ["No transfers yet."]
    rows = [
        (
            transfer.transfer[:8],
            "to" if transfer.direction == "out" else "from",
            transfer.peer,
            transfer.name,
            wording.size(transfer.bytes),
            _state(transfer),
            transfer.path or "-",
            wording.moment(transfer.started_at),
        )
        for transfer in result.transfers
    ]
    return table(("ID", "", "PEER", "NAME", "SIZE", "STATE", "PATH", "STARTED"), rows)


def _state(transfer: Transfer) -> str:
    if transfer.state == "running":
        words = [f"{100 * transfer.bytes_done // max(transfer.bytes, 1)}%"]
        if transfer.mb_per_s is not None:
            words.append(f"{transfer.mb_per_s:.1f} MB/s")
        if transfer.remaining is not None:
            words.append(f"{wording.span(transfer.remaining)} left")
        return ", ".join(words)
    return f"{transfer.state}: {transfer.problem}" if transfer.problem else transfer.state
