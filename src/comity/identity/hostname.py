"""Hostnames: what an institution calls its node, in its own letters and in one spelling.

A name is one or more IDNA2008 labels (RFC 5890 to 5893, no UTS 46 mapping) in NFC and lower case, written in
one script (UTS 39 section 5.1; by its augmented script sets Han with kana is one, Japanese, and so is Han
with Hangul or with Bopomofo). Letters of scripts that UAX 31 does not recommend are refused. This keeps a
name readable and a mixed look-alike out. A look-alike in one whole script still passes: a name never proves
an identity, a fingerprint does (SECURITY.md rules 5 and 6).
"""

from __future__ import annotations

import unicodedata

import idna

from comity import limits
from comity.errors import InvalidInput
from comity.identity.text import printable

_HINT = "letters, digits and hyphens, as in charité-trainer; dots between labels"

_JAPANESE = frozenset({"Jpan"})
_HAN = frozenset({"Jpan", "Kore", "Hanb"})
#: The writing systems that a letter may belong to, by the first word of its Unicode name: the standard
#: library has no Script property, and among the code points that IDNA2008 permits this word names the script
#: for all the recommended ones. A first word that is not here is refused, so a gap errs on the safe side.
_SCRIPTS: dict[str, frozenset[str]] = {
    name: frozenset({name})
    for name in (
        "ARABIC", "ARMENIAN", "BENGALI", "CYRILLIC", "DEVANAGARI", "ETHIOPIC", "GEORGIAN", "GREEK",
        "GUJARATI", "GURMUKHI", "HEBREW", "KANNADA", "KHMER", "LAO", "LATIN", "MALAYALAM", "MYANMAR", "ORIYA",
        "SINHALA", "TAMIL", "TELUGU", "THAANA", "THAI", "TIBETAN",
    )
} | {
    "ARABIC-INDIC": frozenset({"ARABIC"}),
    "BOPOMOFO": frozenset({"Hanb"}),
    "CJK": _HAN,
    "HANGUL": frozenset({"Kore"}),
    "HIRAGANA": _JAPANESE,
    "IDEOGRAPHIC": _HAN,
    "KATAKANA": _JAPANESE,
    "KATAKANA-HIRAGANA": _JAPANESE,
}  # fmt: skip

_COMMON = frozenset("0123456789-.\N{MIDDLE DOT}")
_COMBINING = range(0x300, 0x370)
#: UTS 39 section 5.4: over an i or a j it can't be seen.
_DOT_ABOVE = "\N{COMBINING DOT ABOVE}"


def normalise_hostname(text: str) -> str:
    """A hostname's one spelling: NFC, lower case, at most ``limits.HOSTNAME_CHARS``; else InvalidInput."""
    if len(text) > 4 * limits.HOSTNAME_CHARS:  # before NFC, which may shorten a name, does any work
        raise _refused(text, "is too long")
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    if not name:
        raise InvalidInput("a hostname cannot be empty", hint=_HINT)
    if len(name) > limits.HOSTNAME_CHARS:
        raise _refused(text, f"has {len(name)} characters; {limits.HOSTNAME_CHARS} is the most")
    for label in name.split("."):
        try:
            idna.check_label(label)
            idna.alabel(label)  # 63 octets at most, so that the label fits the DNS
        except (idna.IDNAError, ValueError) as error:  # ValueError: a code point newer than Python's tables
            raise _refused(text, f"is not a valid internationalised name: {error}") from error
    _check_script(name)
    return name


def _check_script(name: str) -> None:
    systems: frozenset[str] | None = None
    number_systems = set()
    for char in name:
        if char in _COMMON or (ord(char) in _COMBINING and char != _DOT_ABOVE):
            continue
        own = _SCRIPTS.get(unicodedata.name(char, "").partition(" ")[0])
        if own is None:
            raise _refused(name, f"contains {_named(char)}, which names do not use")
        systems = own if systems is None else systems & own
        if not systems:
            raise _refused(name, f"mixes writing systems: {_named(char)} is not of the one before it")
    for char in name:
        if char.isdecimal():
            number_systems.add(ord(char) - unicodedata.decimal(char))
    if len(number_systems) > 1:  # UTS 39 section 5.3
        raise _refused(name, "mixes digits of two writing systems")


def _named(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, 'unnamed')}"


def _refused(text: str, why: str) -> InvalidInput:
    shown = printable(text, limits.HOSTNAME_CHARS)
    return InvalidInput(f"hostname {shown!r} {printable(why, 200)}", hint=_HINT)
