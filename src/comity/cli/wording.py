"""How numbers, ciphers, times and durations read; ``control.amounts`` has how they are typed. No printing."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: int) -> str:
    """Bytes as people say them, in powers of 1000: ``142MB``, ``1.4GB``, ``0B``."""
    amount, unit = float(count), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    digits = 1 if unit and amount < 9.95 else 0
    return f"{amount:.{digits}f}{_UNITS[unit]}"


def pace(seconds: float, mb_per_s: float) -> str:
    """``4.2s, 33.8 MB/s``: how long something took, and how fast it was in 10^6 bytes a second."""
    return f"{seconds:.1f}s, {mb_per_s:.1f} MB/s"


def tunnel(group: str | None, cipher: str | None) -> str:
    """Key agreement and cipher as a person reads them: ``X25519MLKEM768 + AES-256-GCM``."""
    suite = re.sub(r"_SHA[0-9]+$", "", (cipher or "unknown").removeprefix("TLS_")).replace("_", "-")
    return f"{group or 'unknown'} + {suite}"


def milliseconds(value: float | None) -> str:
    """``0.4 ms``, or a dash."""
    return "-" if value is None else f"{value:.1f} ms"


def moment(time: str) -> str:
    """RFC 3339 as people read it: ``2026-11-21 05:18:00 UTC``."""
    return f"{time[:-1].replace('T', ' ')} UTC" if time.endswith("Z") else time


def counted(count: int, one: str, many: str) -> str:
    """``1 entry``, ``2 entries``."""
    return f"{count} {one if count == 1 else many}"


def listing(items: Sequence[str]) -> str:
    """``a, b``, or ``none``."""
    return ", ".join(items) or "none"


def span(seconds: float) -> str:
    """How long something lasts, in its two largest units: ``2h 5m``, ``40s``."""
    left = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= length or (unit == "s" and not parts):
            parts.append(f"{left // length}{unit}")
            left %= length
    return " ".join(parts[:2])
