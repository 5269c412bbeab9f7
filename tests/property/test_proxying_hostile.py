"""Whatever a proxy answers, and whatever a setting says, ends as an error of ours that repeats no secret."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.errors import InvalidInput, ProxyFailed
from comity.protocol.proxying import Login, ProxyUrl, bypassed, connect_answer, connect_request, parse_bypass

PROXY = ProxyUrl("proxy.example.org", 3128, login=Login("ana", "Trommelfell-7"))
LOGIN_WANTED = b"HTTP/1.1 407 no\r\nProxy-Authenticate: "
HEADS = st.sampled_from([b"", b"HTTP/1.1 ", LOGIN_WANTED, b"HTTP/1.1 200 OK\r\n"])


@given(HEADS, st.binary(max_size=200), st.sampled_from([b"", b"\r\n\r\n"]))
def test_any_answer(head: bytes, noise: bytes, tail: bytes) -> None:
    try:
        connect_answer(head + noise + tail, PROXY, "host.example:443")
    except ProxyFailed as error:
        text = error.message + error.hint
        assert "Trommelfell" not in text
        assert text.isprintable()


@given(st.text(max_size=60))
def test_any_proxy(text: str) -> None:
    try:
        found = ProxyUrl.parse(text)
    except InvalidInput:
        return
    assert ProxyUrl.parse(str(found)) == ProxyUrl(found.host, found.port, found.tls)


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_login_cannot_add_a_header(user: str, password: str) -> None:
    try:
        login = Login.parse(f"{user}:{password}")
    except InvalidInput:
        return
    assert connect_request("host.example:443", login).count(b"\r\n") == 5


@given(st.lists(st.text(max_size=20), max_size=5), st.sampled_from(["a.example.org", "10.0.0.1", "::1"]))
def test_any_exemption(words: list[str], host: str) -> None:
    try:
        rules = parse_bypass(words)
    except InvalidInput:
        return
    assert bypassed(rules, host, 443) in (True, False)
    assert parse_bypass(rules) == rules
