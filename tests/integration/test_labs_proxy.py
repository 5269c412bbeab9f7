"""Real labs behind HTTP proxies: nothing leaves but by CONNECT, and a password is nowhere but in its file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from comity.identity.card import JoinUrl
from tests.connect_proxy import ConnectProxy
from tests.labs import Lab, eventually
from tests.real_proxies import missing, real_proxy
from tests.region import MIB, Region, agree, region

NAME = "rendezvous.test:443"  # which only the proxy resolves
LOGIN = "ana:Trommelfell-7"
SECRET = "Trommelfell-7"


@pytest.fixture
def here() -> Iterator[Region]:
    with region() as made:
        yield made


@pytest.fixture
def proxy(here: Region) -> Iterator[ConnectProxy]:
    with ConnectProxy(names={NAME: here.rendezvous.port}, login=LOGIN) as made:
        yield made


def outside(here: Region) -> str:
    """The join URL with a name for the rendezvous that the labs can't resolve."""
    url = here.rendezvous.url
    return str(JoinUrl("rendezvous.test", 443, fingerprint=url.fingerprint))


def credentials(lab: Lab, text: str = LOGIN) -> Path:
    file = lab.folder / "proxy-login"
    file.write_text(text + "\n")
    file.chmod(0o600)
    return file


def comes_up(lab: Lab, *options: str) -> None:
    """Start it, and return once it is registered, however busy the machine is."""
    lab.up(*options)
    eventually(lambda: lab.ask("status")["rendezvous_state"] == "registered", "it is registered")


def says(lab: Lab, words: str) -> None:
    """Return once it tells that problem."""
    eventually(lambda: words in lab.ask("status")["problem"], words)


def test_all_that_a_lab_does_passes_a_proxy_with_credentials(here: Region, proxy: ConnectProxy) -> None:
    one, two = here.site("lab-a-trainer"), here.site("lab-b-trainer")
    one.environment["HTTPS_PROXY"] = f"http://{LOGIN}@127.0.0.1:{proxy.port}"
    one.init(outside(here))
    two.init(outside(here))
    two.ask("config", "set", "proxy", proxy.url)
    two.ask("config", "set", "proxy_credentials_file", str(credentials(two)))
    for lab in (one, two):
        comes_up(lab)
        assert lab.ask("info")["rendezvous_link"]["via"] == f"proxy {proxy.url}"
    agree(one, two)
    (one.folder / "model.bin").write_bytes(os.urandom(4 * MIB))
    sent = one.ask("send-file", two.hostname, "model.bin")
    assert (sent["path"], sent["bytes"]) == ("relay", 4 * MIB)
    assert {asked.line for asked in proxy.asked} == {f"CONNECT {NAME} HTTP/1.1"}
    assert all("proxy-authorization" in asked.headers for asked in proxy.asked)

    shown = [str(lab.ask(*asked)) for lab in (one, two) for asked in (("config", "list"), ("info",))]
    shown += [lab.said() for lab in (one, two)]
    shown += [Path(f"/proc/{lab.pid}/cmdline").read_text() for lab in (one, two)]
    assert not [text for text in shown if SECRET in text]
    assert SECRET not in (two.home / "config.toml").read_text()


@pytest.mark.parametrize("kind", ["proxy.py", "squid"])
def test_proxies_that_others_wrote(here: Region, kind: str) -> None:
    if (why := missing(kind)) is not None:
        pytest.skip(why)
    with TemporaryDirectory(prefix="proxy-") as folder, real_proxy(kind, Path(folder), LOGIN) as url:
        one, two = here.site("lab-a-trainer"), here.site("lab-b-trainer")
        for lab in (one, two):
            lab.environment |= {"COMITY_PUNCH": "no", "COMITY_PROXY": url}
            lab.init(here.rendezvous.join)
        one.begin("up").answer()
        says(one, "wants a user name and a password")
        one.down()
        for lab in (one, two):
            lab.ask("config", "set", "proxy_credentials_file", str(credentials(lab)))
            comes_up(lab)
            assert lab.ask("info")["rendezvous_link"]["via"] == f"proxy {url}"
        agree(one, two)
        (one.folder / "model.bin").write_bytes(os.urandom(4 * MIB))
        assert one.ask("send-file", two.hostname, "model.bin")["path"] == "relay"


def test_what_goes_wrong_at_a_proxy_is_said(here: Region, proxy: ConnectProxy) -> None:
    lab = here.site("lab-a-trainer")
    lab.environment["COMITY_PROXY"] = proxy.url
    lab.init(outside(here))
    warned = lab.begin("up").end()
    assert warned.returncode == 0, warned
    says(lab, "wants a user name and a password")
    lab.down()

    proxy.schemes = ("Negotiate", "NTLM")
    lab.begin("up").answer()
    says(lab, "wants Negotiate (Kerberos) or NTLM")
    refused = lab.refused("find", "anybody")
    assert refused.told == ("proxy_authentication", 28)
    assert "cntlm" in refused.hint
    lab.down()

    lab.environment["COMITY_PROXY_CREDENTIALS_FILE"] = str(credentials(lab, "ana:wrong-password"))
    proxy.schemes = ('Basic realm="proxy"',)
    before = len(proxy.asked)
    lab.begin("up").answer()
    says(lab, "refuses the user name or the password")
    assert len(proxy.asked) == before + 1, "a second try could lock the account"
    assert "wrong-password" not in lab.said()
    lab.down()

    credentials(lab)
    lab.up()
    eventually(lambda: lab.ask("status")["rendezvous_state"] == "registered", "the right password is taken")


def test_a_password_on_the_command_line_is_refused(here: Region, proxy: ConnectProxy) -> None:
    lab = here.site("lab-a-trainer")
    lab.init(outside(here))
    for command in (("up",), ("up", "--foreground")):
        refused = lab.refused(*command, "--proxy", f"http://{LOGIN}@127.0.0.1:{proxy.port}")
        assert refused.told == ("invalid_input", 2)
        assert SECRET not in refused.message + refused.hint
    refused = lab.refused("config", "set", "proxy", f"http://{LOGIN}@127.0.0.1:{proxy.port}")
    assert refused.told == ("invalid_input", 2)
    assert SECRET not in refused.message + refused.hint


def test_the_flag_goes_before_all_and_no_proxy_is_kept(here: Region, proxy: ConnectProxy) -> None:
    lab = here.site("lab-a-trainer")
    lab.environment["COMITY_PROXY"] = "http://127.0.0.1:9"
    lab.init(here.rendezvous.join)
    comes_up(lab, "--proxy", "none")
    assert lab.ask("info")["rendezvous_link"]["via"] == ""
    lab.down()
    lab.environment["NO_PROXY"] = "127.0.0.0/8"
    comes_up(lab)
    assert not proxy.asked
