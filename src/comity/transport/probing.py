"""Finding out, hop by hop, how far this machine gets: the doctor's facts about the network.

Each step is tried as a node would, with a key made up for it, so that nothing depends on the node that may or
may not run here. Nothing is changed at the rendezvous: a connection asks for the challenge, and another shows
a ticket that opens nothing. It judges nothing: ``comity.diagnosis`` does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import socket
import ssl
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from comity import limits
from comity.clock import Clock
from comity.diagnosis.facts import Certificate, Failure, MappingFacts, WayFacts
from comity.errors import (
    ComityError,
    IdentityMismatch,
    PeerUnreachable,
    ProxyFailed,
    RemoteProtocolError,
)
from comity.identity.card import JoinUrl
from comity.identity.keys import Identity
from comity.identity.text import printable
from comity.protocol.framing import Kind
from comity.protocol.proxying import Outlet
from comity.protocol.registration import OLDEST_VERSION, VERSION
from comity.protocol.registry import (
    MESSAGE_BYTES,
    RELAY_PREFACE,
    Challenge,
    Open,
    encode_message,
    parse_server_message,
)
from comity.protocol.registry import (
    Failure as Refusal,
)
from comity.transport.bounds import Bounds
from comity.transport.channel import SecureChannel
from comity.transport.foothold import foothold
from comity.transport.rendezvous_calls import refusal
from comity.transport.rendezvous_connector import ask_lineage
from comity.transport.tcp import connect_tcp, remote_of
from comity.transport.tls import Credentials
from comity.transport.way import Way
from comity.transport.wire import PATH, outer_context, proxy_context

_STEP = limits.DOCTOR_STEP_SECONDS
_BOUNDS = Bounds(handshake=_STEP)
_NAME_CHARS = 80
_NO_INSTANCE = "0" * 32
_DATE = re.compile(rb"\r\n[Dd]ate: ([^\r\n]{1,64})\r\n")


async def probe_way(join: JoinUrl, outlet: Outlet, clock: Clock) -> WayFacts:
    """As far as it gets. Raises nothing: what fails is a fact."""
    proxy = outlet.proxy
    facts = WayFacts(
        host=join.host, port=join.port, proxy="" if proxy is None else str(proxy), origin=outlet.origin
    )
    first = (join.host, join.port) if proxy is None else (proxy.host, proxy.port)
    facts = await _reach(facts, *first)
    if not facts.connected:
        return facts
    way = Way(join.host, join.port, outlet)
    try:
        return await _Probe(join, way, Credentials(Identity.generate(), clock), clock).go_on(facts)
    finally:
        await asyncio.to_thread(way.close)


async def probe_mapping(observers: Sequence[str]) -> MappingFacts | None:
    """How connections look from outside; None where there is nobody to ask, or no port."""
    if not observers:
        return None
    try:
        async with foothold(observers) as ours:
            return MappingFacts(port=ours.port, asked=len(observers), seen=ours.seen)
    except OSError:
        return None


async def probe_listener(candidates: Sequence[str]) -> str:
    """Why none of this machine's own candidates takes a connection from itself; empty where one does."""
    failures: list[str] = []
    for candidate in candidates:
        host, _, port = candidate.rpartition(":")
        try:
            (await connect_tcp(host.strip("[]"), int(port), _STEP)).close()
        except PeerUnreachable as error:
            failures.append(error.message)
        else:
            return ""
    return "; ".join(failures)


async def _reach(facts: WayFacts, host: str, port: int) -> WayFacts:
    try:
        async with asyncio.timeout(_STEP):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return dataclasses.replace(facts, unresolved=f"no answer within {_STEP:g} seconds")
    except OSError as error:
        return dataclasses.replace(facts, unresolved=(error.strerror or str(error)).lower())
    facts = dataclasses.replace(facts, addresses=tuple(dict.fromkeys(str(each[4][0]) for each in found)))
    try:
        sock = await connect_tcp(host, port, _STEP)
    except PeerUnreachable as error:
        return dataclasses.replace(facts, unreachable=error.message.partition(": ")[2] or error.message)
    with sock:
        return dataclasses.replace(facts, connected=remote_of(sock))


