"""Request and result of the doctor: each hop on the way to a partner, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HopStatus = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class DoctorRequest:
    """``peer``: also the paths to this one; empty for none."""

    peer: str = ""


@dataclass(frozen=True)
class DoctorHop:
    """``detail`` says what was found, ``advice`` what to do here, ``ask`` what to ask the IT department for,
    in words that can be sent as they are; both empty where there is nothing to be done.
    """

    name: str
    status: HopStatus
    detail: str
    advice: str = ""
    ask: str = ""


@dataclass(frozen=True)
class DoctorResult:
    """``status`` is the worst of the hops' (``ok``, ``warning``, ``failed``); hops in the way's order."""

    status: HopStatus
    hops: tuple[DoctorHop, ...]
