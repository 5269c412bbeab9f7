"""Which source says how connections leave this machine, and that a password stays where it was put."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity.errors import ComityError, HomeUnsafe, InvalidInput, StorageUnusable
from comity.identity.card import JoinUrl
from comity.protocol.proxying import Login, Outlet, ProxyUrl
from comity.storage.config import Config, format_config, parse_config
from comity.storage.outlet import find_outlet
from comity.storage.settings import change

JOIN = JoinUrl.parse("comity://rendezvous.example.org:443#" + "ab" * 32)
LOCAL = JoinUrl.parse("comity://127.0.0.1:9000#" + "ab" * 32)
SECRET = "Trommelfell-7"
FILE, OURS, SHARED = "http://file:1", "http://ours:2", "http://shared:3"


def config(**settings: object) -> Config:
    return Config(hostname="lab-a", join=str(JOIN), **settings)  # type: ignore[arg-type]  # test sugar


@pytest.mark.parametrize(
    ("flag", "environ", "filed", "proxy", "origin"),
    [
        (None, {}, "", None, ""),
        (None, {}, FILE, FILE, "proxy in config.toml"),
        (None, {"HTTPS_PROXY": SHARED}, FILE, SHARED, "HTTPS_PROXY"),
        (None, {"https_proxy": SHARED, "HTTPS_PROXY": FILE}, "", SHARED, "https_proxy"),
        (None, {"https_proxy": "", "HTTPS_PROXY": ""}, FILE, FILE, "proxy in config.toml"),
        (None, {"COMITY_PROXY": OURS, "HTTPS_PROXY": SHARED}, FILE, OURS, "COMITY_PROXY"),
        (None, {"COMITY_PROXY": "none", "HTTPS_PROXY": SHARED}, FILE, None, "COMITY_PROXY"),
        (None, {"COMITY_PROXY": "", "HTTPS_PROXY": SHARED}, FILE, None, ""),
        ("http://flag:4", {"COMITY_PROXY": OURS}, FILE, "http://flag:4", "--proxy"),
        ("none", {"COMITY_PROXY": OURS}, FILE, None, "--proxy"),
    ],
)
def test_flag_before_environment_before_file(
    flag: str | None, environ: dict[str, str], filed: str, proxy: str | None, origin: str
) -> None:
    found = find_outlet(JOIN, environ, config(proxy=filed), flag)
    assert found == Outlet(None if proxy is None else ProxyUrl.parse(proxy), origin)


@pytest.mark.parametrize(
    ("environ", "exempt", "origin"),
    [
        ({"NO_PROXY": "example.org"}, (), "NO_PROXY exempts rendezvous.example.org from HTTPS_PROXY"),
        ({"no_proxy": "*"}, (), "no_proxy exempts rendezvous.example.org from HTTPS_PROXY"),
        ({"COMITY_NO_PROXY": "example.org", "NO_PROXY": "else"}, (), "COMITY_NO_PROXY exempts"),
        ({}, ("rendezvous.example.org",), "no_proxy in config.toml exempts"),
        ({"NO_PROXY": "elsewhere"}, ("rendezvous.example.org",), None),
    ],
)
def test_exemptions(environ: dict[str, str], exempt: tuple[str, ...], origin: str | None) -> None:
    found = find_outlet(JOIN, {"HTTPS_PROXY": SHARED, **environ}, config(no_proxy=exempt))
    assert (found.proxy is None) == (origin is not None)
    assert found.origin.startswith(origin or "HTTPS_PROXY")


def test_a_shared_variable_does_not_send_loopback_to_a_proxy_and_ours_does() -> None:
    assert find_outlet(LOCAL, {"HTTPS_PROXY": SHARED}, config()).proxy is None
    assert find_outlet(LOCAL, {"COMITY_PROXY": OURS}, config()).proxy == ProxyUrl.parse(OURS)


def test_credentials_come_from_the_file_before_the_url(tmp_path: Path) -> None:
    file = tmp_path / "proxy"
    file.write_text(f"ana:{SECRET}\n")
    file.chmod(0o600)
    found = find_outlet(JOIN, {"https_proxy": "http://bert:x@p:1"}, config(proxy_credentials_file=str(file)))
    assert found.proxy == ProxyUrl("p", 1, login=Login("ana", SECRET))
    assert SECRET not in repr(found)


def test_credentials_from_systemd(tmp_path: Path) -> None:
    (tmp_path / "comity-proxy").write_text(f"ana:{SECRET}")
    (tmp_path / "comity-proxy").chmod(0o440)  # as systemd may show it: an access list keeps it private
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "COMITY_PROXY": OURS}
    found = find_outlet(JOIN, environ, config())
    assert found.proxy is not None
    assert found.proxy.login == Login("ana", SECRET)


@pytest.mark.parametrize(
    ("content", "mode", "kind"),
    [
        (f"ana:{SECRET}", 0o640, HomeUnsafe),
        (f"ana{SECRET}", 0o600, InvalidInput),
        ("ana:" + SECRET * 100, 0o600, StorageUnusable),
        (None, 0, StorageUnusable),
    ],
)
def test_credentials_that_are_none(
    tmp_path: Path, content: str | None, mode: int, kind: type[ComityError]
) -> None:
    file = tmp_path / "proxy"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    with pytest.raises(kind, match=r"^proxy_credentials_file in config") as refused:
        find_outlet(JOIN, {"COMITY_PROXY": OURS}, config(proxy_credentials_file=str(file)))
    assert SECRET not in refused.value.message + refused.value.hint


def test_credentials_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "comity-proxy").write_bytes(b"ana:\xff")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "COMITY_PROXY": OURS}
    with pytest.raises(InvalidInput, match="not UTF-8"):
        find_outlet(JOIN, environ, config())


def test_a_password_belongs_neither_in_a_flag_nor_in_the_file() -> None:
    with_password = f"http://ana:{SECRET}@p:1"
    for refused in (
        lambda: find_outlet(JOIN, {}, config(), with_password),
        lambda: find_outlet(JOIN, {}, config(proxy=with_password)),
        lambda: change(config(), "proxy", with_password),
    ):
        with pytest.raises(InvalidInput, match="a password does not belong here") as told:
            refused()
        assert SECRET not in told.value.message + told.value.hint
        assert "proxy_credentials_file" in told.value.hint


@pytest.mark.parametrize(
    ("environ", "origin"),
    [
        ({"COMITY_PROXY": "socks5://p:1"}, "COMITY_PROXY: "),
        ({"HTTPS_PROXY": "p:p"}, "HTTPS_PROXY: "),
        ({"NO_PROXY": "a/b"}, "NO_PROXY: "),
    ],
)
def test_what_cannot_be_understood_is_named(environ: dict[str, str], origin: str) -> None:
    with pytest.raises(InvalidInput, match=origin):
        find_outlet(JOIN, environ, config())


def test_the_settings_go_into_the_file_and_back() -> None:
    changed = config()
    for name, text in (
        ("proxy", "http://Proxy.example.org:3128/"),
        ("no_proxy", ".example.org 10.0.0.0/8"),
        ("proxy_credentials_file", "/etc/comity/proxy"),
        ("ca_bundle", "/etc/ssl/hospital.pem"),
    ):
        changed = change(changed, name, text)
    assert parse_config(format_config(changed)) == changed
    assert changed.no_proxy == ("example.org", "10.0.0.0/8")
    assert changed.proxy == "http://proxy.example.org:3128"
