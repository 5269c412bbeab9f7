"""Artifacts between trusted peers (docs: protocol, "Exchange"): send-file, received, transfers.

``service`` is what others use; ``outbox`` sends, ``inbox`` answers and commits, ``recovery`` puts a crash
right. Threads move the bytes: ``sending`` and ``receiving`` carry out what the machines of
``protocol.exchange`` say, ``content`` reads and ``assembly`` writes files.
"""

from comity.services.exchange.service import ExchangeService
from comity.services.exchange.surroundings import Rules, Surroundings, Trust

__all__ = ["ExchangeService", "Rules", "Surroundings", "Trust"]
