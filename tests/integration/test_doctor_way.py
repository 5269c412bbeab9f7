"""The doctor without a node, on the way to a real rendezvous that each test blocks in another place."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from comity.control import DoctorHop, DoctorResult
from comity.errors import InvalidJoinUrl, NotInitialised
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.sdk.doctor import examine
from tests.authority import Authority
from tests.connect_proxy import ConnectProxy
from tests.gateways import Gateway
from tests.rendezvous.server import ShiftedClock, serving

OTHER = Fingerprint.parse("ab" * 32)


async def examined(join: JoinUrl, **environ: str) -> DoctorResult:
    return await asyncio.to_thread(examine, join=str(join), environ=environ)


def only_failure(result: DoctorResult) -> DoctorHop:
    (failed,) = [hop for hop in result.hops if hop.status == "failed"]
    assert result.status == "failed"
    assert failed.advice
    return failed


def found(result: DoctorResult, name: str) -> DoctorHop:
    (hop,) = [hop for hop in result.hops if hop.name == name]
    return hop


@contextmanager
def blackhole() -> Iterator[int]:
    """A port on loopback that answers nothing: its queue is full, so that the kernel drops every SYN."""
    with ExitStack() as kept:
        listener = kept.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filling = kept.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_an_open_way(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        result = await examined(join)
        assert result.status == "ok"
        assert {hop.name for hop in result.hops if hop.status == "skipped"} == {"node", "registration"}
        assert "keeps ports" in found(result, "mapping").detail
        assert "the relay answers" in found(result, "relay").detail


async def test_a_closed_port() -> None:
    hop = only_failure(await examined(JoinUrl("127.0.0.1", 1, fingerprint=OTHER)))
    assert (hop.name, "connection refused" in hop.detail) == ("tcp", True)
    assert "outbound TCP from this machine to 127.0.0.1, port 1." in hop.ask


async def test_a_name_that_nobody_knows() -> None:
    hop = only_failure(await examined(JoinUrl("rendezvous.localhost.invalid", 443, fingerprint=OTHER)))
    assert (hop.name, "cannot be resolved" in hop.detail) == ("name", True)
    assert "rendezvous.localhost.invalid" in hop.ask


async def test_a_firewall_that_drops() -> None:
    with blackhole() as port:
        hop = only_failure(await examined(JoinUrl("127.0.0.1", port, fingerprint=OTHER)))
    assert hop.name == "tcp"
    assert "no answer in time (something on the way drops it)" in hop.detail


async def test_another_rendezvous(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        hop = only_failure(await examined(replace(join, fingerprint=OTHER)))
    assert (hop.name, "holds the key" in hop.detail) == ("fingerprint", True)
    assert "do not go on" in hop.advice


@pytest.mark.parametrize(("hours", "way"), [(1, "behind"), (-1, "ahead of")])
async def test_a_clock_that_is_wrong(tmp_path: Path, hours: int, way: str) -> None:
    async with serving(tmp_path / "state", ShiftedClock(hours * 3600)) as join:
        hop = only_failure(await examined(join))
    assert hop.name == "clock"
    assert f"60 minutes {way} the rendezvous's" in hop.detail


async def test_a_box_that_inspects_is_named_and_gets_nothing(tmp_path: Path) -> None:
    box = Authority("Hospital Inspection", tmp_path / "box")
    async with serving(tmp_path / "state") as join:
        with Gateway(box.context("127.0.0.1"), join.port) as inspecting:
            inspected = replace(join, port=inspecting.port)
            result = await examined(inspected)
            assert result.status == "warning"
            hop = found(result, "inspection")
            assert "for 127.0.0.1 by Hospital Inspection, which this machine does not trust" in hop.detail
            assert found(result, "fingerprint").status == found(result, "relay").status == "ok"
            assert "behind a web server" in found(result, "mapping").detail

            trusting = await examined(inspected, COMITY_CA_BUNDLE=str(box.bundle))
            assert found(trusting, "inspection").status == "ok"

            inspecting.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
            hop = only_failure(await examined(inspected))
            assert (hop.name, "it answers 403 Forbidden" in hop.detail) == ("inspection", True)
            assert "exempt 127.0.0.1" in hop.ask

            inspecting.answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
            hop = only_failure(await examined(inspected))
            assert "whether it runs behind its web server" in hop.advice

            inspecting.answer = None
            wrong = replace(inspected, fingerprint=OTHER)
            assert only_failure(await examined(wrong)).name == "fingerprint"


async def test_proxies(tmp_path: Path) -> None:
    async with serving(tmp_path / "state") as join:
        outside = JoinUrl("rendezvous.test", 443, fingerprint=join.fingerprint)
        with ConnectProxy(names={"rendezvous.test:443": join.port}) as proxy:
            result = await examined(outside, HTTPS_PROXY=proxy.url)
            assert result.status == "ok"
            assert f"{proxy.url} (said by HTTPS_PROXY) lets" in found(result, "proxy").detail
            assert "only the proxy gets out" in found(result, "mapping").detail

            proxy.login = "ana:Trommelfell-7"
            hop = only_failure(await examined(outside, HTTPS_PROXY=proxy.url))
            assert (hop.name, "wants a user name" in hop.detail) == ("proxy", True)
            with_wrong = proxy.url.replace("://", "://ana:wrong@")
            hop = only_failure(await examined(outside, HTTPS_PROXY=with_wrong))
            assert "refuses the user name or the password" in hop.detail
            assert "wrong" not in str(hop)

            proxy.schemes = ("Negotiate", "NTLM")
            hop = only_failure(await examined(outside, COMITY_PROXY=proxy.url))
            assert "wants Negotiate (Kerberos) or NTLM, which comity does not speak" in hop.detail
            assert "(said by COMITY_PROXY)" in hop.detail
            assert "cntlm" in hop.advice
            assert "exempt rendezvous.test:443 from the proxy's login" in hop.ask

            proxy.login, proxy.answer = None, b"HTTP/1.1 403 Not on the list\r\n\r\n"
            hop = only_failure(await examined(outside, COMITY_PROXY=proxy.url))
            assert "it says 403 Not on the list" in hop.detail
            assert "CONNECT to rendezvous.test:443" in hop.ask

            proxy.answer, proxy.silent = None, True
            hop = only_failure(await examined(outside, COMITY_PROXY=proxy.url))
            assert "gave no answer within" in hop.detail
        hop = only_failure(await examined(outside, COMITY_PROXY="http://127.0.0.1:1"))
        assert (hop.name, "the proxy http://127.0.0.1:1 takes no connection" in hop.detail) == ("tcp", True)


async def test_a_server_that_says_nothing() -> None:
    """Something takes the connection, and then nothing comes: neither TLS nor HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        hop = only_failure(await examined(JoinUrl("127.0.0.1", port, fingerprint=OTHER)))
    assert (hop.name, "are cut as soon as TLS begins" in hop.detail) == ("inspection", True)


def test_nothing_to_examine(tmp_path: Path) -> None:
    with pytest.raises(NotInitialised) as refused:
        examine(environ={"COMITY_HOME": str(tmp_path / "none")})
    assert "--join" in refused.value.hint
    with pytest.raises(InvalidJoinUrl):
        examine(join="nonsense", environ={})
