"""The words that a charter is made of: names, digests, times, and the choices that it offers.

Types and patterns only, as the published schema states them. Numbers are whole: a charter has no fractions,
so its canonical form never depends on how a program prints one.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from comity import limits

#: What a part of a charter is called inside it: a role, an asset, a permission, a limit.
Slug = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,47}\Z", description="lower case, digits, hyphens")
]
#: A node's hostname, in the one spelling that ``identity.hostname`` gives it.
NodeName = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.HOSTNAME_CHARS)]
Fingerprint = Annotated[
    str,
    msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z", description="all 64 digits, as comity card prints them"),
]
Digest = Annotated[
    str,
    msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z", description="SHA-256 of the content, or of a charter"),
]
Time = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z\Z",
        description="UTC, to the second: 2026-11-21T05:18:00Z",
    ),
]
#: One line, without control or invisible characters.
Name = Annotated[str, msgspec.Meta(max_length=limits.CHARTER_NAME_CHARS)]
Text = Annotated[str, msgspec.Meta(max_length=limits.CHARTER_TEXT_CHARS)]
Written = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.CHARTER_TEXT_CHARS)]
TopicFilter = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,7}(/\*\*)?\Z",
        max_length=limits.CHARTER_TOPIC_CHARS,
        description="a topic, or all topics below one: training/**",
    ),
]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Amount = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
Days = Annotated[int, msgspec.Meta(ge=0, le=36500)]
Hours = Annotated[int, msgspec.Meta(ge=1, le=8760)]
#: As text, because canonical JSON must not depend on a float's spelling.
Decimal = Annotated[
    str,
    msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,12})?\Z", description='a number as text: "3.5"'),
]
#: A file format by name. Formats whose loaders run code are no word here: no charter can allow them.
Format = Literal["safetensors", "onnx", "gguf", "npy", "npz", "csv", "parquet", "json", "text", "pdf"]

#: A time of day in UTC: ``08:30``. Quoted in YAML, where some programs read a number of seconds.
TimeOfDay = Annotated[
    str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z", description="UTC: 08:30")
]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

Operation = Literal[
    "connect", "send", "receive", "publish", "subscribe", "expose", "forward", "serve", "call"
]
AssetClass = Literal["shareable", "proprietary"]
Counted = Literal["bytes", "transfers", "events", "calls"]
Period = Literal["charter", "month", "week", "day", "hour", "minute"]
Reference = Literal["irb", "contract", "other"]
Need = Literal["required", "optional"]
Reuse = Literal["forbidden", "with-consent", "allowed"]
Disposal = Literal["delete", "return", "retain"]
Template = Literal["two-lab-study", "multi-site-star", "vendor-evaluation", "none"]
