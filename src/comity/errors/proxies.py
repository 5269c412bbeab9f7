"""What stands between this node and its rendezvous, and would not let it pass."""

from __future__ import annotations

from comity.errors.peers import RendezvousUnreachable


class ProxyFailed(RendezvousUnreachable):
    """The proxy on the way to the rendezvous can't be reached, or does not open the way."""

    code = "proxy_failed"
    exit_status = 27
    default_hint = "run comity doctor: it says what to ask your IT department for"


class ProxyAuthentication(ProxyFailed):
    """The proxy wants a login that it was not given, that is wrong, or of a kind that is not spoken here.

    ``schemes``: what it offers, in lower case; ``tried``: credentials were sent and refused.
    """

    code = "proxy_authentication"
    exit_status = 28
    default_hint = (
        "write user:password into a file of mode 0600, then comity config set proxy_credentials_file FILE"
    )
    schemes: tuple[str, ...] = ()
    tried = False