class _Probe:
    """From the first machine on the way to the rendezvous's own words."""

    def __init__(self, join: JoinUrl, way: Way, credentials: Credentials, clock: Clock) -> None:
        self._join = join
        self._way = way
        self._credentials = credentials
        self._clock = clock

    async def go_on(self, facts: WayFacts) -> WayFacts:
        """Tunnel, TLS as it is, TLS in a WebSocket, challenge, relay."""
        facts = await self._secured(facts)
        if facts.skew is None and not facts.proxy_failure and facts.connected:  # which may be why it failed
            facts = dataclasses.replace(facts, skew=await self._date())
        return facts

    async def _secured(self, facts: WayFacts) -> WayFacts:
        try:
            channel = await self._pinned()
        except ProxyFailed as error:
            return dataclasses.replace(facts, proxy_failure=_failure(error))
        except IdentityMismatch as error:
            return dataclasses.replace(facts, mismatch=_failure(error))
        except PeerUnreachable as error:  # it took a connection before
            return dataclasses.replace(facts, connected="", unreachable=error.message)
        except ComityError as error:
            facts = dataclasses.replace(facts, direct=_failure(error), certificate=await self._certificate())
            self._way.wrapped = True
            try:
                channel = await self._pinned()
            except IdentityMismatch as inside:
                return dataclasses.replace(facts, websocket=True, mismatch=_failure(inside))
            except ComityError as inside:
                return dataclasses.replace(facts, wrapped=_failure(inside))
            facts = dataclasses.replace(facts, websocket=True)
        facts = await self._challenge(dataclasses.replace(facts, pinned=True), channel)
        return dataclasses.replace(facts, relay_checked=True, relay=await self._relay())

    async def _pinned(self) -> SecureChannel:
        try:
            return await self._connect()
        except IdentityMismatch:
            lineage = await ask_lineage(self._way, self._join.fingerprint)
            newest = lineage.follow(self._join.fingerprint, self._join.named)
            if newest == self._join.fingerprint:
                raise
            self._join = dataclasses.replace(self._join, fingerprint=newest, first=self._join.named)
        return await self._connect()

    async def _connect(self) -> SecureChannel:
        sock = await self._way.open(_STEP)
        return await SecureChannel.connect(sock, self._credentials, self._join.fingerprint, _BOUNDS)

    async def _challenge(self, facts: WayFacts, channel: SecureChannel) -> WayFacts:
        opening = Open(
            oldest=OLDEST_VERSION, newest=VERSION, network=self._join.network, instance=_NO_INSTANCE
        )
        try:
            async with asyncio.timeout(_STEP):
                began = self._clock.now()
                await channel.write_frame(Kind.DATA, encode_message(opening))
                kind, body = await channel.read_frame(MESSAGE_BYTES)
            answer = parse_server_message(body) if kind is Kind.DATA else None
            if isinstance(answer, Refusal):
                raise refusal(answer)
            if not isinstance(answer, Challenge):
                raise RemoteProtocolError("does not answer as a rendezvous does")
        except TimeoutError:
            return dataclasses.replace(facts, refused=Failure("timed_out", "does not answer in time"))
        except ComityError as error:
            return dataclasses.replace(facts, refused=_failure(error))
        finally:
            channel.dismiss()
        return dataclasses.replace(facts, skew=answer.time - (began + self._clock.now()) / 2)

    async def _date(self) -> float | None:
        """By how many seconds the clock of what answers HTTP there is ahead; None where nothing says so."""
        for outer in (False, True):
            told = _DATE.search(await self._head(outer))
            try:
                if told is not None:
                    return parsedate_to_datetime(told[1].decode("ascii")).timestamp() - self._clock.now()
            except ValueError:
                continue
        return None

    async def _head(self, outer: bool) -> bytes:
        """The head of an HTTP answer, as it is or inside of a TLS; empty where there is none."""
        request = f"GET {PATH} HTTP/1.1\r\nHost: {self._join.authority}\r\nConnection: close\r\n\r\n"
        said = b""
        try:
            async with asyncio.timeout(_STEP):
                wire = await self._way.wire(_STEP)
                try:
                    if outer:
                        await wire.start_tls(outer_context(), self._join.host)
                    await wire.send(request.encode("ascii"))
                    while b"\r\n\r\n" not in said and len(said) < limits.UPGRADE_BYTES:
                        more = await wire.receive()
                        if not more:
                            break
                        said += more
                finally:
                    wire.close()
        except (ComityError, OSError):  # ssl.SSLError and TimeoutError are OSErrors
            return b""
        return said

    async def _relay(self) -> Failure | None:
        """Whether the bytes of a lane get through: a ticket that opens nothing ends in an orderly close."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(2 * _STEP):
                sock = await self._way.open(_STEP)
                with sock:
                    await loop.sock_sendall(sock, RELAY_PREFACE + b"0" * (2 * limits.TICKET_BYTES) + b"\n")
                    if await loop.sock_recv(sock, 1):
                        return Failure("", "something else answers there")
        except TimeoutError:
            return Failure("timed_out", "no answer in time")
        except OSError as error:
            return Failure("", (error.strerror or str(error)).lower())
        except ComityError as error:
            return _failure(error)
        return None

    async def _certificate(self) -> Certificate | None:
        """What an ordinary TLS client is shown there, and whether this machine would trust it."""
        shown = await self._shown(outer_context())
        if shown is None:
            return None
        try:
            context = proxy_context(self._way.outlet.ca_bundle)
        except ProxyFailed:  # the bundle is unreadable, which is not what is asked here
            context = ssl.create_default_context()
        return dataclasses.replace(shown, trusted=await self._shown(context) is not None)

    async def _shown(self, context: ssl.SSLContext) -> Certificate | None:
        try:
            async with asyncio.timeout(_STEP):
                wire = await self._way.wire(_STEP)
                try:
                    tls = await wire.start_tls(context, self._join.host)
                finally:
                    wire.close()
        except (ComityError, OSError):  # ssl.SSLError and TimeoutError are OSErrors
            return None
        return _read(tls.getpeercert(binary_form=True) or b"")


def _read(der: bytes) -> Certificate | None:
    try:
        certificate = x509.load_der_x509_certificate(der)
        return Certificate(_name(certificate.subject), _name(certificate.issuer), False)
    except ValueError:
        return None


def _name(name: x509.Name) -> str:
    """What a person calls it: the organization, else the common name."""
    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for attribute in name.get_attributes_for_oid(kind):
            return printable(str(attribute.value), _NAME_CHARS)
    return ""


def _failure(error: ComityError) -> Failure:
    return Failure(error.code, printable(error.message), printable(error.hint))
