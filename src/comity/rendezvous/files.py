"""How many connections the system's limit of open files leaves room for."""

from __future__ import annotations

import resource

from comity import limits
from comity.rendezvous.journal import Journal

_SPARE = 64  # database, log, listeners, pipes


def connections(journal: Journal) -> int:
    """How many connections the system lets us have, the bound of ``limits`` at most; raises the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.RENDEZVOUS_CONNECTIONS + 2 * limits.RELAY_LANES + _SPARE
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = min(limits.RENDEZVOUS_CONNECTIONS, max(soft // 2, soft - 2 * limits.RELAY_LANES - _SPARE))
    if most < limits.RENDEZVOUS_CONNECTIONS:
        journal.info("the system's limit of open files bounds the connections", connections=most, files=soft)
    return most
