"""Requests and results of a node that runs without anyone looking: once, service, metrics, its clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OnceResult:
    """What one visit did. ``left`` counts transfers, ``owed`` statements that wait for the next one.

    ``complete``: nothing was left to do; else ``timeout`` came first.
    """

    hostname: str
    address: str | None
    seconds: float
    received: int
    sent: int
    pending: int
    left: int
    owed: int
    complete: bool


@dataclass(frozen=True)
class ServiceRequest:
    """``system``: a unit of the machine instead of one of the user, run by the user all the same."""

    system: bool = False
    listen: str | None = None
    passphrase_file: str | None = None
    start: bool = True


@dataclass(frozen=True)
class ServiceResult:
    """``started``: systemd has it running; ``problem`` says why not, ``text`` is the unit."""

    unit: str
    path: str
    text: str
    started: bool
    problem: str = ""


@dataclass(frozen=True)
class Sample:
    """One number of the Prometheus exposition; a counter's ``name`` ends in ``_total``."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class MetricsResult:
    """``text`` is the exposition format, version 0.0.4."""

    samples: tuple[Sample, ...]
    text: str


@dataclass(frozen=True)
class ClockForcedBack:
    """From when to when (RFC 3339)."""

    was: str
    now: str
