"""A rendezvous is watched: health, readiness and metrics over HTTP and by command, hostile requests, quotas
that hold, an admin log that shows when it was changed, and a clock that was once far ahead.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from comity import limits
from comity.control import rendezvous as control
from comity.errors import AlreadyRunning, InvalidInput, NotRunning
from comity.identity.card import JoinUrl
from comity.protocol.registry import (
    AskRelay,
    Failure,
    Find,
    Found,
    Post,
    Posted,
    RelayOffer,
    Resolve,
    Resolved,
    Ticket,
)
from comity.rendezvous.options import parse_listen, parse_monitor
from comity.sdk import rendezvous as server
from tests.labs import COMITY
from tests.rendezvous.client import Client, Refusal, dial, registered, relay_ready, relay_side
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.program import LOOPBACK, Program, running
from tests.rendezvous.server import ShiftedClock, serving

DAY = 86_400


def node(join: JoinUrl, hostname: str, network: int = 1, invitation: str | None = None) -> Registrant:
    return Registrant(join.fingerprint, hostname=hostname, network=network, invitation=invitation)


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def run(*arguments: str) -> Ran:
    """One command, in a process of its own."""
    done = subprocess.run([*COMITY, *arguments], capture_output=True, text=True, timeout=100, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


async def http(port: int, request: bytes) -> bytes:
    """What is answered until the server ends the connection; nothing where it cuts it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def get(port: int, path: str, *headers: str) -> tuple[int, str]:
    lines = (f"GET {path} HTTP/1.1", *(headers or (f"Host: 127.0.0.1:{port}",)), "", "")
    head, _, body = (await http(port, "\r\n".join(lines).encode())).partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def monitoring(program: Program) -> int:
    (line,) = [line for line in program.log if " monitoring " in line]
    return int(line.rpartition(":")[2])


async def post(sender: Client, recipient: Client, number: int, size: int = 100) -> bool:
    request = Post(
        id=next(sender.numbers),
        recipient=recipient.who.identity.public.hex,
        message_id=number.to_bytes(16).hex(),
        blob=b"x" * size,
        keep=True,
    )
    return (await sender.ask(request, Posted)).delivered


