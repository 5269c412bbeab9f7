"""What a file may be called on the wire: a plain name, never a path (docs: protocol, "Exchange", names).

The sender refuses to offer, and the receiver to accept, any other. The rule is the same on both sides and
depends on no filesystem. It does not decide where a file lands, nor which name it gets where one is taken:
that is ``storage.blobs``.
"""

from __future__ import annotations

import unicodedata

from comity import limits
from comity.errors import NameRefused
from comity.identity.text import printable

_SEPARATORS = frozenset("/\\")
#: Unassigned and private characters, surrogates, controls, formats (bidi, zero width), line separators.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
#: A leading dot hides a file; a leading hyphen makes it an option of the next command that says ``*``.
_REFUSED_FIRST = frozenset(".-")

#: Formats whose usual loaders run what the file says (pickle, or a script in an archive).
_RUNS_CODE = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".dill", ".bin", ".ckpt", ".h5")
RUNS_CODE_NOTE = "may contain code that runs when loaded"


def check_name(name: str) -> None:
    """NameRefused, with the reason, unless ``name`` is fit to be a received file's name."""
    reason = _objection(name)
    if reason:
        raise NameRefused(f"file name {printable(name, 80)!r} {reason}" if name else "the file name is empty")


def _objection(name: str) -> str:
    if not name:
        return "is empty"
    if _SEPARATORS & set(name):
        return "is a path"
    if name[0] in _REFUSED_FIRST:
        return f"begins with {name[0]!r}"
    if any(unicodedata.category(char) in _REFUSED_CATEGORIES for char in name):
        return "holds control or invisible characters"
    if name != name.strip():
        return "begins or ends with white space"
    size = len(name.encode())
    if size > limits.FILE_NAME_BYTES:
        return f"has {size} bytes, more than {limits.FILE_NAME_BYTES}"
    return ""


def note_for(name: str) -> str:
    """A warning to show beside a received file, or nothing. It goes by the name alone: no file is opened."""
    return RUNS_CODE_NOTE if name.lower().endswith(_RUNS_CODE) else ""
