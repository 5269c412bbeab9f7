"""The form that people edit: YAML, of which only what reads the same in every program is allowed.

SECURITY.md rule 16: YAML keeps the last of two equal keys, repeats what an anchor names, builds what a tag
says, and turns ``NO`` into false, ``017`` into 15 and ``2026-11-21`` into a date. A charter that a reviewer
and a program read differently is worth nothing, so all of that is an error here, with its line. What is left
are mappings, lists, text, whole decimal numbers, ``true``, ``false`` and ``null``.

It works on the parser's events: nothing is resolved or constructed by PyYAML, and no nesting recurses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from comity import limits
from comity.errors import InvalidCharter
from comity.identity.text import printable
from comity.policy.charter.canonical import from_plain
from comity.policy.charter.model import Charter

_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,15})\Z")
_EXACT = 2**53 - 1  # beyond it JSON's numbers are not exact in every program
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
#: Something other than text to YAML 1.1 or 1.2 in some case; PyYAML's own rules find the rest.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "<<", "=", ""})
#: Numbers, times and dates in any spelling: 1e5, 0o17, 1_000, 12:30, 2026-11-21, .5, .inf.
_NUMBER = re.compile(r"[-+]?\.?[0-9][0-9A-Za-z_.:+-]*\Z|[-+]?\.(?:inf|nan)\Z", re.IGNORECASE)
#: 64 hexadecimal digits, with a letter that no number has: text to every program.
_FINGERPRINT = re.compile(r"(?=[0-9a-f]*[a-df])[0-9a-f]{64}\Z")
_RESOLVERS: dict[str | None, list[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers
#: What escapes such as "\\ud83d" give one by one, and no UTF-8 can hold.
_SURROGATE = re.compile("[\ud800-\udfff]")
_AT = re.compile(r" - at `(\$[^`]*)`\Z")


def read_charter(data: bytes) -> Charter:
    """The charter in a file; InvalidCharter names the line of the first thing that is wrong."""
    document = read_yaml(data)
    try:
        return from_plain(document.value)
    except InvalidCharter as error:
        raise InvalidCharter(f"line {document.line_of(error.message)}: {error.message}") from error


@dataclass(frozen=True)
class Document:
    """What a file says, and the line on which each part stands (by its path, ``$.parties[0]``)."""

    value: Any
    lines: dict[str, int]

    def line_of(self, message: str) -> int:
        """The line of the part that a message ends with, or of the nearest part around it."""
        found = _AT.search(message)
        path = found[1] if found else "$"
        while path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["))]
        return self.lines[path]


def read_yaml(data: bytes) -> Document:
    """The one document in strict YAML; InvalidCharter."""
    if len(data) > limits.CHARTER_BYTES:
        raise InvalidCharter(f"the file has more than {limits.CHARTER_BYTES // limits.KIB} KiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidCharter(f"the file is not UTF-8 text at byte {error.start}") from error
    if text.startswith("\ufeff"):
        raise InvalidCharter("the file begins with a byte order mark", hint="save it as UTF-8 without one")
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise InvalidCharter(f"{where}{printable(error.problem or 'this is not YAML', 200)}") from error
    except (yaml.YAMLError, ValueError) as error:  # control characters; escapes beyond Unicode
        raise InvalidCharter(f"this is not YAML: {printable(str(error), 200)}") from error
    return reader.document()


@dataclass
class _Open:
    """A mapping or list that is being read. ``key`` is the one whose value comes next."""

    value: dict[str, Any] | list[Any]
    path: str
    key: str | None = None


@dataclass
class _Reader:
    """Builds one document out of the parser's events."""

    documents: int = 0
    result: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)

    def document(self) -> Document:
        if not self.documents:
            raise InvalidCharter("the file is empty")
        return Document(self.result, self.lines)

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._start(event)
        elif isinstance(event, yaml.AliasEvent):
            _refuse(event, "aliases (*name) are not allowed: write it out")
        elif isinstance(event, yaml.ScalarEvent):
            _check_node(event)
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            _check_node(event)
            self._open({} if isinstance(event, yaml.MappingStartEvent) else [], event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.stack.pop()

    def _start(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            _refuse(event, "the file holds more than one document")
        if event.version or event.tags:
            _refuse(event, "directives (%YAML, %TAG) are not allowed")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            top.key = _key(event, top.value)
            return
        self._place(_value(event), event)

    def _open(self, value: dict[str, Any] | list[Any], event: yaml.Event) -> None:
        if len(self.stack) >= limits.CHARTER_DEPTH:
            _refuse(event, f"more than {limits.CHARTER_DEPTH} mappings and lists inside each other")
        if self.stack and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None:
            _refuse(event, "a key is text")
        path = self._place(value, event)
        self.stack.append(_Open(value, path))

    def _place(self, value: Any, event: yaml.Event) -> str:
        if not self.stack:
            path = "$"
            self.result = value
        elif isinstance(into := self.stack[-1].value, dict):
            key = self.stack[-1].key or ""
            path = f"{self.stack[-1].path}.{key}"
            into[key] = value
            self.stack[-1].key = None
        else:
            path = f"{self.stack[-1].path}[{len(into)}]"
            into.append(value)
        self.lines[path] = _line(event)
        return path


def _check_node(event: yaml.NodeEvent) -> None:
    if event.anchor is not None:
        _refuse(event, "anchors (&name) are not allowed: write it out")
    if getattr(event, "tag", None) is not None:
        _refuse(event, "tags (!name) are not allowed")


def _key(event: yaml.ScalarEvent, mapping: dict[str, Any]) -> str:
    key = _value(event)
    if not isinstance(key, str):
        _refuse(event, "a key is text")
    if key in mapping:
        _refuse(event, f"{printable(key, 80)} stands here twice")
    return key


def _value(event: yaml.ScalarEvent) -> str | int | bool | None:
    text = event.value
    if event.style is not None:  # quoted, or a block of text
        if _SURROGATE.search(text):
            _refuse(event, "half a surrogate pair is no character: write the character itself")
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        number = int(text)
        if abs(number) > _EXACT:
            _refuse(event, f"{text} is beyond the whole numbers that every program can hold")
        return number
    if _is_ambiguous(text):
        shown = printable(text, 80) or "an empty value"
        _refuse(event, f"{shown} is not the same to every program: write text in quotes, nothing as null")
    return text


def _is_ambiguous(text: str) -> bool:
    if text.lower() in _WORDS:
        return True
    resolvers = _RESOLVERS.get(text[0], []) + _RESOLVERS.get(None, [])
    if any(pattern.match(text) for _, pattern in resolvers):
        return True
    return _NUMBER.match(text) is not None and not _FINGERPRINT.match(text)


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark else 0


def _refuse(event: yaml.Event, why: str) -> NoReturn:
    raise InvalidCharter(f"line {_line(event)}: {why}")
