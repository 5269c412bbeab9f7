"""What went wrong with a file on its way, or with evidence."""

from __future__ import annotations

from comity.errors.base import ComityError
from comity.errors.local import InvalidInput


class FileUnusable(ComityError):
    """Not found, not readable, or neither a file nor a folder."""

    code = "file_unusable"
    exit_status = 40
    default_hint = "check the path and its permissions"


class FileChanged(ComityError):
    code = "file_changed"
    exit_status = 41
    default_hint = "wait until whatever writes the file is done, then send it again"


class NameRefused(ComityError):
    code = "name_refused"
    exit_status = 42
    default_hint = "rename the file: a plain name, without slashes or control characters"


class DiskFull(ComityError):
    code = "disk_full"
    exit_status = 43
    default_hint = "free some space where it is named, then send again"


class TransferFailed(ComityError):
    code = "transfer_failed"
    exit_status = 44
    default_hint = "run the same command again"


class VerificationFailed(ComityError):
    """Bytes, a digest or a receipt are not what was signed."""

    code = "verification_failed"
    exit_status = 45
    default_hint = "run the same command again; if it repeats, tell your partner"


class TooLarge(ComityError):
    code = "too_large"
    exit_status = 46
    default_hint = "see docs/reference/limits.md"


class InboxFull(ComityError):
    """The receiver's quota for this sender is used up."""

    code = "inbox_full"
    exit_status = 49
    default_hint = "ask your partner to move received files away, or to raise inbox_quota"


class TransferCancelled(ComityError):
    """One of both sides ended it for good."""

    code = "transfer_cancelled"
    exit_status = 57
    default_hint = "to send it after all, run comity send-file again"


class UnknownTransfer(ComityError):
    code = "unknown_transfer"
    exit_status = 58
    default_hint = "run comity transfers"


class InvalidWeights(InvalidInput):
    """A file of weights that does not hold what it should."""

    code = "invalid_weights"
    default_hint = "ask your partner to send it again"


class AuditInvalid(ComityError):
    code = "audit_invalid"
    exit_status = 50
    default_hint = "keep a copy of the home folder as it is, and compare with an export of your partner's"


class AgreementInvalid(ComityError):
    code = "agreement_invalid"
    exit_status = 51
    default_hint = "ask for the file again: comity agreement export PEER --out FILE"
