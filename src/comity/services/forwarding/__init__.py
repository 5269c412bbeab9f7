"""Forwarding: TCP connections of programs through the tunnel, to ports that a partner exposed.

``exit`` is the side with the port, ``entrance`` the side with the program that connects, ``pipe`` moves the
bytes, ``forward`` accepts connections, ``service`` is what the API calls.
"""

from comity.services.forwarding.service import ForwardingService
from comity.services.forwarding.surroundings import Surroundings

__all__ = ["ForwardingService", "Surroundings"]
