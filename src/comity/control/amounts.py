"""How a person writes sizes, rates and durations, as whole numbers of bytes, bytes a second, and seconds.

One grammar for the command line and for ``config.toml``. It prints nothing; ``cli.wording`` does.
"""

from __future__ import annotations

import re

from comity import limits
from comity.errors import InvalidInput

_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))? ?([kmgtp]?)(i?)b?\Z")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION = re.compile(r"([0-9]{1,9})([smhdwy])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31_536_000}
_MOST = 2**62  # what SQLite and JSON's readers can hold


def parse_size(text: str) -> int:
    """Bytes in ``50GB`` (powers of 1000), ``8TiB`` (of 1024), ``1.5 MB``, ``4096``; InvalidInput."""
    match = _SIZE.match(text.strip().lower())
    if match is None or (match[4] and not match[3]):
        raise InvalidInput("a size is a number and a unit", hint="write fifty gigabytes as 50GB")
    whole, fraction, unit, binary = match.groups()
    scale: int = (1024 if binary else 1000) ** _POWERS[unit]
    thousandths = int((fraction or "0").ljust(3, "0"))
    size = int(whole) * scale + thousandths * scale // 1000
    if size > _MOST:
        raise InvalidInput("a size of more than 4 EiB", hint="write a smaller one")
    return size


def parse_rate(text: str) -> int:
    """Bytes a second in ``50MB/s``, ``800kB/s``, ``50MB``; InvalidInput."""
    cleaned = text.strip().lower().removesuffix("/s")
    try:
        rate = parse_size(cleaned)
    except InvalidInput:
        raise InvalidInput(
            "a rate is a size a second", hint="write fifty megabytes a second as 50MB/s"
        ) from None
    if rate < limits.RATE_LEAST:
        raise InvalidInput(
            f"a rate of less than {limits.RATE_LEAST} bytes a second", hint="write at least 16kB/s"
        )
    return rate


def parse_duration(text: str) -> int:
    """Seconds in ``90d``, ``12h``, ``2w``; InvalidInput."""
    match = _DURATION.match(text.strip().lower())
    if match is None:
        raise InvalidInput(
            "a duration is a number and one of s, m, h, d, w, y", hint="write ninety days as 90d"
        )
    return int(match[1]) * _SECONDS[match[2]]
