"""Fingerprints that a person brings along: ``--party NAME=FINGERPRINT``, from anywhere but the file that is
being verified (SECURITY.md rule 19).
"""

from __future__ import annotations

from collections.abc import Iterable

from comity.errors import InvalidInput
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname


def parse(parties: Iterable[str]) -> dict[str, Fingerprint]:
    """Fingerprints by name; InvalidInput, also where a name comes twice."""
    found: dict[str, Fingerprint] = {}
    for text in parties:
        name, equals, fingerprint = text.partition("=")
        if not equals:
            raise InvalidInput(
                "a party is written NAME=FINGERPRINT", hint="as in --party lab-a-trainer=5a2f..."
            )
        if normalise_hostname(name) in found:
            raise InvalidInput("a party is named twice")
        found[normalise_hostname(name)] = Fingerprint.parse(fingerprint)
    return found
