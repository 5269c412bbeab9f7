"""Which proxy a connection takes, what it is asked, and what each of its answers is called."""

from __future__ import annotations

import pytest

from comity import limits
from comity.errors import InvalidInput, ProxyAuthentication, ProxyFailed
from comity.protocol.proxying import (
    Login,
    ProxyUrl,
    bypassed,
    connect_answer,
    connect_request,
    is_loopback,
    parse_bypass,
)

PROXY = ProxyUrl("proxy.example.org", 3128)
TARGET = "rendezvous.example.org:443"
SECRET = "Trommelfell-7"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://proxy.example.org:3128", "http://proxy.example.org:3128"),
        ("http://Proxy.Example.ORG:3128/", "http://proxy.example.org:3128"),
        ("proxy.example.org:8080", "http://proxy.example.org:8080"),
        ("http://proxy.example.org", "http://proxy.example.org:80"),
        ("HTTP://10.1.2.3:1", "http://10.1.2.3:1"),
        ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
        ("http://[2001:db8::1]", "http://[2001:db8::1]:80"),
    ],
)
def test_spellings_of_a_proxy(text: str, shown: str) -> None:
    assert str(ProxyUrl.parse(text)) == shown
    assert ProxyUrl.parse(shown) == ProxyUrl.parse(text)


def test_userinfo_is_read_and_never_shown() -> None:
    proxy = ProxyUrl.parse(f"http://ana%40lab:{SECRET}%3A@proxy.example.org:3128")
    assert proxy.login == Login("ana@lab", f"{SECRET}:")
    assert SECRET not in str(proxy) + repr(proxy) + repr(proxy.login)
    assert "ana" not in str(proxy) + repr(proxy)


@pytest.mark.parametrize(
    "text",
    [
        "socks5://proxy:1080",
        "ftp://proxy:21",
        "http://",
        "http://proxy:0",
        "http://proxy:99999",
        "http://proxy:3128/path",
        "http://pro xy:3128",
        f"http://{SECRET}@proxy:3128",
        f"http://ana:{SECRET}@:3128",
        f"http://ana:{SECRET}%00@proxy:3128",
        f"http://ana:{SECRET}%ff@proxy:3128",
        f"http://ana:{SECRET}@proxy/{SECRET}",
    ],
)
def test_what_is_no_proxy_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ProxyUrl.parse(text)
    assert SECRET not in refused.value.message + refused.value.hint


@pytest.mark.parametrize(
    ("rule", "host", "applies"),
    [
        ("example.org", "rendezvous.example.org", True),
        (".example.org", "rendezvous.example.org", True),
        ("*.example.org", "rendezvous.example.org", True),
        ("EXAMPLE.org", "example.org", True),
        ("example.org", "notexample.org", False),
        ("*", "anything", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "ten.example.org", False),
        ("fd00::/8", "fd12::1", True),
        ("2001:db8::1", "2001:db8::1", True),
        ("[2001:db8::1]", "2001:db8::1", True),
        ("[2001:db8::1]:443", "2001:db8::1", True),
        ("example.org:443", "example.org", True),
        ("example.org:8443", "example.org", False),
        ("localhost", "localhost", True),
    ],
)
def test_no_proxy(rule: str, host: str, applies: bool) -> None:
    assert bypassed(parse_bypass([rule]), host, 443) is applies


@pytest.mark.parametrize("rule", ["10.0.0.0/99", "a b", "-", "host:0"])
def test_what_no_proxy_does_not_take(rule: str) -> None:
    with pytest.raises(InvalidInput, match="no_proxy"):
        parse_bypass([rule])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "a.localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)
    assert not is_loopback("rendezvous.example.org")
    assert not is_loopback("10.0.0.1")


def test_the_request() -> None:
    assert connect_request(TARGET, None) == (
        b"CONNECT rendezvous.example.org:443 HTTP/1.1\r\n"
        b"Host: rendezvous.example.org:443\r\n"
        b"User-Agent: comity\r\n\r\n"
    )
    # RFC 7617 section 2
    asked = connect_request(TARGET, Login("Aladdin", "open sesame"))
    assert b"\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n" in asked


def test_a_tunnel() -> None:
    said = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"
    for size in range(len(said)):
        assert connect_answer(said[:size], PROXY, TARGET) is False
    assert connect_answer(said, PROXY, TARGET) is True
    assert connect_answer(b"HTTP/1.0 200 \r\n\r\n", PROXY, TARGET) is True
    assert connect_answer(b"HTTP/1.0 204\r\n\r\n", PROXY, TARGET) is True


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "refuses rendezvous.*443: it says 403 Forbidden", "ask"),
        (b"HTTP/1.1 503 No DNS\r\n\r\n", "cannot reach rendezvous.*443: it says 503 No DNS", "ask"),
        (b"HTTP/1.1 302 \x1b[31m\r\n\r\n", "302", "ask"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not answer like an HTTP proxy", "check"),
        (b"\x16\x03\x01", "not answer like an HTTP proxy", "check"),
        (b"HTTP/1.1 abc\r\n\r\n", "not answer like an HTTP proxy", "check"),
        (b"HTTP/1.1 " + b"x" * limits.PROXY_ANSWER_BYTES, "not answer like an HTTP proxy", "check"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "sent more", "check"),
    ],
)
def test_a_refusal_says_who_said_what_and_what_to_do(said: bytes, message: str, hint: str) -> None:
    with pytest.raises(ProxyFailed, match=message) as refused:
        connect_answer(said, PROXY, TARGET)
    assert refused.value.hint.startswith(hint)
    assert "\x1b" not in refused.value.message


def challenge(*offers: str) -> bytes:
    headers = "".join(f"proxy-AUTHENTICATE: {offer}\r\n" for offer in offers)
    return f"HTTP/1.1 407 Proxy Authentication Required\r\n{headers}\r\n".encode()


@pytest.mark.parametrize(
    ("offers", "schemes"),
    [
        (["NTLM"], ("ntlm",)),
        (["Negotiate", "NTLM"], ("negotiate", "ntlm")),
        (["Negotiate, NTLM"], ("negotiate", "ntlm")),
        (['Digest realm="a, b", qop="auth", nonce=abc'], ("digest",)),
        (['Basic realm="x"', "NTLM"], ("basic", "ntlm")),
        (['Digest realm="a", Basic realm="b"'], ("digest", "basic")),
        (["Negotiate TlRMTVNTUAAC=="], ("negotiate",)),
        ([], ()),
    ],
)
def test_challenges_are_named(offers: list[str], schemes: tuple[str, ...]) -> None:
    with pytest.raises(ProxyAuthentication) as asked:
        connect_answer(challenge(*offers), PROXY, TARGET)
    assert (asked.value.schemes, asked.value.tried) == (schemes, False)


def test_what_to_do_about_a_login() -> None:
    def told(said: bytes, proxy: ProxyUrl = PROXY) -> ProxyAuthentication:
        with pytest.raises(ProxyAuthentication) as asked:
            connect_answer(said, proxy, TARGET)
        return asked.value

    assert "proxy_credentials_file" in told(challenge('Basic realm="x"')).hint
    given = told(challenge('Basic realm="x"'), PROXY.with_login(Login("ana", SECRET)))
    assert given.tried
    assert "refuses the user name or the password" in given.message
    assert SECRET not in given.message + given.hint
    kerberos = told(challenge("Negotiate", "NTLM"))
    assert "wants Negotiate (Kerberos) or NTLM" in kerberos.message
    assert "cntlm" in kerberos.hint
    assert TARGET in kerberos.hint
