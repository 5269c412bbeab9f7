"""The root of the error tree, and the way back from a code to its class."""

from __future__ import annotations

from typing import ClassVar


class ComityError(Exception):
    """Root of everything that Comity raises on purpose."""

    code: str = "error"
    exit_status: int = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint

    def __str__(self) -> str:
        return self.message


def _tree(root: type[ComityError]) -> list[type[ComityError]]:
    found = [root]
    for child in root.__subclasses__():
        found.extend(_tree(child))
    return found


def all_errors() -> list[type[ComityError]]:
    """Every class of the tree, the root first."""
    return _tree(ComityError)


def from_code(code: str, message: str, hint: str, exit_status: int = 1) -> ComityError:
    """The error that another process of ours reported, as the class that it was there, or with its code."""
    for cls in all_errors():
        if cls.code == code:
            return cls(message, hint=hint)
    error = ComityError(message, hint=hint)
    error.code, error.exit_status = code, exit_status
    return error
