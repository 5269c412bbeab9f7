"""Which version is spoken with an older or a newer program, and what both are told where there is none."""

from __future__ import annotations

import pytest

from comity.errors import RemoteProtocolError, VersionMismatch
from comity.identity.keys import Identity
from comity.protocol import hello, registration
from comity.protocol.hello import Hello, Refused, choose_version, parse_hello, parse_welcome, refusal_error
from comity.protocol.registration import Entry, Refuse, Say
from comity.protocol.registry import Open
from comity.protocol.versions import Speaks, choose

INSTANCE = "0f" * 16


@pytest.mark.parametrize(
    ("asking", "asked", "spoken"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 1), (1, 2), 1),  # an older one calls
        ((1, 2), (1, 1), 1),  # and is called
        ((1, 3), (2, 5), 3),
        ((2, 5), (1, 3), 3),
        ((2, 2), (1, 1000), 2),
        ((3, 9), (1, 3), 3),  # ranges that only touch
    ],
)
def test_the_newest_version_of_both_is_spoken(
    asking: tuple[int, int], asked: tuple[int, int], spoken: int
) -> None:
    assert choose(Speaks("one", *asking), Speaks("other", *asked)) == spoken


@pytest.mark.parametrize(
    ("asking", "asked", "older"),
    [((1, 1), (2, 3), "one"), ((2, 3), (1, 1), "other"), ((1, 4), (5, 5), "one"), ((9, 9), (1, 8), "other")],
)
def test_where_there_is_none_the_older_one_is_named(
    asking: tuple[int, int], asked: tuple[int, int], older: str
) -> None:
    with pytest.raises(VersionMismatch, match=f"{older} has to be upgraded") as told:
        choose(Speaks("one", *asking), Speaks("other", *asked))
    for said in ("one speaks protocol", "other speaks protocol"):
        assert said in told.value.message


def test_both_ends_of_a_call_read_the_same_words() -> None:
    newer = Hello(oldest=hello.VERSION + 1, newest=hello.VERSION + 3, port=7, instance=INSTANCE)
    with pytest.raises(VersionMismatch) as here:
        choose_version(newer)
    assert "the called node has to be upgraded" in here.value.message
    there = refusal_error(Refused(code="version", reason=here.value.message))
    assert isinstance(there, VersionMismatch)
    assert there.message == here.value.message


def test_a_hello_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    later = b'{"oldest":1,"newest":7,"port":7,"instance":"%s","lanes":4}' % INSTANCE.encode()
    assert choose_version(parse_hello(later)) == hello.VERSION


@pytest.mark.parametrize("version", [hello.OLDEST_VERSION - 1, hello.VERSION + 1])
def test_a_version_that_was_not_offered_is_refused(version: int) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_welcome(b'{"version":%d,"instance":"%s"}' % (version, INSTANCE.encode()))


def test_a_rendezvous_speaks_with_older_and_newer_nodes_or_says_who_has_to_be_upgraded() -> None:
    oldest, newest = registration.OLDEST_VERSION, registration.VERSION
    for asked, spoken in (((1, oldest), oldest), ((1, 1000), newest), ((newest, newest + 3), newest)):
        (said,) = opened(*asked)
        assert isinstance(said, Say)
        assert said.message.version == spoken
    (refused,) = opened(newest + 1, newest + 2)
    assert isinstance(refused, Refuse)
    assert isinstance(refused.error, VersionMismatch)
    assert "the rendezvous has to be upgraded" in refused.error.message
    assert refused.id == 0, "and the connection ends"


def opened(oldest: int, newest: int) -> list[object]:
    own, peer = Identity.generate().public, Identity.generate().public
    message = Open(oldest=oldest, newest=newest, network=1, instance=INSTANCE)
    return [*Entry(own.fingerprint, peer, bytes(32)).handle(message, 0)]
