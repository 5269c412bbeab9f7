"""A server's numbers as Prometheus samples (exposition format 0.0.4).

Labels are kinds, codes and networks' names; no node, key, address or join URL is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from comity.control.rendezvous_status import RendezvousStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Families:
    """What the registry asks for its metrics."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> list[Metric]:
        return self._families


def exposition(status: RendezvousStatus) -> bytes:
    """The text of all samples."""
    registry = CollectorRegistry()
    registry.register(_Families(_families(status)))
    return generate_latest(registry)


def _families(status: RendezvousStatus) -> Iterator[Metric]:
    info = GaugeMetricFamily("comity_rendezvous_build_info", "The version, as a label.", labels=["version"])
    info.add_metric([status.version], 1)
    yield info
    yield _gauge("ready", "Whether it serves and every check holds.", status.ready)
    checks = GaugeMetricFamily(_name("check"), "Whether a check holds.", labels=["check"])
    for check in status.checks:
        checks.add_metric([check.name], check.ok)
    yield checks
    yield _gauge("uptime_seconds", "Since its start.", status.uptime_seconds)
    yield _labelled("connections", "Connections that are open, by kind.", "kind", status.connections)
    yield _counted("connections_accepted", "Connections that were served, by kind.", "kind", status.accepted)
    yield _gauge("relay_lanes", "Relay lanes that carry bytes.", status.lanes)
    yield _counted("refusals", "What was refused, by its code.", "code", status.refusals)
    by_name = {each.name: each for each in status.networks}
    nodes = GaugeMetricFamily(_name("nodes"), "Registered nodes.", labels=["network", "state"])
    for name, each in by_name.items():
        nodes.add_metric([name, "online"], each.online)
        nodes.add_metric([name, "offline"], each.nodes - each.online)
    yield nodes
    for metric, about, values in (
        ("mail_letters", "Sealed letters that wait.", {name: each.mail for name, each in by_name.items()}),
        ("mail_bytes", "Bytes of them.", {name: each.mail_bytes for name, each in by_name.items()}),
    ):
        yield _labelled(metric, about, "network", values)
    relayed = {name: each.relayed_bytes for name, each in by_name.items()}
    yield _counted("relayed_bytes", "Bytes that relay lanes carried.", "network", relayed)
    resolves = HistogramMetricFamily(_name("resolve_seconds"), "From a look-up to its answer.")
    buckets = [(f"{most:g}", float(count)) for most, count in status.resolves.buckets]
    resolves.add_metric([], [*buckets, ("+Inf", float(status.resolves.count))], status.resolves.seconds)
    yield resolves
    yield _gauge("database_bytes", "The database, with its journal.", status.database_bytes)
    yield _gauge("disk_free_bytes", "Free on the disk of its state.", status.disk_free_bytes)
    yield _gauge(
        "clock_held_seconds", "By how much its time is ahead of this machine's.", status.clock_held_seconds
    )
    if status.backup_age_seconds is not None:
        yield _gauge("backup_age_seconds", "Since the newest backup.", status.backup_age_seconds)


def _name(metric: str) -> str:
    return f"comity_rendezvous_{metric}"


def _gauge(metric: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(_name(metric), about, value=float(value))


def _labelled(metric: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(_name(metric), about, labels=[label])
    for name, value in sorted(values.items()):
        family.add_metric([name], value)
    return family


def _counted(metric: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(_name(metric), about, labels=[label])
    for name, value in sorted(values.items()):
        family.add_metric([name], value)
    return family
