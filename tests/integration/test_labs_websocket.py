"""Real labs and a rendezvous of which only a web server, or an inspecting box, is to be seen."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from comity.identity.card import JoinUrl
from tests.authority import Authority
from tests.connect_proxy import ConnectProxy
from tests.gateways import Gateway, nginx, nginx_missing
from tests.labs import Lab, eventually
from tests.region import MIB, Region, agree, region

NAME = "rendezvous.test:443"


@pytest.fixture
def here() -> Iterator[Region]:
    with region() as made:
        yield made


@pytest.fixture
def web(tmp_path: Path) -> Authority:
    return Authority("Public Web Trust", tmp_path / "web")


def join_at(here: Region, port: int) -> str:
    return str(JoinUrl("127.0.0.1", port, fingerprint=here.rendezvous.url.fingerprint))


def comes_up(lab: Lab, *options: str) -> None:
    """Start it, and return once it is registered, however busy the machine is."""
    lab.up(*options)
    eventually(lambda: lab.ask("status")["rendezvous_state"] == "registered", "it is registered")


def says(lab: Lab, words: str) -> None:
    """Return once it tells that problem."""
    eventually(lambda: words in lab.ask("status")["problem"], words)


def pair_at(here: Region, join: str) -> tuple[Lab, Lab]:
    """Two labs that do not meet directly, with an agreement."""
    labs = here.site("lab-a-trainer"), here.site("lab-b-trainer")
    for lab in labs:
        lab.environment["COMITY_PUNCH"] = "no"
        lab.init(join)
        comes_up(lab)
    agree(*labs, "IRB #2026-0142, a secret reason")
    return labs


def goes_via(lab: Lab, via: str) -> bool:
    link = lab.ask("info")["rendezvous_link"]
    return link is not None and link["via"] == via


def send(one: Lab, two: Lab, mebibytes: int = 4) -> None:
    content = os.urandom(mebibytes * MIB)
    (one.folder / "model.bin").write_bytes(content)
    sent = one.ask("send-file", two.hostname, "model.bin")
    assert (sent["path"], sent["bytes"]) == ("relay", len(content))
    arrived = two.ask("received", "--wait", "model.bin", "--timeout", "30")["files"][0]
    assert Path(arrived["path"]).read_bytes() == content


def registered(lab: Lab) -> bool:
    return bool(lab.ask("status")["rendezvous_state"] == "registered")


@pytest.mark.skipif(nginx_missing() is not None, reason=str(nginx_missing()))
def test_a_rendezvous_behind_nginx_with_the_configuration_that_is_shipped(
    here: Region, web: Authority, tmp_path: Path
) -> None:
    with nginx(tmp_path, web, here.rendezvous.port) as port:
        one, two = pair_at(here, join_at(here, port))
        assert one.ask("info")["rendezvous_link"]["via"] == "websocket"
        send(one, two, 24)

        here.rendezvous.kill()
        eventually(lambda: one.ask("status")["rendezvous_state"] == "connecting", "the loss is noticed")
        eventually(lambda: "502" in one.ask("status")["problem"], "what stands before it is named")
        here.rendezvous.start()
        for lab in (one, two):
            eventually(partial(registered, lab), "it comes back by itself")
        send(one, two)


def test_the_same_with_a_reverse_proxy_of_our_own(here: Region, web: Authority) -> None:
    with Gateway(web.context("rendezvous.test"), here.rendezvous.port) as gateway:
        one, two = pair_at(here, join_at(here, gateway.port))
        assert one.ask("info")["rendezvous_link"]["via"] == "websocket"
        send(one, two)


def test_a_rendezvous_that_moves_behind_a_web_server_and_back(here: Region, web: Authority) -> None:
    """The join URL stays: a node finds out by itself which of the two answers."""
    lab = here.site("lab-a-trainer")
    name = {NAME: here.rendezvous.port}
    with (
        ConnectProxy(names=name) as proxy,
        Gateway(web.context("rendezvous.test"), here.rendezvous.port) as gateway,
    ):
        lab.environment["COMITY_PROXY"] = proxy.url
        lab.init(str(JoinUrl("rendezvous.test", 443, fingerprint=here.rendezvous.url.fingerprint)))
        lab.up()
        for port, form in ((gateway.port, ", websocket"), (here.rendezvous.port, "")):
            proxy.names = {NAME: port}
            here.rendezvous.kill()
            here.rendezvous.start()
            eventually(partial(goes_via, lab, f"proxy {proxy.url}{form}"), "the other form is found")


def test_an_encrypted_proxy_before_a_web_server(here: Region, web: Authority, tmp_path: Path) -> None:
    """Three TLS connections inside each other, of which the innermost counts."""
    company = Authority("Hospital IT", tmp_path / "company")
    with (
        Gateway(web.context("rendezvous.test"), here.rendezvous.port) as gateway,
        ConnectProxy(
            names={NAME: gateway.port}, login="ana:secret", context=company.context("127.0.0.1")
        ) as proxy,
    ):
        lab = here.site("lab-a-trainer")
        lab.environment["COMITY_PROXY"] = f"https://ana:secret@127.0.0.1:{proxy.port}"
        lab.init(str(JoinUrl("rendezvous.test", 443, fingerprint=here.rendezvous.url.fingerprint)))
        lab.begin("up").answer()
        says(lab, "certificate of the proxy")
        assert not proxy.asked, "the password must not reach a proxy that nobody vouches for"
        lab.down()

        lab.ask("config", "set", "ca_bundle", str(company.bundle))
        comes_up(lab)
        assert lab.ask("info")["rendezvous_link"]["via"] == f"proxy {proxy.url}, websocket"
        other = here.site("lab-b-trainer")
        other.environment |= {"COMITY_PROXY": lab.environment["COMITY_PROXY"]}
        other.init(str(JoinUrl("rendezvous.test", 443, fingerprint=here.rendezvous.url.fingerprint)))
        other.ask("config", "set", "ca_bundle", str(company.bundle))
        comes_up(other)
        agree(lab, other)
        send(lab, other)


def test_an_inspecting_box_learns_nothing(here: Region, web: Authority, tmp_path: Path) -> None:
    box = Authority("Hospital Inspection", tmp_path / "box")
    onwards = ssl.create_default_context(cafile=str(web.bundle))
    with (
        Gateway(web.context("rendezvous.test"), here.rendezvous.port) as gateway,
        Gateway(box.context("rendezvous.test"), gateway.port, onwards) as inspecting,
    ):
        one, two = pair_at(here, join_at(here, inspecting.port))
        send(one, two)
    seen = inspecting.seen()
    assert len([head for head in seen if head.startswith(b"GET /comity HTTP/1.1")]) >= 4, (
        "lanes passed it too"
    )
    assert sum(map(len, seen)) > 8 * MIB
    assert any(b"\x16\x03\x01" in each for each in seen), "unmasked, or nothing could be found"
    secrets = (b"trainer", b"#2026-0142", b"secret reason", b"model.bin", bytes.fromhex(one.fingerprint))
    for secret in secrets:
        assert not any(secret in each for each in seen), secret


def test_another_rendezvous_behind_the_web_server_is_refused(here: Region, web: Authority) -> None:
    lab = here.site("lab-a-trainer")
    with Gateway(web.context("rendezvous.test"), here.rendezvous.port) as gateway:
        lab.init(f"comity://127.0.0.1:{gateway.port}#{'ab' * 32}")
        assert lab.refused("up").told == ("rendezvous_identity_mismatch", 25)


def test_a_web_server_without_a_rendezvous_is_named(here: Region, web: Authority) -> None:
    lab = here.site("lab-a-trainer")
    with Gateway(web.context("rendezvous.test"), 1) as gateway:
        gateway.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        lab.init(join_at(here, gateway.port))
        lab.begin("up").answer()
        says(lab, "does not answer as a rendezvous: directly: ")
        says(lab, "inside a websocket: it answers 404 Not Found")
        gateway.answer = None
        down = "502 Bad Gateway: the rendezvous behind it can't be reached"
        eventually(lambda: down in lab.ask("status")["problem"], "what is wrong now is said")
