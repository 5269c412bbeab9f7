"""What a new charter needs to know: from options, and on a terminal by asking for the rest."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from comity.control import CharterAskRequest, CharterNewRequest, CharterSignatory
from comity.errors import InvalidInput
from comity.identity.card import Card
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname
from comity.sdk import charter as sdk

_NUMBER = re.compile(r"[0-9]{1,15}\Z")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_QUESTIONS = {
    "template": f"Template ({', '.join(sdk.TEMPLATE_NAMES)})",
    "title": "What is the collaboration called",
    "purpose": "What is it for",
    "reference": "Approval or contract that it rests on",
    "start": "When does it begin, in UTC (2026-12-01)",
    "until": "From when on is it over",
}
_OPTIONS = {"start": "from"}

Given = Mapping[str, str | tuple[str, ...] | None]


def request(given: Given, *, guided: bool) -> CharterNewRequest:
    """The request; InvalidInput where something is missing and nobody can be asked."""
    questions = _Questions(given, guided=guided and sys.stdin.isatty())
    template = questions.answer("template")
    title, purpose = questions.answer("title"), questions.answer("purpose")
    reference = questions.answer("reference")
    start, until = moment(questions.answer("start")), moment(questions.answer("until"))
    accept_by = given["accept_by"]
    return CharterNewRequest(
        template=template,
        title=title,
        purpose=purpose,
        reference=reference,
        reference_kind=str(given["reference_kind"] or "irb"),
        start=start,
        until=until,
        accept_by=moment(accept_by) if isinstance(accept_by, str) else start,
        parties=questions.parties(),
    )


@dataclass(frozen=True)
class _Questions:
    given: Given
    guided: bool

    def answer(self, name: str) -> str:
        value = self.given[name]
        if isinstance(value, str):
            return value
        if self.guided:
            return str(click.prompt(_QUESTIONS[name], err=True))
        option = _OPTIONS.get(name, name)
        raise InvalidInput(f"--{option} is missing", hint="see comity charter new --help")

    def parties(self) -> tuple[CharterSignatory, ...]:
        named = [_party(text) for text in self._several("parties")]
        if not named and self.guided:
            named = self._ask_for_parties()
        organizations = dict(map(_pair, self._several("organizations")))
        contacts = dict(map(_pair, self._several("contacts")))
        for name in {*organizations, *contacts} - {name for name, _ in named}:
            raise InvalidInput(f"{name} is not a party", hint="name it with --party NAME=FINGERPRINT")
        return tuple(
            CharterSignatory(name, fingerprint, organizations.get(name, ""), contacts.get(name, ""))
            for name, fingerprint in named
        )

    def _several(self, name: str) -> Iterable[str]:
        value = self.given[name]
        return value if isinstance(value, tuple) else ()

    def _ask_for_parties(self) -> list[tuple[str, str]]:
        named: list[tuple[str, str]] = []
        while True:
            question = f"Card of party {len(named) + 1}, or NAME=FINGERPRINT (empty: no more)"
            text = str(click.prompt(question, default="", show_default=False, err=True))
            if not text:
                return named
            named.append(_party(text))


def about_peer(peer: str, kind: str, size: int, asked: Mapping[str, Any]) -> CharterAskRequest:
    """What is asked of the node; InvalidInput for what only a file can be asked."""
    for name, option in (("party", "--party"), ("peer", "--with")):
        if asked[name]:
            raise InvalidInput(f"{option} goes with a charter file", hint="leave it out")
    described = {name: asked[name] for name in ("operation", "digest", "signer", "topic", "port")}
    return CharterAskRequest(peer=peer, format=kind, bytes=size, **described)


def count(text: str) -> tuple[str, int]:
    """``CLAUSE=N``; InvalidInput."""
    clause, _, number = text.partition("=")
    if not _NUMBER.match(number):
        raise InvalidInput(f"{text} is not written CLAUSE=N", hint="as in --used limits.volume=1000")
    return clause, int(number)


def _party(text: str) -> tuple[str, str]:
    if text.startswith("comity:"):
        card = Card.parse(text)
        return card.hostname, str(card.fingerprint)
    name, fingerprint = _pair(text)
    return name, str(Fingerprint.parse(fingerprint))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"{text} is not written NAME=TEXT", hint="as in --party lab-a-trainer=5a2f...")
    return normalise_hostname(name), value


def moment(text: str) -> str:
    """A day is its first second."""
    return f"{text}T00:00:00Z" if _DAY.match(text) else text
