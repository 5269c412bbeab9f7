"""The control API on its real server and a real Unix socket, over a node in memory."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from comity import errors, limits
from comity.clock import SystemClock
from comity.entropy import PredictableEntropy
from comity.node.api.app import create_app
from comity.node.api.failures import status_of
from comity.node.api.operations import Operations
from comity.node.api.server import ControlServer
from comity.storage.sockets import listen_private
from comity.transport.simulation import Simulation
from tests.doctors import doctor_of
from tests.simulated_nodes import SimulatedNode
from tests.worlds import Town

JSON = {"Content-Type": "application/json"}


@dataclass
class Api:
    """A served node, and what became of it."""

    path: Path
    files: dict[str, int] = field(default_factory=dict)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(
        self, operation: str, body: object = None, *, method: str = "POST", raw: bytes | None = None
    ) -> tuple[int, Any]:
        data = json.dumps(body or {}).encode() if raw is None else raw
        return await asyncio.to_thread(self._ask, method, f"/v1/{operation}", data)

    def _ask(self, method: str, target: str, data: bytes) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = self.connect()
        try:
            connection.request(method, target, data, JSON)
            answer = connection.getresponse()
            text = answer.read().decode()
            lines = [json.loads(line) for line in text.splitlines()]
            return answer.status, lines[0] if len(lines) == 1 else lines
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(str(self.path))
        return sock

    def take(self, token: str) -> int:
        if token not in self.files:
            raise errors.InvalidInput("no such file")
        return self.files.pop(token)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket's path, and open to others where a test wants them to try."""
    with tempfile.TemporaryDirectory(prefix="comity-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
async def api(folder: Path) -> AsyncIterator[Api]:
    town = Town(Simulation(1, SystemClock(), PredictableEntropy(1)))
    node = SimulatedNode(town, "lab-a")
    await node.start()
    served = Api(folder / "control.sock")
    operations = Operations(
        about=node.node.about,
        networks=node.node.networks,
        directory=node.node.directory,
        doctor=doctor_of(node),
        trust=node.node.trust,
        charters=node.node.charters,
        exchange=node.node.exchange,
        events=node.node.events,
        forwarding=node.node.forwarding,
        audit=node.node.evidence.desk,
        reports=node.node.evidence.reports,
        take_file=served.take,
        log_lines=lambda count: ("one", "two")[-count:],
        stop=served.stopped.set,
    )
    server = ControlServer(create_app(operations), listen_private(served.path))
    running = asyncio.create_task(server.run_until_stopped())
    yield served
    server.stop()
    await running
    await node.stop()
    node.db.close()


async def test_operations_answer_with_control_types(api: Api) -> None:
    status, body = await api.ask("status")
    assert status == 200
    assert (body["running"], body["hostname"], body["rendezvous_state"]) == (True, "lab-a", "registered")
    assert (await api.ask("trust"))[1] == {"trusted": [], "ended": [], "outgoing": []}
    assert (await api.ask("logs", {"lines": 1}))[1] == {"lines": ["two"]}
    assert (await api.ask("received"))[1] == {"files": [], "arrivals": 0}
    assert (await api.ask("audit-verify"))[1]["valid"]
    assert (await api.ask("info"))[1]["rendezvous_link"]["group"] == "X25519MLKEM768"
    assert (await api.ask("doctor", {"peer": ""}))[1]["status"] == "ok"
    assert (await api.ask("doctor", {"peer": "nobody"}))[1]["hops"][-1]["status"] == "failed"
    assert (await api.ask("set-tags", {"tags": ["lung"]}))[1]["tags"] == ["lung"]


async def test_stop(api: Api) -> None:
    assert await api.ask("stop") == (200, {"stopping": True})
    assert api.stopped.is_set()


@pytest.mark.parametrize(
    ("operation", "body", "status", "code"),
    [
        ("ping", {"peer": "nobody"}, 404, "unknown_peer"),
        ("find", {"name": "not a name!"}, 400, "invalid_input"),
        ("find", {}, 400, "invalid_input"),
        ("find", {"name": 7}, 400, "invalid_input"),
        ("approve", {"peer": "lab-b"}, 404, "unknown_peer"),
        ("send-file", {"peer": "lab-b", "name": "m", "file": "0" * 32}, 400, "invalid_input"),
        ("no-such-thing", {}, 404, "invalid_input"),
        ("find", {"name": "x" * limits.API_BODY_BYTES}, 413, "too_large"),
    ],
)
async def test_errors_have_one_form(
    api: Api, operation: str, body: dict[str, object], status: int, code: str
) -> None:
    found, answer = await api.ask(operation, body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert set(answer["error"]) == {"code", "message", "hint", "exit_status"}


async def test_nonsense_has_that_form_too(api: Api) -> None:
    for raw in (b"", b"not json", b"[]", b"\xff", b'{"name":'):
        status, answer = await api.ask("find", raw=raw)
        assert (status, answer["error"]["code"]) == (400, "invalid_input")
    status, answer = await api.ask("status", method="GET")
    assert (status, answer["error"]["code"]) == (405, "invalid_input")


async def test_a_long_operation_answers_in_lines_and_closes_the_file(api: Api, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    api.files["f" * 32] = descriptor = os.open(tmp_path / "model", os.O_RDONLY)
    request = {"peer": "lab-b", "name": "model", "file": "f" * 32}
    status, body = await api.ask("send-file", request)
    assert (status, body["error"]["code"]) == (200, "unknown_peer")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


async def test_openapi_names_every_operation(api: Api) -> None:
    status, schema = await api.ask("openapi.json", method="GET")
    assert status == 200
    assert {path.removeprefix("/v1/") for path in schema["paths"]} == {
        *("status", "doctor", "info", "logs", "stop"),
        *("network-list", "network-join", "network-leave"),
        *("find", "peers", "ping", "set-tags", "set-visibility"),
        *("handshake", "pending", "approve", "reject", "confirm", "trust", "revoke", "agreement-export"),
        *("charter-propose", "charter-read", "charter-sign", "charter-status", "charter-end"),
        *("charter-attest", "charter-suspend", "charter-lift", "charter-explain"),
        *("handshake", "pending", "approve", "reject", "confirm", "trust", "revoke", "retire"),
        "agreement-export",
        *("expose", "unexpose", "exposures", "forward", "forwards", "end-forward", "stream"),
        *(
            "send-file",
            "sign-artifact",
            "received",
            "publish",
            "subscribe",
            "acknowledge",
            "transfers",
            "cancel",
            "queue-file",
            "watch-transfers",
            "audit-log",
            "audit-verify",
            "audit-witnesses",
            "audit-prove",
            "audit-redact",
            "audit-export",
            "audit-checkpoint",
            "report",
        ),
    }
    assert "SendResult" not in schema["components"]["schemas"]  # it comes in lines, which OpenAPI can't say
    assert "HandshakeResult" in schema["components"]["schemas"]


async def test_another_user_is_cut_off_before_a_byte_is_read(api: Api) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    api.path.chmod(0o666)
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534);"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'POST /v1/stop HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\n\\r\\n');"
        "print(s.recv(100))"
    )
    child = await asyncio.create_subprocess_exec(
        "python3", "-c", program, str(api.path), stdout=-1, stderr=-1, env={"PATH": os.environ["PATH"]}
    )
    out, err = await child.communicate()
    assert out.strip() == b"b''" or b"ConnectionResetError" in err or b"BrokenPipeError" in err
    assert not api.stopped.is_set()


def test_every_error_has_a_status() -> None:
    for cls in errors.all_errors():
        assert 400 <= status_of(cls("x")) < 600
    assert status_of(errors.LinkLost("x")) == 503
    assert status_of(errors.InvalidCard("x")) == 400
    assert status_of(errors.LocalProtocolError("x")) == 500
