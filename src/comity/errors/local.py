"""What the person at this node asked for, or how this node stands."""

from __future__ import annotations

from comity.errors.base import ComityError


class InvalidInput(ComityError):
    """An argument, a name, a file or a setting that cannot be understood."""

    code = "invalid_input"
    exit_status = 2
    default_hint = "see comity COMMAND --help"


class InvalidCard(InvalidInput):
    code = "invalid_card"
    default_hint = "ask your partner for the line that comity card prints"


class InvalidJoinUrl(InvalidInput):
    code = "invalid_join_url"
    default_hint = "ask the rendezvous's operator for the line in its join.url file"


class InvalidCharter(InvalidInput):
    """A charter that is not written as one, or whose parts contradict each other."""

    code = "invalid_charter"
    default_hint = "see docs/reference/charter.md for what a charter holds"


class NotInitialised(ComityError):
    code = "not_initialised"
    exit_status = 10
    default_hint = "run comity init --hostname NAME --join URL"


class AlreadyInitialised(ComityError):
    code = "already_initialised"
    exit_status = 11
    default_hint = "set COMITY_HOME to another folder for a second node"


class NotRunning(ComityError):
    code = "not_running"
    exit_status = 12
    default_hint = "run comity up"


class AlreadyRunning(ComityError):
    code = "already_running"
    exit_status = 13
    default_hint = "run comity status"


class HomeUnsafe(ComityError):
    """A home, key or runtime folder whose owner or mode lets others in."""

    code = "home_unsafe"
    exit_status = 14
    default_hint = "make the folder yours alone: chmod 700 it, and chmod 600 the files that are named"


class NewerDatabase(ComityError):
    code = "newer_database"
    exit_status = 15
    default_hint = "install the version of comity that wrote it, or a later one"


class WrongPassphrase(ComityError):
    code = "wrong_passphrase"
    exit_status = 16
    default_hint = "run again with --passphrase-file FILE"


class StorageUnusable(ComityError):
    """A file or database that can't be read or written: corrupt, locked, read-only, or failing underneath."""

    code = "storage_unusable"
    exit_status = 17
    default_hint = "keep a copy of the folder that is named, then check its disk: df -h and dmesg"
