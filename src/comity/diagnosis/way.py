"""The way to the rendezvous, hop by hop: name, TCP, proxy, inspection, fingerprint, clock, relay."""

from __future__ import annotations

from comity import limits
from comity.control import DoctorHop
from comity.diagnosis import asking
from comity.diagnosis.facts import WayFacts

#: A clock that is off by less than this is not worth a word.
_DRIFT = limits.CLOCK_SKEW / 5
_ROUNDING = 2.0  # the rendezvous tells whole seconds


def name(facts: WayFacts) -> DoctorHop:
    """Whether the first machine on the way has an address."""
    host = asking.host_of(facts.proxy) if facts.proxy else facts.host
    if facts.addresses:
        literal = facts.addresses == (host,)
        found = "is an address: nothing to resolve" if literal else f"is {', '.join(facts.addresses)}"
        return DoctorHop("name", "ok", f"{host} {found}")
    detail = f"{host} cannot be resolved: {facts.unresolved}"
    if facts.proxy:
        return DoctorHop(
            "name", "failed", detail, f"check the proxy's name: {facts.origin} says {facts.proxy}"
        )
    return DoctorHop(
        "name",
        "failed",
        detail,
        f"check the join URL's spelling; if web browsers here use a proxy: {asking.SET_PROXY}",
        asking.resolve(facts.host, facts.port),
    )


def tcp(facts: WayFacts) -> DoctorHop:
    """Whether it takes connections."""
    if facts.connected:
        return DoctorHop("tcp", "ok", f"{facts.connected} takes connections")
    if facts.proxy:
        return DoctorHop(
            "tcp",
            "failed",
            f"the proxy {facts.proxy} takes no connection: {facts.unreachable}",
            f"check the proxy's host and port: {facts.origin} says so",
        )
    silent = "no answer" in facts.unreachable
    why = "something on the way drops it" if silent else "its port is closed, or a firewall says so"
    advice = f"if web browsers here use a proxy: {asking.SET_PROXY}"
    if not silent:
        advice = f"ask the rendezvous's operator whether it runs; {advice}"
    return DoctorHop(
        "tcp",
        "failed",
        f"{facts.place} takes no connection: {facts.unreachable} ({why})",
        advice,
        asking.allow(facts.host, facts.port, facts.addresses),
    )


def proxy(facts: WayFacts) -> DoctorHop:
    """Which proxy is used, from which setting, and whether it opens the way."""
    if not facts.proxy:
        why = facts.origin or "no setting names one"
        return DoctorHop("proxy", "ok", f"none is used: {why}")
    failure = facts.proxy_failure
    if failure is None:
        return DoctorHop("proxy", "ok", f"{facts.proxy} (said by {facts.origin}) lets {facts.place} through")
    ask = asking.allow_by_proxy(facts.place, asking.host_of(facts.proxy))
    if failure.code == "proxy_authentication":
        ask = asking.exempt_from_login(facts.place)
    return DoctorHop("proxy", "failed", f"{failure.message} (said by {facts.origin})", failure.hint, ask)


def inspection(facts: WayFacts) -> DoctorHop:
    """Whether something between ends TLS, and whether the pinned TLS gets through inside."""
    if facts.direct is None:
        return DoctorHop("inspection", "ok", "nothing on the way ends TLS")
    who = _who(facts)
    if facts.websocket:
        inside = "the pinned TLS passes inside, in a WebSocket that it can't read; nothing has to be done"
        if facts.certificate is not None and facts.certificate.trusted:
            return DoctorHop("inspection", "ok", f"{who} ends TLS on the way: {inside}")
        whose = "a box that inspects TLS, or a web server with a private certificate"
        return DoctorHop(
            "inspection",
            "warning",
            f"{who}, which this machine does not trust, ends TLS on the way ({whose}): {inside}",
        )
    if facts.certificate is None:
        return DoctorHop(
            "inspection",
            "failed",
            f"connections to {facts.place} are cut as soon as TLS begins: {facts.direct.message}",
            "ask the rendezvous's operator whether it answers others",
            asking.exempt_from_inspection(facts.place),
        )
    said = facts.wrapped.message if facts.wrapped else "nothing"
    behind = facts.wrapped is not None and "rendezvous behind" in said
    return DoctorHop(
        "inspection",
        "failed",
        f"{who} answers instead of the rendezvous, and inside a WebSocket: {said}",
        "ask the rendezvous's operator whether it runs behind its web server"
        if behind
        else "check host and port in the join URL with the rendezvous's operator",
        "" if behind else asking.exempt_from_inspection(facts.place),
    )


def fingerprint(facts: WayFacts) -> DoctorHop:
    """Whether it holds the key that the join URL names."""
    if facts.pinned and facts.refused is None:
        return DoctorHop("fingerprint", "ok", "the rendezvous holds the key that the join URL names")
    if facts.refused is not None:
        return DoctorHop(
            "fingerprint",
            "failed",
            f"it holds the right key, and {facts.refused.message}",
            facts.refused.hint,
        )
    found = facts.mismatch.message if facts.mismatch else "it did not prove its key"
    return DoctorHop(
        "fingerprint",
        "failed",
        f"another rendezvous answers at {facts.place}: {found}",
        "do not go on: compare the join URL with the rendezvous's operator by phone",
    )


def clock(facts: WayFacts) -> DoctorHop:
    """Whether the two clocks agree: statements are refused where they are more than five minutes apart."""
    if facts.skew is None:
        return DoctorHop("clock", "skipped", "nothing there told the time")
    apart = abs(facts.skew)
    if apart <= _DRIFT:
        close = "the same as" if apart < _ROUNDING else f"{apart:.0f} seconds from"
        return DoctorHop("clock", "ok", f"{close} the rendezvous's")
    way = "behind" if facts.skew > 0 else "ahead of"
    detail = f"this machine's clock is {_span(apart)} {way} the rendezvous's"
    if apart <= limits.CLOCK_SKEW:
        return DoctorHop("clock", "warning", detail, "let it be set by the network: timedatectl set-ntp true")
    return DoctorHop(
        "clock",
        "failed",
        f"{detail}: what is signed here will be refused",
        "set it, and let the network keep it: timedatectl set-ntp true; if it is right, tell the rendezvous's"
        " operator",
        asking.TIME,
    )


def relay(facts: WayFacts) -> DoctorHop:
    """Whether connections for relay lanes get through."""
    if not facts.relay_checked:
        return DoctorHop("relay", "skipped", "not checked")
    if facts.relay is None:
        return DoctorHop("relay", "ok", "the relay answers: partners can be reached through it")
    return DoctorHop(
        "relay",
        "failed",
        f"connections to the relay are cut, though those to the registry are not: {facts.relay.message}",
        "a box on the way lets only TLS through; a rendezvous behind nginx looks like a web page to it",
        asking.allow_any_bytes(facts.place),
    )


def _who(facts: WayFacts) -> str:
    if facts.certificate is None:
        return "something"
    subject, issuer = facts.certificate.subject, facts.certificate.issuer
    return f"a server with a certificate for {subject or 'nobody'} by {issuer or 'nobody'}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
