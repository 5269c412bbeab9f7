"""What a monitoring system watches, as Prometheus samples: read from the daemon, or that there is none.

The text is the exposition format 0.0.4, for node_exporter's textfile collector or whatever runs a command.
No port is opened for it. Names of peers are labels: a node has few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from comity.control import AuditLogRequest, PeersRequest, PeersResult, ReceivedRequest, StatusResult
from comity.control.unattended import MetricsResult, Sample
from comity.sdk import audit, daemon, exchange, peers
from comity.sdk.client import Client


class _Families:
    """What the registry asks for its metrics."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def metrics(home: Path | None = None) -> MetricsResult:
    """The samples of now. NotInitialised, HomeUnsafe, TimedOut; a node that is down is ``comity_up 0``."""
    families = list(_families(home))
    registry = CollectorRegistry()
    registry.register(_Families(families))
    samples = tuple(
        Sample(sample.name, dict(sample.labels), sample.value)
        for family in families
        for sample in family.samples
    )
    return MetricsResult(samples, generate_latest(registry).decode())


def _families(home: Path | None) -> Iterator[Metric]:
    status = daemon.status(home)
    yield _gauge("comity_up", "Whether the daemon runs.", status.running)
    info = GaugeMetricFamily("comity_build_info", "The version, as a label.", labels=["version", "hostname"])
    info.add_metric([status.version, status.hostname], 1)
    yield info
    if not status.running:
        return
    client = Client(home)
    yield from _node(status)
    yield from _peers(peers.peers(client, PeersRequest()))
    states = Counter((each.direction, each.state) for each in exchange.transfers(client).transfers)
    transfers = GaugeMetricFamily("comity_transfers", "Transfers on record.", labels=["direction", "state"])
    for labels, count in sorted(states.items()):
        transfers.add_metric(labels, count)
    yield transfers
    arrivals = exchange.received(client, ReceivedRequest()).arrivals
    yield CounterMetricFamily("comity_files_received", "Files that arrived, ever.", value=arrivals)
    size = audit.log(client, AuditLogRequest(limit=1)).size
    yield CounterMetricFamily("comity_audit_entries", "Entries of the audit log.", value=size)


def _node(status: StatusResult) -> Iterator[Metric]:
    registered = status.rendezvous_state == "registered"
    yield _gauge("comity_registered", "Whether the rendezvous knows this node as online.", registered)
    yield _gauge("comity_uptime_seconds", "Since the daemon's start.", status.uptime_seconds)
    yield _gauge("comity_sessions", "Standing sessions with peers.", status.sessions)
    yield _gauge("comity_trusted_peers", "Agreements in force.", status.trusted)
    yield _gauge("comity_pending_handshakes", "Handshakes that wait for a person here.", status.pending)
    yield _gauge("comity_owed_statements", "Signed statements that have yet to reach a peer.", status.owed)


def _peers(found: PeersResult) -> Iterator[Metric]:
    trusted = [peer for peer in found.peers if peer.trusted]
    up = GaugeMetricFamily("comity_peer_up", "Whether a session with this peer stands.", labels=["peer"])
    rtt = GaugeMetricFamily("comity_peer_rtt_seconds", "Round trip on the session.", labels=["peer", "path"])
    for peer in trusted:
        up.add_metric([peer.hostname], peer.state == "tunnel active")
        if peer.rtt_ms is not None:
            rtt.add_metric([peer.hostname, peer.path or ""], peer.rtt_ms / 1000)
    yield up
    yield rtt


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=float(value))
