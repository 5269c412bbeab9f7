"""The quotas of all networks as they are now, in memory: read at the start, renewed with every change.

So that a request can be weighed before the books are asked. Use it from the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Iterable

from comity.rendezvous.quotas import LARGEST, Quotas
from comity.rendezvous.tenancy import Network


class Terms:
    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._quotas: dict[int, Quotas] = {}
        for network in networks:
            self.put(network)

    def put(self, network: Network) -> None:
        """Take a network's quotas, as they are on disk now."""
        self._quotas[network.number] = network.quotas

    def of(self, network: int) -> Quotas:
        return self._quotas.get(network, LARGEST)
