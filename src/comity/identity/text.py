"""Showing text that a peer chose: nothing in it may steer a terminal, hide, or turn a line round.

Control, bidi, zero-width and other format characters, surrogates, private and unassigned code points, and
line separators become ``\\u{...}`` (SECURITY.md rule 6; the attack is Trojan Source, CVE-2021-42574). It does
not judge names (``hostname`` does) and does not escape for HTML, SQL or a shell.
"""

from __future__ import annotations

import unicodedata

#: Of no category that betrays it, and shown as nothing at all: Default_Ignorable_Code_Point of the Unicode
#: Character Database among marks and letters, and the empty braille cell.
_INVISIBLE = frozenset(
    "\N{COMBINING GRAPHEME JOINER}\N{HANGUL CHOSEONG FILLER}\N{HANGUL JUNGSEONG FILLER}\N{HANGUL FILLER}"
    "\N{HALFWIDTH HANGUL FILLER}\N{KHMER VOWEL INHERENT AQ}\N{KHMER VOWEL INHERENT AA}"
    "\N{MONGOLIAN FREE VARIATION SELECTOR ONE}\N{MONGOLIAN FREE VARIATION SELECTOR TWO}"
    "\N{MONGOLIAN FREE VARIATION SELECTOR THREE}\N{MONGOLIAN FREE VARIATION SELECTOR FOUR}"
    "\N{BRAILLE PATTERN BLANK}"
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))  # variation selectors

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def printable(text: str, limit: int | None = None) -> str:
    """``text`` fit for a terminal, in at most ``limit`` characters; an ellipsis ends what was cut."""
    shown: list[str] = []
    length = 0
    for char in text:
        piece = _escaped(char)
        shown.append(piece)
        length += len(piece)
        if limit is not None and length > limit:
            break
    if limit is None or length <= limit:
        return "".join(shown)
    while shown and length > limit - len(_ELLIPSIS):
        length -= len(shown.pop())
    return ("".join(shown) + _ELLIPSIS)[: max(limit, 0)]


def _escaped(char: str) -> str:
    category = unicodedata.category(char)
    if category[0] == "C" or category in ("Zl", "Zp") or char in _INVISIBLE:
        return f"\\u{{{ord(char):x}}}"
    return char
