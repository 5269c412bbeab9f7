"""Issue "through real NATs": which path carries the bytes behind which boxes, and how soon."""

from __future__ import annotations

import hashlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.natlab.firewalls import Kind, Version
from tests.natlab.lab import IPV6, Lab, Line
from tests.natlab.nodes import Sent, World, wait_for, world
from tests.natlab.proxies import Proxy, own_proxy, squid
from tests.natlab.scale import FULL, MEBIBYTES, within

log = logging.getLogger(__name__)

_SLOW_MEBIBYTES = min(MEBIBYTES, 32)  # where packets are lost, and the kernel has no BBR
_FAR, _LOSSY = Line(0.02), Line(0.02, 0.02)


@dataclass(frozen=True)
class Row:
    a: Kind
    b: Kind
    path: str | None  # None: any, as long as it completes
    seconds: float
    together: bool = False
    version: Version = 4
    line: Line | None = None
    fresh: bool = False  # joining and agreeing take the same way

    def __str__(self) -> str:
        words = [self.a, self.b, *(["together"] if self.together else [])]
        words += ["ipv6"] if self.version == 6 else []
        words += [] if self.line is None else ["far", *(["lossy"] if self.line.loss else [])]
        return "-".join(words)


ROWS = (
    Row("nat", "nat", "punched", 2),
    Row("nat", "firewall", "punched", 2),
    Row("no-udp", "no-udp", "punched", 2),
    Row("double", "nat", "punched", 2),
    Row("symmetric", "symmetric", "relay", 2),
    Row("symmetric", "nat", "relay", 2),
    Row("only-443", "only-443", "relay", 2, fresh=True),
    Row("nat", "nat", "direct", 1, together=True),
    Row("nat", "resets", None, 3),
    Row("nat", "rejects", None, 3),
    Row("nat", "swallows", None, 3),
    Row("firewall", "firewall", "punched", 2),
    Row(
        "firewall", "firewall", "direct", 2, version=6, fresh=True
    ),  # no address is translated: an interface's own
    Row("nat", "nat", "punched", 3, line=_FAR),
    Row("only-443", "only-443", "relay", 3, line=_FAR),
    Row("nat", "nat", "punched", 10, line=_LOSSY),  # a lost SYN costs its sender a second
    Row("only-443", "only-443", "relay", 10, line=_LOSSY),
)
#: The same from the other side: where everything is asked for.
MIRRORED = (
    Row("nat", "symmetric", "relay", 2),
    Row("symmetric", "symmetric", "direct", 1, together=True),
    Row("resets", "nat", None, 3),
    Row("swallows", "nat", None, 3),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("row", [*ROWS, *(MIRRORED if FULL else ())], ids=str)
def test_path_and_time_to_first_byte(row: Row) -> None:
    if row.line is not None and (missing := Line.unavailable()):
        pytest.skip(missing)
    if row.version == 6 and not IPV6.exists():
        pytest.skip("this kernel has no IPv6")
    made = Lab(row.a, row.b, together=row.together, version=row.version, line=row.line)
    with made as lab, world(lab, fresh=row.fresh) as here:
        if row.path is not None and not FULL:  # who is first in a race is up to the machine
            wait_for(lambda: here.a.path() == row.path, f"the session is {row.path}")
        mebibytes = _SLOW_MEBIBYTES if row.line and row.line.loss else MEBIBYTES
        for _ in range(1 if FULL else 5):  # neither is which link a busy machine makes in time
            sent = _send(here, mebibytes, row)
            if row.path in (None, sent.result.path):
                break
        assert sent.first_byte < within(row.seconds)
        if row.path is not None:
            assert (sent.result.path, sent.share > 0.9 or not FULL) == (row.path, True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("proxy", [own_proxy, squid], ids=["own", "squid"])
def test_all_goes_through_a_proxy_with_credentials(proxy: Proxy) -> None:
    if proxy is squid and shutil.which("squid") is None:
        pytest.skip("not installed: squid")
    with (
        Lab("proxy-only", "nat") as lab,
        proxy(lab) as proxied,
        world(lab, a=proxied.environment, fresh=True) as here,
    ):
        assert here.a.type("info")["rendezvous_link"]["via"] == f"proxy {proxied.url}"
        sent = _send(here, MEBIBYTES, f"proxy-{proxy.__name__}")
        assert sent.result.paths == {"relay": sent.result.bytes}
        assert sent.first_byte < within(3)


def _send(here: World, mebibytes: int, row: object) -> Sent:
    """A file that arrives as it was."""
    path = here.file(mebibytes)
    sent = here.a.send(here.b, path)
    log.info("%s: %s %.2f s %s MB/s", row, sent.result.paths, sent.first_byte, sent.result.mb_per_s)
    assert _digest(here.b.received(path)) == _digest(path)
    return sent


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
