"""What to ask the IT department for, in words that can be sent as they are (docs/how-to, "Ask your IT
department").
"""

from __future__ import annotations

from collections.abc import Sequence

SET_PROXY = "comity config set proxy http://HOST:PORT"
TIME = "Please let this machine set its clock by NTP (UDP 123 to your time server)."


def allow(host: str, port: int, addresses: Sequence[str]) -> str:
    """Outbound TCP to the rendezvous."""
    where = f" ({', '.join(addresses)})" if addresses and list(addresses) != [host] else ""
    return (
        f"Please allow outbound TCP from this machine to {host}{where}, port {port}. No inbound rule, no UDP."
        " If web access here needs a proxy, please tell us its host and port."
    )


def resolve(host: str, port: int) -> str:
    """DNS, or a proxy that does it."""
    return (
        f"Please make the name {host} resolvable from this machine, or tell us the HTTP proxy by which"
        f" {host}:{port} can be reached."
    )


def allow_by_proxy(place: str, proxy: str) -> str:
    """A CONNECT that the proxy refuses."""
    return f"Please let this machine CONNECT to {place} through the proxy {proxy}."


def exempt_from_login(place: str) -> str:
    """A login that isn't spoken, or isn't known."""
    return (
        f"Please exempt {place} from the proxy's login for this machine, or give us an account that logs in"
        " with Basic authentication. NTLM and Kerberos are not spoken by the program."
    )


def exempt_from_inspection(place: str) -> str:
    """A box that ends TLS and lets no WebSocket through, or cuts."""
    return (
        f"Please exempt {place} from TLS inspection, or let WebSockets (GET /comity, Upgrade: websocket)"
        " through to it. The program accepts one key at the other end and no other."
    )


def allow_any_bytes(place: str) -> str:
    """A box that wants to see TLS and nothing else."""
    return f"Please do not filter outbound TCP to {place} by protocol: what passes there is encrypted by us."


def mapping() -> str:
    """A symmetric NAT, between two of which nothing but the relay works."""
    return (
        "If it can be had: please let the firewall keep the same external port for all connections of this"
        " machine from one local port (endpoint-independent mapping). It only makes transfers faster."
    )


def inbound(listen: str) -> str:
    """A listener that nobody reaches."""
    return (
        f"If it can be had: please let TCP in to {listen} on this machine, from our partner's address only."
    )


def host_of(proxy: str) -> str:
    """``host`` of a proxy's URL."""
    place = proxy.partition("://")[2] or proxy
    return place.rpartition(":")[0].strip("[]") or place
