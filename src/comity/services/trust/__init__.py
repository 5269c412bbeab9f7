"""Trust between this node and its peers: handshakes, agreements, revocations.

``peers`` finds whom an argument names, ``service`` carries the operations out, ``delivery`` gets signed
statements to their peers, ``views`` shows it all as control types. What may follow what is decided in
``protocol.trust``.
"""

from comity.services.trust.peers import KnownPeer
from comity.services.trust.service import TrustService

__all__ = ["KnownPeer", "TrustService"]