async def found_any(asker: Client) -> bool:
    """Whether a look-up is answered."""
    await asker.send(Find(id=next(asker.numbers)))
    answer = await asker.hear()
    assert isinstance(answer, Found) or (isinstance(answer, Failure) and answer.code == "rate_limited")
    return isinstance(answer, Found)


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and label values; promtool's own parser is as strict."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_health_and_metrics(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with running(state, *LOOPBACK, "--monitor", "127.0.0.1:0") as (program, join):
        port = monitoring(program)
        assert await get(port, "/healthz") == (200, "ok\n")
        status, body = await get(port, "/readyz")
        assert (status, json.loads(body)["ready"]) == (200, True)
        async with registered(join, node(join, "lab-a")) as a, registered(join, node(join, "lab-b")) as b:
            await a.ask(Resolve(id=next(a.numbers), hostname="lab-b"), Resolved)
            with pytest.raises(Refusal, match="unknown_peer"):
                await a.ask(Resolve(id=next(a.numbers), hostname="lab-z"), Resolved)
            await post(a, b, 1)
            status, text = await get(port, "/metrics")
            assert status == 200
            found = samples(text)
            assert found["comity_rendezvous_ready",] == 1
            assert found["comity_rendezvous_nodes", "default", "online"] == 2
            assert found["comity_rendezvous_connections", "node"] == 2
            assert found["comity_rendezvous_mail_letters", "default"] == 1
            assert found["comity_rendezvous_mail_bytes", "default"] == 100
            assert found["comity_rendezvous_resolve_seconds_count",] == 2
            assert found["comity_rendezvous_resolve_seconds_bucket", "+Inf"] == 2
            assert found["comity_rendezvous_refusals_total", "unknown_peer"] == 1
            assert ("comity_rendezvous_backup_age_seconds",) not in found
            for secret in ("lab-a", "lab-b", a.who.identity.public.hex, str(join.fingerprint)):
                assert secret not in text
        # The same by command, also for who has no HTTP; and the age of the backup.
        (tmp_path / "passphrase").write_text("correct horse\n")
        (tmp_path / "passphrase").chmod(0o600)
        await asyncio.to_thread(server.backup, tmp_path / "r.backup", "correct horse", state)
        asked = await asyncio.to_thread(server.status, state)
        assert (asked.running, asked.ready, asked.networks[0].nodes) == (True, True, 2)
        assert asked.backup_age_seconds is not None
        assert ("comity_rendezvous_backup_age_seconds",) in samples((await get(port, "/metrics"))[1])
        shown = await asyncio.to_thread(run, "rendezvous", "status", "--check", "--state", str(state))
        assert (shown.status, shown.out[:27]) == (0, "The rendezvous is ready: ve"), shown
        # Not for other machines, nor for a page in a browser on this one; nothing else is understood.
        assert (await get(port, "/metrics", "Host: evil.example"))[0] == 403
        assert (await get(port, "/metrics", f"Host: localhost:{port}", "Origin: http://evil.example"))[
            0
        ] == 403
        assert (await get(port, "/"))[0] == 404
        assert (await http(port, b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"))[
            9:12
        ] == b"405"
        assert b"HTTP/1.1 4" in await http(port, b"\x16\x03\x01 no http\r\n\r\n")
        assert b"HTTP/1.1 431" in await http(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
        head = await http(port, b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert head.endswith(b"\r\n\r\n")
        # Those who say nothing take the few places that there are, for a while, and nobody else's.
        places = range(limits.MONITOR_CONNECTIONS)
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in places]
        assert await http(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
        async with registered(join, node(join, "lab-c")):
            pass
        for _, writer in silent:
            writer.close()
        assert await program.end() == 0
    stopped = await asyncio.to_thread(run, "--json", "rendezvous", "status", "--state", str(state))
    assert json.loads(stopped.out)["running"] is False
    checked = await asyncio.to_thread(run, "rendezvous", "status", "--check", "--state", str(state))
    assert checked.status == NotRunning.exit_status


def test_only_this_machine_is_served_unless_asked(tmp_path: Path) -> None:
    assert parse_monitor(f"unix:{tmp_path}/m.sock", False) == tmp_path / "m.sock"
    for place in ("0.0.0.0:9465", ":9465", "192.0.2.1:9465", "example.org:9465"):
        with pytest.raises(InvalidInput, match="other machines"):
            parse_monitor(place, False)
        assert parse_monitor(place, True) == parse_listen(place)


async def test_quotas_hold_for_each_node_alone(tmp_path: Path) -> None:
    """One node uses up its own share and nobody else's; the operator sees who."""
    state = tmp_path / "state"
    async with serving(state) as join:

        async def change(**quotas: int) -> None:
            request = control.NetworkChangeRequest("default", quotas=quotas)
            await asyncio.to_thread(server.change_network, request, state)

        async with (
            registered(join, node(join, "lab-a")) as a,
            registered(join, node(join, "lab-b")) as b,
            registered(join, node(join, "lab-c")) as c,
        ):
            await change(node_sent=2, node_lookups=2)
            for number in (1, 2):
                await post(a, c, number)
            with pytest.raises(Refusal, match="quota_exceeded: too many messages of this node wait"):
                await post(a, c, 3)
            await post(b, c, 4)
            await change(node_sent=10, node_sent_bytes=limits.MAIL_BYTES)
            with pytest.raises(Refusal, match=r"quota_exceeded: .*node-sent-bytes"):
                await post(a, b, 5, limits.MAIL_BYTES)
            await change(node_sent_bytes=2 * limits.MAIL_BYTES, node_mail=3)
            with pytest.raises(Refusal, match="mailbox_full: the recipient's mailbox is full"):
                await post(b, c, 6)
            await a.ask(Find(id=next(a.numbers)), Found)
            assert not all([await found_any(a) for _ in range(4)])  # two a minute, with some slack
            await b.ask(Find(id=next(b.numbers)), Found)
            # As many as are online are the most: who is here stays, and can come back.
            await change(online=3)
            with pytest.raises(Refusal, match="quota_exceeded: as many nodes of this network are online"):
                async with registered(join, node(join, "lab-d")):
                    pass
            found = await asyncio.to_thread(server.nodes, "", state)
            assert [(each.hostname, each.mail, each.sent) for each in found.nodes] == [
                ("lab-a", 0, 2),
                ("lab-b", 0, 1),
                ("lab-c", 3, 0),
            ]
        (view,) = (await asyncio.to_thread(server.networks, state)).networks
        assert (view.quotas["online"], view.quotas["node_mail"]) == (3, 3)
        with pytest.raises(InvalidInput, match="the quota node-lanes is 1 to 64"):
            await change(node_lanes=65)


async def test_relay_quotas(tmp_path: Path) -> None:
    """Bytes a day count for who sends them; lanes of who has used them up end, also after a restart."""
    state = tmp_path / "state"

    async def lane(a: Client, b: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ours = await a.ask(
            AskRelay(id=next(a.numbers), peer=b.who.identity.public.hex, call="00" * 16), Ticket
        )
        theirs = await b.push(RelayOffer)
        first, second = await relay_side(join, ours.ticket), await relay_side(join, theirs.ticket)
        await relay_ready(first[0])
        await relay_ready(second[0])
        writers.extend((first[1], second[1]))
        return second[0], first[1]

    writers: list[asyncio.StreamWriter] = []
    async with serving(state) as join:
        sender, receiver = node(join, "lab-a"), node(join, "lab-b")
        request = control.NetworkChangeRequest(
            "default", quotas={"node_relay_day": 1_000_000, "node_relay_rate": 500_000}
        )
        await asyncio.to_thread(server.change_network, request, state)
        async with registered(join, sender) as a, registered(join, receiver) as b:
            reader, writer = await lane(a, b)
            began = time.monotonic()
            writer.write(b"x" * 900_000)
            async with asyncio.timeout(60):
                assert len(await reader.readexactly(900_000)) == 900_000
            assert time.monotonic() - began > 1.0  # 900 kB at 500 kB/s, less what may go at once
            writer.write(b"x" * 200_000)
            async with asyncio.timeout(60):
                while await reader.read(65536):
                    pass
            with pytest.raises(Refusal, match="quota_exceeded: this node has sent as much through the relay"):
                await lane(a, b)
    async with serving(state) as join:
        async with registered(join, sender) as a, registered(join, receiver) as b:
            with pytest.raises(Refusal, match="quota_exceeded"):
                await lane(a, b)
        found = await asyncio.to_thread(server.nodes, "", state)
        assert [each.relayed_today > 1_000_000 for each in found.nodes] == [True, False]
    for each in writers:
        each.close()


def test_the_admin_log_shows_that_it_was_changed(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def live() -> None:
        async with serving(state):
            pass

    asyncio.run(live())
    for name in ("one", "two"):
        server.create_network(control.NetworkCreateRequest(name), state)
    noted = server.admin_log(control.AdminLogRequest(), state).head
    server.rotate_key(state)
    result = server.admin_log(control.AdminLogRequest(verify=True, head=noted), state)
    assert (result.valid, [act.act for act in result.acts]) == (
        True,
        ["network created", "network created", "key rotation begun", "key rotated"],
    )
    database = sqlite3.connect(state / "rendezvous.db")
    database.execute("UPDATE acts SET who = 'uid 12345' WHERE id = 1")
    database.commit()
    refused = run("--json", "rendezvous", "admin-log", "--verify", "--state", str(state))
    assert refused.status == 50, refused
    assert json.loads(refused.err)["error"]["code"] == "audit_invalid"
    # Who rewrites the tree as well is found by a head that was noted before.
    database.execute("DELETE FROM act_tree")
    database.commit()
    database.close()
    server.create_network(control.NetworkCreateRequest("three"), state)
    assert server.admin_log(control.AdminLogRequest(verify=True), state).valid
    assert not server.admin_log(control.AdminLogRequest(head=noted), state).valid


async def test_a_clock_that_was_far_ahead(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with serving(state) as join:
        url = await asyncio.to_thread(server.invite, control.InviteCreateRequest("1", 1, 7 * DAY), state)
    async with serving(state, ShiftedClock(400 * DAY)) as join:
        client = node(join, "lab-a")
        ahead = ShiftedClock(400 * DAY)
        connection = await dial(join, client, ahead)
        await connection.open()
        await connection.register()
        connection.channel.abort()
    async with serving(state):
        status = await asyncio.to_thread(server.status, state)
        (clock,) = [check for check in status.checks if check.name == "clock"]
        assert (status.ready, clock.ok) == (False, False)
        with pytest.raises(AlreadyRunning):
            await asyncio.to_thread(server.force_clock_back, state)
    word = "--what-had-expired-may-count-again"
    assert (await asyncio.to_thread(run, "rendezvous", "force-clock-back", "--state", str(state))).status == 2
    done = await asyncio.to_thread(run, "rendezvous", "force-clock-back", word, "--state", str(state))
    assert (done.status, "Invitations ended: 1" in done.out) == (0, True), done
    async with serving(state):
        assert (await asyncio.to_thread(server.status, state)).ready
        (left,) = (await asyncio.to_thread(server.invitations, "1", state)).invitations
        assert (left.id, left.state) == (url.id, "revoked")
        log = await asyncio.to_thread(server.admin_log, control.AdminLogRequest(verify=True), state)
        assert (log.valid, log.acts[-1].act) == (True, "clock forced back")
    again = await asyncio.to_thread(run, "rendezvous", "force-clock-back", word, "--state", str(state))
    assert again.status == 2
