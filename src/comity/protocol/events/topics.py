"""Topics and the patterns that choose among them (docs: protocol, "Events", topics).

A topic is levels joined by slashes: ``training/weights-ready``. In a pattern ``*`` stands for any one level,
and ``**`` at the end for one or more. It compares names; who may read what is decided elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from comity import limits
from comity.errors import InvalidInput
from comity.identity.text import printable

_LEVEL = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_MORE = limits.TOPIC_LEVELS - 1

#: For strict parsers; lengths are bounded beside it.
TOPIC_PATTERN = rf"^{_LEVEL}(/{_LEVEL}){{0,{_MORE}}}\Z"
FILTER_PATTERN = rf"^((({_LEVEL}|\*)/){{0,{_MORE}}})({_LEVEL}|\*|\*\*)\Z"
CONSUMER_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.:/*@-]*\Z"

_TOPIC = re.compile(TOPIC_PATTERN)
_FILTER = re.compile(FILTER_PATTERN)
_CONSUMER = re.compile(CONSUMER_PATTERN)


def check_topic(text: str) -> str:
    """``text``, if it is a topic; InvalidInput."""
    if len(text) > limits.TOPIC_CHARS or not _TOPIC.match(text):
        raise InvalidInput(
            f"{printable(text, limits.TOPIC_CHARS)} is not a topic",
            hint="use letters, digits, hyphens and slashes between levels: training/weights-ready",
        )
    return text


def check_consumer(text: str) -> str:
    """``text``, if it can name a consumer; InvalidInput."""
    if len(text) > limits.CONSUMER_CHARS or not _CONSUMER.match(text):
        raise InvalidInput(
            f"{printable(text, limits.CONSUMER_CHARS)} is not a consumer's name",
            hint="use letters, digits, dots and hyphens, as in aggregator-1",
        )
    return text


@dataclass(frozen=True)
class Filter:
    """What a subscription asks for: a topic, or a pattern over topics."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Filter:
        """InvalidInput where it is neither."""
        if len(text) > limits.TOPIC_CHARS or not _FILTER.match(text):
            raise InvalidInput(
                f"{printable(text, limits.TOPIC_CHARS)} is neither a topic nor a pattern",
                hint="* stands for one level, ** at the end for all below: training/*",
            )
        return cls(text)

    @property
    def exact(self) -> bool:
        """Whether it names a single topic."""
        return "*" not in self.text

    def matches(self, topic: str) -> bool:
        """Whether the topic is among those that it chooses."""
        if self.exact:
            return topic == self.text
        wanted, given = self.text.split("/"), topic.split("/")
        if wanted[-1] == "**":
            if len(given) < len(wanted):
                return False
            wanted, given = wanted[:-1], given[: len(wanted) - 1]
        return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))
